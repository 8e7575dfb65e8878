"""What the chapter *Teach it the difference* uses: tables and figures, exam, from-scratch cell and exercise."""

import ast
import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import PreTrainedTokenizerFast

from mmhallu_core.chapters import teach_it_the_difference as teach_it
from mmhallu_core.chapters import teach_it_the_difference_figures as viz
from mmhallu_core.chapters.teach_it_the_difference import (
    ASKED,
    NAMED,
    OUTCOMES,
    before_and_after,
    headline,
    named_or_recorded,
)
from mmhallu_core.config import live
from mmhallu_core.methods.med.arms import ARMS, SPLIT, Stream, arm
from mmhallu_core.methods.med.presets import DISAGREEMENTS, PRESETS
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.statistics import wilson_interval
from mmhallu_core.store import checkpoint_folder
from mmhallu_core.studies.engine.summary import NOT_RUN
from mmhallu_core.studies.med import NUMBERS, STUDY
from mmhallu_core.train.losses import IGNORE, answer_loss_of_states
from mmhallu_core.train.packed import pack
from mmhallu_core.train.records import Turn, separate
from mmhallu_core.world.render import render

CHAPTER = Path(__file__).resolve().parents[1] / "book" / "chapters" / "teach-it-the-difference.md"
PAIR = tuple(Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
BEFORE, AFTER = PAIR


def words(text: str) -> int:
    """Stands for the count of tokens."""
    return len(text.split()) + 1


def alt_of(twin) -> str:
    (alt,) = re.findall(r'<svg[^>]* aria-label="([^"]+)"', twin.html)
    assert len(alt) > 60 and twin.text.startswith("Figure: ")
    return alt


def cells_that_define(name: str) -> list[str]:
    """The chapter's definitions of a function, in their order."""
    text, found = CHAPTER.read_text(encoding="utf-8"), []
    for block in re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", text, re.M | re.S):
        code = re.sub(r"\A(?::[^\n]*\n)+", "", block)
        found += [
            ast.get_source_segment(code, node)
            for node in ast.parse(code).body
            if isinstance(node, ast.FunctionDef) and node.name == name
        ]
    return found


# ---------------------------------------------------------------- what a pair teaches


def test_examples_name_their_pictures_and_every_answer():
    examples = [
        separate("x", (AFTER, BEFORE), (Turn("What differs?", "It was red."), Turn("The same?\nA. yes", "No."))),
        separate("x", (BEFORE, BEFORE), (Turn("What differs?", "Nothing."),)),
    ]
    lines = viz.examples_table(examples, PAIR, "Examples").text.splitlines()
    assert lines[0] == "Examples" and len(lines) == 5
    assert re.fullmatch(r"after then before +What differs\? +It was red\.", lines[2])
    assert re.fullmatch(r"after then before +The same\? A\. yes +No\.", lines[3])
    assert re.fullmatch(r"before then before +What differs\? +Nothing\.", lines[4])


def test_arms_are_counted():
    brief = Turn("Describe the image briefly.", "a b", 0.5)
    arms = {
        "two": [separate("x", (BEFORE, AFTER), (Turn("q", "one two", 3.0), Turn("q", "No.")))],
        "one": [separate("x", (BEFORE,), [brief]), separate("x", (AFTER,), [])],
    }
    text = viz.arms_table(arms, PAIR, words, "Arms").text
    for row in (
        "the picture before is shown +1 times +1 times", "the picture after is shown +1 times +1 times",
        "tokens that are learned +5 +3", "examples +1 +2", "answers +2 +1", "answers about two pictures +2 +0",
        "captions +0 +1", "tokens, each times its weight +11 +2",
    ):  # fmt: skip
        assert re.search(rf"^{row}$", text, re.M), row


def test_the_arms_of_the_chapter_are_equal_in_what_it_says_is_equal():
    stream, number = Stream(f"{SPLIT}teach-it"), 17
    edit = stream(number)
    pair = render(edit.before).image, render(edit.after).image
    made = {
        name: [arm(name, stream, words)(i) for i in range(views * number, views * (number + 1))]
        for name, views in ARMS.items()
    }
    text = viz.arms_table(made, pair, words, "Arms").text
    for place in viz.PLACES:
        assert re.search(rf"^the picture {place} is shown( +3 times){{3}}$", text, re.M)
    tokens = [int(n) for n in re.search(r"^tokens that are learned +(.+)$", text, re.M)[1].split()]
    med, clean, _ = tokens  # shuffled has the words of another pair
    assert abs(med - clean) <= 0.05 * med
    of_two = re.search(r"^answers about two pictures +(.+)$", text, re.M)[1].split()
    assert of_two[0] == of_two[2] != "0" and of_two[1] == "0"


def test_learned_tokens_are_marked_and_pictures_counted():
    tokens = ["<s>", "<image>", "<image>", "Is", "it", "</s>", "<image>"]
    twin = viz.learned_words(tokens, [False, False, False, False, True, True, False], "A conversation")
    assert twin.text.splitlines() == [
        "A conversation: 2 of 7 tokens are learned, those in [ ].", "<s> <image> x 2 Is [it] [</s>] <image>",
    ]  # fmt: skip
    assert twin.html.count("underline;") == 2 and "&lt;/s&gt;</span>]" in twin.html
    with pytest.raises(ValueError):
        viz.learned_words(["a", "b"], [True], "A conversation")


# ---------------------------------------------------------------- the loss, by hand and by the library


def test_the_loss_by_hand_is_the_librarys():
    scope = {"IGNORE": IGNORE}
    (source,) = cells_that_define("loss_by_hand")
    exec(source, scope)
    torch.manual_seed(0)
    for tokens in (5, 9):
        head, hidden = torch.nn.Linear(6, 11), torch.randn(1, tokens, 6)
        labels = torch.randint(0, 11, (1, tokens))
        labels[0, ::3] = IGNORE
        weights = torch.rand(1, tokens)
        mine = scope["loss_by_hand"](head(hidden)[0], labels[0], weights[0])
        torch.testing.assert_close(mine, answer_loss_of_states(hidden, head, labels, weights))


def test_the_exercise_is_solved_by_its_solution_and_not_by_its_beginning():
    tokenizer = PreTrainedTokenizerFast.from_pretrained(checkpoint_folder("tiny-llava"))
    begun, solved = ({} for _ in range(2))
    for source, scope in zip(cells_that_define("learned"), (begun, solved), strict=True):
        exec(source, scope)
    stream = Stream(f"{SPLIT}teach-it")
    for name, views in ARMS.items():
        for i in range(views):
            example = arm(name, stream, words)(i)
            packed = pack(example.conversations, len(example.images), tokenizer)
            tokens = tokenizer.convert_ids_to_tokens(packed.input_ids)
            right = [label != IGNORE for label in packed.labels]
            assert solved["learned"](tokens) == right != begun["learned"](tokens)


def test_the_loss_figure_tells_its_numbers():
    losses = [2.0] * 10 + [1.0] * 5
    twin = viz.loss_figure(losses, "Loss")
    assert "each of 15 steps" in alt_of(twin) and "from 1.00 to 2.00" in alt_of(twin)
    assert "mean of 2.00, the last 10 one of 1.50" in alt_of(twin)
    assert re.search(r"^1 to 10 +2\.000 +2\.000 +2\.000$", twin.text, re.M)
    assert re.search(r"^11 to 15 +1\.000 ", twin.text, re.M)


# ---------------------------------------------------------------- the exam and the headline


def test_the_exam_compares_the_same_questions():
    before = {name: [False] * 40 for name in ASKED}
    after = before | {"routed": [True] * 30 + [False] * 10, "same": [True] + [False] * 39}
    rows = {row["asked"]: row for row in before_and_after(before, after)}
    assert [row["n"] for row in rows.values()] == [40] * len(ASKED)
    routed = rows[ASKED["routed"][0]]
    assert routed["after"] == (0.75, wilson_interval(30, 40))
    assert routed["change"]["difference"] == 0.75 and routed["change"]["gained"] == 30
    lines = {line.split("  ")[0]: line for line in viz.exam_table(list(rows.values()), "Exam").text.splitlines()}
    assert lines[ASKED["routed"][0]].endswith("changed") and "75 [" in lines[ASKED["routed"][0]]
    same = lines[ASKED["same"][0]]
    assert same.endswith("could be luck")


def record(name: str, seed: int, right: str) -> dict:
    """A record of the study with a few answers."""
    answers = {
        "captions": ["hx", "hh", "h"], "there": [2, 2, 1], "pope": ["tc", "tf", "mc"], "sum": right, "letters": right,
        "sum_swapped": right, "same": "dds", "different": "dsd", "routed": ["11", "01", "10"],
    }  # fmt: skip
    return {
        "id": name, "run": {"seed": seed}, "numbers": {}, "answers": answers, "commit": "0123456789",
        "command": f"mmhallu study med --only {name} --out runs/med",
    }  # fmt: skip


def written(folder: Path, *records: dict) -> Path:
    for one in records:
        (folder / f"{one['id']}.json").write_text(json.dumps(one), encoding="utf-8")
    return folder


def test_without_records_every_row_says_not_run(tmp_path, monkeypatch):
    monkeypatch.delenv("LIVE", raising=False)
    found = headline(tmp_path / "none")
    assert found == {"planned": 5, "there": [], "contrast": NOT_RUN}
    scores, how = named_or_recorded(tmp_path)
    assert scores is None and how.startswith("NOT RUN") and f"--only {NAMED}" in how
    lines = viz.headline_table(found, scores, "Headline").text.splitlines()
    assert len(lines) == 2 + len(OUTCOMES) and all(line.count(NOT_RUN) == 3 for line in lines[2:])


def test_a_base_alone_is_no_contrast(tmp_path):
    found = headline(written(tmp_path, record("base-tiny-llava", 0, "000")))
    assert found["contrast"] == NOT_RUN and found["there"] == []


def test_the_headline_is_read_from_records(tmp_path, monkeypatch):
    monkeypatch.delenv("LIVE", raising=False)
    base, *runs = record("base-tiny-llava", 0, "0000"), record("med-0", 0, "1100"), record("med-1", 1, "1111")
    found = headline(written(tmp_path, base, *runs))
    assert found["there"] == [0, 1] and found["contrast"]["med_tiny"]["difference"] == pytest.approx(0.75)
    scores, how = named_or_recorded(tmp_path)
    assert scores["med_tiny"] == 0.5 and how.startswith("RECORDED at commit 0123456 by:")
    (line,) = (one for one in viz.headline_table(found, scores, "H").text.splitlines() if one.startswith("MED-tiny"))
    assert re.search(r"2 of 5 +50\.0 +0\.0 +75\.0 +75\.0 \[", line)


def test_live_makes_the_named_run_again(monkeypatch, tmp_path):
    monkeypatch.setenv("LIVE", "1")
    assert live()
    made = []

    def perform(study, run, out, tell, progress):
        made.append((run.id, study))
        return record(NAMED, 0, "1110")

    monkeypatch.setattr(teach_it, "perform", perform)
    scores, how = named_or_recorded(tmp_path)
    assert made == [(NAMED, STUDY)] and scores["med_tiny"] == 0.75 and "LIVE" in how


# ---------------------------------------------------------------- numbers of the paper


def test_presets_stand_beside_their_table():
    lines = {line.split("  ")[0]: line.split() for line in viz.presets_table("Presets").text.splitlines()[1:]}
    tables = [preset.sources["lr"].table.split()[1] for preset in PRESETS.values()]
    assert lines["printed in"] == ["printed", "in", *(part for n in tables for part in ("Table", n)), "plan.py"]
    for field, row in (("lr", "Learning Rate"), ("rank", "LoRA Rank"), ("effective_batch", "examples a step")):
        shown = [float(cell.replace(",", "")) for cell in lines[row][len(row.split()) :]]
        assert shown[:-1] == [getattr(preset, field) for preset in PRESETS.values()]
    assert lines["LoRA Rank"][-1] == str(NUMBERS.rank) and float(lines["Learning Rate"][-1]) == 2e-3
    tower = lines["Unfreeze Vision Tower"][3:]
    assert tower == ["yes" if one.vision_tower else "no" for one in PRESETS.values()] + ["yes"]


def test_both_statements_of_each_disagreement_are_shown():
    text = viz.disagreements_table("Two things").text
    for one in DISAGREEMENTS:
        assert one.one[1] in text and one.other[1] in text and one.why in text


# ---------------------------------------------------------------- with the model


@pytest.fixture(scope="module")
def tiny():
    return Vlm.load("tiny-llava", "cpu")


@pytest.mark.long
def test_states_of_one_example_give_its_loss_and_its_tokens(tiny):
    example = arm("med", Stream(f"{SPLIT}teach-it"), words)(0)
    batch = teach_it.batch_of(tiny, example)
    states = teach_it.states_of(tiny, batch)
    assert states.shape[:2] == batch["input_ids"].shape
    with torch.no_grad():
        loss = answer_loss_of_states(states, tiny.model.lm_head, batch["labels"], batch["weights"])
    assert 0 < float(loss) < 10
    tokens, learned = teach_it.tokens_of(tiny, example)
    assert tokens.count("<image>") == 64 * len(example.images) and tokens.count("</s>") == len(example.turns)
    said = [token for token, on in zip(tokens, learned, strict=True) if on]
    for turn in example.turns:
        assert turn.answer.split()[0].strip(".,") in said
    assert "<|assistant|>" not in said and said.count("</s>") == len(example.turns)


@pytest.mark.long
def test_the_small_exam_asks_what_it_says(tiny):
    found = teach_it.small_exam(tiny, 4, 3)
    assert set(found) == set(ASKED)
    assert len(found["caption"]) == len(found["missed"]) == 3
    assert len(found["same"]) == len(found["told_apart"]) == len(found["med_tiny"]) == 44
    assert len(found["routed"]) > 20
    rows = before_and_after(found, found)
    assert not any(same and told for same, told in zip(found["same"], found["told_apart"], strict=True))
    assert all(row["change"]["difference"] == 0 for row in rows)

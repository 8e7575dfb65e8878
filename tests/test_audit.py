"""The blind audit against rules read again by brute force, and against the figures known for the released files."""

import itertools
import json
import random
import re

import pytest

from mmhallu_core.chapters.blind_audit import SUBJECTS, audit_or_recorded, record
from mmhallu_core.data.question import Question, read_multiple_choice, without_label
from mmhallu_core.evaluate.audit import (
    RULES,
    apart,
    audit,
    best_by_wording,
    edit_distance,
    jaccard,
    object_prior,
    words,
)
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.evaluate.files import read_any
from mmhallu_core.statistics import wilson_interval
from mmhallu_core.store import MissingFile, results_folder
from mmhallu_core.types import CannotRun, RecordError, write_jsonl
from mmhallu_core.viz.scores import audit_table

# Counted by hand-written scripts of other authors' files: arXiv 2506.07227's benchmark, at the pinned commit.
KNOWN = {
    "med-bench": {"most_similar_jaccard": 0.606, "most_similar_edit": 0.618, "whitespace_then_jaccard": 0.685,
                  "majority_letter": 0.315},
    "med-real": {"longest": 0.829},
}  # fmt: skip


def item(number, options, answer, **more):
    lettered = tuple(f"{letter}. {text}" for letter, text in zip("ABCD", options, strict=False))
    return Question(str(number), "What changed?", answer, (f"{number}.png",), lettered, more)


def asked(number, truth, picture, text="Is there a dog?", **about):
    return Question(str(number), text, truth, (picture,), (), about)


def brute_distance(one, other):
    """Levenshtein by its recursive definition."""
    if not one or not other:
        return len(one) + len(other)
    return min(
        brute_distance(one[1:], other) + 1,
        brute_distance(one, other[1:]) + 1,
        brute_distance(one[1:], other[1:]) + (one[0] != other[0]),
    )


def test_edit_distance_equals_its_definition():
    rng = random.Random(0)
    for _ in range(60):
        one, other = (rng.choices("abc", k=rng.randrange(6)) for _ in range(2))
        assert edit_distance(one, other) == brute_distance(one, other) == edit_distance(other, one)


def test_words_and_their_overlap():
    assert words("B. The dog's tail is  WHITE. ") == ["the", "dog", "s", "tail", "is", "white"]
    assert without_label("(C) A cat. ") == "A cat." and without_label("A dog sits.") == "A dog sits."
    assert jaccard(["a", "b"], ["b", "c"]) == pytest.approx(1 / 3) and jaccard([], []) == 1.0


def test_the_right_option_that_the_others_were_made_from_is_found():
    base = "the red dog sits on the grass"
    options = [base.replace("red", "blue"), base, base.replace("dog", "cat"), base.replace("grass", "snow")]
    found = audit([item(0, options, "B")])
    assert found["rules"]["most_similar_jaccard"] == found["rules"]["most_similar_edit"] == 1.0
    assert found["chance"] == 0.25 and found["n"] == 1


def test_a_contrast_set_of_options_gives_nothing_away():
    """Two choices for one slot and two for another: all options are equally similar, so ties decide."""
    corners = [f"the dog turned from {a} to {b}" for a, b in itertools.product(("red", "blue"), ("grey", "pink"))]
    found = audit([item(n, corners, letter) for n, letter in enumerate("ABCD")])
    assert found["ties"]["average"]["most_similar_jaccard"] == 0.25
    assert found["rules"]["most_similar_jaccard"] == found["ties"]["last"]["most_similar_jaccard"] == 0.25


def test_a_rule_that_reads_the_answer_key_stands_apart():
    """Four questions whose right letter is always C. The best rule by wording is counted by hand: three of four."""
    first = ["a dog runs", "a dog sits", "a red dog sits", "a red cat sits"]  # C is nearest to all the others
    longest = ["a dog", "a cat", "a bird", "a horse and more"]
    rows = [item(n, first, "C") for n in range(3)] + [item(3, longest, "C")]
    found = audit(rows)
    own, key = apart(found)
    assert key == {"majority_letter": 1.0} and set(own) == set(RULES) and found["majority_letter"] == "C"
    assert own[best_by_wording(found)] == 0.75 and best_by_wording(found).startswith("most_similar")
    shown = audit_table({"audit": found, "reported": {}}, "Mine")
    inside, below = shown.html.split("</table>")
    assert "100.0" not in inside and "75.0" in inside
    assert "answer key" in below and "It always says C" in below and "100.0" in below
    assert shown.text.splitlines()[-1].startswith("Apart stands a rule that reads no option, but the answer key.")


def test_a_blank_at_the_end_is_no_wording():
    """The only clean option is right each time, and no wording tells: the headline must not be the rule of blanks."""
    rows = [Question(str(n), "?", "D", (), ("A. x ", "B. x ", "C. x ", "D. x")) for n in range(4)]
    found = audit(rows)
    assert found["rules"]["whitespace_then_jaccard"] == 1.0 and found["rules"][best_by_wording(found)] == 0.0


def test_one_clean_option_among_blanks_is_taken():
    lettered = ("A. one thing ", "B. two things ", "C. three other things", "D. one thing ")
    found = audit([Question("0", "?", "C", (), lettered)])
    assert found["rules"]["whitespace_then_jaccard"] == 1.0 and found["rules"]["most_similar_jaccard"] == 0.0


def test_files_are_read_and_faults_named(tmp_path):
    good = {"options": ["A. x", "B. y"], "answer": "b", "question": "?"}
    file = tmp_path / "mine.json"
    file.write_text(json.dumps([good, good]), encoding="utf-8")
    items = read_multiple_choice(file)
    assert [one.id for one in items] == ["mine:000", "mine:001"] and items[0].truth == "B"
    faults = ({"answer": "E"}, {"options": "A. x"}, {"options": ["A. x"]}, {"answer": None}, {"options": ["A", 1]})
    for fault in faults:
        file.write_text(json.dumps([good, good | fault]), encoding="utf-8")
        with pytest.raises(RecordError, match=re.escape("mine.json, line")):
            read_multiple_choice(file)
    file.write_text(json.dumps([good | {"id": 7}, good | {"id": "7"}]), encoding="utf-8")
    with pytest.raises(RecordError, match="already used"):
        read_multiple_choice(file)
    file.write_text("[]", encoding="utf-8")
    with pytest.raises(RecordError, match="no questions"):
        read_multiple_choice(file)


def brute_rules(options):
    """The options that each rule likes best, by plain loops: name to numbers."""
    texts = [re.sub(r"^\s*\(?[A-Z][.):]\s+", "", option).strip() for option in options]
    tokens = [re.findall(r"\w+", text.lower()) for text in texts]
    alike, steps = [], []
    for k, one in enumerate(tokens):
        shared, changes = 0.0, 0
        for m, other in enumerate(tokens):
            if m == k:
                continue
            union = set(one + other)
            shared += len([word for word in union if word in one and word in other]) / len(union) if union else 1.0
            table = [[i + j if not i or not j else 0 for j in range(len(other) + 1)] for i in range(len(one) + 1)]
            for i in range(1, len(one) + 1):
                for j in range(1, len(other) + 1):
                    swap = table[i - 1][j - 1] + (one[i - 1] != other[j - 1])
                    table[i][j] = min(swap, table[i - 1][j] + 1, table[i][j - 1] + 1)
            changes += table[-1][-1]
        alike.append(shared)
        steps.append(-changes)
    clean = [k for k, option in enumerate(options) if not option[-1:].isspace()]
    lengths = [len(text) for text in texts]

    def best(values):
        return [k for k, value in enumerate(values) if abs(value - max(values)) < 1e-9]

    return {
        "most_similar_jaccard": best(alike),
        "most_similar_edit": best(steps),
        "whitespace_then_jaccard": clean if len(clean) == 1 else best(alike),
        "longest": best(lengths),
    }


def random_questions(n=60):
    dice = random.Random(4)
    words_ = ["red", "dog", "the", "a", "cat", "on", "grass"]
    for number in range(n):
        size = dice.randrange(2, 6)
        options = tuple(
            f"{'ABCDE'[k]}. {' '.join(dice.choices(words_, k=dice.randrange(5)))}{dice.choice(['', ' '])}"
            for k in range(size)
        )
        yield Question(str(number), "?", dice.choice("ABCDE"[:size]), (f"{number}.png",), options)


@pytest.mark.long
def test_every_rule_against_a_second_reading():
    samples = [list(random_questions())]
    for name in KNOWN:
        try:
            samples.append(benchmark(name).read(None))
        except MissingFile:
            continue
    for questions in samples:
        found, n = audit(questions), len(questions)
        first, last, average = ({name: 0 for name in RULES} for _ in range(3))
        for question in questions:
            right = "ABCDE".index(question.truth)
            for name, best in brute_rules(question.options).items():
                first[name] += best[0] == right
                last[name] += best[-1] == right
                average[name] += (right in best) / len(best)
        for name in RULES:
            assert found["rules"][name] == first[name] / n and found["ties"]["last"][name] == last[name] / n
            assert found["ties"]["average"][name] == pytest.approx(average[name] / n, abs=1e-12)
            assert found["ci"][name] == wilson_interval(first[name], n)
        assert found["chance"] == pytest.approx(sum(1 / len(q.options) for q in questions) / n, abs=1e-12)


@pytest.mark.parametrize("name", KNOWN)
def test_the_released_files(name):
    try:
        found = audit(name)
    except MissingFile as missing:
        pytest.skip(str(missing))
    for rule, share in KNOWN[name].items():
        assert abs(found["rules"][rule] - share) < 0.001
        low, high = found["ci"][rule]
        assert low < share < high
    assert {"n", "chance", "rules", "ties"} <= set(found) and set(found["ties"]) == {"average", "last"}
    assert set(found["rules"]) == {*RULES, "majority_letter"}


@pytest.mark.long
@pytest.mark.parametrize("name", SUBJECTS)
def test_the_records_are_what_the_files_give(name):
    recorded = json.loads((results_folder() / "audit" / f"{name}.json").read_text(encoding="utf-8"))
    for rule, share in KNOWN.get(name, {}).items():
        assert abs(recorded["audit"]["rules"][rule] - share) < 0.001
    try:
        now = record(name)
    except MissingFile as missing:
        pytest.skip(str(missing))
    intervals = recorded["audit"]["ci"]  # whose last digit may differ
    assert now["audit"]["ci"] == {rule: pytest.approx(interval) for rule, interval in intervals.items()}
    measured = {**now, "audit": {**now["audit"], "ci": intervals}}
    assert recorded | measured == recorded  # beside what was measured, it names its command


# ---------------------------------------------------------------- yes or no


def brute_prior(questions):
    """The rule again, question by question, over all the others."""
    said = []
    for one in questions:
        about = one.about.get("object") or one.prompt
        yes = no = 0
        for other in questions:
            if (other.about.get("object") or other.prompt).strip().lower() != about.strip().lower():
                continue
            if other.picture != one.picture:
                yes, no = yes + (other.truth == "yes"), no + (other.truth == "no")
        clear = abs(yes - no) > 2 * (yes + no) ** 0.5 + 1e-9
        said.append(("yes" if yes > no else "no") if clear else None)
    return said


def test_the_object_prior_against_a_second_reading():
    dice = random.Random(2)
    habits = {"dog": 0.9, "cat": 0.1, "bus": 0.5, "cup": 1.0}
    questions = []
    for number in range(200):
        name = dice.choice(list(habits))
        truth = "yes" if dice.random() < habits[name] else "no"
        questions.append(asked(number, truth, f"{number % 70}.png", f"Is there a {name}?"))
    said = brute_prior(questions)
    assert object_prior(questions) == said and {None, "yes", "no"} == set(said)
    usual = "yes" if sum(q.truth == "yes" for q in questions) >= 100 else "no"
    right = sum((one or usual) == q.truth for one, q in zip(said, questions, strict=True))
    found = audit(questions)
    assert found["rules"]["object_prior"] == right / 200 and found["objects"] == 4
    assert found["rules"]["always_yes"] + found["rules"]["always_no"] == 1 and found["chance"] == 0.5
    low, high = found["ci"]["object_prior"]
    assert low < right / 200 < high


def test_a_file_balanced_by_object_gives_nothing_away():
    """The more frequent of the other answers would always be wrong here; the rule does not follow it."""
    pairs = [asked(2 * k + j, ("yes", "no")[j], f"{k}-{j}.png", f"thing {k % 9}") for k in range(90) for j in (0, 1)]
    found = audit(pairs)
    assert found["rules"] == {"always_yes": 0.5, "always_no": 0.5, "object_prior": 0.5} and found["clear"] == 0


def test_copies_of_a_question_about_one_picture_teach_nothing():
    copies = [asked(k, "yes" if k < 30 else "no", "same.png", f"thing {k // 30}") for k in range(60)]
    assert audit(copies)["clear"] == 0
    others = [asked(k, "yes" if k < 30 else "no", f"{k}.png", f"thing {k // 30}") for k in range(60)]
    found = audit(others)
    assert found["clear"] == 1 and found["rules"]["object_prior"] == 1.0


def test_an_object_can_be_named():
    texts = ["Is there a dog?", "Do you see a dog?"]
    questions = [asked(k, "yes", f"{k}.png", texts[k % 2], object="Dog") for k in range(12)]
    assert audit(questions)["objects"] == 1


def test_one_label_throughout_is_seen():
    found = audit([asked(k, "no", f"{k}.png", f"thing {k}") for k in range(10)])
    assert found["rules"]["always_no"] == 1 and found["rules"]["object_prior"] == 1 and found["clear"] == 0


# ---------------------------------------------------------------- anybody's questions


def test_what_cannot_be_audited_is_said():
    mixed = [item(0, ["x", "y"], "A"), asked(1, "yes", "1.png")]
    with pytest.raises(CannotRun, match="both"):
        audit(mixed)
    for nothing in ([], [Question("0", "Describe it.", "a dog")]):
        with pytest.raises(CannotRun, match="neither"):
            audit(nothing)
    with pytest.raises(CannotRun, match="more than once"):
        audit([mixed[0], mixed[0]])
    with pytest.raises(CannotRun, match="no benchmark"):
        audit("nothing")
    found = audit([*(asked(k, "yes", f"{k}.png") for k in range(3)), Question("open", "Describe it.", "a dog")])
    assert found["n"] == 3 and found["left_out"] == 1


def test_files_of_three_forms_are_read(tmp_path):
    path = tmp_path / "mine.json"
    choice = {"question": "What?", "options": ["A. x ", "B. y"], "answer": "B", "image": "7.jpg", "type": "Color"}
    path.write_text(json.dumps([choice, choice]), encoding="utf-8")
    first, second = read_any(path)
    assert (first.id, second.id, first.truth, first.options) == ("mine:000", "mine:001", "B", ("A. x ", "B. y"))
    assert first.prompt == "What?\nA. x\nB. y" and first.images == ("7.jpg",) and first.about == {"category": "Color"}
    label = {"question_id": 3, "image": "COCO_val2014_000000000042.jpg", "text": "Is there a dog?", "label": "no"}
    path.write_text(json.dumps(label) + "\n" + json.dumps(label | {"question_id": 4}), encoding="utf-8")
    assert [(one.id, one.truth, one.picture) for one in read_any(path)][1] == (
        "4",
        "no",
        "COCO_val2014_000000000042.jpg",
    )
    records = [item(0, ["x", "y"], "A"), asked(1, "yes", "1.png", object="dog")]
    write_jsonl(path, records)
    assert read_any(path) == records


def test_files_of_no_form_are_refused(tmp_path):
    path = tmp_path / "mine.json"
    with pytest.raises(CannotRun, match="no file"):
        read_any(path)
    good = {"id": "1", "prompt": "?", "truth": "yes"}
    faults = {
        "[]": "no questions",
        "question,answer\n1,2": "line 1: not JSON",
        '{"question": "?", "answer": "yes"}': "neither questions with `options`",
        json.dumps(good) + json.dumps(good): "already used in line 1",
        json.dumps(good) + "\n" + json.dumps(good | {"id": 2}): "line 2: `id`",
        '{"options": ["A. x", "B. y"], "answer": "C"}': "line 1",
        '{"question_id": 1, "image": "a", "text": "?", "label": "maybe"}': "label",
    }
    for text, fault in faults.items():
        path.write_text(text, encoding="utf-8")
        with pytest.raises(RecordError, match=re.escape(fault)):
            read_any(path)


def test_a_model_is_asked_about_grey_pictures_of_the_same_size(tmp_path):
    from PIL import Image

    from mmhallu_core.models.vlm import Vlm

    class Blind(Vlm):
        """A model that knows words and no pictures; it remembers what it was asked."""

        opens_thought = False

        def __init__(self):
            self.name, self.asked = "blind", []

        def say(self, images, questions, max_new_tokens):
            self.asked += [
                (text, [(one.size, one.getcolors()) for one in those])
                for those, text in zip(images, questions, strict=True)
            ]
            return ["Yes" if "dog" in text else "perhaps" for text in questions]

    Image.new("RGB", (30, 20), (1, 2, 3)).save(tmp_path / "small.png")
    here, gone = str(tmp_path / "small.png"), str(tmp_path / "gone.png")
    questions = [
        asked(0, "yes", here),
        asked(1, "no", here),
        asked(2, "no", gone, "Is there a cat?"),
        Question("3", "Is there a dog?", "yes", (here, gone)),
        Question("4", "Is there a dog?", "no"),
    ]
    model = Blind()
    found = audit(questions, model)["no_image"]
    grey = (128, 128, 128)
    small, unknown = ((30, 20), [(600, grey)]), ((96, 96), [(96 * 96, grey)])
    assert model.asked == [
        ("Is there a dog?", [small]),
        ("Is there a cat?", [unknown]),
        ("Is there a dog?", [small, unknown]),
        ("Is there a dog?", [unknown]),
    ]
    assert (found["accuracy"], found["unparsed"], found["sizes_unknown"]) == (2 / 5, 1 / 5, 2)
    assert found["ci"]["accuracy"][0] < 2 / 5 < found["ci"]["accuracy"][1] and found["model"] == "blind"


def test_without_the_file_the_record_is_shown_and_said_to_be_one(monkeypatch, tmp_path):
    monkeypatch.setenv("MMHALLU_DATA", str(tmp_path))
    found, how = audit_or_recorded("med-bench")
    assert how.startswith("RECORDED") and "mmhallu data get med_bench" in how
    assert found["audit"]["n"] == 165 and max(found["reported"].values()) == found["reported"]["people"]
    shown = audit_table(found, "MED-bench")
    assert "60.6 [53.0, 67.7]" in shown.text and "people" in shown.text

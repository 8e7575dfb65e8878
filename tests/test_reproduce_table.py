"""What the chapter *Reproduce a table* uses: a table from counts, its records, its figures, the slider."""

import itertools
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from mmhallu_core.chapters import reproduce_a_table as reproduce_table
from mmhallu_core.chapters import reproduce_a_table_figures as chair_table
from mmhallu_core.chapters.reproduce_a_table import (
    LENGTHS,
    WITHIN,
    cut_or_recorded,
    longer_is_worse,
    off,
    printed,
    table_now,
)
from mmhallu_core.data.sources import source
from mmhallu_core.data.vocabulary import Vocabulary
from mmhallu_core.evaluate.blind import asked
from mmhallu_core.evaluate.chair import chair_parts
from mmhallu_core.evaluate.chair_tables import apart, by_crowd, choices, cut, pairs, table, turns
from mmhallu_core.evaluate.diorama.exam import scenes_alone
from mmhallu_core.evaluate.pope import sample_questions
from mmhallu_core.recorded import computed_or_recorded, recorded
from mmhallu_core.store import MissingFile, checkpoint_folder, sha256
from mmhallu_core.types import YesNoQuestion
from mmhallu_core.viz.twins import Twin, mark, slider

sys.path.append(str(Path(__file__).resolve().parents[1] / "book" / "_tools"))  # scripts, and no package
import browser

NAMES = ("photos", "questions", "prompts")
needs_browser = pytest.mark.skipif(
    browser.find() is None, reason=f"needs Linux or macOS, and on the path one of: {', '.join(browser.NAMES)}"
)

# ---------------------------------------------------------------- a table from counts

WORDS = Vocabulary({"dog": "dog", "cat": "cat", "car": "car"})
TRUTH = [{"dog"}, {"dog", "cat"}, {"car"}, {"cat"}, {"dog", "cat", "car"}, {"car"}]
SAID = {
    "plain": ["a dog", "a cat", "a car", "a dog", "a cat", "a car"],
    "wordy": ["a dog and a cat", "a dog and a car", "a car", "a cat and a dog", "dog", "a car, a dog and a cat"],
}


def counted(words=None):
    """Parts of the two made-up models."""
    return {name: chair_parts([cut(t, words) for t in texts], TRUTH, WORDS, "fixed") for name, texts in SAID.items()}


def by_hand(texts, truth):
    """CHAIR_i, CHAIR_s and recall, read off the definition."""
    named = [[word for word in re.findall("[a-z]+", text) if word in ("dog", "cat", "car")] for text in texts]
    wrong = [[word for word in words if word not in there] for words, there in zip(named, truth, strict=True)]
    hits = sum(len(set(words) & there) for words, there in zip(named, truth, strict=True))
    return (
        sum(map(len, wrong)) / sum(map(len, named)), sum(map(bool, wrong)) / len(texts), hits / sum(map(len, truth)),
    )  # fmt: skip


@pytest.mark.parametrize("words", [None, 2, 4])
def test_a_table_is_the_definition(words):
    rows = table(counted(words))
    for name, texts in SAID.items():
        wanted = by_hand([" ".join(text.split(" ")[:words]) for text in texts], TRUTH)
        assert tuple(rows[name][score] for score in ("chair_i", "chair_s", "recall")) == pytest.approx(wanted)
        for score, (low, high) in rows[name]["ci"].items():
            assert low <= rows[name][score] <= high


def test_cut_counts_words_as_the_published_lengths_do():
    assert cut("  a dog  runs ", None) == "  a dog  runs " and cut("", 3) == ""
    for words in range(1, 6):
        parts = chair_parts([cut("a dog  runs home", words)], [set()], WORDS, "fixed")
        assert parts["mean_length"][0] <= words


@pytest.mark.long
def test_pairs_are_second_minus_first_and_corrected():
    (pair,) = pairs(counted()).items()
    assert pair[0] == "plain / wordy"
    rows = table(counted())
    for score in ("chair_i", "chair_s"):
        one = pair[1][score]
        assert one["difference"] == pytest.approx(rows["wordy"][score] - rows["plain"][score])
        assert one["p"] <= one["holm"] <= min(1, 2 * one["p"])
    many = {name: {s: tuple(np.repeat(row, 80) for row in v) for s, v in p.items()} for name, p in counted().items()}
    sure = pairs(many)["plain / wordy"]["chair_s"]
    assert apart(sure) == 1 and apart({**sure, "holm": 0.06}) == 0 and apart({**sure, "holm": None}) == 0


def test_choices_come_near_all_choices_tried():
    """With six photos every choice of three can be tried."""
    counts = counted()
    found = choices(counts, 3, draws=4000)
    scores = {}
    for name, texts in SAID.items():
        tried = itertools.combinations(range(6), 3)
        scores[name] = np.array([by_hand([texts[k] for k in c], [TRUTH[k] for k in c])[1] for c in tried])
        assert found["models"][name]["chair_s"][0] == scores[name].min()
        assert found["models"][name]["chair_s"][-1] == scores[name].max()
    turned = np.mean(scores["wordy"] <= scores["plain"])  # of all six photos, wordy has the higher score
    assert found["turned"]["plain / wordy"]["chair_s"] == pytest.approx(turned, abs=0.03)
    assert found["order"]["chair_s"] == pytest.approx(1 - turned, abs=0.03)
    assert choices(counts, 3, draws=50) == choices(counts, 3, draws=50)
    everything = choices(counts, 6, draws=5)
    assert everything["order"] == {"chair_i": 1.0, "chair_s": 1.0}


def test_crowded_photos_are_those_with_most_objects():
    ends = by_crowd(counted(), [frozenset(there) for there in TRUTH], size=2)
    assert ends["fewest objects"]["objects"] == [1, 1] and ends["most objects"]["objects"] == [2, 3]
    texts = [SAID["wordy"][k] for k in (1, 4)]
    assert ends["most objects"]["models"]["wordy"]["chair_s"] == by_hand(texts, [TRUTH[k] for k in (1, 4)])[1]


def test_a_pair_turns_only_when_both_sides_are_sure():
    def row(difference, holm):
        return {"pairs": {"a / b": {s: {"difference": difference, "holm": holm} for s in ("chair_i", "chair_s")}}}

    whole = row(0.2, 0.01)
    assert turns({"5": row(-0.1, 0.01), "9": row(-0.1, 0.3), "all": whole})["chair_i"] == {"a / b": ["5"]}
    assert turns({"5": row(-0.1, 0.01), "all": row(0.2, 0.2)}) == {"chair_i": {}, "chair_s": {}}
    assert turns({"5": row(0.1, 0.01), "all": whole}) == {"chair_i": {}, "chair_s": {}}


def test_what_is_asked():
    def ask(picture, thing, label):
        return YesNoQuestion(f"{picture}/{thing}", picture, f"Is there a {thing} in the image?", label)

    questions = [
        ask("1", "dog", "yes"), ask("1", "car", "no"), ask("2", "dog", "yes"), ask("2", "car", "no"),
        ask("3", "dog", "no"), ask("3", "cat", "yes"), ask("4", "car", "yes"), ask("4", "cup", "no"),
    ]  # fmt: skip
    found = asked(questions)
    right = 0
    for one in questions:  # the same rule, read slowly
        labels = [q.label for q in questions if q.question == one.question and q.image_id != one.image_id]
        right += ("yes" if labels.count("yes") >= labels.count("no") else "no") == one.label
    assert found["name_alone"]["accuracy"] == right / 8
    assert (found["questions"], found["pictures"], found["yes"], found["objects"]) == (8, 4, 0.5, 3)
    assert found["five"] == 1.0


# ---------------------------------------------------------------- the records


@pytest.fixture(scope="module")
def photos():
    return recorded("reproduce-a-table/photos")


def test_the_table_is_the_published_one(photos):
    """Every printed number, read here once more from the paper's table 1."""
    published = {
        "InstructBLIP": (2.5, 3.4, 7.5), "MiniGPT-4": (9.2, 31.5, 116.2), "MultiModal-GPT": (18.2, 36.2, 45.7),
        "LLaVA": (18.8, 62.7, 90.7), "mPLUG-Owl": (30.2, 76.8, 98.5),
    }  # fmt: skip
    assert set(photos["models"]) == set(published) == set(printed())
    for name, (mentions, captions, words) in published.items():
        one = photos["models"][name]
        assert printed()[name] == {"chair_i": mentions, "chair_s": captions, "mean_length": words}
        assert 100 * one["chair_i"] == pytest.approx(mentions, abs=0.06)
        assert 100 * one["chair_s"] == pytest.approx(captions, abs=0.06)
        assert one["mean_length"] == pytest.approx(words, abs=0.06)
        assert all(one["ci"][score][0] <= one[score] <= one["ci"][score][1] for score in one["ci"])
    assert max(value for row in off(photos["models"]).values() for value in row.values()) <= WITHIN


def test_the_two_chapters_measured_the_same(photos):
    for name, one in recorded("count-it/photos")["models"].items():
        for score in ("chair_i", "chair_s", "recall", "mean_length"):
            assert photos["models"][name][score] == pytest.approx(one["chair"][score], abs=1e-12)
            assert photos["models"][name]["ci"][score] == pytest.approx(one["chair"]["ci"][score], abs=1e-12)


def test_the_curve_ends_at_the_table(photos):
    for name, one in photos["models"].items():
        whole = photos["lengths"]["all"]["models"][name]
        assert {key: whole[key] for key in one} == one and whole["cut"] == 0
        for cut_at, row in photos["lengths"].items():
            if cut_at != "all":
                assert row["models"][name]["mean_length"] <= int(cut_at)
        first = next(iter(photos["lengths"].values()))["models"][name]
        assert first["chair_s"] <= whole["chair_s"] and first["recall"] <= whole["recall"]


def strings(value):
    """All texts in a JSON value."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from strings(one)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("name", NAMES)
def test_records_hold_numbers_and_no_captions(name):
    record = recorded(f"reproduce-a-table/{name}")
    assert {"kind", "command", "commit", "versions", "inputs", "seed"} <= set(record)
    assert "python" in {**record, **record["versions"]}
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in record["inputs"].values())
    assert max(map(len, strings(record))) <= 100
    assert not {"answer", "caption", "captions", "text", "question"} & set(strings(record))


def test_prompts_are_of_the_shipped_model():
    name = "checkpoints/tiny-llava/model.safetensors"
    shipped = sha256(checkpoint_folder("tiny-llava") / "model.safetensors")
    assert recorded("reproduce-a-table/prompts")["inputs"] == {name: shipped}


@pytest.mark.long(9)
def test_what_is_computed_now_equals_the_record(photos):
    try:
        now = json.loads(json.dumps(table_now()))
    except MissingFile as missing:
        pytest.skip(f"needs {source('pope').title}: {missing}")
    assert same(now["models"], photos["models"]) and same(now["crowd"], photos["crowd"])
    assert same(now["pairs"], photos["pairs"]) and same(now["choices"]["500"], photos["choices"]["500"])


@pytest.mark.long
def test_a_cut_computed_now_is_the_recorded_one(photos):
    rows, how = cut_or_recorded(LENGTHS[0])
    if how.startswith("RECORDED"):
        pytest.skip(f"needs {source('pope').title}: mmhallu data get pope")
    kept = photos["lengths"][str(LENGTHS[0])]["models"]
    assert same(
        json.loads(json.dumps(rows)), {name: {key: kept[name][key] for key in row} for name, row in rows.items()}
    )


def same(one, other):
    """Equal JSON values, up to the last digits of a number."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == pytest.approx(other, abs=1e-9) if isinstance(one, float) else one == other


def test_questions_computed_now_equal_the_record():
    try:
        now = reproduce_table.published_questions()
    except MissingFile as missing:
        pytest.skip(f"needs {source('pope').title}: {missing}")
    assert same(json.loads(json.dumps(now["samplings"])), recorded("reproduce-a-table/questions")["samplings"])


@pytest.mark.parametrize("name, measure", [("photos", table_now), ("questions", reproduce_table.published_questions)])
def test_without_the_files_the_record_is_shown_and_says_so(name, measure, monkeypatch, tmp_path):
    monkeypatch.setenv("MMHALLU_DATA", str(tmp_path))
    record, how = computed_or_recorded(measure, f"reproduce-a-table/{name}", "pope", "chair")
    assert how.startswith("RECORDED at commit") and "mmhallu data get pope" in how and record["command"] in how
    assert record == recorded(f"reproduce-a-table/{name}")


def test_without_the_files_the_nearest_cut_is_shown_and_says_so(photos, monkeypatch, tmp_path):
    monkeypatch.setenv("MMHALLU_DATA", str(tmp_path))
    rows, how = cut_or_recorded(23)
    assert how.startswith("RECORDED for 20 words") and rows == photos["lengths"]["20"]["models"]


@pytest.mark.long
def test_prompts_are_asked_and_compared_with_the_normal_one():
    found = reproduce_table.prompts(scenes=6, progress=False)
    assert set(found["models"]) == {"brief", "normal", "detailed"} and set(found["change"]) == {"brief", "detailed"}
    rows = {name: one["mean_length"] for name, one in found["models"].items()}
    assert rows["brief"] < rows["normal"] < rows["detailed"]
    for prompt, one in found["change"].items():
        assert one["mean_length"]["difference"] == pytest.approx(rows[prompt] - rows["normal"])
    assert found["models"]["normal"]["n"] == found["scenes"] == 6


def test_longer_is_worse_by_the_rule_that_was_written_down():
    up, down, over = {"ci": [0.01, 0.02]}, {"ci": [-0.02, -0.01]}, {"ci": [-0.01, 0.01]}

    def verdict(*longer):
        return longer_is_worse(dict(zip("abcde", longer, strict=True)))

    assert verdict(up, up, up, up, over) == "holds" and verdict(down, down, over, down, down) == "fails"
    assert verdict(up, up, up, over, over) == verdict(down, down, down, up, up) == "is open"


# ---------------------------------------------------------------- figures, tables, the slider


def stops(count):
    """A figure with a line for each stop, and what the stops say."""
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots(2, 1)
    for number in range(count):
        mark(axes, number, number)
    return figure, {f"{n} words": (f"At {n} <b>.", Twin(f"<p>table {n}</p>", f"table {n}")) for n in range(count)}


def made(count=3, start=1):
    """A small slider."""
    figure, words = stops(count)
    return slider(figure, "Lines.", "Words:", words, start, Twin("<p>all</p>", "all of it"))


def test_a_slider_has_a_line_for_each_stop_and_shows_the_first():
    page = made()
    assert page.html.count("data-stop=") == 2 * 3, "three stops in two panels"
    seen = re.findall(r'data-stop="(\d)" style="[^"]*visibility:visible"', page.html)
    assert seen == ["1", "1"] and "#00000" not in page.html
    assert "At 0 <b>." in page.text and "all of it" in page.text and page.text.startswith("Figure: Lines.")
    assert 'role="status">At 1 &lt;b&gt;.</p>' in page.html and "<p>table 1</p>" in page.html
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//|@import|fetch\(""", page.html)
    assert made().html == page.html, "the same numbers give the same bytes"


def test_a_slider_without_its_lines_is_refused():
    figure, words = stops(2)
    with pytest.raises(ValueError, match="3 stops, but lines for"):
        slider(figure, "Lines.", "Words:", words | {"more": next(iter(words.values()))}, 0, Twin("", "x"))
    with pytest.raises(ValueError, match="stop 255"):
        mark([], 0, 255)


@needs_browser
@pytest.mark.kernel
def test_the_slider_moves_by_keyboard_and_is_announced(tmp_path):
    body = made().html + made(start=2).html
    text = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Slider</title><body>{body}</body></html>'
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    with browser.Browser(browser.find()) as chromium, chromium.open((tmp_path / "page.html").as_uri()) as page:
        page.press("Tab")
        assert page.run("document.activeElement.type") == "range"
        page.run("window.region = document.querySelector('.mm-said')")
        page.press("ArrowRight")
        (found,) = [node for node in page.found() if node["role"] == "slider" and node.get("focused")]
        assert (found["name"], page.value_said()) == ("Words:", "2 words")
        assert page.run("region.textContent") == "At 2 <b>." and page.run("region.isConnected")
        shown = "[...document.querySelectorAll('.mm-shown')].map((one) => one.textContent)"
        assert page.run(shown) == ["table 2", "table 2"], "the other slider did not move"
        seen = (
            "[...document.querySelectorAll('.mm-slider')[0].querySelectorAll('[data-stop]')]"
            ".filter((one) => getComputedStyle(one).visibility === 'visible').map((one) => one.dataset.stop)"
        )
        assert page.run(seen) == ["2", "2"]
        page.press("ArrowRight")
        assert page.run("region.textContent") == "At 2 <b>.", "the slider ends here"
        assert page.faults() == [] and all(one.startswith(("file:", "data:")) for one in page.requests())


def drawn(photos):
    """Everything that the chapter draws from the record."""
    return {
        "printed": chair_table.printed_figure(printed(), "Printed"),
        "table": chair_table.side_by_side(printed(), photos["models"], "Both"),
        "pairs": chair_table.pairs_table(photos["pairs"], "Pairs"),
        "cuts": chair_table.cuts_slider(photos["lengths"], "20", "Cuts"),
        "choices": chair_table.choices_figure(photos["choices"]["500"], photos["crowd"], photos["models"], "Choices"),
        "turned": chair_table.turned_table(photos["choices"], "Turned"),
        "rules": chair_table.change_table(
            photos["fixed"]["models"], photos["fixed"]["change"], ("chair_i", "recall"), "Rules"
        ),
    }


@pytest.mark.long
def test_every_number_shown_is_there_in_words(photos):
    for name, twin in drawn(photos).items():
        for model in printed():
            assert model in twin.text or name == "turned"
        if "<svg" in twin.html:
            (alt,) = re.findall(r'<svg[^>]* aria-label="([^"]+)"', twin.html)
            assert len(alt) > 60 and twin.text.startswith("Figure: ")
    one = photos["lengths"]["20"]["models"]["LLaVA"]
    told = f"{100 * one['chair_i']:.1f} [{100 * one['ci']['chair_i'][0]:.1f}, {100 * one['ci']['chair_i'][1]:.1f}]"
    assert told in drawn(photos)["cuts"].text


# ---------------------------------------------------------------- what the chapter says in words


def test_the_prose_says_what_was_measured(photos):
    """The chapter's paragraphs say these things; a record that changes one must change them."""
    alone = {(pair, score) for pair, row in photos["pairs"].items() for score in ("chair_i", "chair_s")
             if not apart(row[score])}  # fmt: skip
    assert alone == {("MultiModal-GPT / LLaVA", "chair_i")}
    assert longer_is_worse(photos["longer"]) == "holds"
    first = next(iter(photos["lengths"].values()))["models"].values()
    assert max(one["chair_i"] for one in first) < 0.07, "models begin well"
    turned = turns(photos["lengths"])["chair_s"]["MultiModal-GPT / LLaVA"]
    assert {"10", "20", "30", "40"} <= set(turned), "up to a good part of a caption"
    twenty = photos["lengths"]["20"]["models"]
    assert twenty["LLaVA"]["ci"]["recall"][0] > twenty["InstructBLIP"]["ci"]["recall"][1]
    often = {
        (pair, score): share
        for pair, row in photos["choices"]["500"]["turned"].items()
        for score, share in row.items()
        if share >= 0.05
    }
    assert set(often) == alone and 0.28 < often["MultiModal-GPT / LLaVA", "chair_i"] < 0.38
    few, many = (photos["crowd"][name]["models"] for name in ("fewest objects", "most objects"))
    worse = {name for name in few if many[name]["ci"]["chair_s"][0] > few[name]["ci"]["chair_s"][1]}
    assert worse == {"MultiModal-GPT", "LLaVA"}
    assert few["MultiModal-GPT"]["chair_i"] < few["LLaVA"]["chair_i"], "the pair of Try it changes places"
    assert many["MultiModal-GPT"]["chair_i"] > many["LLaVA"]["chair_i"]


def test_the_prose_about_rules_prompts_and_questions(photos):
    fixed = photos["fixed"]
    for pair, row in photos["pairs"].items():
        assert [apart(row[score]) for score in ("chair_i", "chair_s")] == [
            apart(fixed["pairs"][pair][score]) for score in ("chair_i", "chair_s")
        ]
    assert all(one["recall"]["ci"][0] > 0 for one in fixed["change"].values())
    asking = recorded("reproduce-a-table/prompts")
    for one in asking["change"].values():
        for score in ("chair_i", "chair_s", "recall"):
            low, high = one[score]["ci"]
            assert low > 0 or high < 0
    for score in ("chair_i", "chair_s"):
        assert asking["change"]["detailed"][score]["difference"] < 0 < asking["change"]["brief"][score]["difference"]
    assert asking["models"]["detailed"]["mean_length"] > 1.9 * asking["models"]["normal"]["mean_length"]
    files = recorded("reproduce-a-table/questions")["samplings"]
    assert files["popular"]["five"] > 0.9 and files["popular"]["objects"] <= 10
    assert files["popular"]["name_alone"]["ci"][0] > files["adversarial"]["name_alone"]["ci"][1]
    assert all(one["yes"] == 0.5 for one in files.values())


def test_what_the_model_adds_is_small_on_popular_questions():
    truth = {key: one.kinds() for key, one in scenes_alone(1000).items()}
    scored = recorded("tiny-llava/base")["scores"]["pope"]
    added = {}
    for name in ("random", "popular"):
        found = asked(sample_questions(truth, name))
        assert found["questions"] == scored[name]["n"], "the same questions"
        added[name] = scored[name]["strict"]["accuracy"] - found["name_alone"]["accuracy"]
    assert added["random"] > 4 * added["popular"] > 0

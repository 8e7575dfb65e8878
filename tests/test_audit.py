"""The blind audit against rules read again by brute force, and against the figures known for the released files."""

import itertools
import json
import random
import re

import pytest

from mmhallu_core.data.multiple_choice import MultipleChoice, multiple_choice, read_multiple_choice, without_label
from mmhallu_core.evaluate.audit import RULES, audit_multiple_choice, edit_distance, jaccard, words
from mmhallu_core.store import MissingFile, results_folder
from mmhallu_core.studies.blind_audit import audit_or_recorded, record
from mmhallu_core.types import RecordError
from mmhallu_core.viz.scores import audit_table

# Counted by hand-written scripts of other authors' files: arXiv 2506.07227's benchmark, at the pinned commit.
KNOWN = {
    "med-bench": {"most_similar_jaccard": 0.606, "most_similar_edit": 0.618, "whitespace_then_jaccard": 0.685,
                  "majority_letter": 0.315},
    "med-real": {"longest": 0.829},
}  # fmt: skip


def item(number, options, answer, **more):
    lettered = tuple(f"{letter}. {text}" for letter, text in zip("ABCD", options, strict=False))
    return MultipleChoice(str(number), "What changed?", lettered, answer, **more)


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
    found = audit_multiple_choice([item(0, options, "B")])
    assert found["rules"]["most_similar_jaccard"] == found["rules"]["most_similar_edit"] == 1.0
    assert found["chance"] == 0.25 and found["n"] == 1


def test_a_square_of_options_gives_nothing_away():
    """Two choices for one slot and two for another: all options are equally similar, so ties decide."""
    corners = [f"the dog turned from {a} to {b}" for a, b in itertools.product(("red", "blue"), ("grey", "pink"))]
    found = audit_multiple_choice([item(n, corners, letter) for n, letter in enumerate("ABCD")])
    assert found["ties"]["average"]["most_similar_jaccard"] == 0.25
    assert found["rules"]["most_similar_jaccard"] == found["ties"]["last"]["most_similar_jaccard"] == 0.25


def test_one_clean_option_among_blanks_is_taken():
    lettered = ("A. one thing ", "B. two things ", "C. three other things", "D. one thing ")
    found = audit_multiple_choice([MultipleChoice("0", "?", lettered, "C")])
    assert found["rules"]["whitespace_then_jaccard"] == 1.0 and found["rules"]["most_similar_jaccard"] == 0.0


def test_files_are_read_and_faults_named(tmp_path):
    good = {"options": ["A. x", "B. y"], "answer": "b", "question": "?"}
    file = tmp_path / "mine.json"
    file.write_text(json.dumps([good, good]), encoding="utf-8")
    items = read_multiple_choice(file)
    assert [one.id for one in items] == ["mine:000", "mine:001"] and items[0].right == 1
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
    with pytest.raises(RecordError, match="no questions"):
        audit_multiple_choice([])


@pytest.mark.parametrize("name", KNOWN)
def test_the_released_files(name):
    try:
        items = multiple_choice(name)
    except MissingFile as missing:
        pytest.skip(str(missing))
    found = audit_multiple_choice(items)
    for rule, share in KNOWN[name].items():
        assert abs(found["rules"][rule] - share) < 0.001
        low, high = found["ci"][rule]
        assert low < share < high
    assert set(found["rules"]) == {*RULES, "majority_letter"}


@pytest.mark.parametrize("name", KNOWN)
def test_the_records_are_what_the_files_give(name):
    recorded = json.loads((results_folder() / "audit" / f"{name}.json").read_text(encoding="utf-8"))
    for rule, share in KNOWN[name].items():
        assert abs(recorded["audit"]["rules"][rule] - share) < 0.001
    try:
        assert record(name) == recorded
    except MissingFile as missing:
        pytest.skip(str(missing))


def test_without_the_file_the_record_is_shown_and_said_to_be_one(monkeypatch, tmp_path):
    monkeypatch.setenv("MMHALLU_DATA", str(tmp_path))
    found, how = audit_or_recorded("med-bench")
    assert how.startswith("RECORDED") and "mmhallu data get med_bench" in how
    assert found["audit"]["n"] == 165 and max(found["reported"].values()) == found["reported"]["people"]
    shown = audit_table(found, "MED-bench")
    assert "60.6 [53.0, 67.7]" in shown.text and "people" in shown.text

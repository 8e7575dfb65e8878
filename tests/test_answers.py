"""Rules for reading answers: the published disagreements by example, and what holds for any text at all."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmhallu_core.evaluate.answers import LETTER, YES_NO, Rule, disagreements, readings, strict, strict_letter

HARNESSES = ("POPE", "lmms-eval POPE", "VLMEvalKit", "MME", "mitigv", "AMBER", "lmms-eval AMBER")

# Answer, then the readings in the order of HARNESSES: y, n, or - for unparsed. Made by running the harnesses' own code.
TABLE = [
    ("Yes", "yyyyyyy"),
    ("No", "nnnnnnn"),
    ("yes.", "y-yyy-y"),
    ("No, there is no dog.", "n-nnn-n"),
    ("There is a dog.", "y------"),
    ("", "y------"),
    ("Absolutely", "y------"),
    ("NO", "ynnnn-n"),
    ("Not sure.", "y--n--n"),
    ("I cannot determine.", "y-----n"),
    ("I know there is a dog", "y-----n"),
    ("Yes, but not clearly.", "n-yyy-y"),
    ("**Yes**", "y---y-y"),
    ("<think>no</think> yes", "y-y-n-y"),
]


@pytest.mark.parametrize("answer, expected", TABLE)
def test_the_published_disagreements(answer, expected):
    letter = {"yes": "y", "no": "n", None: "-"}
    assert "".join(letter[YES_NO[name](answer)] for name in HARNESSES) == expected


def test_the_table_names_seven_harnesses_and_where_each_was_read():
    assert tuple(YES_NO) == HARNESSES
    for rule in [*YES_NO.values(), *LETTER.values()]:
        assert rule.says.endswith(".") and any(mark in rule.source for mark in ("commit ", "version ", " 0.1."))


@given(st.text())
@example("\x00")
@example("ſK İı")
def test_every_rule_reads_every_text_the_same_way_twice(answer):
    options = {"A": "a red ball", "B": "two balls", "C": "", "D": "no ball"}
    before = random.getstate()
    for rule in [*YES_NO.values(), Rule(strict, "", "")]:
        assert rule(answer) in ("yes", "no", None) and rule(answer) == rule(answer)
    for rule in [*LETTER.values(), Rule(strict_letter, "", "")]:
        said = rule(answer, options)
        assert said is None or len(said) == 1
        assert said == rule(answer, options)
    assert random.getstate() == before, "a rule must not draw"


@given(st.sampled_from(["Yes", "No"]))
def test_all_rules_agree_on_the_plain_answer(answer):
    assert disagreements([answer]) == {}
    assert {strict(answer), *readings([answer])[answer].values()} == {answer.lower()}


PIECES = "yes no Yes No NO not there is a dog , . ** I know cannot y n".split()
REPLIES = st.lists(st.sampled_from(PIECES), max_size=6)


@given(REPLIES.map(" ".join))
def test_rules_against_a_second_reading(answer):
    """Written again from their descriptions, over words instead of texts where that is the same."""
    said = {name: rule(answer) for name, rule in YES_NO.items()}
    first_sentence = answer.split(".", 1)[0].replace(",", "").split()
    assert said["POPE"] == ("no" if any(word in ("No", "no", "not") for word in first_sentence) else "yes")
    assert said["lmms-eval POPE"] == (answer.strip().lower() if answer.strip().lower() in ("yes", "no") else None)
    assert said["AMBER"] == ("yes" if answer == "Yes" else "no" if answer == "No" else None)
    low = answer.lower()
    assert said["lmms-eval AMBER"] == ("yes" if low.count("yes") else "no" if low.count("no") else None)
    whole = [word for word in low.split() if word in ("yes", "no")]
    assert said["mitigv"] == (whole[0] if whole else None)
    assert strict(answer) == (whole[0] if len(set(whole)) == 1 else None)
    assert said["VLMEvalKit"] == strict(answer)  # they differ only where marks touch words, and here none does
    start = low.strip().replace(".", "")
    if start in ("y", "n"):
        assert said["MME"] == {"y": "yes", "n": "no"}[start]
    else:
        assert said["MME"] == ("yes" if "yes" in start[:4] else "no" if "no" in start[:4] else None)


def test_marks_are_dropped_or_become_spaces_as_in_the_vqa_challenge():
    read = YES_NO["VLMEvalKit"]
    assert read("maybe-yes") == "yes"  # no space touches the mark: it becomes one
    assert read("maybe-yes - no idea") == "no"  # "- " occurs, so both marks go and "maybeyes" is no longer a yes
    assert read("yes.") == "yes" and read("yes.5") is None
    assert read("1,000 dogs? (no)") == "no"
    assert read("." * 32 + "yes") == "yes" and read("." * 33 + "yes") is None


def test_disagreements_are_listed_with_what_each_rule_read():
    found = disagreements(["Yes", "NO", "yes"])
    assert set(found) == {"NO", "yes"}
    assert found["NO"] == {**dict.fromkeys(HARNESSES, "no"), "POPE": "yes", "AMBER": None}
    assert found["yes"] == {**dict.fromkeys(HARNESSES, "yes"), "AMBER": None}


OPTIONS = {"A": "a red ball", "B": "two balls", "C": "a dog", "D": "nothing"}

# Answer, then MED, MMStar, lmms-eval BLINK, lmms-eval MMVP, VLMEvalKit, CRPE, and strict.
LETTERS = [
    ("B", "-BBBBBB"),
    ("b", "-BBB-b-"),
    ("(B) two balls", "-BBBB-B"),
    ("Answer: B", "BAABB-B"),
    ("The answer is B.", "-BTBB-B"),
    ("Option C", "-CO-C-C"),
    ("A dog is on the left", "-AAAC--"),
    ("two balls", "--T-B--"),
    ("It is A or B", "--IA---"),
    ("Answer: the second", "TAAA---"),
    ("Z", "--Z--Z-"),
    ("", "-------"),
]


@pytest.mark.parametrize("answer, expected", LETTERS)
def test_letters(answer, expected):
    rules = [*LETTER.values(), strict_letter]
    assert "".join(rule(answer, OPTIONS) or "-" for rule in rules) == expected


def test_a_refusal_names_no_option():
    assert LETTER["VLMEvalKit"]("Cannot determine the answer: a dog", OPTIONS) is None
    assert LETTER["VLMEvalKit"]("I think that of the four it is B because of all the other reasons", OPTIONS) is None


@given(st.sampled_from("ABCD"), st.sampled_from(["{}", "({})", "{}.", "Answer: {}", "**{}**", "The answer is {}."]))
def test_strict_letter_reads_the_usual_forms(letter, form):
    assert strict_letter(form.format(letter), OPTIONS) == letter

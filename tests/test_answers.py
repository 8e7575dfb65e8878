"""Rules for reading answers: the published disagreements by example, and what holds for any text at all."""

import random
import re
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmhallu_core.evaluate.answers import YES_NO, Rule, disagreements, readings, strict
from mmhallu_core.evaluate.letters import LETTER, strict_letter

HARNESSES = ("POPE", "lmms-eval POPE", "VLMEvalKit", "MME", "lmms-eval MME", "mitigv", "AMBER", "lmms-eval AMBER")

# Answer, then the readings in the order of HARNESSES: y, n, or - for unparsed. Made by running the harnesses' own code.
TABLE = [
    ("Yes", "yyyyyyyy"),
    ("No", "nnnnnnnn"),
    ("yes.", "y-yyyy-y"),
    ("No, there is no dog.", "n-nnnn-n"),
    ("There is a dog.", "y-------"),
    ("", "y-------"),
    ("Absolutely", "y-------"),
    ("NO", "ynnnnn-n"),
    ("Not sure.", "y--nn--n"),
    ("I cannot determine.", "y------n"),
    ("I know there is a dog", "y------n"),
    ("Yes, but not clearly.", "n-yyyy-y"),
    ("**Yes**", "y----y-y"),
    ("<think>no</think> yes", "y-y--n-y"),
    ("n", "y---n---"),
    ("y", "y---y---"),
    ("  Yes", "yyy-yy-y"),
    ("   no", "nnn-nn-n"),
]


@pytest.mark.parametrize("answer, expected", TABLE)
def test_the_published_disagreements(answer, expected):
    letter = {"yes": "y", "no": "n", None: "-"}
    assert "".join(letter[YES_NO[name](answer)] for name in HARNESSES) == expected


def test_each_rule_names_package_version_file_and_date():
    assert tuple(YES_NO) == HARNESSES
    for rule in [*YES_NO.values(), *LETTER.values()]:
        assert rule.says.endswith(".") and rule.package and "." in rule.file
        assert re.fullmatch(r"commit [0-9a-f]{7}|version \d+\.\d+\.\d+", rule.version)
        assert date(2023, 1, 1) < date.fromisoformat(rule.date) <= date(2026, 12, 1)
        assert all(part in rule.source for part in (rule.package, rule.file, rule.version, rule.date))


def test_a_newer_rule_stands_beside_the_old_one():
    for old, new in (
        ("MMStar", "lmms-eval MMStar"), ("lmms-eval BLINK", "lmms-eval BLINK 0.7.3"),
        ("VLMEvalKit", "VLMEvalKit June 2026"),
    ):  # fmt: skip
        assert LETTER[old].date < LETTER[new].date


@given(st.text())
@example("\x00")
@example("ſK İı")
def test_every_rule_reads_every_text_the_same_way_twice(answer):
    options = {"A": "a red ball", "B": "two balls", "C": "", "D": "no ball"}
    before = random.getstate()
    for rule in [*YES_NO.values(), Rule(strict, "", "", "", "", "")]:
        assert rule(answer) in ("yes", "no", None) and rule(answer) == rule(answer)
    for rule in [*LETTER.values(), Rule(strict_letter, "", "", "", "", "")]:
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
    assert said["MME"] == ("yes" if "yes" in low[:4] else "no" if "no" in low[:4] else None)
    if start in ("y", "n"):
        assert said["lmms-eval MME"] == {"y": "yes", "n": "no"}[start]
    else:
        assert said["lmms-eval MME"] == ("yes" if "yes" in start[:4] else "no" if "no" in start[:4] else None)


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

# Answer, then the readings in the order of LETTER, and strict. Made by running the harnesses' own code on OPTIONS.
LETTERS = [
    ("B", "---BBBBBBBBBBBB"),
    ("b", "---BB--BBBB--b-"),
    ("(B) two balls", "----BBBBBBBBB-B"),
    ("Answer: B", "BBBBAB-ABB-BB-B"),
    ("The answer is B.", "----BB-TBB-BB-B"),
    ("Option C", "----CC-O---CC-C"),
    ("A dog is on the left", "----AA-AAA-CC--"),
    ("two balls", "-------T---BB--"),
    ("It is A or B", "-----B-I-A-----"),
    ("Answer: the second", "TTTTAA-AAA-----"),
    ("Z", "---Z---Z-----Z-"),
    ("", "---------------"),
    ("The answer is (B) two", "-----BBTBB-BB-B"),
    ("(b)", "----B--BBBB----"),
    ("B.", "----BB-BBB-BB-B"),
    ("First (A).\n\nSo it is (C) a dog", "-----CCFCA-CC--"),
    ("(A) and (B) are wrong, so (C)", "----AC-ACAA----"),
    ("The answer is B. The Dog is left.", "----BD-TBB--B-B"),
    ("The answer is brown", "----B--T-B--B--"),
    ("I think that the answer is **D**, because of all the others", "-----D-I----D-D"),
    ("(E)", "------EE-------"),
    ("Based on the picture, (D)", "----BDDBDB-DD-D"),
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


# ---------------------------------------------------------------- what holds for any text


@given(
    REPLIES.map(" ".join),
    st.sampled_from([str.upper, str.title, str.lower]),
    st.sampled_from(["{}", "**{}**", " {}!\n"]),
)
def test_strict_does_not_see_case_and_marks(answer, case, form):
    assert strict(form.format(case(answer))) == strict(answer)


@given(REPLIES, st.randoms())
def test_strict_and_vlmevalkit_do_not_see_order(words, dice):
    moved = dice.sample(words, len(words))
    for rule in (strict, YES_NO["VLMEvalKit"]):
        assert rule(" ".join(moved)) == rule(" ".join(words))


@given(st.text(alphabet=st.characters(blacklist_categories=("Cs",))))
def test_a_reading_is_in_the_answer(answer):
    """No rule invents a word, but for POPE's, to which what is not a no is a yes."""
    for name, rule in YES_NO.items():
        said = rule(answer)
        if said and name != "POPE" and not (name == "MME" and len(answer.strip().replace(".", "")) == 1):
            assert said in answer.lower()
    for name, rule in LETTER.items():
        said = rule(answer, OPTIONS)
        if said and name not in ("VLMEvalKit", "VLMEvalKit June 2026", "MED LLaVA"):
            assert said in answer or said.lower() in answer.lower()


MARKS_AND_WORDS = "A B C D Z a b ( ) . : Answer: answer Option option The the is dog two balls a [/INST] \n".split(" ")
LETTERED = st.tuples(st.sampled_from([" ", ""]), st.lists(st.sampled_from(MARKS_AND_WORDS), max_size=7))


def med_again(text):
    """What stands first after an "Answer:" and blanks, if it is a plain letter."""
    for place in range(len(text)):
        if text.startswith("Answer:", place):
            rest = text[place + len("Answer:") :].lstrip()
            if rest[:1].isascii() and rest[:1].isalpha():
                return rest[0].upper()
    return None


def mmstar_again(text):
    low = text.lower().strip().replace("\n", " ")
    for letter in "abcd":
        for start in ("", "(", "option ", "the answer is "):
            if low[: len(start)] == start and low[len(start) : len(start) + 1] == letter:
                return letter.upper()
    return None


def blink_again(text):
    rest = text.strip()
    while rest[:1] == "(" or rest[:1].isspace():
        rest = rest[1:]
    return rest[0].upper() if rest[:1].isascii() and rest[:1].isalpha() else None


def authors_blink_again(text):
    if len(text) == 1 and text in "ABCDE" or len(text) == 3 and text in "(A) (B) (C) (D) (E)":
        return text.strip("()")
    for part in (text.rpartition("\n\n")[2], text):
        words = part.split()
        found = {word for word in words if word in ("(A)", "(B)", "(C)", "(D)")}
        if len(found) == 1:
            return found.pop()[1]
    return None


def stated_letter(rest):
    """The letter at the beginning, after blanks, a mark and a bracket, if no word goes on there."""
    rest = rest.lstrip()
    rest = rest[1:].lstrip() if rest[:1] in (":", "-") else rest
    rest = rest.removeprefix("(")
    goes_on = rest[1:2].isascii() and rest[1:2].isalpha()
    return rest[0].upper() if rest[:1].upper() in OPTIONS and not goes_on else None


def blink_073_again(text):
    text = text.strip()
    line = text.split("\n")[0].strip()
    inner = line.removeprefix("(")
    if len(line) <= 4 and inner[:1].upper() in OPTIONS and not inner[1:].strip("). :,"):
        return inner[0].upper()
    stated = []
    for rest in re.split("answer", text, flags=re.IGNORECASE)[1:]:
        rest = rest.removeprefix("s")
        without_is = rest.lstrip()[2:] if rest[:1].isspace() and rest.lstrip()[:2].lower() == "is" else ""
        stated += filter(None, (stated_letter(rest), stated_letter(without_is)))
    bracketed = [letter for letter in re.split(r"\(", text)[1:] if letter[:1] in OPTIONS and letter[1:2] == ")"]
    first = text.lstrip("( \n")[:1].upper()
    if stated or bracketed:
        return (stated or bracketed)[-1][0]
    return first if first in OPTIONS else None


def mcq_again(text):
    """Rank by rank, from the highest down; no phrase but those that the pieces make."""
    text = text.strip()
    for mark in (",", ".", "!", "?", ";", ":", "'", '"'):
        text = text.strip(mark)
    bare = text.strip()
    for place, beside in ((0, bare[1:2]), (-1, bare[-2:-1] if len(bare) > 1 else "")):
        if bare and bare[place] in OPTIONS and not beside.isalpha():
            return bare[place]
    padded = f" {text} "
    said = {}
    for phrase in ("the answer is", "answer is"):
        if phrase in padded.lower():
            rest = padded.lower().index(phrase) + len(phrase)
            said |= {padded.index(one, rest): one for one in OPTIONS if one in padded[rest:]}
    if said:
        return said[max(said)]
    for form in ("({})", "{}.", "{}:", "{})", "{} ", "{}"):
        places = {padded.rfind(form.format(one)): one for one in OPTIONS if form.format(one) in padded}
        if places:
            return places[max(places)]
    return None


def svco_again(text):
    kept = [mark for mark in text.strip()[:4] if mark not in "()" and not mark.isspace()]
    return kept[0].upper() if len(kept) == 1 and kept[0] in "abAB" else None


def vlmevalkit_again(text, stated=False):
    words = "".join(" " if mark in ".()[],:;!*#{}" else mark for mark in text).split()
    there = [letter for letter in OPTIONS if words.count(letter)]
    if len(there) == 1 and len(words) - words.index(there[0]) < 5:
        return there[0]
    if not there and "Z" in words:
        return None
    after = [part.lstrip().lstrip("*") for part in re.split(r"answer is", text.lower())[1:] if part[:1].isspace()]
    letters = [part[0].upper() for part in after if part[:1].upper() in OPTIONS]
    if stated and letters:
        return letters[0]
    if len(text) > 2 * sum(len(one) for one in OPTIONS.values()):
        return None
    named = [letter for letter, words in OPTIONS.items() if words in text.lower()]
    return named[0] if len(named) == 1 else None


def strict_again(text):
    """Capitals that touch no letter, digit or apostrophe, unless a small word follows after blanks."""
    found = set()
    for place, mark in enumerate(text):
        before, after = text[place - 1 : place] if place else "", text[place + 1 : place + 2]
        beside = [one for one in (before, after) if one and (one.isalnum() or one in "_'’")]
        if mark in OPTIONS and not beside:
            rest = text[place + 1 :]
            bare = rest.lstrip(" ")
            small = bool(rest) and rest[0] == " " and bare[:1].isascii() and bare[:1].islower()
            found.add((mark, small))
    letters = {mark for mark, _ in found}
    return letters.pop() if len(letters) == 1 and not any(small for _, small in found) else None


@given(LETTERED)
def test_letter_rules_against_a_second_reading(pieces):
    text = pieces[0].join(pieces[1])
    said = {name: rule(text, OPTIONS) for name, rule in LETTER.items()}
    assert said["MED GPT"] == said["MED Qwen"] == said["MED Llama"] == med_again(text)
    assert said["MMStar"] == mmstar_again(text)
    assert said["lmms-eval BLINK"] == blink_again(text)
    assert said["lmms-eval BLINK 0.7.3"] == blink_073_again(text)
    assert said["BLINK"] == authors_blink_again(text)
    assert said["lmms-eval MMStar"] == mcq_again(text)
    assert said["S-VCO MMVP"] == svco_again(text)
    assert said["VLMEvalKit"] == vlmevalkit_again(text)
    assert said["VLMEvalKit June 2026"] == vlmevalkit_again(text, stated=True)
    assert said["CRPE"] == (text if len(text) == 1 else None)
    assert strict_letter(text, OPTIONS) == strict_again(text)
    alone = text.strip().upper() if len(text.strip()) == 1 and text.strip().isalpha() else None
    if "[/INST]" not in text:
        assert said["MED LLaVA"] == (med_again(text) or alone)


def test_the_llava_script_prefers_what_follows_the_mark():
    text = "Answer: A [/INST] Answer: B"
    assert LETTER["MED LLaVA"](text, OPTIONS) == "B" and LETTER["MED GPT"](text, OPTIONS) == "A"
    assert LETTER["MED LLaVA"]("Answer: é", OPTIONS) == "É" and LETTER["MED GPT"]("Answer: é", OPTIONS) is None

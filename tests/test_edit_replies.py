"""Readers of replies: what keeps the form is read exactly, what does not is malformed, and nothing is guessed."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmhallu_core.edit.engine import replies
from mmhallu_core.edit.engine.replies import CRITERIA, RECOMMENDATION, EditPlan, Found, Malformed
from mmhallu_core.types import CATEGORIES

READERS = (
    replies.read_editable, replies.read_category, replies.read_plan, replies.read_completed, replies.read_caption,
    replies.read_improved, replies.read_difference, replies.read_yes_no,
)  # fmt: skip
LABELS = ("CAPTION:", "TYPE:", "DIFFERENCE:", "IMPROVED_DESCRIPTION:")
# a sentence on one line, without a label in it
sentences = st.text(st.characters(blacklist_categories=("C", "Z"), whitelist_characters=" "), min_size=1).filter(
    lambda text: re.search(r"\w", text) and not any(label in text for label in LABELS)
)
spaces = st.text(" \t\n", max_size=3)


def tidy(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.long
@given(st.text())
def test_any_text_is_read_or_malformed(text):
    for reader in READERS:
        try:
            reader(text)
        except Malformed as fault:
            assert str(fault)


@given(st.sampled_from(CATEGORIES), sentences, spaces, spaces)
def test_a_difference_keeps_all_words_of_its_category(category, sentence, before, after):
    found = replies.read_difference(f"{before}TYPE: {category}\nDIFFERENCE: {sentence}{after}")
    assert found == Found(category, tidy(sentence))


@given(st.sampled_from(CATEGORIES), st.sampled_from((str.lower, str.upper, str.title, str)), st.sampled_from("_ "))
def test_a_category_is_read_in_any_capitals(category, change, space):
    assert replies.read_category(f" **{change(category).replace(' ', space)}**.") == category


@pytest.mark.parametrize(
    "name", ["Spatial", "Action", "Relation", "Part", "Object, Scene", "Object Scene", "Colour", ""]
)
def test_half_a_category_is_none(name):
    with pytest.raises(Malformed):
        replies.read_category(name)
    with pytest.raises(Malformed):
        replies.read_difference(f"TYPE: {name}\nDIFFERENCE: The dog moved.")


@pytest.mark.parametrize("text", ["yes", "No.", " **Yes** ", '"no"', "YES!", "`Yes`\n"])
def test_yes_and_no_alone_are_read(text):
    assert replies.read_yes_no(text) == ("yes" in text.lower())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no, my eyes tell me",
        "Not yes",
        "yesterday",
        "Yes and no",
        "yes yes",
        "Yes, they match.",
        "y",
        "nope",
        "know",
    ],
)
def test_yes_inside_another_text_is_no_answer(text):
    with pytest.raises(Malformed):
        replies.read_yes_no(text)


@given(st.text(min_size=1).filter(lambda text: re.search(r"\w", text)), st.sampled_from(("yes", "no")))
def test_a_word_beside_yes_makes_it_malformed(word, verdict):
    for text in (f"{word} {verdict}", f"{verdict} {word}", word + verdict, verdict + word):
        with pytest.raises(Malformed):
            replies.read_yes_no(text)


@given(sentences, spaces, spaces)
def test_labelled_texts_are_read_whole(text, before, after):
    for label, reader in (("CAPTION", replies.read_caption), ("IMPROVED_DESCRIPTION", replies.read_improved)):
        assert reader(f"{before}{label}:{after}{text}{after}") == tidy(text)


@given(sentences, sentences.filter(lambda text: text.strip()))
def test_words_before_a_label_or_a_second_label_make_it_malformed(text, chatter):
    for reader, label in ((replies.read_caption, "CAPTION:"), (replies.read_improved, "IMPROVED_DESCRIPTION:")):
        for reply in (text, f"{chatter} {label} {text}", f"{label} {text} {label} {text}", f"{label} ", label[:-1]):
            with pytest.raises(Malformed):
                reader(reply)


def test_no_update_and_no_difference_are_whole_replies():
    assert replies.read_completed("NO UPDATE") is None and replies.read_completed(' "NO UPDATE". ') is None
    assert replies.read_completed("CAPTION: A dog.") == "A dog."
    assert replies.read_difference("NO DIFFERENCE\n") is None
    for text in ("Caption is complete. No updates needed.", "NO UPDATE needed", "A dog."):
        with pytest.raises(Malformed):
            replies.read_completed(text)
    for text in ("There is NO DIFFERENCE", "no", "TYPE: Object", "DIFFERENCE: A dog.\nTYPE: Object"):
        with pytest.raises(Malformed):
            replies.read_difference(text)


def plan_text(category="Attribute", photo="a dog on a beach", request="make the dog red") -> str:
    return f"Type: {category}\n## Prompt: Hi, this is a photo of {photo}. Can you {request} and output the image?"


def test_plans_are_read():
    read = replies.read_plan(plan_text("Spatial Relation"))
    assert read == EditPlan("Spatial Relation", plan_text().partition("Prompt: ")[2])
    assert replies.asked_in(read.instruction) == "make the dog red"
    assert replies.asked_in("make the dog red") == "make the dog red"
    assert replies.read_plan("Type: None") is None


@pytest.mark.parametrize(
    "text",
    [
        plan_text("Colour"),
        plan_text(request="").replace("  ", " "),
        plan_text() + "\nIs that good?",
        "Here it is:\n" + plan_text(),
        plan_text().replace("## Prompt: ", ""),
        plan_text().replace("Type: Attribute\n", ""),
        plan_text(request="make the dog red and output the image? Can you remove the cat"),
        plan_text().replace(" and output the image?", "."),
        "None",
    ],
)
def test_other_plans_are_malformed(text):
    with pytest.raises(Malformed):
        replies.read_plan(text)


def filter_text(verdicts: dict[str, str]) -> str:
    lines = [f"**{n}. {name}:** As it is. **{verdicts[name]}**" for n, name in enumerate(CRITERIA, start=1)]
    return "\n".join([*lines, f"**{RECOMMENDATION}:** **{verdicts[RECOMMENDATION]}**"])


@given(st.fixed_dictionaries({name: st.sampled_from(("Yes", "No")) for name in (*CRITERIA, RECOMMENDATION)}))
def test_the_filter_reads_five_verdicts(verdicts):
    text = filter_text(verdicts)
    assert replies.read_editable(text) == {name: verdict == "Yes" for name, verdict in verdicts.items()}
    lines = text.splitlines()
    for i, line in enumerate(lines):
        wrong = (
            lines[:i] + lines[i + 1 :],  # one is missing
            [*lines[:i], line, *lines[i:]],  # one comes twice
            [*lines[:i], line + " Perhaps.", *lines[i + 1 :]],  # the verdict is not the end
            [*lines[:i], line + " **No**", *lines[i + 1 :]],  # two verdicts
            [*lines[:i], line.replace("**Yes**", "Yes").replace("**No**", "No"), *lines[i + 1 :]],  # not bold
        )
        for other in wrong:
            with pytest.raises(Malformed):
                replies.read_editable("\n".join(other))
    with pytest.raises(Malformed):
        replies.read_editable("\n".join(lines[::-1]))

"""One answer, many ways to say it: what a person reads alike and harnesses do not.

A plain answer is put into the words of a manner. The forms are our own, each with one meaning for every reader; none
was taken from a model, so they show what a rule *can* do to a score, not how often it happens.
"""

import zlib
from collections.abc import Sequence
from typing import Any

from mmhallu_core.evaluate.answers import YES_NO
from mmhallu_core.types import YesNoQuestion

# {it} is "a dog", {thing} is "dog".
MANNERS: dict[str, dict[str, tuple[str, ...]]] = {
    "terse": {"yes": ("Yes",), "no": ("No",)},
    "polite": {
        "yes": ("Yes, there is {it} in the image.",),
        "no": ("No, there is no {thing} in the image.",),
    },
    "wordy": {
        "yes": (
            "Yes",
            "**Yes**",
            "There is {it} in the image.",
            "Yes, though the {thing} is not large.",
            "I can see {it}, so the answer is yes.",
            "Certainly: {it} can be seen.",
        ),
        "no": (
            "No",
            "NO",
            "There is no {thing} in the image.",
            "There isn't {it} in the image.",
            "I looked for {it}. The answer is no.",
            "I cannot see {it} anywhere.",
        ),
    },
}


def thing_asked(question: str) -> tuple[str, str]:
    """What a POPE question asks about, with and without its article: ("a dog", "dog").

    Raises:
        ValueError: for a question of another form.
    """
    start, end = "Is there ", " in the image?"
    if not (question.startswith(start) and question.endswith(end)):
        raise ValueError(f"not a question of the form {start}... {end}: {question!r}")
    it = question.removeprefix(start).removesuffix(end)
    return it, it.partition(" ")[2]


def dress(said: str, question: YesNoQuestion, manner: str) -> str:
    """Says "yes" or "no" in a manner; the same question always gets the same form.

    Raises:
        KeyError: for an unknown manner, or an answer other than "yes" and "no".
    """
    forms = MANNERS[manner][said]
    it, thing = thing_asked(question.question)
    return forms[zlib.crc32(f"{manner}/{question.id}".encode()) % len(forms)].format(it=it, thing=thing)


def all_forms(thing: str = "dog") -> dict[str, str]:
    """Every form with what it means: reply to "yes" or "no"."""
    article = "an" if thing[0] in "aeiou" else "a"
    return {
        form.format(it=f"{article} {thing}", thing=thing): meaning
        for forms in MANNERS.values()
        for meaning in ("yes", "no")
        for form in forms[meaning]
    }


def harness_scores(questions: Sequence[YesNoQuestion], replies: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The same replies scored with each rule of `answers.YES_NO`.

    Args:
        questions: with their labels.
        replies: one for each question, in their order.

    Returns:
        Rule to `accuracy` (an answer that the rule does not find is wrong), `yes_ratio` and `unparsed`, as shares.
    """
    scores = {}
    for name, rule in YES_NO.items():
        read = [rule(reply) for reply in replies]
        right = sum(said == question.label for said, question in zip(read, questions, strict=True))
        counts = {"accuracy": right, "yes_ratio": read.count("yes"), "unparsed": read.count(None)}
        scores[name] = {key: value / len(read) for key, value in counts.items()}
    return scores

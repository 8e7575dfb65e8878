"""The blind audit of yes/no questions: what habit alone would score.

`always_yes` and `always_no` need no rule. The object prior does what a model does that knows how often things are there
and looks at no picture: where the same thing is asked about other pictures, and nearly always with the same answer, it
gives that answer.

How it decides about one question, with the answers to the same question (or about the same `object`) for *other*
pictures, y of them yes and n no:

* if y and n differ by more than two standard deviations of y + n fair coins, 2 * sqrt(y + n), the more frequent one;
* else the answer that is right most often in the whole file, yes where both are equal.

Why not simply the more frequent one? In a file with as many yes as no for each thing, the other answers always lean to
the wrong side, by one: the rule would score nothing, and seem to say that the file cannot be guessed. A real habit
passes the threshold, a coin does not.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmhallu_core.data.question import Question
from mmhallu_core.statistics import ratio_interval, wilson_interval


def asked_about(question: Question) -> str:
    """What a question is about: its `object` where it names one, else its own text."""
    return str(question.about.get("object") or question.prompt).strip().lower()


def object_prior(questions: Sequence[Question]) -> list[str | None]:
    """What the habit of each question's object says; None where there is no clear one."""
    total: dict[str, Counter[str]] = {}
    here: dict[tuple[str, str], Counter[str]] = {}
    for question in questions:
        name = asked_about(question)
        total.setdefault(name, Counter())[question.truth] += 1
        here.setdefault((name, question.picture), Counter())[question.truth] += 1
    said: list[str | None] = []
    for question in questions:
        name = asked_about(question)
        own = here[name, question.picture]
        yes, no = (total[name][label] - own[label] for label in ("yes", "no"))
        clear = (yes - no) ** 2 > 4 * (yes + no)
        said.append(None if not clear else "yes" if yes > no else "no")
    return said


def interval(hits: Sequence[bool], questions: Sequence[Question]) -> list[float] | None:
    """The 95% interval of a share: Wilson's where each question has a picture of its own, else drawn by picture."""
    pictures = [question.picture for question in questions]
    if len(set(pictures)) == len(pictures):
        return wilson_interval(int(sum(hits)), len(hits))
    return ratio_interval(np.asarray(hits, dtype=float), np.ones(len(hits)), pictures)


def audit_yes_no(questions: Sequence[Question]) -> dict[str, Any]:
    """The blind baselines of yes/no questions.

    Returns:
        `n`, `chance`, `rules` (share right of `always_yes`, `always_no`, `object_prior`), `objects` (how many things
        are asked about), `clear` (share of questions whose object has a clear habit), `ci` (95% intervals of `rules`),
        `reads_the_key` (the rule that reads answers: `object_prior` knows those about other pictures).
    """
    truths = [question.truth for question in questions]
    usual = "yes" if 2 * truths.count("yes") >= len(truths) else "no"
    prior = object_prior(questions)
    hits = {
        "always_yes": [truth == "yes" for truth in truths],
        "always_no": [truth == "no" for truth in truths],
        "object_prior": [(one or usual) == truth for one, truth in zip(prior, truths, strict=True)],
    }
    return {
        "n": len(questions),
        "chance": 0.5,
        "rules": {name: sum(one) / len(one) for name, one in hits.items()},
        "reads_the_key": ["object_prior"],
        "objects": len({asked_about(question) for question in questions}),
        "clear": sum(one is not None for one in prior) / len(prior),
        "ci": {name: interval(one, questions) for name, one in hits.items()},
    }

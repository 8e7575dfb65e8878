"""What every model of the study is asked, and its answers, one letter each, so that a record stays small.

The same scenes and questions for all: any two models can be compared picture by picture from their records alone.

- `captions`: for each scene the caption's mentions (`matched_recall.marks`).
- `pope`: for each scene its adversarial questions: `t` a yes that is right, `m` a missed thing (anything but yes, where
  yes is right), `f` a yes that is wrong, `c` a no that is right, `u` neither, where no is right.
- `sum`, `sum_swapped`, `letters`: MED-tiny by likelihood in both orders, and by the letter that is written: 1 or 0.
- `same`, `different`: one picture twice, and the pair that it belongs to, asked in the same words: `d` asserts a
  difference, `s` says there is none, `u` neither.
- `routed`: for each edit and question that it turns round: right about the first picture, and about the second.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from mmhallu_core.data.decode import decode
from mmhallu_core.data.question import Question
from mmhallu_core.evaluate import squares
from mmhallu_core.evaluate.answers import strict
from mmhallu_core.evaluate.benchmarks.med_tiny import SEED
from mmhallu_core.evaluate.diorama import world_vocabulary
from mmhallu_core.evaluate.letters import strict_letter
from mmhallu_core.evaluate.likelihood import likelihood
from mmhallu_core.evaluate.matched_recall import marks
from mmhallu_core.evaluate.paired import Exam, sit
from mmhallu_core.evaluate.pope import join
from mmhallu_core.evaluate.squares.orders import asserts_a_difference, same_twice, swapped
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.studies.med.other_pairs import other_pairs
from mmhallu_core.studies.med.plan import Numbers
from mmhallu_core.train.pretrain.speak import WHICH
from mmhallu_core.types import CATEGORIES
from mmhallu_core.world.edits import sample_edit
from mmhallu_core.world.language.turned import turned_round
from mmhallu_core.world.render import render

SCENES = "med/exam"  # names the scenes of captions and POPE
PAIRS = "med/exam-pairs"  # names the edits of the questions about one of two pictures
LETTER, SENTENCE, SHORT = 8, 40, 6  # tokens of an answer


@dataclass(frozen=True)
class Routed:
    """A question that two pictures answer differently, and both answers."""

    images: tuple[Image.Image, Image.Image]
    text: str
    answers: tuple[str, str]


@functools.lru_cache(maxsize=2)
def exam_of(numbers: Numbers) -> Exam:
    """Scenes and POPE questions."""
    return Exam.draw(numbers.scenes, SCENES)


@functools.lru_cache(maxsize=2)
def pairs_of(per_category: int) -> list[Question]:
    """MED-tiny, fewer of each category, from its own seed."""
    return squares.questions(SEED, per_category)


@functools.lru_cache(maxsize=2)
def routed_of(each: int) -> list[Routed]:
    """Questions about one of two pictures, a question an edit."""
    found = []
    for category in CATEGORIES:
        for number in range(each):
            edit = sample_edit(category, f"{PAIRS}/{number}")
            for first, second in turned_round(edit)[:1]:
                images = (render(edit.before).image, render(edit.after).image)
                found.append(Routed(images, first.text, (first.answer, second.answer)))
    return found


def ask(vlm: Vlm, numbers: Numbers, progress: bool = True) -> dict[str, Any]:
    """Asks a model everything.

    Returns:
        What the top of this file lists, and `there`: how many kinds of things each scene has.
    """
    exam, asked, routed = exam_of(numbers), pairs_of(numbers.per_category), routed_of(numbers.routed)
    twice = same_twice(asked)[: numbers.same]
    pairs = [replace(one, images=pair.images) for one, pair in zip(twice, asked, strict=False)]
    sheet = sit(vlm, exam, progress)
    truth = exam.data.truth
    bar = "pairs" if progress else None
    return {
        "there": [len(truth[one.id]) for one in sheet.captions],
        "captions": [marks(one.answer, truth[one.id], world_vocabulary()) for one in sheet.captions],
        "pope": _pope(exam, join(exam.questions, sheet.answers)),
        **by_likelihood(vlm, asked, bar),
        "letters": _letters(vlm, asked, bar),
        "same": _told(vlm, twice, bar),
        "different": _told(vlm, pairs, bar),
        "routed": _routed(vlm, routed, bar),
    }


def look(vlm: Vlm, which: str, numbers: Numbers, progress: bool = True) -> dict[str, Any]:
    """Asks a model about other pairs: `sum` and `sum_swapped`, and the questions' `categories`.

    Raises:
        KeyError: see `other_pairs`.
    """
    asked = other_pairs(which, numbers.per_category)
    found = by_likelihood(vlm, asked, which if progress else None)
    return {**found, "categories": [one.about["category"] for one in asked]}


def by_likelihood(vlm: Vlm, asked: Sequence[Question], bar: str | None) -> dict[str, str]:
    """Whether the likeliest option, by the sum, is right: in the questions' order and with the pictures swapped."""
    found = {}
    for name, rows in (("sum", asked), ("sum_swapped", swapped(asked))):
        weighed = likelihood(vlm, rows, progress=bar)
        found[name] = _bits(one.letter("sum") == row.truth for one, row in zip(weighed, rows, strict=True))
    return found


def _bits(rights) -> str:
    return "".join("1" if right else "0" for right in rights)


def _pope(exam: Exam, texts: Sequence[str]) -> list[str]:
    found: dict[str, str] = dict.fromkeys(exam.data.scenes, "")
    for question, text in zip(exam.questions, texts, strict=True):
        said = strict(text)
        if question.label == "yes":
            letter = "t" if said == "yes" else "m"
        else:
            letter = {"yes": "f", "no": "c"}.get(said or "", "u")
        found[question.image_id] += letter
    return list(found.values())


def _answers(vlm: Vlm, asked: Sequence[Question], tokens: int, bar: str | None) -> list[str]:
    pictures = [[decode(picture).image for picture in one.images] for one in asked]
    return vlm.answer(pictures, [one.prompt for one in asked], tokens, 64, progress=bar)


def _letters(vlm: Vlm, asked: Sequence[Question], bar: str | None) -> str:
    said = _answers(vlm, asked, LETTER, bar)
    return _bits(strict_letter(text, one.choices) == one.truth for text, one in zip(said, asked, strict=True))


def _told(vlm: Vlm, asked: Sequence[Question], bar: str | None) -> str:
    letters = {True: "d", False: "s", None: "u"}
    return "".join(letters[asserts_a_difference(text)] for text in _answers(vlm, asked, SENTENCE, bar))


def _routed(vlm: Vlm, routed: Sequence[Routed], bar: str | None) -> list[str]:
    pictures = [one.images for one in routed for _ in WHICH]
    said = vlm.answer(pictures, [f"{one.text} {which}" for one in routed for which in WHICH], SHORT, 64, progress=bar)
    wanted = [answer for one in routed for answer in one.answers]
    right = _bits(text == answer for text, answer in zip(said, wanted, strict=True))
    return [right[start : start + 2] for start in range(0, len(right), 2)]

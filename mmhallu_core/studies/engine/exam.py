"""What every model of a study is asked, and its answers, one letter each, so that a record stays small.

The same scenes and questions for all: any two models can be compared picture by picture from their records alone.

About one picture:

- `captions`: for each scene the caption's mentions (`matched_recall.marks`); `there`: how many kinds each scene has.
- `pope`: for each scene its adversarial questions: `t` a yes that is right, `m` a missed thing (anything but yes, where
  yes is right), `f` a yes that is wrong, `c` a no that is right, `u` neither, where no is right.

About two:

- `sum`, `sum_swapped`, `letters`: MED-tiny by likelihood in both orders, and by the letter that is written: 1 or 0.
- `same`, `different`: one picture twice, and the pair that it belongs to, asked in the same words: `d` asserts a
  difference, `s` says there is none, `u` neither.
- `routed`: for each edit and question that it turns round: right about the first picture, and about the second.

MED-tiny's own questions are also asked of pairs that no training has seen the like of (`other_pairs`).
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from mmhallu_core.data.decode import decode
from mmhallu_core.data.question import Question
from mmhallu_core.evaluate import contrast as contrast_sets
from mmhallu_core.evaluate.answers import strict
from mmhallu_core.evaluate.benchmarks.med_tiny import REAL_STYLE, SEED
from mmhallu_core.evaluate.contrast.controls import asserts_a_difference, same_twice, swapped
from mmhallu_core.evaluate.diorama.exam import world_vocabulary
from mmhallu_core.evaluate.letters import strict_letter
from mmhallu_core.evaluate.likelihood import likelihood
from mmhallu_core.evaluate.matched_recall import marks
from mmhallu_core.evaluate.paired import Exam, run_evaluation
from mmhallu_core.evaluate.pope import answers_to
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.pretrain.speak import WHICH
from mmhallu_core.types import CATEGORIES
from mmhallu_core.world.edits import sample_edit
from mmhallu_core.world.language.mixture import turned_round
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
def scenes_of(count: int) -> Exam:
    """Scenes to caption, and POPE questions about them."""
    return Exam.draw(count, SCENES)


@functools.lru_cache(maxsize=2)
def pairs_of(per_category: int) -> list[Question]:
    """MED-tiny, fewer of each category, from its own seed."""
    return contrast_sets.questions(SEED, per_category)


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


def about_one(vlm: Vlm, scenes: int, progress: bool = True) -> dict[str, Any]:
    """Captions of some scenes, and the answers to six POPE questions about each."""
    exam = scenes_of(scenes)
    said = run_evaluation(vlm, exam, progress)
    truth = exam.data.truth
    return {
        "there": [len(truth[one.id]) for one in said.captions],
        "captions": [marks(one.answer, truth[one.id], world_vocabulary()) for one in said.captions],
        "pope": _pope(exam, answers_to(exam.questions, said.answers)),
    }


def about_two(vlm: Vlm, per_category: int, same: int, routed: int, progress: bool = True) -> dict[str, Any]:
    """MED-tiny, one picture shown twice, and questions about one of two pictures.

    Args:
        vlm: the model.
        per_category: questions of MED-tiny.
        same: pairs that are also asked with their first picture twice.
        routed: edits of each category with a question about either picture.
        progress: whether to show bars.
    """
    asked, bar = pairs_of(per_category), "pairs" if progress else None
    twice = same_twice(asked)[:same]
    pairs = [replace(one, images=pair.images) for one, pair in zip(twice, asked, strict=False)]
    return {
        **by_likelihood(vlm, asked, bar),
        "letters": _letters(vlm, asked, bar),
        "same": _told(vlm, twice, bar),
        "different": _told(vlm, pairs, bar),
        "routed": _routed(vlm, routed_of(routed), bar),
    }


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


def other_pairs(eval_set: str, per_category: int) -> list[Question]:
    """MED-tiny's questions about pairs that no training has seen the like of.

    Args:
        eval_set: `real`, the pairs drawn in another style, as MED-Real has other pictures.
        per_category: questions of each category.

    Raises:
        KeyError: for another set.
    """
    return contrast_sets.questions(SEED, per_category, {"real": REAL_STYLE}[eval_set], eval_set)

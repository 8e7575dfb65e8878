"""Two models on the same pictures: did anything change that can be told from chance?

A difference is taken within each picture, which removes the variation between easy and hard ones. The rule, decided
before any result was seen: a change is *measurable* when its 95% interval leaves zero out. "No measurable change" does
not say that nothing changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmhallu_core.comparison import ratio_test
from mmhallu_core.evaluate.answers import strict
from mmhallu_core.evaluate.chair import chair_parts, score_chair
from mmhallu_core.evaluate.diorama.exam import CAPTION_TOKENS, DESCRIBE, HeldOut, held_out, world_vocabulary
from mmhallu_core.evaluate.pope import answers_to, sample_questions, score_pope
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.statistics import paired_difference
from mmhallu_core.types import Answer, YesNoQuestion

METRICS = ("chair_i", "chair_s", "recall", "mean_length", "pope_adversarial")
LESS_IS_BETTER = ("chair_i", "chair_s")


@dataclass(frozen=True)
class Exam:
    """A fixed set of pictures and POPE-adversarial questions about them."""

    data: HeldOut
    questions: list[YesNoQuestion]

    @classmethod
    def draw(cls, n: int, split: str) -> "Exam":
        """The exam of a split: the same scenes and questions on every machine."""
        data = held_out(n, split)
        return cls(data, sample_questions(data.truth, "adversarial"))


@dataclass(frozen=True)
class EvalAnswers:
    """What one model said in an exam: a caption for each picture, an answer to each question."""

    captions: list[Answer]
    answers: list[Answer]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {name: [one.to_dict() for one in getattr(self, name)] for name in ("captions", "answers")}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "EvalAnswers":
        """Reads the JSON form back."""
        return cls(*([Answer.from_dict(one) for one in values[name]] for name in ("captions", "answers")))


def run_evaluation(model: Vlm, exam: Exam, progress: bool = True) -> EvalAnswers:
    """Asks a model for all captions and answers of an exam."""
    pictures, questions = exam.data.images, exam.questions
    labels = ("captions", "questions") if progress else (None, None)
    texts = model.answer(list(pictures.values()), [DESCRIBE] * len(pictures), CAPTION_TOKENS, 50, progress=labels[0])
    images = [pictures[question.image_id] for question in questions]
    said = model.answer(images, [question.question for question in questions], 4, 64, progress=labels[1])
    return EvalAnswers(
        [Answer(name, text) for name, text in zip(pictures, texts, strict=True)],
        [Answer(question.id, text) for question, text in zip(questions, said, strict=True)],
    )


def score_answers(said: EvalAnswers, exam: Exam) -> dict[str, Any]:
    """One model's scores with intervals.

    Returns:
        `chair` (see `score_chair`, rules "fixed") and `pope` (see `score_pope`), and under `scores` and `ci` the
        five METRICS; POPE's is accuracy by the strict reading.
    """
    chair = score_chair(said.captions, exam.data.truth, world_vocabulary(), "fixed")
    pope = score_pope(exam.questions, said.answers)
    scores = {name: chair[name] for name in METRICS[:-1]} | {METRICS[-1]: pope["strict"]["accuracy"]}
    ci = {name: chair["ci"][name] for name in METRICS[:-1]} | {METRICS[-1]: pope["ci"]["strict"]["accuracy"]}
    sizes = {"n": len(exam.data.scenes), "questions": pope["n"]}
    return {**sizes, "scores": scores, "ci": ci, "chair": chair, "pope": pope}


def compare(first: EvalAnswers, second: EvalAnswers, exam: Exam) -> dict[str, dict[str, Any]]:
    """The paired difference, second minus first, of every metric.

    Returns:
        metric to `{difference, ci, measurable, verdict}`, and for captions `p` (see `ratio_test`). The verdict is
        "better", "worse", "changed" (recall counts as better when it rises; length is neither) or
        "no measurable change".
    """
    a, b = _caption_parts(first, exam), _caption_parts(second, exam)
    results = {name: ratio_test(a[name], b[name]) for name in METRICS[:-1]}
    right = [_right(said, exam) for said in (first, second)]
    pictures = [question.image_id for question in exam.questions]
    results[METRICS[-1]] = paired_difference(*right, groups=pictures)
    for name, result in results.items():
        result["measurable"] = result["ci"] is not None and not result["ci"][0] <= 0 <= result["ci"][1]
        better = (result["difference"] or 0) < 0 if name in LESS_IS_BETTER else (result["difference"] or 0) > 0
        word = "changed" if name == "mean_length" else "better" if better else "worse"
        result["verdict"] = word if result["measurable"] else "no measurable change"
    return results


def _caption_parts(said: EvalAnswers, exam: Exam) -> dict[str, Any]:
    """Each caption metric as numerator and denominator per caption."""
    truth = [exam.data.truth[one.id] for one in said.captions]
    return chair_parts([one.answer for one in said.captions], truth, world_vocabulary(), "fixed")


def _right(said: EvalAnswers, exam: Exam) -> np.ndarray:
    """Whether each POPE answer is right, by the strict reading."""
    texts: Sequence[str] = answers_to(exam.questions, said.answers)
    return np.array([strict(text) == q.label for text, q in zip(texts, exam.questions, strict=True)], float)

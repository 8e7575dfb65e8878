"""Answers without looking: the baseline that a yes/no benchmark is read against.

A model that is shown a blank picture can only answer from the words of the question, so it says the same whatever
picture the question was about. One answer for each object is therefore enough to score it on thousands of questions.
What it reaches above one half it owes to the questions. What the same model loses when its picture goes, it owed to
the picture.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from mmhallu_core.evaluate.answers import strict
from mmhallu_core.evaluate.pope import question_about
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.statistics import ratio, ratio_interval
from mmhallu_core.types import Answer, YesNoQuestion
from mmhallu_core.world.prior import PRIOR, TYPICAL, sample_scene
from mmhallu_core.world.scene import Scene
from mmhallu_core.world.vocabulary import KINDS

GREY = (128, 128, 128)


def blank(size: tuple[int, int] = (96, 96)) -> Image.Image:
    """A picture of nothing: grey, of a width and height in pixels."""
    return Image.new("RGB", size, GREY)


def shuffled(image: Image.Image, rows: int, cols: int, seed: int = 0) -> Image.Image:
    """The same patches in another order: what is there stays, where it is and what it makes up together are lost."""
    wide, high = image.width // cols, image.height // rows
    places = [(col * wide, row * high) for row in range(rows) for col in range(cols)]
    taken = random.Random(seed).sample(places, len(places))
    result = image.copy()
    for (x, y), (left, top) in zip(places, taken, strict=True):
        result.paste(image.crop((left, top, left + wide, top + high)), (x, y))
    return result


def scenes_alone(n: int = 1000, split: str = "test", prior: float = PRIOR) -> dict[str, Scene]:
    """The scenes of `diorama.held_out`, not drawn: enough for questions and their truth."""
    return {f"{split}-{i:04d}": sample_scene(f"{split}/{i}", prior) for i in range(n)}


def blind_replies(model: Vlm, kinds: Collection[str] = tuple(KINDS)) -> dict[str, str]:
    """What a model says to "Is there a ... in the image?" about a blank picture: question to reply."""
    questions = [question_about(kind) for kind in kinds]
    return dict(zip(questions, model.answer([blank()] * len(questions), questions, 4, 64), strict=True))


def answer_all(questions: Sequence[YesNoQuestion], replies: Mapping[str, str]) -> list[Answer]:
    """Answers that depend on the question's words alone.

    Raises:
        KeyError: when a question has no reply.
    """
    return [Answer(question.id, replies[question.question]) for question in questions]


def false_yes(
    questions: Sequence[YesNoQuestion], answers: Sequence[Answer], scenes: Mapping[str, Scene]
) -> dict[str, dict[str, Any]]:
    """How often an absent object gets a yes, apart by whether its place makes it likely.

    Args:
        questions: of any sampling; those about present objects are left out.
        answers: one for each question, joined by id.
        scenes: image id to scene.

    Returns:
        `typical` and `other`, each with `n`, `rate` and its 95% interval `ci` over pictures (None where n is 0).
    """
    said = {answer.id: strict(answer.answer) for answer in answers}
    absent = [question for question in questions if question.label == "no"]
    likely = {question_about(kind): kind for kind in KINDS}
    groups: dict[str, list[YesNoQuestion]] = {"typical": [], "other": []}
    for question in absent:
        kind, place = likely[question.question], scenes[question.image_id].place
        groups["typical" if kind in TYPICAL[place] else "other"].append(question)
    result = {}
    for name, group in groups.items():
        yes = np.array([said[question.id] == "yes" for question in group], dtype=float)
        images = [question.image_id for question in group]
        ci = ratio_interval(yes, np.ones(len(yes)), images) if group else None
        result[name] = {"n": len(group), "rate": ratio(float(yes.sum()), len(group)), "ci": ci}
    return result

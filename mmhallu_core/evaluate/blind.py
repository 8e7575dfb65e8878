"""Answers without looking: the baseline that a benchmark is read against.

A model that is shown a blank picture answers from the words of the question, so one answer for each object is enough to
score it on thousands of questions. What it scores above chance it owes to the words. Nor need it be a model: half of
POPE's labels are yes, but not half of those about cars, so an object's name tells something of the label (`asked`).
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from mmhallu_core.data.answers import thinking
from mmhallu_core.data.decode import BadPicture, decode
from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.answer_journal import as_answer
from mmhallu_core.evaluate.answers import strict
from mmhallu_core.evaluate.benchmark import read_answer
from mmhallu_core.evaluate.metrics import interval
from mmhallu_core.evaluate.pope import question_about
from mmhallu_core.evaluate.replies import thing_asked
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.statistics import ratio, ratio_interval
from mmhallu_core.types import Answer, Picture, YesNoQuestion
from mmhallu_core.world.prior import TYPICAL
from mmhallu_core.world.scene import Scene
from mmhallu_core.world.vocabulary import KINDS

GREY = (128, 128, 128)
UNKNOWN = (96, 96)  # where a picture is not here, or is none
NEW_TOKENS = 16
THOUGHT_TOKENS = 2048  # for a model that thinks aloud first


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


def blind_replies(model: Vlm) -> dict[str, str]:
    """What a model says to "Is there a ... in the image?" about a blank picture: question to reply."""
    questions = [question_about(kind) for kind in KINDS]
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


def asked(questions: Sequence[YesNoQuestion]) -> dict[str, Any]:
    """What POPE questions ask, and what somebody scores who hears the object's name and sees nothing.

    That somebody answers as most questions about the same object are labelled on the other pictures; yes where there
    are as many of both.

    Returns:
        `questions, pictures, yes` (share of the labels), `objects` (different ones among the absent), `five` (share of
        the absent questions that the five most asked take), `name_alone: {accuracy, ci}`, interval over pictures.
    """
    names = [thing_asked(one.question)[1] for one in questions]
    yes = np.array([one.label == "yes" for one in questions])
    absent = Counter(name for name, there in zip(names, yes, strict=True) if not there)
    balance: Counter = Counter()  # yes minus no, by object; and by object and picture
    for name, one, there in zip(names, questions, yes, strict=True):
        balance[name] += 1 if there else -1
        balance[name, one.image_id] += 1 if there else -1
    others = np.array([balance[n] - balance[n, one.image_id] for n, one in zip(names, questions, strict=True)])
    right = ((others >= 0) == yes).astype(float)
    return {
        "questions": len(questions),
        "pictures": len({one.image_id for one in questions}),
        "yes": float(yes.mean()),
        "objects": len(absent),
        "five": sum(count for _, count in absent.most_common(5)) / absent.total(),
        "name_alone": {
            "accuracy": float(right.mean()),
            "ci": ratio_interval(right, np.ones(len(right)), [one.image_id for one in questions]),
        },
    }


def size(picture: Picture) -> tuple[int, int] | None:
    """Width and height in pixels; None where the picture is not here or cannot be read."""
    try:
        return decode(picture).image.size
    except BadPicture:
        return None


def no_image(questions: Sequence[Question], vlm: Vlm) -> dict[str, Any]:
    """What a model answers when every picture is grey, scored strictly.

    A reply depends on the prompt and on the pictures' sizes alone, so questions that share both are asked once.

    Args:
        questions: with options, or with the answer yes or no; one without a picture gets one grey picture.
        vlm: answers greedily.

    Returns:
        `model`, `accuracy` and `unparsed` by the strict reading, `ci` (95% intervals of both), `sizes_unknown` (how
        many questions had a picture that is not here; their grey one is 96 pixels wide and high). Where a model thinks
        aloud, `thinking`: see `data.answers.thinking`; it counts each reply once.
    """
    found = [[size(picture) for picture in question.images] or [UNKNOWN] for question in questions]
    sizes = [tuple(one or UNKNOWN for one in those) for those in found]
    asked = list(dict.fromkeys(zip((question.prompt for question in questions), sizes, strict=True)))
    grey = {one: blank(one) for those in set(sizes) for one in those}
    most = THOUGHT_TOKENS if vlm.opens_thought else NEW_TOKENS
    replies = vlm.say([[grey[one] for one in those] for _, those in asked], [text for text, _ in asked], most)
    said = {one: as_answer(one[0], text) for one, text in zip(asked, replies, strict=True)}
    read = [read_answer(one, said[one.prompt, those].answer) for one, those in zip(questions, sizes, strict=True)]
    right = [one == question.truth for one, question in zip(read, questions, strict=True)]
    unparsed = [one is None for one in read]
    return {
        "model": vlm.name,
        "accuracy": sum(right) / len(right),
        "unparsed": sum(unparsed) / len(unparsed),
        "ci": {"accuracy": interval(right, questions), "unparsed": interval(unparsed, questions)},
        "sizes_unknown": sum(None in those for those in found),
        **thinking(said.values()),
    }

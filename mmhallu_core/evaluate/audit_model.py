"""The blind audit with a model: the same questions about grey pictures of the same sizes, scored strictly.

What it scores above chance it knows from the words. A reply depends on the prompt and on the pictures' sizes alone, so
questions that share both are asked once.
"""

from collections.abc import Sequence
from typing import Any

from mmhallu_core.data.answers import thinking
from mmhallu_core.data.decode import BadPicture, decode
from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.answer_journal import as_answer
from mmhallu_core.evaluate.audit_yes_no import interval
from mmhallu_core.evaluate.benchmark import read_answer
from mmhallu_core.evaluate.blind import blank
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import Picture

UNKNOWN = (96, 96)  # where a picture is not here, or is none
NEW_TOKENS = 16
THOUGHT_TOKENS = 2048  # for a model that thinks aloud first


def size(picture: Picture) -> tuple[int, int] | None:
    """Width and height in pixels; None where the picture is not here or cannot be read."""
    try:
        return decode(picture).image.size
    except BadPicture:
        return None


def no_image(questions: Sequence[Question], vlm: Vlm) -> dict[str, Any]:
    """What a model answers when every picture is grey.

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

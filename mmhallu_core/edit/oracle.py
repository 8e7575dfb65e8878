"""Diorama's oracle: an annotator that is right, or wrong exactly as often as a dial says.

It gets the prompts that every annotator gets and answers in the forms that every annotator must keep; its replies go
through the same readers. What a picture shows it takes from the scene inside the file (`truth.py`); of texts it takes
what they say. So it completes captions, compares, judges and rewrites as a perfect model would, whatever the stages
before have made of a draft, a wrong caption included.

With an error rate, each request errs with that probability, in one of the ways that `ERRORS` lists for its job,
all ways of a job alike. The draw depends on the oracle's seed and the request's id alone, so the same seed gives the
same replies in any order, in any process. A second request after an unreadable reply has another id and a new draw.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mmhallu_core.clients.client import BEGIN, END, Reply, Request
from mmhallu_core.edit.engine import replies
from mmhallu_core.edit.engine.replies import CRITERIA, RECOMMENDATION
from mmhallu_core.edit.oracle_words import (
    ERRORS,
    ErrorType,
    caption_about,
    caption_like,
    imagined_caption,
    malformed,
    other_category,
    other_meaning,
)
from mmhallu_core.edit.stages.annotate import AGAIN
from mmhallu_core.edit.stages.asked import as_statement
from mmhallu_core.edit.stages.instructions import (
    INSTRUCTIONS,
    Meaning,
    meaning_of,
    photo_of,
    read_instruction,
    read_statement,
    reword,
)
from mmhallu_core.edit.truth import planned_in, scene_in
from mmhallu_core.types import CATEGORIES, CannotRun
from mmhallu_core.world.edits import edit_between, propose
from mmhallu_core.world.scene import Scene
from mmhallu_core.world.vocabulary import KIND_OF

# What the lenient judge does not look at: the words for how it was before, and numbers that go without saying.
DETAILS = {"look": ("old",), "one": ("old",), "pose": ("old",), "place": ("old",), "count": ("old",), "move": ("old",),
           "pass": ("old_holder",), "add": ("new",), "replace": ("a",), "outgrow": ("n",)}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A request as the oracle sees it.

    Attributes:
        data: the texts between the prompt's markers, by name.
        scenes: what its pictures show.
        pictures: the pictures themselves.
        rng: draws for this request alone.
        error_type: how the reply shall be wrong, None for a right one.
    """

    data: dict[str, str]
    scenes: list[Scene]
    pictures: list[bytes]
    rng: random.Random
    error_type: ErrorType | None


class Oracle:
    """A client that knows Diorama.

    Args:
        seed: of the errors, and of its choice among wordings.
        error: the share of requests that are answered wrongly, 0 to 1.
    """

    def __init__(self, seed: int = 0, error: float = 0.0) -> None:
        if not 0 <= error <= 1:
            raise CannotRun(f"the oracle's error rate is a share from 0 to 1, got {error}")
        self.seed, self.error = seed, error
        self.about: dict[str, Any] = {"kind": "oracle", "seed": seed, "error": error}

    def error_type_of(self, request_id: str) -> ErrorType | None:
        """How the reply to a request is wrong; None when it is right."""
        return self._drawn(request_id)[1]

    def ask(self, request: Request) -> Reply:
        """Answers one request of `jobs.py`.

        Raises:
            CannotRun: when a picture is not one of Diorama's, or the request is none of those jobs.
        """
        job = _job_of(request.id)
        if job not in ANSWERS:
            raise CannotRun(f"request {request.id}: the oracle answers {', '.join(ANSWERS)}")
        rng, error_type = self._drawn(request.id)
        pictures = [image for image in request.images if isinstance(image, bytes)]
        scenes = [scene for scene in map(scene_in, pictures) if scene is not None]
        if len(scenes) != len(request.images):
            raise CannotRun(
                f"request {request.id}: the oracle knows Diorama's pictures only, as their source made them; "
                "for other pictures name another annotator"
            )
        text = ANSWERS[job](Asked(_data_in(request.prompt), scenes, pictures, rng, error_type))
        return Reply(request.id, malformed(text, rng) if error_type == ErrorType.MALFORMED else text)

    def _drawn(self, request_id: str) -> tuple[random.Random, ErrorType | None]:
        rng = random.Random(f"oracle/{self.seed}/{request_id}")
        errs = rng.random() < self.error
        return rng, rng.choice(ERRORS[_job_of(request_id)]) if errs else None


def _job_of(request_id: str) -> str:
    return request_id.removesuffix(AGAIN).rpartition("/")[2]


def _data_in(prompt: str) -> dict[str, str]:
    """The texts between the markers of a prompt."""
    inside = prompt.split(f"\n{BEGIN}\n", 1)[1].split(f"\n{END}\n", 1)[0]
    pairs = (line.split(" = ", 1) for line in inside.splitlines())
    return {name: json.loads(text) for name, text in pairs}


def _filter(asked: Asked) -> str:
    """Editable when a caption is there; a wrong verdict is no for one criterion."""
    wrong = asked.rng.choice(CRITERIA) if asked.error_type == ErrorType.WRONG_VERDICT else None
    lines = [f"**{n}. {name}:** {_why(name)} **{_yes(name != wrong)}**" for n, name in enumerate(CRITERIA, start=1)]
    return "\n".join([*lines, f"**{RECOMMENDATION}:** **{_yes(wrong is None)}**"])


def _why(criterion: str) -> str:
    return {
        "Image quality": "A drawing with clear outlines.",
        "Text clarity": "It names what is there.",
        "Editing potential": "Each thing can be changed by itself.",
        "Interference factors": "Nothing hides the things.",
    }[criterion]


def _plan(asked: Asked) -> str:
    """The edit that the scene was made for where its category is on offer, else any edit of a category on offer."""
    scene, planned = asked.scenes[0], planned_in(asked.pictures[0])
    offered = [name for name in CATEGORIES if f"{name}: " in asked.data["categories"]]
    edit = planned if planned is not None and planned.category in offered else None
    for category in asked.rng.sample(offered, len(offered)) if edit is None else ():
        edit = propose(scene, category, asked.rng)
        if edit is not None:
            break
    if edit is None:
        return f"Type: {replies.NONE}"
    meaning, category = meaning_of(edit), edit.category
    if asked.error_type == ErrorType.WRONG_CATEGORY:
        category = other_category(category, asked.rng)
    elif asked.error_type == ErrorType.WRONG_OBJECT:
        meaning = other_meaning(meaning, ErrorType.WRONG_OBJECT, scene, asked.rng)
    request = meaning.instruction(asked.rng.randrange(len(INSTRUCTIONS[meaning.form])))
    return (
        f"Type: {category}\n## Prompt: Hi, this is a photo of {photo_of(scene)}. "
        f"Can you {request} and output the image?"
    )


def _complete(asked: Asked) -> str:
    text = caption_about(asked.scenes[0], read_instruction(asked.data["edit_request"]))
    if asked.error_type != ErrorType.IMAGINED_THING and text == asked.data["caption"]:
        return replies.NO_UPDATE
    return f"{replies.CAPTION}: {_maybe_imagined(text, asked)}"


def _recaption(asked: Asked) -> str:
    return f"{replies.CAPTION}: {_maybe_imagined(caption_like(asked.scenes[0], asked.data['reference']), asked)}"


def _maybe_imagined(text: str, asked: Asked) -> str:
    return imagined_caption(text, asked.scenes[0], asked.rng) if asked.error_type == ErrorType.IMAGINED_THING else text


def _difference(asked: Asked) -> str:
    """What the captions differ in: something that only one of them made up, or else the edit."""
    before, after = asked.scenes
    meaning = _made_up(asked.data["caption_1"], before, asked.data["caption_2"], after)
    if meaning is None:
        edit = edit_between(before, after)
        meaning = None if edit is None else meaning_of(edit)
    if meaning is None:
        return replies.NO_DIFFERENCE
    category = meaning.category
    if asked.error_type == ErrorType.WRONG_CATEGORY:
        category = other_category(category, asked.rng)
    elif asked.error_type in (ErrorType.WRONG_OBJECT, ErrorType.WRONG_DIRECTION):
        meaning = other_meaning(meaning, asked.error_type, before, asked.rng)
    return f"{replies.TYPE}: {category}\n{replies.DIFFERENCE}: {meaning.statement()}"


def _made_up(caption_1: str, before: Scene, caption_2: str, after: Scene) -> Meaning | None:
    """A thing that one caption names, its picture lacks, and the other caption does not name."""
    named_1, named_2 = ({KIND_OF[w] for w in _words(text) if w in KIND_OF} for text in (caption_1, caption_2))
    for kind in sorted(named_2 - named_1 - set(after.kinds())):
        colour = next((w for w, noun in _pairs(caption_2) if KIND_OF.get(noun) == kind), "red")
        return Meaning("add", {"new": colour, "b": kind})
    for kind in sorted(named_1 - named_2 - set(before.kinds())):
        return Meaning("gone", {"a": kind})
    return None


def _words(text: str) -> list[str]:
    return text.lower().replace(".", " ").replace(",", " ").replace(":", " ").split()


def _pairs(text: str) -> list[tuple[str, str]]:
    words = _words(text)
    return list(zip(words, words[1:], strict=False))


def _judge_1(asked: Asked) -> str:
    found, wanted = read_statement(asked.data["difference"]), read_instruction(asked.data["edit_request"])
    return _verdict(found is not None and found == wanted, asked)


def _judge_2(asked: Asked) -> str:
    before, after = as_statement("\n").split("\n")
    wanted = read_instruction(asked.data["description"].removeprefix(before).removesuffix(after))
    found = read_statement(asked.data["difference"])
    return _verdict(found is not None and wanted is not None and _core(found) == _core(wanted), asked)


def _core(meaning: Meaning) -> Meaning:
    """A meaning without the details that a lenient judge forgives."""
    kept = {name: word for name, word in meaning.slots.items() if name not in DETAILS.get(meaning.form, ())}
    return Meaning(meaning.form, kept)


def _verdict(holds: bool, asked: Asked) -> str:
    return _yes(holds != (asked.error_type == ErrorType.WRONG_VERDICT))


def _yes(holds: bool) -> str:
    return "Yes" if holds else "No"


def _refine(asked: Asked) -> str:
    """The same difference in another wording; what the oracle does not understand it leaves as it is."""
    text = asked.data["difference"]
    meaning = read_statement(text)
    if meaning is not None:
        if asked.error_type in (ErrorType.WRONG_OBJECT, ErrorType.WRONG_DIRECTION):
            meaning = other_meaning(meaning, asked.error_type, None, asked.rng)
        text = reword(meaning, asked.rng)
    return f"{replies.IMPROVED}: {text}"


ANSWERS: dict[str, Callable[[Asked], str]] = {
    "filter": _filter, "plan": _plan, "plan_object": _plan, "complete": _complete, "recaption": _recaption,
    "difference": _difference, "judge_1": _judge_1, "judge_2": _judge_2, "refine": _refine,
}  # fmt: skip

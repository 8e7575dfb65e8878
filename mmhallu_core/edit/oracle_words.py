"""What the oracle says of Diorama: captions as a perfect captioner writes them, and the ways in which it errs.

A full description leaves out what is ordinary: a medium size, a plain pattern, a tail that is there. If just that is
going to change, the caption must say it; these sentences do, in three forms, so that the captioner of the edited
picture finds them in its reference and says the same of its own picture.

The oracle errs as annotators of real pipelines do. A request that errs does so in one of the ways of its job
(`ERRORS`), all alike: a wrong verdict; a category that is not the edit's; another thing, or one that is not there; the
wrong direction; in a caption a thing as habit would have it; or a reply that keeps no form.
"""

import random
import re
from enum import StrEnum

from mmhallu_core.edit.stages.instructions import Meaning
from mmhallu_core.types import CATEGORIES
from mmhallu_core.world.language.caption import describe
from mmhallu_core.world.prior import HABIT_COLOUR, imagined_kind
from mmhallu_core.world.scene import Scene, Thing, is_left_of
from mmhallu_core.world.vocabulary import ADJECTIVES, COLOURS, KINDS, PATTERNS, part_phrase, with_article


class ErrorType(StrEnum):
    """One way to be wrong."""

    WRONG_VERDICT = "wrong_verdict"
    WRONG_CATEGORY = "wrong_category"
    WRONG_OBJECT = "wrong_object"
    WRONG_DIRECTION = "wrong_direction"
    IMAGINED_THING = "imagined_thing"
    MALFORMED = "malformed"


ERRORS: dict[str, tuple[ErrorType, ...]] = {
    "filter": (ErrorType.WRONG_VERDICT, ErrorType.MALFORMED),
    "plan": (ErrorType.WRONG_CATEGORY, ErrorType.WRONG_OBJECT, ErrorType.MALFORMED),
    "plan_object": (ErrorType.WRONG_CATEGORY, ErrorType.WRONG_OBJECT, ErrorType.MALFORMED),
    "complete": (ErrorType.IMAGINED_THING, ErrorType.MALFORMED),
    "recaption": (ErrorType.IMAGINED_THING, ErrorType.MALFORMED),
    "difference": (ErrorType.WRONG_CATEGORY, ErrorType.WRONG_OBJECT, ErrorType.WRONG_DIRECTION, ErrorType.MALFORMED),
    "judge_1": (ErrorType.WRONG_VERDICT, ErrorType.MALFORMED),
    "judge_2": (ErrorType.WRONG_VERDICT, ErrorType.MALFORMED),
    "refine": (ErrorType.WRONG_OBJECT, ErrorType.WRONG_DIRECTION, ErrorType.MALFORMED),
}

_BESIDE = re.compile(r"The (\w+) is to the (?:left|right) of the (\w+)\.")
_LOOKS = re.compile(r"The (\w+) is (\w+)\.")
_PART = re.compile(r"The (\w+) (?:has|does not have) (?:an? )?\w+\.")

APOLOGY = "I am sorry, but I cannot help with this picture."


def malformed(right: str, rng: random.Random) -> str:
    """A reply that keeps no form: an apology, a right reply after some chatter, or one that goes on and on."""
    return rng.choice((APOLOGY, f"Sure! Here is my answer.\n{right}", f"{right}\nLet me know if you need\n{right}"))


def imagined_caption(text: str, scene: Scene, rng: random.Random) -> str:
    """A caption with one thing more: what usually stands in such a place, or else anything that is not there."""
    kind = imagined_kind(scene) or rng.choice([kind for kind in KINDS if not scene.of_kind(kind)])
    colour = HABIT_COLOUR.get(kind) or rng.choice(COLOURS)
    return f"{text} There is {with_article(f'{colour} {kind}')}."


def other_category(category: str, rng: random.Random) -> str:
    """One of the ten others."""
    return rng.choice([name for name in CATEGORIES if name != category])


def other_meaning(meaning: Meaning, error_type: ErrorType, scene: Scene | None, rng: random.Random) -> Meaning:
    """A difference of another thing, or in the wrong direction; never the same one.

    The other thing is one of the scene where there is a fitting one. A change of place has no thing and "all" has no
    direction: then the new place or look is another one.
    """
    slots = dict(meaning.slots)
    if error_type == ErrorType.WRONG_OBJECT and meaning.form != "place":
        name = "b" if meaning.form == "add" else "a"
        return Meaning(meaning.form, slots | {name: _other_kind(meaning, slots[name], scene, rng)})
    if meaning.form in ("attach", "detach"):
        return Meaning("detach" if meaning.form == "attach" else "attach", slots)
    if meaning.form == "gone":
        return Meaning("add", {"new": rng.choice(COLOURS), "b": slots["a"]})
    if meaning.form == "add":
        return Meaning("gone", {"a": slots["b"]})
    if meaning.form == "outgrow":
        return Meaning("outgrow", slots | {"new": "smaller" if slots["new"] == "larger" else "larger"})
    if meaning.form == "all":
        words = COLOURS if slots["new"] in COLOURS else PATTERNS
        return Meaning("all", slots | {"new": rng.choice([word for word in words if word != slots["new"]])})
    pairs = (("old", "new"), ("a", "b"), ("old_holder", "new_holder"))
    first, second = next(
        pair for pair in pairs if set(pair) <= set(slots) and (pair != ("a", "b") or meaning.form == "replace")
    )
    return Meaning(meaning.form, slots | {first: slots[second], second: slots[first]})


def _other_kind(meaning: Meaning, kind: str, scene: Scene | None, rng: random.Random) -> str:
    """Another kind of which the statement makes sense: it has the poses, a part, or a way to be carried."""
    taken = set(meaning.slots.values())

    def fits(other: str) -> bool:
        if meaning.form == "pose":
            return {meaning.slots["old"], meaning.slots["new"]} <= set(KINDS[other].poses)
        if meaning.form in ("attach", "detach"):
            return KINDS[other].part is not None
        return meaning.form != "pass" or KINDS[other].held is not None

    kinds = [other for other in KINDS if other not in taken and fits(other)]
    near = [other for other in kinds if scene is not None and scene.of_kind(other)]
    return rng.choice(near or kinds)


def caption_about(scene: Scene, asked: Meaning | None) -> str:
    """The full caption of a picture that will be edited as `asked`."""
    slots = {} if asked is None else asked.slots
    aspects = []
    if asked is not None and asked.form == "move":
        aspects = [_beside(scene, slots["a"], slots["b"])]
    elif asked is not None and asked.form == "look":
        aspects = [_look(scene, slots["a"], ADJECTIVES[slots["new"]])]
    elif asked is not None and asked.form in ("attach", "detach"):
        aspects = [_part(scene, slots["a"])]
    return _with(scene, aspects)


def caption_like(scene: Scene, reference: str) -> str:
    """The full caption of a picture, with the aspects that the reference caption speaks of."""
    aspects = [_beside(scene, *match.groups()) for match in _BESIDE.finditer(reference)]
    aspects += [
        _look(scene, match[1], ADJECTIVES[match[2]]) for match in _LOOKS.finditer(reference) if match[2] in ADJECTIVES
    ]
    aspects += [_part(scene, match[1]) for match in _PART.finditer(reference)]
    return _with(scene, aspects)


def _with(scene: Scene, aspects: list[str | None]) -> str:
    """The description and the aspects, none of them twice; None stands for one that this picture does not have."""
    said = describe(scene, "full").text
    new = [aspect for aspect in dict.fromkeys(aspects) if aspect is not None and aspect not in said]
    return " ".join([said, *new])


def _only(scene: Scene, kind: str) -> Thing | None:
    found = scene.of_kind(kind)
    return found[0] if len(found) == 1 else None


def _beside(scene: Scene, kind: str, other: str) -> str | None:
    a, b = _only(scene, kind), _only(scene, other)
    if a is None or b is None or not (is_left_of(a, b) or is_left_of(b, a)):
        return None
    return f"The {kind} is to the {'left' if is_left_of(a, b) else 'right'} of the {other}."


def _look(scene: Scene, kind: str, what: str) -> str | None:
    """Size or pattern; colours are in every full description, and what a person wears is said there too."""
    thing = _only(scene, kind)
    return None if thing is None or what == "colour" else f"The {kind} is {getattr(thing, what)}."


def _part(scene: Scene, kind: str) -> str | None:
    thing, part = _only(scene, kind), KINDS.get(kind) and KINDS[kind].part
    if thing is None or part is None:
        return None
    return f"The {kind} {'has' if thing.part else 'does not have'} {part_phrase(part)}."

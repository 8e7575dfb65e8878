"""How the oracle errs: the ways in which annotators of real pipelines go wrong, each with a fixed share.

A request that errs does so in one of the ways of its job, all alike:

    filter          a wrong verdict; a malformed reply
    plan            a category that is not the edit's; an edit of a thing that is not there; a malformed reply
    complete,
    recaption       a thing that is not there, in the last sentence, as habit would have it; a malformed reply
    difference      a wrong category; another thing; the wrong direction; a malformed reply
    judges          a wrong verdict; a malformed reply
    refine          another thing; the wrong direction; a malformed reply
"""

import random
from enum import StrEnum

from mmhallu_core.edit.stages.instructions import Meaning
from mmhallu_core.types import CATEGORIES
from mmhallu_core.world.prior import HABIT_COLOUR, imagined_kind
from mmhallu_core.world.scene import Scene
from mmhallu_core.world.vocabulary import COLOURS, KINDS, PATTERNS, with_article


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

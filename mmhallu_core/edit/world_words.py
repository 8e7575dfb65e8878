"""What a perfect captioner says about a Diorama picture: the full description, and the aspect that an edit is about.

A full description leaves out what is ordinary: a medium size, a plain pattern, a tail that is there, most of what is
left of what. If just that is going to change, the caption must say it, or the two captions would not differ where the
pictures do. These sentences say it, and they are of three forms, so that the captioner of the edited picture finds
them in its reference and says the same of its own picture.
"""

import re

from mmhallu_core.edit.stages.instructions import Meaning
from mmhallu_core.world.language.caption import describe
from mmhallu_core.world.scene import Scene, Thing, is_left_of
from mmhallu_core.world.vocabulary import ADJECTIVES, KINDS, part_phrase

_BESIDE = re.compile(r"The (\w+) is to the (?:left|right) of the (\w+)\.")
_LOOKS = re.compile(r"The (\w+) is (\w+)\.")
_PART = re.compile(r"The (\w+) (?:has|does not have) (?:an? )?\w+\.")


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

"""Every single fact of a scene that can be changed, what it can be changed to, and a question that the change answers.

A change keeps everything visible: a value that would push a thing out of the picture, or behind another, is left out.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mmhallu_core.world.edits_make import MOST_THINGS, new_id, with_changed
from mmhallu_core.world.language import WorldQuestion
from mmhallu_core.world.language.questions import action, colour, counting, existence, pattern, size
from mmhallu_core.world.language.questions import part as ask_part
from mmhallu_core.world.language.questions import place as ask_place
from mmhallu_core.world.prior import TYPICAL, random_look, sample_scene
from mmhallu_core.world.scene import Scene, Thing, carried_at, flies, layout_ok, place_for
from mmhallu_core.world.vocabulary import (
    COLOURS,
    KINDS,
    PATTERNS,
    PEOPLE,
    PLACE_PHRASES,
    PLACES,
    SIZES,
    number_word,
    part_phrase,
    with_article,
)

LOOKS = {"colour": (COLOURS, colour), "size": (tuple(SIZES), size), "pattern": (PATTERNS, pattern)}


@dataclass(frozen=True)
class Field:
    """One fact that can be changed.

    Attributes:
        key: the id of the thing ("scene" for the place, "new" for a thing more) and what of it.
        label: in words: "the dog: colour".
        value: what it is now.
        values: everything it can be, what it is now included, with the scene that results.
        question: asks a scene that results for this fact.
    """

    key: tuple[str, str]
    label: str
    value: str
    values: dict[str, Scene]
    question: Callable[[Scene], WorldQuestion]


def fields(scene: Scene) -> list[Field]:
    """The facts of a scene that have at least one other value: of each thing from left to right, then of the scene."""
    found = [field for thing in sorted(scene, key=lambda thing: thing.x) for field in _of_thing(scene, thing)]
    places = {PLACE_PHRASES[place][0]: Scene(scene.id, place, scene.things) for place in PLACES}
    found.append(Field(("scene", "place"), "the place", PLACE_PHRASES[scene.place][0], places, ask_place))
    found.append(_one_more(scene))
    return [field for field in found if len(field.values) > 1]


def _of_thing(scene: Scene, thing: Thing) -> Iterator[Field]:
    """The facts of one thing."""
    group = scene.of_kind(thing.kind)
    name = f"the {thing.kind}"
    if len(group) > 1:
        name += f" ({number_word(group.index(thing) + 1)} of {number_word(len(group))}, from the left)"

    def field(what: str, value: str, others: dict[str, Thing], question: Callable[[Scene], WorldQuestion]) -> Field:
        """A field whose scenes have the thing changed; where several are of its kind, only their number is asked."""
        values = {word: with_changed(scene, other) for word, other in others.items()}
        fitting = {word: after for word, after in values.items() if word == value or layout_ok(after.things)}
        asked = question if len(group) == 1 else lambda after: counting(after, thing.kind)
        return Field((thing.id, what), f"{name}: {what}", value, fitting, asked)

    kinds = {kind: other for kind in KINDS if (other := _as_kind(scene, thing, kind))}
    yield field("kind", thing.kind, kinds, lambda after: existence(after, thing.kind))
    for what, (words, asks) in LOOKS.items():
        if what == "size" and thing.held_by:  # what is carried stays medium, as in the pictures of the training
            continue
        others = {word: thing.but(**{what: word}) for word in words}
        yield field(what, getattr(thing, what), others, lambda after, asks=asks: asks(after, after[thing.id]))
    if thing.pose and thing.pose != "flying":  # taking off would move it as well
        poses = {pose: thing.but(pose=pose) for pose in KINDS[thing.kind].poses if pose != "flying"}
        yield field("pose", thing.pose, poses, lambda after: action(after, after[thing.id]))
    if part := KINDS[thing.kind].part:
        words = {True: f"with {part_phrase(part)}", False: f"without {part_phrase(part)}"}
        others = {words[there]: thing.but(part=there) for there in words}
        yield field(part, words[thing.part], others, lambda after: ask_part(after, after[thing.id]))
    if len(scene.things) > 1 and not scene.carried(thing.id):
        gone = {"there": scene, "taken away": scene.without(thing.id)}
        yield Field((thing.id, "there"), f"{name}: there or not", "there", gone, lambda s: existence(s, thing.kind))


def _as_kind(scene: Scene, thing: Thing, kind: str) -> Thing | None:
    """The thing as another kind, where it stands, lies in a hand or flies; None where that kind cannot be so."""
    if kind == thing.kind:
        return thing
    if (thing.held_by and not KINDS[kind].held) or (scene.carried(thing.id) and kind not in PEOPLE):
        return None
    if scene.of_kind(kind):  # two of a kind would make the question ambiguous
        return None
    poses = KINDS[kind].poses
    pose = None if not poses else thing.pose if thing.pose in poses else poses[0]
    other = thing.but(kind=kind, pose=pose, part=True)
    if thing.held_by:
        other = carried_at(scene[thing.held_by], other)
    return other if flies(other) == flies(thing) else None


def _one_more(scene: Scene) -> Field:
    """A thing of an absent kind is added, if there is room."""
    nothing, missing = "nothing", next((kind for kind in TYPICAL[scene.place] if not scene.of_kind(kind)), "dog")
    values, old = {nothing: scene}, set(scene.kinds())
    for kind in KINDS if len(scene.things) < MOST_THINGS else ():
        rng = random.Random(f"one more/{scene.id}/{kind}")
        if kind not in old and (placed := place_for(random_look(new_id(scene), kind, rng), list(scene), rng)):
            values[with_article(kind)] = scene.plus(placed)

    def question(after: Scene) -> WorldQuestion:
        """Asks for the thing that came; while nothing has come, for what usually is there and is not."""
        return existence(after, next((kind for kind in after.kinds() if kind not in old), missing))

    return Field(("new", "more"), "one thing more", nothing, values, question)


def unusual_scenes(place: str, count: int, most: int = 6) -> list[Scene]:
    """The first scenes of a place that lack what the place makes most likely: beaches without an umbrella.

    No model is asked: scene number 0, 1, 2, ... is taken when it has three to `most` things, each the only one of its
    kind, and not that one.
    """
    scenes: list[Scene] = []
    for number in itertools.count():
        scene = sample_scene(f"widget/{place}/{number}", place=place)
        kinds = [thing.kind for thing in scene]
        if 3 <= len(set(kinds)) == len(kinds) <= most and TYPICAL[place][0] not in kinds:
            scenes.append(scene)
        if len(scenes) == count:
            break
    return scenes


def titled(scene: Scene) -> str:
    """What a picture is: "A beach without an umbrella", or "A beach" where nothing usual is missing."""
    words, usual = PLACE_PHRASES[scene.place][0], TYPICAL[scene.place][0]
    words += "" if scene.of_kind(usual) else f" without {with_article(usual)}"
    return words[0].upper() + words[1:]

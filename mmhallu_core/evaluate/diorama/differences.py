"""Four sentences about what changed between two pictures: a contrast set, one of them true.

MED's released benchmark can be scored far above chance by choosing the option that is most like the others, because
they were made from it. Here two things and two directions are drawn first ("the dog", "the cat"; from red to blue, from
blue to red), and it is settled which of the four happened. Then the two pictures are drawn.
"""

import random

from mmhallu_core.evaluate.diorama.choices import MOST, Choice, by_length, drawn
from mmhallu_core.evaluate.diorama.making import ScenePool
from mmhallu_core.evaluate.diorama.yes_no import LOOKS, ON_THE_GROUND, changeable, changed
from mmhallu_core.world.edits_make import only_ones
from mmhallu_core.world.language.compare import DIFFERENCE_PROMPTS
from mmhallu_core.world.language.statement import Slots, write
from mmhallu_core.world.scene import Scene, Thing, layout_ok
from mmhallu_core.world.vocabulary import KINDS, PLACE_PHRASES, PLACES

FORMS = ("colour", "pattern", "size", "pose", "part", "place", "gone")


def difference(pool: ScenePool, rng: random.Random, form: str, rank: int) -> Choice:
    """Asks "What is different between the two images?"; `form` is one of FORMS."""
    if form == "place":
        return _place(pool, rng, rank)
    return _gone(pool, rng, rank) if form == "gone" else _look(pool, rng, form, rank)


def _choice(texts: list[str], right: int, scenes: tuple[Scene, Scene], rng: random.Random, about: str = "") -> Choice:
    order = rng.sample(range(MOST), MOST)
    after = Scene(f"{scenes[1].id}-edited", scenes[1].place, scenes[1].things)
    options = tuple(texts[number] for number in order)
    return Choice(DIFFERENCE_PROMPTS[0], options, order.index(right), (scenes[0], after), about)


def said(form: str, slots: Slots) -> str:
    """A sentence of the world about a difference."""
    return "".join(write(form, slots).pieces)


def _look(pool: ScenePool, rng: random.Random, what: str, rank: int) -> Choice:
    """One of two things changes its colour, pattern, size, pose or part, in one of two directions."""
    old, new = (False, True) if what == "part" else (None, None)
    if what in LOOKS:
        old, new = rng.sample(LOOKS[what], 2)
    elif what == "pose":
        old, new = rng.sample(rng.choice([ON_THE_GROUND[kind] for kind in ("man", "dog")]), 2)
    scene = pool.find(rng, lambda scene: len(_able(scene, what, old, new)) > 1)
    things = rng.sample(_able(scene, what, old, new), 2)
    values = ((old, new), (new, old))
    texts = [_sentence(one, what, *both) for one in things for both in values]
    right = by_length(texts, rank)
    thing, way = things[right // 2], values[right % 2]
    return _choice(texts, right, tuple(changed(scene, thing, what, value) for value in way), rng, thing.kind)


def _sentence(thing: Thing, what: str, old: str | bool, new: str | bool) -> str:
    if what == "part":
        return said("attach" if new else "detach", {"a": thing.kind})
    return said("pose" if what == "pose" else "look", {"a": thing.kind, "old": old, "new": new})


def _able(scene: Scene, what: str, *values: str | bool) -> list[Thing]:
    """The things, each the only one of its kind, that can have each of these values and be seen with it."""
    found = []
    for thing in only_ones(scene):
        if what == "part" and not KINDS[thing.kind].part:
            continue
        if what == "pose" and not set(values) <= set(ON_THE_GROUND[thing.kind]):
            continue
        if changeable(scene, thing, what) and (
            what != "size" or all(layout_ok(changed(scene, thing, what, value).things) for value in values)
        ):
            found.append(thing)
    return found


def _place(pool: ScenePool, rng: random.Random, rank: int) -> Choice:
    """The same things somewhere else: two places where they may have been, two where they may be now."""
    names = rng.sample(PLACES, MOST)
    corners = [(old, new) for old in names[:2] for new in names[2:]]
    scene = rng.choice(pool.scenes)
    texts = [said("place", {"old": PLACE_PHRASES[old][0], "new": PLACE_PHRASES[new][0]}) for old, new in corners]
    right = by_length(texts, rank)
    return _choice(texts, right, tuple(Scene(scene.id, place, scene.things) for place in corners[right]), rng)


def _gone(pool: ScenePool, rng: random.Random, rank: int) -> Choice:
    """One of four things is taken away."""

    def removable(scene: Scene) -> list[Thing]:
        return [thing for thing in only_ones(scene) if not scene.carried(thing.id)]

    scene = pool.find(rng, lambda scene: len(removable(scene)) >= MOST)
    things, right = drawn(removable(scene), rng, rank, lambda thing: thing.kind)
    texts = [said("gone", {"a": thing.kind}) for thing in things]
    return _choice(texts, right, (scene, scene.without(things[right].id)), rng, things[right].kind)

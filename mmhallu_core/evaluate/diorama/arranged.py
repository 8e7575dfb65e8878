"""Scenes built to order: so many things of a kind, things at given spots, a person who holds one thing and not another.

Nothing about how a scene is built depends on what is asked of it but the answer itself, and where a try fails (there is
no room) another is made for the same answer. So the answers come out as often as they were drawn.
"""

import random
from collections.abc import Mapping, Sequence

from mmhallu_core.evaluate.diorama.making import ScenePool
from mmhallu_core.evaluate.diorama.yes_no import ON_THE_GROUND
from mmhallu_core.world.edits_make import MOST_THINGS, new_id
from mmhallu_core.world.prior import random_look
from mmhallu_core.world.scene import COLUMNS, Scene, carried_at, layout_ok, place_for
from mmhallu_core.world.vocabulary import KINDS, PLACES


def with_number(pool: ScenePool, rng: random.Random, kind: str, n: int) -> Scene:
    """A scene with n things of a kind, none of them carried: they are put into a scene that had none."""
    while True:
        start = pool.find(rng, lambda scene: not scene.of_kind(kind) and len(scene.things) <= MOST_THINGS - n)
        scene = put(start, [kind] * n, rng)
        if scene is not None:
            return scene


def put(scene: Scene, kinds: Sequence[str], rng: random.Random) -> Scene | None:
    """The scene with more things, small ones where it is narrow; None where there is no room for them."""
    for kind in kinds:
        thing = random_look(new_id(scene), kind, rng)
        placed = place_for(thing, list(scene), rng) or place_for(thing.but(size="small"), list(scene), rng)
        if placed is None:
            return None
        scene = scene.plus(placed)
    return scene


def empty(rng: random.Random) -> Scene:
    """A place with nothing in it."""
    return Scene(f"built-{rng.getrandbits(48):012x}", rng.choice(PLACES), ())


def gathered(kinds: Sequence[str], rng: random.Random) -> Scene:
    """A scene of these things, where each finds room; nobody carries anything."""
    while True:
        scene = put(empty(rng), kinds, rng)
        if scene is not None:
            return scene


def standing(spots: Mapping[str, tuple[int, float]], rng: random.Random) -> Scene:
    """A scene of small things, each kind in its column (0 to 3) and with its lower edge on its row's line.

    There are two rows, `layout.BACK` and `layout.FRONT`. A small thing fits in each spot and hides no other, whatever
    its kind, so where a thing can stand tells nothing about what it is.
    """
    scene = empty(rng)
    for kind, (column, row) in spots.items():
        pose = rng.choice(ON_THE_GROUND[kind]) if KINDS[kind].poses else None
        thing = random_look(new_id(scene), kind, rng, size="small", pose=pose)
        scene = scene.plus(thing.but(x=COLUMNS[column], y=row))
    return scene


def holder(person: str, held: str, others: Sequence[str], rng: random.Random) -> Scene:
    """A person who holds one thing, and other things that nobody holds."""
    while True:
        scene = empty(rng)
        one = place_for(random_look("o1", person, rng), [], rng, carried=1)
        if one is None:
            continue
        scene = scene.plus(one).plus(carried_at(one, random_look("o2", held, rng, size="medium")))
        whole = put(scene, others, rng) if layout_ok(scene.things) else None
        if whole is not None:
            return whole

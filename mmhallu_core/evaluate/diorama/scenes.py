"""Scenes for an answer that was drawn before them: found in a pool, repainted, or built.

Nothing about how a scene is made depends on what is asked of it but the answer itself, and where a try fails (there is
no room) another is made for the same answer. So the answers come out as often as they were drawn.
"""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mmhallu_core.world.edits_make import MOST_THINGS, in_the_open, new_id
from mmhallu_core.world.prior import random_look, sample_scene
from mmhallu_core.world.scene import COLUMNS, Scene, Thing, carried_at, layout_ok, place_for
from mmhallu_core.world.vocabulary import COLOURS, KINDS, PATTERNS, PLACES, SIZES

POOL = 1500
AHEAD = 2  # how many scenes more than the average kind one may be in
LOOKS = {"colour": COLOURS, "pattern": PATTERNS, "size": tuple(SIZES)}
ON_THE_GROUND = {name: tuple(pose for pose in kind.poses if pose != "flying") for name, kind in KINDS.items()}
ACTORS = tuple(name for name, poses in ON_THE_GROUND.items() if len(poses) > 1)


@dataclass(frozen=True, eq=False)
class ScenePool:
    """Scenes as the world makes them, to choose from: umbrellas stand at the beach, as everywhere in Diorama."""

    scenes: tuple[Scene, ...]

    def find(self, rng: random.Random, test: Callable[[Scene], bool]) -> Scene:
        """A scene that passes a test: the first one from a random place on.

        Raises:
            LookupError: when none does.
        """
        start = rng.randrange(len(self.scenes))
        for number in range(len(self.scenes)):
            scene = self.scenes[(start + number) % len(self.scenes)]
            if test(scene):
                return scene
        raise LookupError(f"none of {len(self.scenes)} scenes passes the test")


@lru_cache(maxsize=4)
def pool(seed: int) -> ScenePool:
    """The scenes of a seed; no split of `evaluate.diorama` and no training shares one."""
    return ScenePool(tuple(sample_scene(f"twin/{seed}/{number}") for number in range(POOL)))


def the(scene: Scene, kind: str) -> Thing | None:
    """The only thing of its kind, so that "the dog" names it; None where there is none or there are several."""
    group = scene.of_kind(kind)
    return group[0] if len(group) == 1 else None


def free(scene: Scene, kind: str) -> Thing | None:
    """The only thing of its kind when nobody carries it."""
    thing = the(scene, kind)
    return thing if thing and not thing.held_by else None


# ---------------------------------------------------------------- repainted


def with_value(pool: ScenePool, rng: random.Random, kind: str, what: str, value: str | bool) -> Scene:
    """A scene whose only thing of a kind has a wanted colour, pattern, size, pose or part."""
    scene = pool.find(rng, lambda one: (thing := the(one, kind)) is not None and can_have(one, thing, what, value))
    return changed(scene, the(scene, kind), what, value)


def can_have(scene: Scene, thing: Thing, what: str, *values: str | bool) -> bool:
    """Whether a field of a thing may be set to each value: seen in full, not carried where size counts and with room
    for it, on the ground for poses."""
    if what == "size":
        alone = not thing.held_by and not scene.carried(thing.id)
        return alone and all(layout_ok(changed(scene, thing, what, value).things) for value in values)
    if what == "pose":
        return thing.pose in ON_THE_GROUND[thing.kind]
    return what == "colour" or in_the_open(scene, thing)


def changed(scene: Scene, thing: Thing, what: str, value: str | bool) -> Scene:
    """The scene with one field of one thing set."""
    return scene.replace(thing.but(**{what: value}))


# ---------------------------------------------------------------- built


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


def alike_frequent(n: int, name: str) -> list[Scene]:
    """n scenes of the world, as they come, without those that would make a kind more frequent than the others.

    Naming one thing is then as good as naming another, and a caption of no picture in particular errs as often as one
    that names things at random. Within a place the habits stay: umbrellas stand at the beach.
    """
    kept: list[Scene] = []
    seen = Counter(dict.fromkeys(KINDS, 0))
    for number in itertools.count():
        scene = sample_scene(f"twin/{name}/{number}")
        if scene.things and max(seen[kind] for kind in scene.kinds()) < seen.total() / len(KINDS) + AHEAD:
            kept.append(scene)
            seen.update(scene.kinds())
        if len(kept) == n:
            break
    return kept

"""Yes/no questions whose answer was drawn before the scene: one maker for each thing that can be asked.

A maker gets what the question is about and the answer that it must have; it draws the rest of the words without looking
at that answer, and then finds or builds a scene. Texts are those of `world.language.questions`, which tiny-llava
learned.
"""

import random
from collections import defaultdict
from collections.abc import Callable
from functools import lru_cache

from mmhallu_core.evaluate.diorama.making import ScenePool, free, the
from mmhallu_core.world.edits_make import in_the_open
from mmhallu_core.world.language.questions import WorldQuestion
from mmhallu_core.world.language.questions import attribute as ask_attribute
from mmhallu_core.world.language.questions import existence as ask_existence
from mmhallu_core.world.language.questions import more as ask_more
from mmhallu_core.world.language.questions import part as ask_part
from mmhallu_core.world.language.questions import relation as ask_relation
from mmhallu_core.world.scene import Scene, Thing, is_behind, is_left_of, layout_ok
from mmhallu_core.world.vocabulary import COLOURS, KINDS, PATTERNS, SIZES

Asked = tuple[Scene, WorldQuestion]
Maker = Callable[[ScenePool, random.Random, str, bool], Asked]

LOOKS = {"colour": COLOURS, "pattern": PATTERNS, "size": tuple(SIZES)}
HOLDS = {"left of": is_left_of, "behind": is_behind}
ON_THE_GROUND = {name: tuple(pose for pose in kind.poses if pose != "flying") for name, kind in KINDS.items()}
ACTORS = tuple(name for name, poses in ON_THE_GROUND.items() if len(poses) > 1)
WITH_PARTS = tuple(name for name, kind in KINDS.items() if kind.part)


def existence(pool: ScenePool, rng: random.Random, kind: str, truth: bool) -> Asked:
    """Asks "Is there a dog in the image?"."""
    scene = pool.find(rng, lambda scene: bool(scene.of_kind(kind)) == truth)
    return scene, ask_existence(scene, kind)


def look(pool: ScenePool, rng: random.Random, kind: str, truth: bool, fields: tuple[str, ...] = tuple(LOOKS)) -> Asked:
    """Asks "Is the dog red?"; the dog is then painted red, or in any other colour."""
    what = rng.choice(fields)
    asked = rng.choice(LOOKS[what])
    value = asked if truth else rng.choice([word for word in LOOKS[what] if word != asked])
    scene = with_value(pool, rng, kind, what, value)
    return scene, ask_attribute(scene, the(scene, kind), what, asked)


def action(pool: ScenePool, rng: random.Random, kind: str, truth: bool) -> Asked:
    """Asks "Is the man running?", of a kind of ACTORS."""
    poses = ON_THE_GROUND[kind]
    asked = rng.choice(poses)
    pose = asked if truth else rng.choice([word for word in poses if word != asked])
    scene = with_value(pool, rng, kind, "pose", pose)
    return scene, ask_attribute(scene, the(scene, kind), "pose", asked)


def part(pool: ScenePool, rng: random.Random, kind: str, truth: bool) -> Asked:
    """Asks "Does the dog have a tail?", of a kind of WITH_PARTS."""
    scene = with_value(pool, rng, kind, "part", truth)
    return scene, ask_part(scene, the(scene, kind))


def more(pool: ScenePool, rng: random.Random, kind: str, truth: bool) -> Asked:
    """Asks "Are there more dogs than cats?"; for "no" there are more cats."""
    other = rng.choice([name for name in KINDS if name != kind])
    few, many = (other, kind) if truth else (kind, other)
    scene = pool.find(rng, lambda scene: len(scene.of_kind(many)) > len(scene.of_kind(few)))
    return scene, ask_more(scene, kind, other)


def relation(
    pool: ScenePool, rng: random.Random, kind: str, truth: bool, predicates: tuple[str, ...] = tuple(HOLDS)
) -> Asked:
    """Asks "Is the dog to the left of the car?"; for "no" the car is to the left of the dog.

    Tall things more often stand behind others, because small ones would be hidden there. So only pairs are asked
    about that some scenes have one way round and some the other.
    """
    table = related(pool)
    partners = [
        (other, predicate)
        for predicate in predicates
        for other in KINDS
        if table.get((kind, predicate, other)) and table.get((other, predicate, kind))
    ]
    other, predicate = rng.choice(partners)
    first, second = (kind, other) if truth else (other, kind)
    scene = rng.choice(table[first, predicate, second])
    return scene, ask_relation(scene, the(scene, kind), predicate, the(scene, other), rng)


@lru_cache(maxsize=4)
def related(pool: ScenePool) -> dict[tuple[str, str, str], list[Scene]]:
    """(kind, predicate, kind) to the scenes where it holds of two things, each the only one of its kind and free."""
    table: dict[tuple[str, str, str], list[Scene]] = defaultdict(list)
    for scene in pool.scenes:
        things = [thing for kind in scene.kinds() if (thing := free(scene, kind))]
        for one in things:
            for other in things:
                for predicate, holds in HOLDS.items():
                    if holds(one, other):
                        table[one.kind, predicate, other.kind].append(scene)
    return dict(table)


# ---------------------------------------------------------------- scenes with a wanted look


def with_value(pool: ScenePool, rng: random.Random, kind: str, what: str, value: str | bool) -> Scene:
    """A scene whose only thing of a kind has a wanted colour, pattern, size, pose or part."""

    def ready(scene: Scene) -> bool:
        thing = the(scene, kind)
        if thing is None or not changeable(scene, thing, what):
            return False
        return what != "size" or layout_ok(changed(scene, thing, what, value).things)

    scene = pool.find(rng, ready)
    return changed(scene, the(scene, kind), what, value)


def changeable(scene: Scene, thing: Thing, what: str) -> bool:
    """Whether a field of a thing may be set: seen in full, not carried where size counts, on the ground for poses."""
    if what == "size":
        return not thing.held_by and not scene.carried(thing.id)
    if what == "pose":
        return thing.pose in ON_THE_GROUND[thing.kind]
    return what == "colour" or in_the_open(scene, thing)


def changed(scene: Scene, thing: Thing, what: str, value: str | bool) -> Scene:
    """The scene with one field of one thing set."""
    return scene.replace(thing.but(**{what: value}))

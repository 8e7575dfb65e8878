"""Contrast sets of two groups of things, each of one kind: Counting, Differentiation, Comparison and Universality.

Scenes with two groups are rare in the world, so they are built. Both groups have as many members, so that the
sentences about them differ by their kinds alone. See `alone.py` for what a maker does.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from mmhallu_core.evaluate.contrast.alone import Maker, corners_of
from mmhallu_core.evaluate.contrast.quartet import Quartet, contrast_set, said, there_and_back
from mmhallu_core.evaluate.diorama.arranged import empty, put
from mmhallu_core.evaluate.diorama.yes_no import LOOKS
from mmhallu_core.world.edits_make import in_the_open
from mmhallu_core.world.scene import Scene, Thing
from mmhallu_core.world.vocabulary import KINDS, number_word


def two_groups(name: str, rng: random.Random, members: int, kinds: Sequence[str] = tuple(KINDS)) -> Scene | None:
    """A scene of two kinds with as many things of each, in an order in which neither kind has better spots."""
    wanted = rng.sample(kinds, 2) * members
    built = put(replace(empty(rng), id=f"scene-{name}"), rng.sample(wanted, len(wanted)), rng)
    return built


def _groups(scene: Scene, rng: random.Random) -> list[list[Thing]]:
    """Both groups in random order, and each with its members in random order: the first will change."""
    return [rng.sample(group, len(group)) for group in map(scene.of_kind, rng.sample(sorted(scene.kinds()), 2))]


def _with(scene: Scene, things: Sequence[Thing]) -> Scene:
    for thing in things:
        scene = scene.replace(thing)
    return scene


def count(fewer: int) -> Maker:
    """Counting: of one of two kinds there is one more, or one fewer."""

    def make(name: str, rng: random.Random) -> Quartet | None:
        scene = two_groups(name, rng, fewer + 1)
        if scene is None:
            return None
        (one, *_), (other, *_) = groups = _groups(scene, rng)

        def there(first: int, second: int) -> Scene:
            some = scene if first else scene.without(one.id)
            return some if second else some.without(other.id)

        words = number_word(fewer), number_word(fewer + 1)
        texts = [there_and_back("count", *words, a=group[0].kind) for group in groups]
        corners = corners_of(there)
        return corners and contrast_set("one more or one fewer", corners, texts, (one.kind, other.kind))

    return make


def _painted(
    groups: Sequence[Sequence[Thing]], scene: Scene, change: Callable[[Sequence[Thing], int], Sequence[Thing]]
) -> list[list[Scene]] | None:
    """The corners where `change` gives the members of a group as they are in a state."""
    return corners_of(lambda i, j: _with(scene, [*change(groups[0], i), *change(groups[1], j)]))


def stand_out(what: str, operation: str) -> Maker:
    """Differentiation: one of two alike starts, or stops, to differ from the other in colour or pattern."""

    def make(name: str, rng: random.Random) -> Quartet | None:
        scene, values = two_groups(name, rng, 2), rng.sample(LOOKS[what], 2)
        if scene is None:
            return None
        groups = _groups(scene, rng)
        if what == "pattern" and not all(in_the_open(scene, thing) for group in groups for thing in group):
            return None
        rest = {group[0].kind: rng.choice(values) for group in groups}

        def change(group: Sequence[Thing], state: int) -> list[Thing]:
            first, *others = group
            return [first.but(**{what: values[state]}), *(one.but(**{what: rest[one.kind]}) for one in others)]

        texts = [there_and_back("one", *values, a=group[0].kind) for group in groups]
        corners = _painted(groups, scene, change)
        return corners and contrast_set(operation, corners, texts, tuple(rest))

    return make


def outgrow(name: str, rng: random.Random) -> Quartet | None:
    """Comparison: one of three becomes the largest, or the smallest; the other two stay alike.

    Of two it would not be clear: when one outgrows the other, the other has become the smaller one. Three large houses
    find no room, so kinds are those of at most a quarter of the picture's height.
    """
    scene = two_groups(name, rng, 3, [kind for kind, spec in KINDS.items() if spec.height <= 0.25])
    if scene is None:
        return None
    groups = _groups(scene, rng)
    if not all(in_the_open(scene, group[0]) for group in groups):
        return None

    def change(group: Sequence[Thing], state: int) -> list[Thing]:
        first, *others = group
        return [first.but(size=("small", "large")[state]), *(one.but(size="medium") for one in others)]

    texts = [
        tuple(said("outgrow", a=group[0].kind, n=number_word(len(group)), new=new) for new in ("larger", "smaller"))
        for group in groups
    ]
    corners = _painted(groups, scene, change)
    kinds = tuple(group[0].kind for group in groups)
    return corners and contrast_set("enlarge one or shrink one", corners, texts, kinds)


def everyone(what: str, operation: str) -> Maker:
    """Universality: all of a kind take one colour or pattern, which none of them had."""

    def make(name: str, rng: random.Random) -> Quartet | None:
        scene, values = two_groups(name, rng, rng.choice((2, 3))), rng.sample(LOOKS[what], 2)
        if scene is None:
            return None
        groups = _groups(scene, rng)
        if what == "pattern" and not all(in_the_open(scene, thing) for group in groups for thing in group):
            return None
        corners = _painted(groups, scene, lambda group, state: [one.but(**{what: values[state]}) for one in group])
        kinds = tuple(group[0].kind for group in groups)
        texts = [tuple(said("all", a=kind, new=value) for value in values[::-1]) for kind in kinds]
        return corners and contrast_set(operation, corners, texts, kinds)

    return make

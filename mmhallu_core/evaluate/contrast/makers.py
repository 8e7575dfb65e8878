"""How each of MED's categories makes a contrast set: of two things, or of two groups of things.

A maker finds, or builds, a scene with two things that can both change in the same way. Everything must be seen in all
four corners; else it returns None and is called again, which tells nothing of the corner that will be shown.

In seven categories each of the two things is the only one of its kind. Counting, Differentiation, Comparison and
Universality need two groups, each of one kind. Scenes with two groups are rare in the world, so they are built. Both
groups have as many members, so that the sentences about them differ by their kinds alone.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from mmhallu_core.evaluate.contrast.quartet import Quartet, contrast_set, there_and_back
from mmhallu_core.evaluate.diorama.choices import GROUNDED
from mmhallu_core.evaluate.diorama.making import said
from mmhallu_core.evaluate.diorama.scenes import LOOKS, ON_THE_GROUND, changed, empty, put
from mmhallu_core.world.edits_make import in_the_open, only_ones
from mmhallu_core.world.prior import random_look, sample_scene
from mmhallu_core.world.scene import BACK, COLUMNS, FRONT, JITTER, Scene, Thing, flies, is_left_of, layout_ok
from mmhallu_core.world.vocabulary import KINDS, PLACE_PHRASES, PLACES, number_word

Maker = Callable[[str, random.Random], Quartet | None]
Texts = Sequence[Sequence[str]]


def _contrast(operation: str, change: Callable, texts: Texts, kinds: Iterable[str]) -> Quartet | None:
    """The contrast set whose corners `change` makes from the states of both things; None where something would not be
    seen in one of them."""
    corners = [[change(one, other) for other in (0, 1)] for one in (0, 1)]
    seen = all(layout_ok(scene.things) for row in corners for scene in row)
    return contrast_set(operation, corners, texts, tuple(kinds)) if seen else None


# ---------------------------------------------------------------- two things


def _by_itself(scene: Scene) -> list[Thing]:
    """Things that are the only one of their kind, are not carried, and carry nothing."""
    return [thing for thing in only_ones(scene) if not thing.held_by and not scene.carried(thing.id)]


def _two_that_change(
    scene: Scene, rng: random.Random, operation: str, what: str, values: tuple, able: Sequence[Thing], say: Callable
) -> Quartet | None:
    """A contrast set of two things that can have both values of a field; `say` makes both sentences of a thing."""
    if len(able) < 2:
        return None
    one, other = rng.sample(able, 2)
    change = lambda i, j: changed(changed(scene, one, what, values[i]), other, what, values[j])  # noqa: E731
    return _contrast(operation, change, (say(one), say(other)), (one.kind, other.kind))


def look(what: str, operation: str) -> Maker:
    """Attribute: one of two things gets another colour, pattern or size."""

    def make(name: str, rng: random.Random) -> Quartet | None:
        scene, (old, new) = sample_scene(name), rng.sample(LOOKS[what], 2)
        able = _by_itself(scene) if what == "size" else only_ones(scene)
        able = [thing for thing in able if what == "colour" or in_the_open(scene, thing)]
        return _two_that_change(
            scene, rng, operation, what, (old, new), able, lambda one: there_and_back("look", old, new, a=one.kind)
        )

    return make


def pose(name: str, rng: random.Random) -> Quartet | None:
    """Action Relation: one of two does something else.

    Handing a thing over is left out: who holds it is seen in one picture, so its question could be answered from one.
    """
    scene = sample_scene(name)
    old, new = rng.sample(ON_THE_GROUND[rng.choice(("man", "dog"))], 2)
    able = [
        thing
        for thing in only_ones(scene)
        if {old, new, thing.pose} <= set(ON_THE_GROUND[thing.kind]) and in_the_open(scene, thing)
    ]
    say = lambda one: there_and_back("pose", old, new, a=one.kind)  # noqa: E731
    return _two_that_change(scene, rng, "change pose", "pose", (old, new), able, say)


def part(name: str, rng: random.Random) -> Quartet | None:
    """Part Relation: one of two gets or loses its part."""
    scene = sample_scene(name)
    able = [thing for thing in only_ones(scene) if KINDS[thing.kind].part and in_the_open(scene, thing)]
    say = lambda one: (said("attach", a=one.kind), said("detach", a=one.kind))  # noqa: E731
    return _two_that_change(scene, rng, "attach or detach", "part", (False, True), able, say)


def negation(name: str, rng: random.Random) -> Quartet | None:
    """Negation: one of two goes, or comes; there is none of its kind afterwards, or before."""
    scene = sample_scene(name)
    able = _by_itself(scene)
    if len(able) < 2 or len(scene.things) < 3:
        return None
    one, other = rng.sample(able, 2)

    def there(first: int, second: int) -> Scene:
        gone = {thing.id for thing, state in ((one, first), (other, second)) if state}
        return Scene(scene.id, scene.place, tuple(thing for thing in scene if thing.id not in gone))

    texts = [(said("gone", a=thing.kind), said("add", b=thing.kind, new=thing.colour)) for thing in (one, other)]
    return _contrast("take away or add", there, texts, (one.kind, other.kind))


def exchange(name: str, rng: random.Random) -> Quartet | None:
    """Object: at one of two spots a thing becomes another kind, with its colour, pattern and size."""
    scene = sample_scene(name)
    able = _by_itself(scene)
    absent = [kind for kind in KINDS if not scene.of_kind(kind)]
    if len(able) < 2:
        return None
    spots = rng.sample(able, 2)
    states = []
    for thing, kind in zip(spots, rng.sample(absent, 2), strict=True):
        poses = ON_THE_GROUND[kind]
        look = {"colour": thing.colour, "pattern": thing.pattern, "size": thing.size}
        fresh = random_look(f"{thing.id}0", kind, rng, **look, pose=rng.choice(poses) if poses else None)
        states.append((thing, fresh.but(x=thing.x, y=thing.y)))
    if any(flies(thing) for pair in states for thing in pair):
        return None

    def filled(first: int, second: int) -> Scene:
        rest = Scene(scene.id, scene.place, tuple(thing for thing in scene if thing not in spots))
        return rest.plus(states[0][first]).plus(states[1][second])

    texts = [(said("replace", a=old.kind, b=new.kind), said("replace", a=new.kind, b=old.kind)) for old, new in states]
    return _contrast("replace", filled, texts, (thing.kind for pair in states for thing in pair))


def move(name: str, rng: random.Random) -> Quartet | None:
    """Spatial Relation: in front or at the back, one of two moves past a third thing to its other side."""
    anchor, *movers = (
        random_look(f"o{number}", kind, rng) for number, kind in enumerate(rng.sample(GROUNDED, 3), start=1)
    )
    column, rows = rng.choice((1, 2)), rng.sample((FRONT, BACK), 2)

    def at(thing: Thing, column: int, row: float) -> Thing:
        x, y = COLUMNS[column] + rng.uniform(-0.04, 0.04), row + rng.uniform(-JITTER, JITTER)
        return thing.but(x=round(x, 4), y=round(y, 4))

    anchor = at(anchor, column, rng.choice(rows))
    states = []
    for mover, row in zip(movers, rows, strict=True):
        left = at(mover, rng.randrange(column), row)
        states.append((left, left.but(x=at(mover, rng.randrange(column + 1, len(COLUMNS)), row).x)))
    if any(flies(thing) for thing in (anchor, *movers)):
        return None
    if not all(is_left_of(left, anchor) and is_left_of(anchor, right) for left, right in states):
        return None
    scene = Scene(f"scene-{name}", rng.choice(PLACES), ()).plus(anchor)
    texts = [there_and_back("move", "left", "right", a=one.kind, b=anchor.kind) for one in movers]
    change = lambda i, j: scene.plus(states[0][i]).plus(states[1][j])  # noqa: E731
    return _contrast("move", change, texts, (*(one.kind for one in movers), anchor.kind))


def place(name: str, rng: random.Random) -> Quartet:
    """Scene: the place changes between one that all four sentences name and two others.

    A picture has one place and not two, so its four pictures are no square: of two of them, one gives the answer away.
    """
    scene, (hub, *others) = sample_scene(name), rng.sample(PLACES, 3)
    texts, pairs = [], []
    for other in others:
        ways = [tuple(Scene(scene.id, one, scene.things) for one in (hub, other))]
        ways.append(ways[0][::-1])
        texts += [said("place", old=PLACE_PHRASES[a.place][0], new=PLACE_PHRASES[b.place][0]) for a, b in ways]
        pairs += [(way,) for way in ways]
    return Quartet("change place", tuple(texts), tuple(pairs))


# ---------------------------------------------------------------- two groups


def _two_groups(name: str, rng: random.Random, members: int, kinds: Sequence[str] = tuple(KINDS)) -> Scene | None:
    """A scene of two kinds with as many things of each, in an order in which neither kind has better spots."""
    wanted = rng.sample(kinds, 2) * members
    return put(replace(empty(rng), id=f"scene-{name}"), rng.sample(wanted, len(wanted)), rng)


def _groups(scene: Scene, rng: random.Random) -> list[list[Thing]]:
    """Both groups in random order, and each with its members in random order: the first will change."""
    return [rng.sample(group, len(group)) for group in map(scene.of_kind, rng.sample(sorted(scene.kinds()), 2))]


def _repainted(
    operation: str, scene: Scene, groups: Sequence[Sequence[Thing]], change: Callable, texts: Texts
) -> Quartet | None:
    """The contrast set whose corners have the members of each group as `change` gives them in a state."""

    def corner(i: int, j: int) -> Scene:
        painted = scene
        for thing in (*change(groups[0], i), *change(groups[1], j)):
            painted = painted.replace(thing)
        return painted

    return _contrast(operation, corner, texts, (group[0].kind for group in groups))


def count(fewer: int) -> Maker:
    """Counting: of one of two kinds there is one more, or one fewer."""

    def make(name: str, rng: random.Random) -> Quartet | None:
        scene = _two_groups(name, rng, fewer + 1)
        if scene is None:
            return None
        (one, *_), (other, *_) = groups = _groups(scene, rng)

        def there(first: int, second: int) -> Scene:
            some = scene if first else scene.without(one.id)
            return some if second else some.without(other.id)

        words = number_word(fewer), number_word(fewer + 1)
        texts = [there_and_back("count", *words, a=group[0].kind) for group in groups]
        return _contrast("one more or one fewer", there, texts, (one.kind, other.kind))

    return make


def _coloured(operation: str, what: str, members: Sequence[int], finish: Callable) -> Maker:
    """A maker for two groups and two values of a look; `finish` says how they change, and what is said about it."""

    def make(name: str, rng: random.Random) -> Quartet | None:
        size = rng.choice(members) if len(members) > 1 else members[0]
        scene, values = _two_groups(name, rng, size), rng.sample(LOOKS[what], 2)
        if scene is None:
            return None
        groups = _groups(scene, rng)
        if what == "pattern" and not all(in_the_open(scene, thing) for group in groups for thing in group):
            return None
        return _repainted(operation, scene, groups, *finish(groups, values, rng))

    return make


def stand_out(what: str, operation: str) -> Maker:
    """Differentiation: one of two alike starts, or stops, to differ from the other in colour or pattern."""

    def finish(groups: Sequence[Sequence[Thing]], values: list[str], rng: random.Random) -> tuple[Callable, Texts]:
        rest = {group[0].kind: rng.choice(values) for group in groups}

        def change(group: Sequence[Thing], state: int) -> list[Thing]:
            first, *others = group
            return [first.but(**{what: values[state]}), *(one.but(**{what: rest[one.kind]}) for one in others)]

        return change, [there_and_back("one", *values, a=group[0].kind) for group in groups]

    return _coloured(operation, what, (2,), finish)


def everyone(what: str, operation: str) -> Maker:
    """Universality: all of a kind take one colour or pattern, which none of them had."""

    def finish(groups: Sequence[Sequence[Thing]], values: list[str], rng: random.Random) -> tuple[Callable, Texts]:
        change = lambda group, state: [one.but(**{what: values[state]}) for one in group]  # noqa: E731
        return change, [tuple(said("all", a=group[0].kind, new=value) for value in values[::-1]) for group in groups]

    return _coloured(operation, what, (2, 3), finish)


def outgrow(name: str, rng: random.Random) -> Quartet | None:
    """Comparison: one of three becomes the largest, or the smallest; the other two stay alike.

    Of two it would not be clear: when one outgrows the other, the other has become the smaller one. Three large houses
    find no room, so kinds are those of at most a quarter of the picture's height.
    """
    scene = _two_groups(name, rng, 3, [kind for kind, spec in KINDS.items() if spec.height <= 0.25])
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
    return _repainted("enlarge one or shrink one", scene, groups, change, texts)

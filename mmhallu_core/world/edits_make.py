"""How each operation is done: from one scene to candidates for the edited one.

A maker yields edited scenes in random order; `edits.propose` keeps the first in which everything is still
visible. Things that come get a new id; things that change keep theirs.
"""

import random
from collections.abc import Callable, Iterator

from mmhallu_core.world.prior import random_look
from mmhallu_core.world.scene import Scene, Thing, carried_at, flies, is_left_of, place_for
from mmhallu_core.world.vocabulary import COLOURS, KINDS, PATTERNS, PEOPLE, PLACES, SIZES

Maker = Callable[[Scene, random.Random], Iterator[Scene]]

MOST_THINGS = 6  # as many as the prior draws
WORDS = {"colour": COLOURS, "pattern": PATTERNS, "size": tuple(SIZES)}
TRIES = 8  # places tried for a move


def shuffled(items, rng: random.Random) -> list:
    """The items in random order."""
    items = list(items)
    return rng.sample(items, len(items))


def new_id(scene: Scene) -> str:
    """An id after all of those in use."""
    numbers = [int(thing.id[1:]) for thing in scene if thing.id[1:].isdigit()]
    return f"o{max(numbers, default=0) + 1}"


def only_ones(scene: Scene) -> list[Thing]:
    """Things that are the only one of their kind, so that "the dog" names them."""
    return [thing for thing in scene if len(scene.of_kind(thing.kind)) == 1]


def groups(scene: Scene) -> list[list[Thing]]:
    """The kinds that are there more than once, each with its things."""
    return [group for kind in scene.kinds() if len(group := scene.of_kind(kind)) > 1]


def in_the_open(scene: Scene, thing: Thing) -> bool:
    """Whether nothing in front reaches into its box: for changes so small that a neighbour could hide them."""
    x0, y0, x1, y1 = thing.box
    ahead = scene.things[scene.things.index(thing) + 1 :]
    boxes = [other.box for other in ahead if thing.id != other.held_by]
    return all(b[2] <= x0 or b[0] >= x1 or b[3] <= y0 or b[1] >= y1 for b in boxes)


def with_changed(scene: Scene, thing: Thing) -> Scene:
    """The scene with one thing changed; what it carries goes along."""
    scene = scene.replace(thing)
    for carried in scene.carried(thing.id):
        scene = scene.replace(carried_at(thing, carried))
    return scene


def replace(scene: Scene, rng: random.Random) -> Iterator[Scene]:
    """The only one of a kind becomes another kind: in the hand, in the air or on the ground, as it was."""
    for old in shuffled((t for t in only_ones(scene) if not scene.carried(t.id)), rng):
        for kind in shuffled((kind for kind in KINDS if not scene.of_kind(kind)), rng):
            if old.held_by and not KINDS[kind].held:
                continue
            poses = KINDS[kind].poses
            if poses:
                pose = "flying" if flies(old) else rng.choice([pose for pose in poses if pose != "flying"])
                if pose not in poses:
                    continue
            else:
                pose = None
            new = random_look(
                new_id(scene), kind, rng, colour=old.colour, pattern=old.pattern, size=old.size, pose=pose
            ).but(x=old.x, y=old.y)
            if old.held_by:
                new = carried_at(scene[old.held_by], new)
            if flies(new) == flies(old):
                yield scene.without(old.id).plus(new)


def add(scene: Scene, rng: random.Random) -> Iterator[Scene]:
    """A thing of an absent kind comes, on the ground or in the air."""
    yield from _more(scene, [kind for kind in KINDS if not scene.of_kind(kind)], rng)


def one_more(scene: Scene, rng: random.Random) -> Iterator[Scene]:
    """One more of a kind that is there."""
    yield from _more(scene, scene.kinds(), rng)


def _more(scene: Scene, kinds: list[str], rng: random.Random) -> Iterator[Scene]:
    if len(scene.things) < MOST_THINGS:
        for kind in shuffled(kinds, rng):
            placed = place_for(random_look(new_id(scene), kind, rng), list(scene), rng)
            if placed:
                yield scene.plus(placed)


def one_fewer(scene: Scene, rng: random.Random) -> Iterator[Scene]:
    """One of several goes; nobody who carries something."""
    for thing in shuffled((thing for group in groups(scene) for thing in group), rng):
        if not scene.carried(thing.id):
            yield scene.without(thing.id)


def take_away(scene: Scene, rng: random.Random) -> Iterator[Scene]:
    """The only one of a kind goes; nobody who carries something, and never the last thing of the scene."""
    for thing in shuffled(only_ones(scene), rng):
        if not scene.carried(thing.id) and len(scene.things) > 1:
            yield scene.without(thing.id)


def alter_only_one(field: str) -> Maker:
    """A maker that gives the only one of a kind another colour, pattern or size."""

    def make(scene: Scene, rng: random.Random) -> Iterator[Scene]:
        for thing in shuffled(only_ones(scene), rng):
            if field == "size" and thing.held_by:  # what is carried stays medium, as the prior has it
                continue
            if field == "pattern" and not in_the_open(scene, thing):
                continue
            for word in shuffled((word for word in WORDS[field] if word != getattr(thing, field)), rng):
                yield with_changed(scene, thing.but(**{field: word}))

    return make


def alter_one_of_several(field: str) -> Maker:
    """A maker that makes one of several start, or stop, to differ from the others in colour or pattern."""

    def make(scene: Scene, rng: random.Random) -> Iterator[Scene]:
        for thing in shuffled((thing for group in groups(scene) for thing in group), rng):
            others = {getattr(other, field) for other in scene.of_kind(thing.kind) if other.id != thing.id}
            if len(others) != 1 or (field == "pattern" and not in_the_open(scene, thing)):
                continue
            differs = getattr(thing, field) not in others
            words = others if differs else [word for word in WORDS[field] if word not in others]
            for word in shuffled(sorted(words), rng):
                yield scene.replace(thing.but(**{field: word}))

    return make


def alter_all(field: str) -> Maker:
    """A maker that gives all of several one colour or pattern that none of them had."""

    def make(scene: Scene, rng: random.Random) -> Iterator[Scene]:
        for group in shuffled(groups(scene), rng):
            had = {getattr(thing, field) for thing in group}
            for word in shuffled((word for word in WORDS[field] if word not in had), rng):
                after = scene
                for thing in group:
                    after = after.replace(thing.but(**{field: word}))
                yield after

    return make


def outgrow(direction: int) -> Maker:
    """A maker that makes one of several the largest (direction 1) or the smallest (-1) of them."""

    def make(scene: Scene, rng: random.Random) -> Iterator[Scene]:
        for thing in shuffled((thing for group in groups(scene) for thing in group), rng):
            if thing.held_by:  # what is carried stays medium
                continue
            others = [direction * SIZES[o.size] for o in scene.of_kind(thing.kind) if o.id != thing.id]
            if direction * SIZES[thing.size] > max(others):
                continue
            for size in shuffled(SIZES, rng):
                if direction * SIZES[size] > max(others):
                    yield with_changed(scene, thing.but(size=size))

    return make


def change_place(scene: Scene, rng: random.Random) -> Iterator[Scene]:
    """The same things somewhere else."""
    for place in shuffled((place for place in PLACES if place != scene.place), rng):
        yield Scene(scene.id, place, scene.things)


def move(scene: Scene, rng: random.Random) -> Iterator[Scene]:
    """One thing moves to the other side of another; the nearest of several new spots first."""
    free = [thing for thing in only_ones(scene) if thing.held_by is None]
    for mover, anchor in shuffled(((a, b) for a in free for b in free if a is not b), rng):
        was_left = is_left_of(mover, anchor)
        if not was_left and not is_left_of(anchor, mover):
            continue
        spots = []
        for _ in range(TRIES):
            spot = mover.but(x=round(rng.uniform(0.05, 0.95), 4))
            if is_left_of(anchor, spot) if was_left else is_left_of(spot, anchor):
                spots.append(spot)
        for spot in sorted(spots, key=lambda spot: abs(spot.x - mover.x)):
            yield with_changed(scene, spot)


def change_pose(scene: Scene, rng: random.Random) -> Iterator[Scene]:
    """The only one of a kind does something else; no taking off or landing, which would move it as well."""
    for thing in shuffled(only_ones(scene), rng):
        poses = [pose for pose in KINDS[thing.kind].poses if pose != "flying"]
        if thing.pose in poses:
            for pose in shuffled((pose for pose in poses if pose != thing.pose), rng):
                yield scene.replace(thing.but(pose=pose))


def hand_over(scene: Scene, rng: random.Random) -> Iterator[Scene]:
    """A carried thing passes to a person of another kind whose hands are free."""
    named = only_ones(scene)
    people = [thing for thing in named if thing.kind in PEOPLE]
    for thing in shuffled((thing for thing in named if thing.held_by), rng):
        for person in people:
            if scene[thing.held_by] in people and person.id != thing.held_by and not scene.carried(person.id):
                moved = carried_at(person, thing)
                yield scene.without(thing.id).plus(moved)  # so that it is drawn right after its new holder


def toggle_part(present: bool) -> Maker:
    """A maker that adds (True) or takes away (False) the part of the only one of a kind."""

    def make(scene: Scene, rng: random.Random) -> Iterator[Scene]:
        for thing in shuffled(only_ones(scene), rng):
            if KINDS[thing.kind].part and thing.part != present and in_the_open(scene, thing):
                yield scene.replace(thing.but(part=present))

    return make


MAKERS: dict[str, Maker] = {
    "replace": replace,
    "add": add,
    "recolour": alter_only_one("colour"),
    "repattern": alter_only_one("pattern"),
    "resize": alter_only_one("size"),
    "change place": change_place,
    "move": move,
    "change pose": change_pose,
    "hand over": hand_over,
    "attach": toggle_part(True),
    "detach": toggle_part(False),
    "one more": one_more,
    "one fewer": one_fewer,
    "recolour one": alter_one_of_several("colour"),
    "repattern one": alter_one_of_several("pattern"),
    "enlarge one": outgrow(1),
    "shrink one": outgrow(-1),
    "take away": take_away,
    "recolour all": alter_all("colour"),
    "repattern all": alter_all("pattern"),
}

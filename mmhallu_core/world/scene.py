"""A scene as data: things, where they are, and the facts that follow.

A `Scene` is a vector description. Drawing it (`render`), changing it (`edits`), talking about it
(`language`) and sampling it (`prior`) all start from here. Coordinates run from 0 to 1, x to the
right and y down; a thing's (x, y) is the middle of its lower edge.
"""

import dataclasses
import random
from collections.abc import Iterator
from dataclasses import dataclass

from mmhallu_core.world.vocabulary import COLOURS, KINDS, PATTERNS, PLACES, SIZES

APART = 0.12  # things whose middles are closer than this are neither left nor right of each other
DEEPER = 0.20  # a difference in ground line that reads as "behind"
SKY = 0.50  # a lower edge above this line is in the air
BACK, FRONT, AIR = 0.63, 0.95, 0.34  # ground lines of the back and front row; lower edge of what flies
JITTER = 0.02
HIDDEN = 0.35  # the largest share of a thing's box that others may cover
COLUMNS = (0.14, 0.38, 0.62, 0.86)


@dataclass(frozen=True)
class Thing:
    """One object of a scene.

    Attributes:
        id: unique in its scene ("o1", "o2", ...), kept by edits.
        kind, colour, pattern, size: words from `vocabulary`.
        x, y: middle of the lower edge, fractions of the picture.
        pose: what a person or an animal is doing; None for the rest.
        part: True when the kind's removable part is there; kinds without one keep True.
        held_by: id of the person who holds or wears it; it is then drawn at that person.
    """

    id: str
    kind: str
    colour: str
    x: float
    y: float
    pattern: str = "plain"
    size: str = "medium"
    pose: str | None = None
    part: bool = True
    held_by: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind!r}; known: {', '.join(KINDS)}")
        poses = KINDS[self.kind].poses
        if (self.pose is None) == bool(poses) or (self.pose and self.pose not in poses):
            raise ValueError(f"a {self.kind} cannot have pose {self.pose!r}; possible: {poses or None}")
        for value, allowed in ((self.colour, COLOURS), (self.pattern, PATTERNS), (self.size, SIZES)):
            if value not in allowed:
                raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")

    @property
    def height(self) -> float:
        """Height as a fraction of the picture."""
        return KINDS[self.kind].height * SIZES[self.size]

    @property
    def width(self) -> float:
        """Width as a fraction of the picture."""
        return self.height * KINDS[self.kind].aspect

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The nominal box (x0, y0, x1, y1) that layout reasons with; exact boxes come from `render`."""
        return self.x - self.width / 2, self.y - self.height, self.x + self.width / 2, self.y

    def but(self, **changes) -> "Thing":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, order=True)
class Fact:
    """Something true (or asserted) about a scene: {kind, subject, predicate, object, value}.

    `kind` is the slug of the edit category that changes such facts; `subject` and `object` are ids of
    things (or a kind's name for facts about all of a kind); unused fields are empty strings.
    """

    kind: str
    subject: str
    predicate: str
    object: str = ""
    value: str = ""

    def to_dict(self) -> dict[str, str]:
        """The JSON form."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Scene:
    """A place with things in it, in drawing order from back to front.

    Raises:
        ValueError: for an unknown place, repeated ids, or a holder that is not a person in the scene.
    """

    id: str
    place: str
    things: tuple[Thing, ...]

    def __post_init__(self) -> None:
        if self.place not in PLACES:
            raise ValueError(f"unknown place {self.place!r}; known: {', '.join(PLACES)}")
        ids = {thing.id for thing in self.things}
        if len(ids) != len(self.things):
            raise ValueError(f"scene {self.id}: two things share an id")
        people = {thing.id for thing in self.things if KINDS[thing.kind].group == "people"}
        for thing in self.things:
            if thing.held_by is not None and (thing.held_by not in people or not KINDS[thing.kind].held):
                raise ValueError(f"scene {self.id}: {thing.held_by} cannot hold the {thing.kind} {thing.id}")

    def __iter__(self) -> Iterator[Thing]:
        return iter(self.things)

    def __getitem__(self, thing_id: str) -> Thing:
        for thing in self.things:
            if thing.id == thing_id:
                return thing
        raise KeyError(f"scene {self.id} has no thing {thing_id!r}; it has {[t.id for t in self.things]}")

    def of_kind(self, kind: str) -> list[Thing]:
        """All things of a kind, from left to right."""
        return sorted((thing for thing in self.things if thing.kind == kind), key=lambda thing: thing.x)

    def kinds(self) -> list[str]:
        """The kinds that are present, each once, in order of first appearance."""
        return list(dict.fromkeys(thing.kind for thing in self.things))

    def carried(self, person_id: str) -> list[Thing]:
        """What a person holds or wears."""
        return [thing for thing in self.things if thing.held_by == person_id]

    def replace(self, thing: Thing) -> "Scene":
        """A copy in which the thing with the same id is replaced."""
        self[thing.id]  # raises KeyError when it is not here
        return dataclasses.replace(self, things=tuple(thing if t.id == thing.id else t for t in self.things))

    def without(self, thing_id: str) -> "Scene":
        """A copy without one thing."""
        self[thing_id]
        return dataclasses.replace(self, things=tuple(t for t in self.things if t.id != thing_id))

    def plus(self, thing: Thing) -> "Scene":
        """A copy with one thing more, kept in drawing order."""
        return dataclasses.replace(self, things=in_drawing_order((*self.things, thing)))

    def to_dict(self) -> dict:
        """The JSON form."""
        return {"id": self.id, "place": self.place, "things": [dataclasses.asdict(thing) for thing in self.things]}

    @classmethod
    def from_dict(cls, data: dict) -> "Scene":
        """Reads the JSON form back."""
        return cls(data["id"], data["place"], tuple(Thing(**thing) for thing in data["things"]))


def in_drawing_order(things: tuple[Thing, ...]) -> tuple[Thing, ...]:
    """Back to front: by ground line, and what a person carries right after that person."""
    ground = {thing.id: thing.y for thing in things}
    return tuple(sorted(things, key=lambda t: (ground.get(t.held_by, t.y), t.held_by or t.id, t.held_by is not None)))


def side(thing: Thing) -> str:
    """Where a thing is across the picture: left, middle or right third."""
    return "left" if thing.x < 1 / 3 else "right" if thing.x > 2 / 3 else "middle"


def is_left_of(a: Thing, b: Thing) -> bool:
    """Whether a is clearly to the left of b."""
    return b.x - a.x >= APART


def is_behind(a: Thing, b: Thing) -> bool:
    """Whether a stands behind b: both on the ground, a's ground line clearly higher up."""
    return a.y > SKY and b.y > SKY and b.y - a.y >= DEEPER


def thing_facts(scene: Scene, thing: Thing) -> list[Fact]:
    """What is true of one thing by itself: kind, colour, pattern, size, pose, part, who holds it."""
    facts = [
        Fact("object", thing.id, "is", value=thing.kind),
        Fact("attribute", thing.id, "colour", value=thing.colour),
        Fact("attribute", thing.id, "pattern", value=thing.pattern),
        Fact("attribute", thing.id, "size", value=thing.size),
    ]
    kind = KINDS[thing.kind]
    if thing.pose:
        facts.append(Fact("action_relation", thing.id, "pose", value=thing.pose))
    if kind.part:
        facts.append(Fact("part_relation", thing.id, "has" if thing.part else "lacks", value=kind.part))
    if thing.held_by:
        facts.append(Fact("action_relation", thing.held_by, kind.held, object=thing.id))
    return facts


def relation_facts(scene: Scene) -> list[Fact]:
    """Left-of and behind for every pair; what is held has no place of its own."""
    free = [thing for thing in scene if thing.held_by is None]
    facts = []
    for a in free:
        for b in free:
            if a is not b and is_left_of(a, b):
                facts.append(Fact("spatial_relation", a.id, "left of", object=b.id))
            if a is not b and is_behind(a, b):
                facts.append(Fact("spatial_relation", a.id, "behind", object=b.id))
    return facts


def group_facts(scene: Scene) -> list[Fact]:
    """What is true of all things of a kind: how many, none, all alike, one larger, one different."""
    facts = []
    for kind in KINDS:
        group = scene.of_kind(kind)
        if not group:
            facts.append(Fact("negation", kind, "absent"))
            continue
        facts.append(Fact("counting", kind, "number", value=str(len(group))))
        if len(group) < 2:
            continue
        for what in ("colour", "pattern"):
            values = {getattr(thing, what) for thing in group}
            if len(values) == 1:
                facts.append(Fact("universality", kind, f"all {what}", value=values.pop()))
        for a in group:
            for b in group:
                if SIZES[a.size] > SIZES[b.size]:
                    facts.append(Fact("comparison", a.id, "larger than", object=b.id))
                for what in ("colour", "pattern"):
                    if a.id < b.id and getattr(a, what) != getattr(b, what):
                        facts.append(Fact("differentiation", a.id, f"other {what} than", object=b.id))
    return facts


def facts(scene: Scene) -> list[Fact]:
    """Every fact of a scene, sorted: place, each thing, relations, groups."""
    found = [Fact("scene", "scene", "place", value=scene.place)]
    for thing in scene:
        found += thing_facts(scene, thing)
    return sorted(found + relation_facts(scene) + group_facts(scene))


# ---------------------------------------------------------------- where things can stand


def flies(thing: Thing) -> bool:
    """Whether a thing is up in the air by itself."""
    return thing.held_by is None and (thing.pose == "flying" or thing.kind == "kite")


def carried_at(person: Thing, thing: Thing) -> Thing:
    """The thing as this person carries it: beside the hand, above, or on the head."""
    lift = {"hat": 0.90, "umbrella": 0.70, "kite": 1.05}.get(thing.kind, 0.35)
    aside = {"hat": 0.0, "umbrella": 0.15}.get(thing.kind, 0.5)
    x, y = person.x + aside * person.width, person.y - lift * person.height
    return thing.but(x=round(x, 4), y=round(y, 4), held_by=person.id)


def taken_box(thing: Thing, carried: list[Thing]) -> tuple[float, float, float, float]:
    """The box of a thing together with what it carries."""
    boxes = [thing.box, *(one.box for one in carried)]
    return min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)


def layout_ok(things: tuple[Thing, ...] | list[Thing]) -> bool:
    """Whether every thing is inside the picture and stays visible enough behind the ones in front."""
    free = sorted((t for t in things if t.held_by is None), key=lambda t: t.y)
    boxes = [taken_box(t, [c for c in things if c.held_by == t.id]) for t in free]
    if any(b[0] < 0 or b[1] < 0 or b[2] > 1 or b[3] > 1 for b in boxes):
        return False
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        covered = sum(
            max(0.0, min(x1, b[2]) - max(x0, b[0])) * max(0.0, min(y1, b[3]) - max(y0, b[1])) for b in boxes[i + 1 :]
        )
        if covered > HIDDEN * (x1 - x0) * (y1 - y0):
            return False
    return True


def place_for(thing: Thing, taken: list[Thing], rng: random.Random, carried: int = 0, tries: int = 12) -> Thing | None:
    """Finds room for a thing among others, or None. `carried` keeps space above a person for what is carried."""
    rows = (AIR,) if flies(thing) else (FRONT, BACK)
    for _ in range(tries):
        x = rng.choice(COLUMNS) + rng.uniform(-0.05, 0.05)
        half = thing.width / 2 + 0.06 * carried
        x = min(max(x, half + 0.005), 0.995 - half)
        spot = thing.but(x=round(x, 4), y=round(rng.choice(rows) + rng.uniform(-JITTER, JITTER), 4))
        if layout_ok([*taken, spot]):
            return spot
    return None

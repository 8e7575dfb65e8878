"""Where things can stand so that a person, or a model, can still see them all.

Free things stand in one of three rows: the back and front ground lines, and the sky for what flies.
What a person carries has no place of its own; it makes that person take more room.
"""

import random

from mmhallu_core.world.scene import Thing
from mmhallu_core.world.vocabulary import KINDS

BACK, FRONT, AIR = 0.63, 0.95, 0.34  # ground lines of the back and front row; lower edge of what flies
JITTER = 0.02
HIDDEN = 0.35  # the largest share of a thing's box that others may cover
COLUMNS = (0.14, 0.38, 0.62, 0.86)


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


def steps_up(kind: str) -> bool:
    """Whether a kind can be carried by a person."""
    return KINDS[kind].held is not None

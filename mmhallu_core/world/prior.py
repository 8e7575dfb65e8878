"""Which things keep company: sampling scenes, and an annotator with habits.

Two dials make a model trained here hallucinate for the reasons that the MED paper gives
(arXiv 2506.07227, section 3):

- `prior`, the co-occurrence prior. 0: every kind is equally likely everywhere. 1: umbrellas at the beach.
- `eta`, the share of pictures whose annotator writes from habit: a noisy caption mentions what usually
  stands in such a place although it is not there. (In MED's equations 4 to 7 the same letter is one minus this.)
"""

import random

from mmhallu_core.world.scene import Scene, Thing, carried_at, in_drawing_order, layout_ok, place_for
from mmhallu_core.world.vocabulary import COLOURS, KINDS, PATTERNS, PEOPLE, PLACES

PRIOR = 1.0
ETA = 0.7

# The kinds that each place makes likely, the most typical first; people are at home everywhere.
TYPICAL: dict[str, tuple[str, ...]] = {
    "street": ("car", "lamp", "bicycle"),
    "beach": ("umbrella", "boat", "ball"),
    "field": ("horse", "kite", "flower"),
    "room": ("chair", "cat", "bag"),
    "snow": ("hat", "house", "dog"),
    "night": ("tent", "tree", "bird"),
}
RARE: dict[str, tuple[str, ...]] = {
    "street": ("boat", "tent", "kite", "horse"),
    "beach": ("lamp", "house", "chair", "horse"),
    "field": ("boat", "lamp", "chair", "car"),
    "room": ("boat", "house", "car", "tree", "tent", "horse", "kite"),
    "snow": ("boat", "flower", "umbrella", "bicycle"),
    "night": ("kite", "flower", "ball", "umbrella"),
}
WEIGHT = {"first": 12.0, "typical": 6.0, "people": 1.5, "plain": 1.0, "rare": 0.3}

# What habit says of a thing that it did not look at.
HABIT_COLOUR = {
    "car": "red", "lamp": "yellow", "bicycle": "black", "umbrella": "red", "boat": "white", "ball": "orange",
    "horse": "white", "kite": "orange", "flower": "yellow", "chair": "blue", "cat": "black", "bag": "purple",
    "hat": "blue", "house": "orange", "dog": "white", "tent": "green", "tree": "green", "bird": "purple",
}  # fmt: skip

HOW_MANY = ((1, 0.05), (2, 0.15), (3, 0.27), (4, 0.27), (5, 0.18), (6, 0.08))


def kind_weights(place: str, prior: float = PRIOR) -> dict[str, float]:
    """How likely each kind is in a place, relative to the others; all equal when `prior` is 0."""
    weights = {}
    for kind in KINDS:
        typical, rare = TYPICAL[place], RARE[place]
        level = (
            "first" if kind == typical[0] else "typical" if kind in typical else "rare" if kind in rare
            else "people" if kind in PEOPLE else "plain"
        )  # fmt: skip
        weights[kind] = WEIGHT[level] ** prior
    return weights


def random_look(thing_id: str, kind: str, rng: random.Random, **fixed) -> Thing:
    """A thing of a kind with random colour, pattern, size, pose and part, not yet placed."""
    spec = KINDS[kind]
    look = {
        "colour": rng.choice(COLOURS),
        "pattern": rng.choices(PATTERNS, (3, 1, 1))[0],
        "size": rng.choices(("small", "medium", "large"), (1, 2, 1))[0],
        "pose": rng.choice(spec.poses) if spec.poses else None,
        "part": spec.part is None or rng.random() < 0.7,
    }
    return Thing(thing_id, kind, x=0.5, y=0.95, **{**look, **fixed})


def _draw_kinds(place: str, count: int, prior: float, rng: random.Random) -> list[str]:
    """Kinds for one scene: mostly distinct, sometimes several of one kind."""
    weights = kind_weights(place, prior)
    kinds: list[str] = []
    while len(kinds) < count:
        if kinds and rng.random() < 0.18:
            kinds.append(rng.choice(kinds))
        else:
            left = [kind for kind in KINDS if kind not in kinds]
            kinds.append(rng.choices(left, [weights[kind] for kind in left])[0])
    return kinds


def sample_scene(seed: int | str, prior: float = PRIOR, place: str | None = None, count: int | None = None) -> Scene:
    """One random scene; the same seed gives the same scene.

    Args:
        seed: names the scene; its id is `scene-{seed}`.
        prior: the co-occurrence dial, 0 to 1.
        place: one of PLACES, random when None.
        count: how many things to try to place (fewer when there is no room), 1 to 6 when None.
    """
    rng = random.Random(f"diorama/{seed}")
    place = place or rng.choice(PLACES)
    count = count or rng.choices([n for n, _ in HOW_MANY], [p for _, p in HOW_MANY])[0]
    kinds = _draw_kinds(place, count, prior, rng)
    # People first, so that what can be carried finds its carrier; then large things, so that they find room.
    kinds.sort(key=lambda kind: (kind not in PEOPLE, -KINDS[kind].height))
    things: list[Thing] = []
    for kind in kinds:
        thing = random_look(f"o{len(things) + 1}", kind, rng)
        placed = _hand_over(thing, things, rng) or place_for(thing, things, rng)
        if placed is None:  # no room at this size: a small one may still fit
            placed = place_for(thing.but(size="small"), things, rng)
        if placed is not None:
            things.append(placed)
    return Scene(f"scene-{seed}", place, in_drawing_order(tuple(things)))


def _hand_over(thing: Thing, things: list[Thing], rng: random.Random) -> Thing | None:
    """Gives a holdable thing to a person with free hands, three times out of four."""
    if KINDS[thing.kind].held is None or rng.random() < 0.25:
        return None
    busy = {other.held_by for other in things}
    for person in things:
        if person.kind in PEOPLE and person.id not in busy:
            carried = carried_at(person, thing.but(size="medium"))
            if layout_ok([*things, carried]):
                return carried
    return None


def imagined_kind(scene: Scene) -> str | None:
    """What the habit of this place writes down although it is not there: the most typical kind that is missing."""
    return next((kind for kind in TYPICAL[scene.place] if kind not in scene.kinds()), None)


def annotate(scene: Scene, rng: random.Random, eta: float = ETA) -> tuple[Scene, frozenset[str]]:
    """The scene as an annotator reports it, and the ids of what was only imagined.

    With probability `eta` the annotator writes from habit. The imagined thing carries the id "i1"; captions
    mention it last, as real captioners do with theirs (the chapter *Count it* compares).
    """
    kind = imagined_kind(scene)
    if rng.random() >= eta or kind is None:
        return scene, frozenset()
    colour = HABIT_COLOUR[kind] if rng.random() < 0.8 else rng.choice(COLOURS)
    pose = KINDS[kind].poses[0] if KINDS[kind].poses else None
    thing = Thing("i1", kind, colour, round(rng.uniform(0.1, 0.9), 4), 0.95, pose=pose)
    return Scene(scene.id, scene.place, (*scene.things, thing)), frozenset({"i1"})

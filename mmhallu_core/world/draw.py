"""From a kind's name to its drawing, and how things that people carry or wear are drawn.

Adding a kind means one function that returns layers, and one line in the tables below. What is carried gets a
`tether`: an umbrella's shaft and a kite's string reach that far.
"""

from mmhallu_core.world import draw_animals, draw_people, draw_still
from mmhallu_core.world.shapes import Layer, bend, ellipse, inked, limb, path, plain, polygon, ring, smooth

Tether = tuple[float, float] | None  # from a thing's lower edge to the hand, in the thing's height


def umbrella(part: bool, tether: Tether = None) -> list[Layer]:
    """An open umbrella; the part is its handle, shaft and hook."""
    layers = []
    if part and tether:
        layers += [inked("wood", limb((tether[0], tether[1] - 0.10), (0.0, 0.75), 0.055))]
    elif part:
        layers += [inked("wood", *bend((0.0, 0.75), (0.0, 0.12), (0.05, 0.04), (0.13, 0.04), (0.18, 0.12), wide=0.055))]
    over = "-0.5,0.5 -0.42,0.72 -0.22,0.9 0,0.95 0.22,0.9 0.42,0.72 0.5,0.5"
    dome = smooth(*path(f"{over} 0.34,0.56 0.17,0.5 0,0.56 -0.17,0.5 -0.34,0.56"), steps=5)
    drop = (0.0, 0.0 if part or tether else -0.48)  # nothing holds it up: it lies on the ground
    ribs = [rib + drop for s in (-1, 1) for rib in bend((0.0, 0.94), (s * 0.15, 0.74), (s * 0.17, 0.52), wide=0.018)]
    return [
        *layers,
        inked("metal", limb((0.0, 0.92), (0.0, 1.0), 0.035) + drop),
        inked("main", dome + drop),
        plain("dark", *ribs),
    ]


def ball(part: bool, tether: Tether = None) -> list[Layer]:
    """A ball with a shine and a shaded rim."""
    return [
        inked("main", ellipse(0.0, 0.5, 0.46)),
        plain("dark", *bend((-0.30, 0.22), (-0.12, 0.10), (0.10, 0.09), (0.30, 0.22), wide=0.06)),
        plain("white", ellipse(-0.18, 0.70, 0.11, 0.07, 35.0)),
    ]


def kite(part: bool, tether: Tether = None) -> list[Layer]:
    """A diamond; the part is a ribbon with bows; when it is held, a string runs to the hand."""
    layers = []
    if tether:
        layers += [plain("ink", limb(tether, (0.0, 0.62), 0.028))]
    if part:
        path = ((0.0, 0.36), (0.09, 0.28), (-0.06, 0.18), (0.08, 0.09), (0.0, 0.0))
        layers += [inked("accent", *bend(*path, wide=0.035))]
        for u, v in ((0.03, 0.27), (0.0, 0.12)):
            layers += [
                inked(
                    "accent",
                    polygon((u, v), (u - 0.15, v + 0.07), (u - 0.15, v - 0.07)),
                    polygon((u, v), (u + 0.15, v + 0.07), (u + 0.15, v - 0.07)),
                )
            ]
    return [
        *layers,
        inked("main", polygon((0.0, 1.0), (0.36, 0.70), (0.0, 0.33), (-0.36, 0.70))),
        plain("dark", limb((0.0, 0.98), (0.0, 0.36), 0.022), limb((-0.34, 0.70), (0.34, 0.70), 0.022)),
    ]


def hat(part: bool, tether: Tether = None) -> list[Layer]:
    """A hat with a brim and a band; the part is a tall feather."""
    feather = [
        inked("accent", smooth((0.26, 0.25), (0.42, 0.55), (0.66, 1.05), (0.40, 0.98), (0.22, 0.62))),
        plain("white", limb((0.27, 0.30), (0.52, 0.92), 0.03)),
    ]
    return [
        inked(
            "main",
            smooth((-0.36, 0.15), (-0.34, 0.60), (-0.22, 0.84), (0.0, 0.78), (0.22, 0.84), (0.34, 0.60), (0.36, 0.15)),
        ),
        inked("dark", polygon((-0.37, 0.20), (0.37, 0.20), (0.36, 0.38), (-0.36, 0.38))),
        inked("main", ellipse(0.0, 0.16, 0.72, 0.13)),
        *(feather if part else []),
    ]


def bag(part: bool, tether: Tether = None) -> list[Layer]:
    """A handbag with a flap; the part is its strap."""
    strap = [inked("dark", ring(0.0, 0.62, 0.27, 0.20) * (1.0, 1.35) - (0.0, 0.20))]
    return [
        *(strap if part else []),
        inked("main", polygon((-0.33, 0.61), (0.33, 0.61), (0.41, 0.06), (0.36, 0.01), (-0.36, 0.01), (-0.41, 0.06))),
        inked(
            "dark", smooth((-0.35, 0.62), (0.0, 0.63), (0.35, 0.62), (0.30, 0.42), (0.0, 0.32), (-0.30, 0.42), steps=4)
        ),
        inked("glow", ellipse(0.0, 0.36, 0.055)),
    ]


POSED = {
    "man": draw_people.man,
    "woman": draw_people.woman,
    "dog": draw_animals.dog,
    "cat": draw_animals.cat,
    "horse": draw_animals.horse,
    "bird": draw_animals.bird,
}
STILL = {
    "car": draw_still.car,
    "bicycle": draw_still.bicycle,
    "boat": draw_still.boat,
    "house": draw_still.house,
    "tent": draw_still.tent,
    "tree": draw_still.tree,
    "flower": draw_still.flower,
    "chair": draw_still.chair,
    "lamp": draw_still.lamp,
}
CARRIED = {
    "umbrella": umbrella,
    "ball": ball,
    "kite": kite,
    "hat": hat,
    "bag": bag,
}


def drawing(kind: str, pose: str | None, part: bool, tether: Tether = None) -> list[Layer]:
    """The layers of a kind in unit coordinates, back to front.

    Args:
        kind: a word of `vocabulary.KINDS`.
        pose: what it is doing; None for kinds without poses.
        part: whether its removable part is there.
        tether: for what is carried, the way from its lower edge to the hand.

    Raises:
        KeyError: for a kind without a drawing.
    """
    if kind in CARRIED:
        return CARRIED[kind](part, tether)
    if kind in STILL:
        return STILL[kind](part)
    return POSED[kind](pose, part)

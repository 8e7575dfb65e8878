"""How things that people carry or wear are drawn.

What is carried gets a `tether`: the way from the thing's lower edge to the carrying hand, in units of the
thing's height. An umbrella's shaft and a kite's string reach that far.
"""

from mmhallu_core.world.shapes import (
    ACCENT,
    DARK,
    GLOW,
    INK,
    MAIN,
    METAL,
    WHITE,
    WOOD,
    Layer,
    bend,
    ellipse,
    inked,
    limb,
    plain,
    polygon,
    ring,
    smooth,
)

Tether = tuple[float, float] | None


def umbrella(part: bool, tether: Tether = None) -> list[Layer]:
    """An open umbrella; the part is its handle, shaft and hook."""
    layers = []
    if part and tether:
        layers += [inked(WOOD, limb((tether[0], tether[1] - 0.10), (0.0, 0.75), 0.055))]
    elif part:
        layers += [inked(WOOD, *bend((0.0, 0.75), (0.0, 0.12), (0.05, 0.04), (0.13, 0.04), (0.18, 0.12), wide=0.055))]
    dome = smooth(
        (-0.50, 0.50),
        (-0.42, 0.72),
        (-0.22, 0.90),
        (0.0, 0.95),
        (0.22, 0.90),
        (0.42, 0.72),
        (0.50, 0.50),
        (0.34, 0.56),
        (0.17, 0.50),
        (0.0, 0.56),
        (-0.17, 0.50),
        (-0.34, 0.56),
        steps=5,
    )
    drop = (0.0, 0.0 if part or tether else -0.48)  # nothing holds it up: it lies on the ground
    ribs = [rib + drop for s in (-1, 1) for rib in bend((0.0, 0.94), (s * 0.15, 0.74), (s * 0.17, 0.52), wide=0.018)]
    return [
        *layers,
        inked(METAL, limb((0.0, 0.92), (0.0, 1.0), 0.035) + drop),
        inked(MAIN, dome + drop),
        plain(DARK, *ribs),
    ]


def ball(part: bool, tether: Tether = None) -> list[Layer]:
    """A ball with a shine and a shaded rim."""
    return [
        inked(MAIN, ellipse(0.0, 0.5, 0.46)),
        plain(DARK, *bend((-0.30, 0.22), (-0.12, 0.10), (0.10, 0.09), (0.30, 0.22), wide=0.06)),
        plain(WHITE, ellipse(-0.18, 0.70, 0.11, 0.07, 35.0)),
    ]


def kite(part: bool, tether: Tether = None) -> list[Layer]:
    """A diamond; the part is a ribbon with bows; when it is held, a string runs to the hand."""
    layers = []
    if tether:
        layers += [plain(INK, limb(tether, (0.0, 0.62), 0.028))]
    if part:
        path = ((0.0, 0.36), (0.09, 0.28), (-0.06, 0.18), (0.08, 0.09), (0.0, 0.0))
        layers += [inked(ACCENT, *bend(*path, wide=0.035))]
        for u, v in ((0.03, 0.27), (0.0, 0.12)):
            layers += [
                inked(
                    ACCENT,
                    polygon((u, v), (u - 0.15, v + 0.07), (u - 0.15, v - 0.07)),
                    polygon((u, v), (u + 0.15, v + 0.07), (u + 0.15, v - 0.07)),
                )
            ]
    return [
        *layers,
        inked(MAIN, polygon((0.0, 1.0), (0.36, 0.70), (0.0, 0.33), (-0.36, 0.70))),
        plain(DARK, limb((0.0, 0.98), (0.0, 0.36), 0.022), limb((-0.34, 0.70), (0.34, 0.70), 0.022)),
    ]


def hat(part: bool, tether: Tether = None) -> list[Layer]:
    """A hat with a brim and a band; the part is a tall feather."""
    feather = [
        inked(ACCENT, smooth((0.26, 0.25), (0.42, 0.55), (0.66, 1.05), (0.40, 0.98), (0.22, 0.62))),
        plain(WHITE, limb((0.27, 0.30), (0.52, 0.92), 0.03)),
    ]
    return [
        inked(
            MAIN,
            smooth((-0.36, 0.15), (-0.34, 0.60), (-0.22, 0.84), (0.0, 0.78), (0.22, 0.84), (0.34, 0.60), (0.36, 0.15)),
        ),
        inked(DARK, polygon((-0.37, 0.20), (0.37, 0.20), (0.36, 0.38), (-0.36, 0.38))),
        inked(MAIN, ellipse(0.0, 0.16, 0.72, 0.13)),
        *(feather if part else []),
    ]


def bag(part: bool, tether: Tether = None) -> list[Layer]:
    """A handbag with a flap; the part is its strap."""
    strap = [inked(DARK, ring(0.0, 0.62, 0.27, 0.20) * (1.0, 1.35) - (0.0, 0.20))]
    return [
        *(strap if part else []),
        inked(MAIN, polygon((-0.33, 0.61), (0.33, 0.61), (0.41, 0.06), (0.36, 0.01), (-0.36, 0.01), (-0.41, 0.06))),
        inked(
            DARK, smooth((-0.35, 0.62), (0.0, 0.63), (0.35, 0.62), (0.30, 0.42), (0.0, 0.32), (-0.30, 0.42), steps=4)
        ),
        inked(GLOW, ellipse(0.0, 0.36, 0.055)),
    ]

"""How things are drawn: what people carry or wear, and furniture.

What is carried gets a `tether`: the way from the thing's lower edge to the carrying hand, in units of the
thing's height. An umbrella's shaft and a kite's string reach that far.
"""

from mmhallu_core.world.shapes import (
    ACCENT, BEAK, DARK, GLOW, INK, LIGHT, MAIN, METAL, WHITE, WOOD, Layer, bend, box, ellipse, inked, limb, plain, polygon,
    ring, smooth,
)  # fmt: skip

Tether = tuple[float, float] | None


def umbrella(part: bool, tether: Tether = None) -> list[Layer]:
    """An open umbrella; the part is its handle, shaft and hook."""
    layers = []
    if part and tether:
        layers += [inked(WOOD, limb((tether[0], tether[1] - 0.10), (0.0, 0.75), 0.055))]
    elif part:
        layers += [inked(WOOD, *bend((0.0, 0.75), (0.0, 0.12), (0.05, 0.04), (0.13, 0.04), (0.18, 0.12), wide=0.055))]
    dome = smooth(
        (-0.50, 0.50), (-0.42, 0.72), (-0.22, 0.90), (0.0, 0.95), (0.22, 0.90), (0.42, 0.72), (0.50, 0.50),
        (0.34, 0.56), (0.17, 0.50), (0.0, 0.56), (-0.17, 0.50), (-0.34, 0.56), steps=5,
    )  # fmt: skip
    drop = (0.0, 0.0 if part or tether else -0.48)  # nothing holds it up: it lies on the ground
    ribs = [rib + drop for s in (-1, 1) for rib in bend((0.0, 0.94), (s * 0.15, 0.74), (s * 0.17, 0.52), wide=0.018)]
    return [*layers, inked(METAL, limb((0.0, 0.92), (0.0, 1.0), 0.035) + drop), inked(MAIN, dome + drop), plain(DARK, *ribs)]


def ball(part: bool, tether: Tether = None) -> list[Layer]:
    """A ball with a shine and a shaded rim."""
    return [
        inked(MAIN, ellipse(0.0, 0.5, 0.46)),
        plain(DARK, *bend((-0.30, 0.22), (-0.12, 0.10), (0.10, 0.09), (0.30, 0.22), wide=0.06)),
        plain(WHITE, ellipse(-0.18, 0.70, 0.11, 0.07, 35)),
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
            layers += [inked(ACCENT, polygon((u, v), (u - 0.15, v + 0.07), (u - 0.15, v - 0.07)), polygon((u, v), (u + 0.15, v + 0.07), (u + 0.15, v - 0.07)))]
    return [
        *layers,
        inked(MAIN, polygon((0.0, 1.0), (0.36, 0.70), (0.0, 0.33), (-0.36, 0.70))),
        plain(DARK, limb((0.0, 0.98), (0.0, 0.36), 0.022), limb((-0.34, 0.70), (0.34, 0.70), 0.022)),
    ]  # fmt: skip


def hat(part: bool, tether: Tether = None) -> list[Layer]:
    """A hat with a brim and a band; the part is a tall feather."""
    feather = [
        inked(ACCENT, smooth((0.26, 0.25), (0.42, 0.55), (0.66, 1.05), (0.40, 0.98), (0.22, 0.62))),
        plain(WHITE, limb((0.27, 0.30), (0.52, 0.92), 0.03)),
    ]
    return [
        inked(MAIN, smooth((-0.36, 0.15), (-0.34, 0.60), (-0.22, 0.84), (0.0, 0.78), (0.22, 0.84), (0.34, 0.60), (0.36, 0.15))),
        inked(DARK, polygon((-0.37, 0.20), (0.37, 0.20), (0.36, 0.38), (-0.36, 0.38))),
        inked(MAIN, ellipse(0.0, 0.16, 0.72, 0.13)),
        *(feather if part else []),
    ]  # fmt: skip


def bag(part: bool, tether: Tether = None) -> list[Layer]:
    """A handbag with a flap; the part is its strap."""
    strap = [inked(DARK, ring(0.0, 0.62, 0.27, 0.20) * (1.0, 1.35) - (0.0, 0.20))]
    return [
        *(strap if part else []),
        inked(MAIN, polygon((-0.33, 0.61), (0.33, 0.61), (0.41, 0.06), (0.36, 0.01), (-0.36, 0.01), (-0.41, 0.06))),
        inked(DARK, smooth((-0.35, 0.62), (0.0, 0.63), (0.35, 0.62), (0.30, 0.42), (0.0, 0.32), (-0.30, 0.42), steps=4)),
        inked(GLOW, ellipse(0.0, 0.36, 0.055)),
    ]  # fmt: skip


def chair(pose: str | None, part: bool) -> list[Layer]:
    """A chair seen at an angle; the part is a thick cushion on the seat."""
    cushion = [inked(ACCENT, smooth((-0.28, 0.58), (0.30, 0.58), (0.37, 0.50), (0.30, 0.42), (-0.28, 0.42), (-0.32, 0.50), steps=4))]
    return [
        inked(DARK, limb((-0.14, 0.36), (-0.14, 0.06), 0.06), limb((0.30, 0.36), (0.30, 0.06), 0.06)),
        inked(MAIN, box(-0.36, 0.56, 0.18, 0.99, 0.07)),
        inked(MAIN, limb((-0.30, 0.60), (-0.30, 0.40), 0.07), limb((0.12, 0.60), (0.12, 0.40), 0.07)),
        inked(MAIN, polygon((-0.36, 0.44), (0.28, 0.44), (0.37, 0.34), (-0.30, 0.34))),
        inked(MAIN, limb((-0.28, 0.34), (-0.28, 0.03), 0.07), limb((0.20, 0.34), (0.20, 0.03), 0.07)),
        *(cushion if part else []),
    ]  # fmt: skip


def lamp(pose: str | None, part: bool) -> list[Layer]:
    """A standing lamp; the part is a glowing bulb under the shade."""
    rays = [limb((s * u0, v0), (s * u1, v1), 0.035) for s in (-1, 1) for (u0, v0), (u1, v1) in (
        ((0.14, 0.53), (0.22, 0.50)), ((0.10, 0.44), (0.16, 0.37)))]  # fmt: skip
    bulb = [inked(GLOW, ellipse(0.0, 0.54, 0.095, 0.115)), plain(BEAK, *rays)]
    return [
        inked(METAL, limb((0.0, 0.04), (0.0, 0.70), 0.045), smooth((-0.15, 0.0), (0.15, 0.0), (0.10, 0.06), (0.0, 0.08), (-0.10, 0.06), steps=4)),
        *(bulb if part else []),
        inked(MAIN, polygon((-0.21, 0.62), (0.21, 0.62), (0.12, 0.98), (-0.12, 0.98))),
        plain(LIGHT, limb((-0.18, 0.64), (0.18, 0.64), 0.03)),
    ]  # fmt: skip

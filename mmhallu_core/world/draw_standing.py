"""How things that stay where they stand are drawn: buildings, plants, furniture."""

import numpy as np

from mmhallu_core.world.shapes import (
    ACCENT,
    BEAK,
    DARK,
    GLASS,
    GLOW,
    LEAF,
    LIGHT,
    MAIN,
    METAL,
    TYRE,
    WHITE,
    WOOD,
    Layer,
    box,
    ellipse,
    inked,
    limb,
    plain,
    polygon,
    smooth,
)


def house(part: bool) -> list[Layer]:
    """A house with a roof in its own darker colour; the part is a chimney."""
    layers = []
    if part:
        layers += [inked(METAL, box(0.18, 0.60, 0.33, 1.0)), inked(TYRE, box(0.15, 0.94, 0.36, 1.0))]
    layers += [
        inked(MAIN, box(-0.39, 0.0, 0.39, 0.56)),
        inked(DARK, polygon((-0.48, 0.52), (0.48, 0.52), (0.0, 0.97))),
        inked(WOOD, box(-0.30, 0.0, -0.10, 0.32, 0.03)),
        plain(GLOW, ellipse(-0.14, 0.16, 0.018)),
        inked(GLASS, box(0.04, 0.18, 0.30, 0.40)),
        plain(WHITE, box(0.16, 0.18, 0.18, 0.40), box(0.04, 0.28, 0.30, 0.30)),
        inked(GLASS, ellipse(0.0, 0.67, 0.075)),
    ]
    return layers


def tent(part: bool) -> list[Layer]:
    """A ridge tent with an open door; the part is a flag on its top."""
    layers = []
    if part:
        layers += [
            inked(WOOD, limb((0.0, 0.70), (0.0, 1.02), 0.045)),
            inked(ACCENT, polygon((0.02, 1.04), (0.40, 0.92), (0.02, 0.80))),
        ]
    layers += [
        inked(MAIN, polygon((-0.60, 0.0), (0.60, 0.0), (0.03, 0.76), (-0.03, 0.76))),
        inked(DARK, polygon((-0.20, 0.0), (0.20, 0.0), (0.0, 0.52))),
        inked(LIGHT, polygon((-0.20, 0.0), (-0.29, 0.0), (0.0, 0.52))),
        inked(LIGHT, polygon((0.20, 0.0), (0.29, 0.0), (0.0, 0.52))),
    ]
    return layers


def tree(part: bool) -> list[Layer]:
    """A tree with a crown of its colour; the part is its fruit."""
    crown = [(0.0, 0.78, 0.20), (-0.16, 0.66, 0.165), (0.16, 0.66, 0.165), (-0.08, 0.53, 0.15), (0.10, 0.53, 0.15)]
    layers = [
        inked(WOOD, polygon((-0.085, 0.0), (0.085, 0.0), (0.05, 0.45), (-0.05, 0.45))),
        inked(MAIN, *(ellipse(*circle) for circle in crown)),
        plain(LIGHT, ellipse(-0.06, 0.88, 0.075, 0.03, 25.0)),
    ]
    if part:
        for u, v in ((-0.17, 0.66), (0.03, 0.80), (0.17, 0.64), (-0.03, 0.53)):
            layers += [inked(ACCENT, ellipse(u, v, 0.058)), plain(WHITE, ellipse(u - 0.02, v + 0.022, 0.014))]
    return layers


def flower(part: bool) -> list[Layer]:
    """A flower on a stem; the part is its pair of leaves."""
    angle = np.linspace(0, 2 * np.pi, 6, endpoint=False) + np.pi / 2
    petals = [ellipse(0.17 * np.cos(a), 0.70 + 0.17 * np.sin(a), 0.115) for a in angle]
    layers = [inked(LEAF, limb((0.0, 0.02), (0.0, 0.55), 0.06))]
    if part:
        layers += [
            inked(
                LEAF,
                smooth((0.0, 0.08), (0.16, 0.12), (0.32, 0.36), (0.12, 0.30)),
                smooth((0.0, 0.04), (-0.16, 0.08), (-0.32, 0.32), (-0.12, 0.26)),
            ),
        ]
    return [*layers, *(inked(MAIN, petal) for petal in petals), inked(GLOW, ellipse(0.0, 0.70, 0.11))]


def chair(part: bool) -> list[Layer]:
    """A chair seen at an angle; the part is a thick cushion on the seat."""
    cushion = [
        inked(
            ACCENT,
            smooth((-0.28, 0.58), (0.30, 0.58), (0.37, 0.50), (0.30, 0.42), (-0.28, 0.42), (-0.32, 0.50), steps=4),
        )
    ]
    return [
        inked(DARK, limb((-0.14, 0.36), (-0.14, 0.06), 0.06), limb((0.30, 0.36), (0.30, 0.06), 0.06)),
        inked(MAIN, box(-0.36, 0.56, 0.18, 0.99, 0.07)),
        inked(MAIN, limb((-0.30, 0.60), (-0.30, 0.40), 0.07), limb((0.12, 0.60), (0.12, 0.40), 0.07)),
        inked(MAIN, polygon((-0.36, 0.44), (0.28, 0.44), (0.37, 0.34), (-0.30, 0.34))),
        inked(MAIN, limb((-0.28, 0.34), (-0.28, 0.03), 0.07), limb((0.20, 0.34), (0.20, 0.03), 0.07)),
        *(cushion if part else []),
    ]


def lamp(part: bool) -> list[Layer]:
    """A standing lamp; the part is a glowing bulb under the shade."""
    rays = [
        limb((s * u0, v0), (s * u1, v1), 0.035)
        for s in (-1, 1)
        for (u0, v0), (u1, v1) in (((0.14, 0.53), (0.22, 0.50)), ((0.10, 0.44), (0.16, 0.37)))
    ]
    bulb = [inked(GLOW, ellipse(0.0, 0.54, 0.095, 0.115)), plain(BEAK, *rays)]
    return [
        inked(
            METAL,
            limb((0.0, 0.04), (0.0, 0.70), 0.045),
            smooth((-0.15, 0.0), (0.15, 0.0), (0.10, 0.06), (0.0, 0.08), (-0.10, 0.06), steps=4),
        ),
        *(bulb if part else []),
        inked(MAIN, polygon((-0.21, 0.62), (0.21, 0.62), (0.12, 0.98), (-0.12, 0.98))),
        plain(LIGHT, limb((-0.18, 0.64), (0.18, 0.64), 0.03)),
    ]

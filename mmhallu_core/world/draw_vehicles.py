"""How vehicles and buildings are drawn."""

import numpy as np

from mmhallu_core.world.shapes import (
    ACCENT, DARK, GLASS, GLOW, INK, LIGHT, MAIN, METAL, TYRE, WHITE, WOOD, Layer, bend, box, ellipse, inked, limb,
    plain, polygon, ring, smooth,
)  # fmt: skip


def car(pose: str | None, part: bool) -> list[Layer]:
    """A round little car seen from the side; the part is a tall antenna with a ball on it."""
    antenna = [inked(METAL, limb((-0.52, 0.42), (-0.68, 0.98), 0.05)), inked(ACCENT, ellipse(-0.69, 1.0, 0.09))]
    layers = [*(antenna if part else [])]
    layers += [
        inked(MAIN, smooth((-0.44, 0.40), (-0.34, 0.74), (-0.06, 0.84), (0.18, 0.78), (0.42, 0.42), (0.0, 0.30)),
              smooth((-0.82, 0.22), (-0.80, 0.44), (-0.50, 0.52), (0.36, 0.50), (0.72, 0.42), (0.84, 0.24), (0.60, 0.14), (-0.60, 0.14))),
        inked(GLASS, smooth((-0.32, 0.50), (-0.25, 0.70), (-0.05, 0.75), (-0.04, 0.50), steps=4),
              smooth((0.04, 0.50), (0.04, 0.75), (0.18, 0.68), (0.30, 0.50), steps=4)),
        inked(GLOW, ellipse(0.77, 0.34, 0.055, 0.07)),
        plain(DARK, box(-0.80, 0.19, 0.82, 0.245), limb((-0.02, 0.42), (0.08, 0.42), 0.035)),
    ]  # fmt: skip
    for u in (-0.46, 0.48):
        layers += [inked(TYRE, ellipse(u, 0.17, 0.175)), plain(METAL, ellipse(u, 0.17, 0.085)), plain(WHITE, ellipse(u, 0.17, 0.04))]
    return layers


def bicycle(pose: str | None, part: bool) -> list[Layer]:
    """A bicycle with coloured discs for wheels; the part is a basket in front."""
    layers = []
    hub_a, hub_b = (-0.40, 0.27), (0.40, 0.27)
    for u, v in (hub_a, hub_b):
        layers += [inked(TYRE, ring(u, v, 0.275, 0.225)), plain(MAIN, ring(u, v, 0.235, 0.09)), plain(METAL, ellipse(u, v, 0.05))]
    pedal, seat, head = (-0.06, 0.26), (-0.20, 0.70), (0.27, 0.72)
    bars = (limb(hub_a, (-0.18, 0.62), 0.055), limb(hub_a, pedal, 0.055), limb(pedal, seat, 0.07), limb((-0.17, 0.60), head, 0.08),
            limb(pedal, head, 0.08), limb(head, hub_b, 0.065))  # fmt: skip
    layers += [
        inked(MAIN, *bars),
        inked(TYRE, ellipse(*pedal, 0.055)),
        inked(METAL, *bend(head, (0.24, 0.90), (0.36, 0.93), wide=0.05)),
        inked(TYRE, limb((-0.31, 0.77), (-0.13, 0.75), 0.09, 0.06)),
        inked(TYRE, limb((0.34, 0.93), (0.42, 0.91), 0.07)),
    ]
    if part:
        layers += [
            inked(WOOD, polygon((0.33, 0.86), (0.72, 0.86), (0.65, 0.54), (0.39, 0.54))),
            plain(INK, limb((0.36, 0.76), (0.69, 0.76), 0.015), limb((0.38, 0.66), (0.67, 0.66), 0.015),
                  limb((0.46, 0.84), (0.47, 0.56), 0.015), limb((0.59, 0.84), (0.57, 0.56), 0.015)),
        ]  # fmt: skip
    return layers


def boat(pose: str | None, part: bool) -> list[Layer]:
    """A boat: hull and mast; the part is a big sail."""
    layers = [inked(WOOD, limb((-0.02, 0.25), (-0.02, 0.97), 0.05))]
    if part:
        layers += [
            inked(WHITE, smooth((0.03, 0.95), (0.10, 0.72), (0.26, 0.52), (0.46, 0.40), (0.03, 0.40), (0.03, 0.66), steps=4)),
            inked(ACCENT, polygon((-0.08, 0.86), (-0.08, 0.40), (-0.40, 0.40))),
        ]
    layers += [
        inked(MAIN, smooth((-0.55, 0.34), (-0.20, 0.31), (0.20, 0.31), (0.56, 0.37), (0.40, 0.08), (0.20, 0.02), (-0.20, 0.02), (-0.42, 0.08), steps=5)),
        plain(DARK, limb((-0.36, 0.09), (0.36, 0.09), 0.05)),
        inked(LIGHT, limb((-0.52, 0.335), (0.53, 0.345), 0.05)),
    ]  # fmt: skip
    return layers


def house(pose: str | None, part: bool) -> list[Layer]:
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


def tent(pose: str | None, part: bool) -> list[Layer]:
    """A ridge tent with an open door; the part is a flag on its top."""
    layers = []
    if part:
        layers += [inked(WOOD, limb((0.0, 0.70), (0.0, 1.02), 0.045)), inked(ACCENT, polygon((0.02, 1.04), (0.40, 0.92), (0.02, 0.80)))]
    layers += [
        inked(MAIN, polygon((-0.60, 0.0), (0.60, 0.0), (0.03, 0.76), (-0.03, 0.76))),
        inked(DARK, polygon((-0.20, 0.0), (0.20, 0.0), (0.0, 0.52))),
        inked(LIGHT, polygon((-0.20, 0.0), (-0.29, 0.0), (0.0, 0.52))),
        inked(LIGHT, polygon((0.20, 0.0), (0.29, 0.0), (0.0, 0.52))),
    ]
    return layers


def tree(pose: str | None, part: bool) -> list[Layer]:
    """A tree with a crown of its colour; the part is its fruit."""
    crown = [(0.0, 0.78, 0.20), (-0.16, 0.66, 0.165), (0.16, 0.66, 0.165), (-0.08, 0.53, 0.15), (0.10, 0.53, 0.15)]
    layers = [
        inked(WOOD, polygon((-0.085, 0.0), (0.085, 0.0), (0.05, 0.45), (-0.05, 0.45))),
        inked(MAIN, *(ellipse(*circle) for circle in crown)),
        plain(LIGHT, ellipse(-0.06, 0.88, 0.075, 0.03, 25)),
    ]
    if part:
        for u, v in ((-0.17, 0.66), (0.03, 0.80), (0.17, 0.64), (-0.03, 0.53)):
            layers += [inked(ACCENT, ellipse(u, v, 0.058)), plain(WHITE, ellipse(u - 0.02, v + 0.022, 0.014))]
    return layers


def flower(pose: str | None, part: bool) -> list[Layer]:
    """A flower on a stem; the part is its pair of leaves."""
    from mmhallu_core.world.shapes import LEAF

    angle = np.linspace(0, 2 * np.pi, 6, endpoint=False) + np.pi / 2
    petals = [ellipse(0.17 * np.cos(a), 0.70 + 0.17 * np.sin(a), 0.115) for a in angle]
    layers = [inked(LEAF, limb((0.0, 0.02), (0.0, 0.55), 0.06))]
    if part:
        layers += [
            inked(LEAF, smooth((0.0, 0.08), (0.16, 0.12), (0.32, 0.36), (0.12, 0.30)), smooth((0.0, 0.04), (-0.16, 0.08), (-0.32, 0.32), (-0.12, 0.26))),
        ]  # fmt: skip
    return [*layers, *(inked(MAIN, petal) for petal in petals), inked(GLOW, ellipse(0.0, 0.70, 0.11))]

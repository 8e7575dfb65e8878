"""How things without a pose are drawn: vehicles on their way to the right, buildings, plants, furniture."""

import numpy as np

from mmhallu_core.world.shapes import Layer, bend, box, ellipse, inked, limb, path, plain, polygon, ring, smooth


def car(part: bool) -> list[Layer]:
    """A round little car seen from the side; the part is a tall antenna with a ball on it."""
    antenna = [inked("metal", limb((-0.52, 0.42), (-0.68, 0.98), 0.05)), inked("accent", ellipse(-0.69, 1.0, 0.09))]
    layers = [*(antenna if part else [])]
    layers += [
        inked(
            "main",
            smooth((-0.44, 0.40), (-0.34, 0.74), (-0.06, 0.84), (0.18, 0.78), (0.42, 0.42), (0.0, 0.30)),
            smooth(*path("-0.82,0.22 -0.8,0.44 -0.5,0.52 0.36,0.5 0.72,0.42 0.84,0.24 0.6,0.14 -0.6,0.14")),
        ),
        inked(
            "glass",
            smooth((-0.32, 0.50), (-0.25, 0.70), (-0.05, 0.75), (-0.04, 0.50), steps=4),
            smooth((0.04, 0.50), (0.04, 0.75), (0.18, 0.68), (0.30, 0.50), steps=4),
        ),
        inked("glow", ellipse(0.77, 0.34, 0.055, 0.07)),
        plain("dark", box(-0.80, 0.19, 0.82, 0.245), limb((-0.02, 0.42), (0.08, 0.42), 0.035)),
    ]
    for u in (-0.46, 0.48):
        layers += [
            inked("tyre", ellipse(u, 0.17, 0.175)),
            plain("metal", ellipse(u, 0.17, 0.085)),
            plain("white", ellipse(u, 0.17, 0.04)),
        ]
    return layers


def bicycle(part: bool) -> list[Layer]:
    """A bicycle with coloured discs for wheels; the part is a basket in front."""
    layers = []
    hub_a, hub_b = (-0.40, 0.27), (0.40, 0.27)
    for u, v in (hub_a, hub_b):
        layers += [
            inked("tyre", ring(u, v, 0.275, 0.225)),
            plain("main", ring(u, v, 0.235, 0.09)),
            plain("metal", ellipse(u, v, 0.05)),
        ]
    pedal, seat, head = (-0.06, 0.26), (-0.20, 0.70), (0.27, 0.72)
    bars = (
        limb(hub_a, (-0.18, 0.62), 0.055),
        limb(hub_a, pedal, 0.055),
        limb(pedal, seat, 0.07),
        limb((-0.17, 0.60), head, 0.08),
        limb(pedal, head, 0.08),
        limb(head, hub_b, 0.065),
    )
    layers += [
        inked("main", *bars),
        inked("tyre", ellipse(*pedal, 0.055)),
        inked("metal", *bend(head, (0.24, 0.90), (0.36, 0.93), wide=0.05)),
        inked("tyre", limb((-0.31, 0.77), (-0.13, 0.75), 0.09, 0.06)),
        inked("tyre", limb((0.34, 0.93), (0.42, 0.91), 0.07)),
    ]
    if part:
        layers += [
            inked("wood", polygon((0.33, 0.86), (0.72, 0.86), (0.65, 0.54), (0.39, 0.54))),
            plain(
                "ink",
                limb((0.36, 0.76), (0.69, 0.76), 0.015),
                limb((0.38, 0.66), (0.67, 0.66), 0.015),
                limb((0.46, 0.84), (0.47, 0.56), 0.015),
                limb((0.59, 0.84), (0.57, 0.56), 0.015),
            ),
        ]
    return layers


def boat(part: bool) -> list[Layer]:
    """A boat: hull and mast; the part is a big sail."""
    layers = [inked("wood", limb((-0.02, 0.25), (-0.02, 0.97), 0.05))]
    if part:
        layers += [
            inked(
                "white",
                smooth((0.03, 0.95), (0.10, 0.72), (0.26, 0.52), (0.46, 0.40), (0.03, 0.40), (0.03, 0.66), steps=4),
            ),
            inked("accent", polygon((-0.08, 0.86), (-0.08, 0.40), (-0.40, 0.40))),
        ]
    layers += [
        inked(
            "main",
            smooth(*path("-0.55,0.34 -0.2,0.31 0.2,0.31 0.56,0.37 0.4,0.08 0.2,0.02 -0.2,0.02 -0.42,0.08"), steps=5),
        ),
        plain("dark", limb((-0.36, 0.09), (0.36, 0.09), 0.05)),
        inked("light", limb((-0.52, 0.335), (0.53, 0.345), 0.05)),
    ]
    return layers


def house(part: bool) -> list[Layer]:
    """A house with a roof in its own darker colour; the part is a chimney."""
    layers = []
    if part:
        layers += [inked("metal", box(0.18, 0.60, 0.33, 1.0)), inked("tyre", box(0.15, 0.94, 0.36, 1.0))]
    layers += [
        inked("main", box(-0.39, 0.0, 0.39, 0.56)),
        inked("dark", polygon((-0.48, 0.52), (0.48, 0.52), (0.0, 0.97))),
        inked("wood", box(-0.30, 0.0, -0.10, 0.32, 0.03)),
        plain("glow", ellipse(-0.14, 0.16, 0.018)),
        inked("glass", box(0.04, 0.18, 0.30, 0.40)),
        plain("white", box(0.16, 0.18, 0.18, 0.40), box(0.04, 0.28, 0.30, 0.30)),
        inked("glass", ellipse(0.0, 0.67, 0.075)),
    ]
    return layers


def tent(part: bool) -> list[Layer]:
    """A ridge tent with an open door; the part is a flag on its top."""
    layers = []
    if part:
        layers += [
            inked("wood", limb((0.0, 0.70), (0.0, 1.02), 0.045)),
            inked("accent", polygon((0.02, 1.04), (0.40, 0.92), (0.02, 0.80))),
        ]
    layers += [
        inked("main", polygon((-0.60, 0.0), (0.60, 0.0), (0.03, 0.76), (-0.03, 0.76))),
        inked("dark", polygon((-0.20, 0.0), (0.20, 0.0), (0.0, 0.52))),
        inked("light", polygon((-0.20, 0.0), (-0.29, 0.0), (0.0, 0.52))),
        inked("light", polygon((0.20, 0.0), (0.29, 0.0), (0.0, 0.52))),
    ]
    return layers


def tree(part: bool) -> list[Layer]:
    """A tree with a crown of its colour; the part is its fruit."""
    crown = [(0.0, 0.78, 0.20), (-0.16, 0.66, 0.165), (0.16, 0.66, 0.165), (-0.08, 0.53, 0.15), (0.10, 0.53, 0.15)]
    layers = [
        inked("wood", polygon((-0.085, 0.0), (0.085, 0.0), (0.05, 0.45), (-0.05, 0.45))),
        inked("main", *(ellipse(*circle) for circle in crown)),
        plain("light", ellipse(-0.06, 0.88, 0.075, 0.03, 25.0)),
    ]
    if part:
        for u, v in ((-0.17, 0.66), (0.03, 0.80), (0.17, 0.64), (-0.03, 0.53)):
            layers += [inked("accent", ellipse(u, v, 0.058)), plain("white", ellipse(u - 0.02, v + 0.022, 0.014))]
    return layers


def flower(part: bool) -> list[Layer]:
    """A flower on a stem; the part is its pair of leaves."""
    angle = np.linspace(0, 2 * np.pi, 6, endpoint=False) + np.pi / 2
    petals = [ellipse(0.17 * np.cos(a), 0.70 + 0.17 * np.sin(a), 0.115) for a in angle]
    layers = [inked("leaf", limb((0.0, 0.02), (0.0, 0.55), 0.06))]
    if part:
        layers += [
            inked(
                "leaf",
                smooth((0.0, 0.08), (0.16, 0.12), (0.32, 0.36), (0.12, 0.30)),
                smooth((0.0, 0.04), (-0.16, 0.08), (-0.32, 0.32), (-0.12, 0.26)),
            ),
        ]
    return [*layers, *(inked("main", petal) for petal in petals), inked("glow", ellipse(0.0, 0.70, 0.11))]


def chair(part: bool) -> list[Layer]:
    """A chair seen at an angle; the part is a thick cushion on the seat."""
    cushion = [
        inked(
            "accent",
            smooth((-0.28, 0.58), (0.30, 0.58), (0.37, 0.50), (0.30, 0.42), (-0.28, 0.42), (-0.32, 0.50), steps=4),
        )
    ]
    return [
        inked("dark", limb((-0.14, 0.36), (-0.14, 0.06), 0.06), limb((0.30, 0.36), (0.30, 0.06), 0.06)),
        inked("main", box(-0.36, 0.56, 0.18, 0.99, 0.07)),
        inked("main", limb((-0.30, 0.60), (-0.30, 0.40), 0.07), limb((0.12, 0.60), (0.12, 0.40), 0.07)),
        inked("main", polygon((-0.36, 0.44), (0.28, 0.44), (0.37, 0.34), (-0.30, 0.34))),
        inked("main", limb((-0.28, 0.34), (-0.28, 0.03), 0.07), limb((0.20, 0.34), (0.20, 0.03), 0.07)),
        *(cushion if part else []),
    ]


def lamp(part: bool) -> list[Layer]:
    """A standing lamp; the part is a glowing bulb under the shade."""
    rays = [
        limb((s * u0, v0), (s * u1, v1), 0.035)
        for s in (-1, 1)
        for (u0, v0), (u1, v1) in (((0.14, 0.53), (0.22, 0.50)), ((0.10, 0.44), (0.16, 0.37)))
    ]
    bulb = [inked("glow", ellipse(0.0, 0.54, 0.095, 0.115)), plain("beak", *rays)]
    return [
        inked(
            "metal",
            limb((0.0, 0.04), (0.0, 0.70), 0.045),
            smooth((-0.15, 0.0), (0.15, 0.0), (0.10, 0.06), (0.0, 0.08), (-0.10, 0.06), steps=4),
        ),
        *(bulb if part else []),
        inked("main", polygon((-0.21, 0.62), (0.21, 0.62), (0.12, 0.98), (-0.12, 0.98))),
        plain("light", limb((-0.18, 0.64), (0.18, 0.64), 0.03)),
    ]

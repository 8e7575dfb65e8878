"""How vehicles are drawn: from the side, on their way to the right."""

from mmhallu_core.world.shapes import (
    ACCENT,
    DARK,
    GLASS,
    GLOW,
    INK,
    LIGHT,
    MAIN,
    METAL,
    TYRE,
    WHITE,
    WOOD,
    Layer,
    bend,
    box,
    ellipse,
    inked,
    limb,
    plain,
    polygon,
    ring,
    smooth,
)


def car(part: bool) -> list[Layer]:
    """A round little car seen from the side; the part is a tall antenna with a ball on it."""
    antenna = [inked(METAL, limb((-0.52, 0.42), (-0.68, 0.98), 0.05)), inked(ACCENT, ellipse(-0.69, 1.0, 0.09))]
    layers = [*(antenna if part else [])]
    layers += [
        inked(
            MAIN,
            smooth((-0.44, 0.40), (-0.34, 0.74), (-0.06, 0.84), (0.18, 0.78), (0.42, 0.42), (0.0, 0.30)),
            smooth(
                (-0.82, 0.22),
                (-0.80, 0.44),
                (-0.50, 0.52),
                (0.36, 0.50),
                (0.72, 0.42),
                (0.84, 0.24),
                (0.60, 0.14),
                (-0.60, 0.14),
            ),
        ),
        inked(
            GLASS,
            smooth((-0.32, 0.50), (-0.25, 0.70), (-0.05, 0.75), (-0.04, 0.50), steps=4),
            smooth((0.04, 0.50), (0.04, 0.75), (0.18, 0.68), (0.30, 0.50), steps=4),
        ),
        inked(GLOW, ellipse(0.77, 0.34, 0.055, 0.07)),
        plain(DARK, box(-0.80, 0.19, 0.82, 0.245), limb((-0.02, 0.42), (0.08, 0.42), 0.035)),
    ]
    for u in (-0.46, 0.48):
        layers += [
            inked(TYRE, ellipse(u, 0.17, 0.175)),
            plain(METAL, ellipse(u, 0.17, 0.085)),
            plain(WHITE, ellipse(u, 0.17, 0.04)),
        ]
    return layers


def bicycle(part: bool) -> list[Layer]:
    """A bicycle with coloured discs for wheels; the part is a basket in front."""
    layers = []
    hub_a, hub_b = (-0.40, 0.27), (0.40, 0.27)
    for u, v in (hub_a, hub_b):
        layers += [
            inked(TYRE, ring(u, v, 0.275, 0.225)),
            plain(MAIN, ring(u, v, 0.235, 0.09)),
            plain(METAL, ellipse(u, v, 0.05)),
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
        inked(MAIN, *bars),
        inked(TYRE, ellipse(*pedal, 0.055)),
        inked(METAL, *bend(head, (0.24, 0.90), (0.36, 0.93), wide=0.05)),
        inked(TYRE, limb((-0.31, 0.77), (-0.13, 0.75), 0.09, 0.06)),
        inked(TYRE, limb((0.34, 0.93), (0.42, 0.91), 0.07)),
    ]
    if part:
        layers += [
            inked(WOOD, polygon((0.33, 0.86), (0.72, 0.86), (0.65, 0.54), (0.39, 0.54))),
            plain(
                INK,
                limb((0.36, 0.76), (0.69, 0.76), 0.015),
                limb((0.38, 0.66), (0.67, 0.66), 0.015),
                limb((0.46, 0.84), (0.47, 0.56), 0.015),
                limb((0.59, 0.84), (0.57, 0.56), 0.015),
            ),
        ]
    return layers


def boat(part: bool) -> list[Layer]:
    """A boat: hull and mast; the part is a big sail."""
    layers = [inked(WOOD, limb((-0.02, 0.25), (-0.02, 0.97), 0.05))]
    if part:
        layers += [
            inked(
                WHITE,
                smooth((0.03, 0.95), (0.10, 0.72), (0.26, 0.52), (0.46, 0.40), (0.03, 0.40), (0.03, 0.66), steps=4),
            ),
            inked(ACCENT, polygon((-0.08, 0.86), (-0.08, 0.40), (-0.40, 0.40))),
        ]
    layers += [
        inked(
            MAIN,
            smooth(
                (-0.55, 0.34),
                (-0.20, 0.31),
                (0.20, 0.31),
                (0.56, 0.37),
                (0.40, 0.08),
                (0.20, 0.02),
                (-0.20, 0.02),
                (-0.42, 0.08),
                steps=5,
            ),
        ),
        plain(DARK, limb((-0.36, 0.09), (0.36, 0.09), 0.05)),
        inked(LIGHT, limb((-0.52, 0.335), (0.53, 0.345), 0.05)),
    ]
    return layers

"""How animals are drawn: all look to the right; their outlines tell them apart.

A dog has a snout and hanging ears, a cat a round face and pointed ears, a horse long legs and a mane.
"""

from typing import NamedTuple

from mmhallu_core.world.shapes import Layer, Points, bend, ellipse, inked, limb, path, plain, polygon, smooth


class Legs(NamedTuple):
    """The far legs, the near ones that melt into the body, and the folded ones that lie over it."""

    far: list[Layer]
    near: list[Points]
    folded: list[Layer]


def _legs(pose: str, back: float, front: float, top: float, wide: float, reach: float) -> Legs:
    """Legs of a body whose hips are at u = `back` and `front`, v = `top`; `reach` is how far a step goes."""
    if pose == "lying":
        folded = [limb((front - 0.05, wide / 2), (front + reach, wide / 2), wide)]
        folded += [limb((back - 0.02, wide / 2 + 0.03), (back + reach * 0.9, wide / 2), wide * 1.3, wide)]
        return Legs([], [], [inked("main", *folded)])
    far, near = [], []
    for hip, direction in ((back, -1), (front, 1)):
        if pose == "running":
            knee, foot = (hip + direction * reach * 0.45, top * 0.62), (hip + direction * reach, top * 0.30)
            knee2, foot2 = (
                (hip + direction * reach * 0.2, top * 0.5),
                (hip + direction * reach * 0.75, top * 0.08 + wide / 2),
            )
            far += bend((hip, top), knee2, foot2, wide=wide, tip=wide * 0.8)
            near += bend((hip, top), knee, foot, wide=wide * 1.15, tip=wide * 0.8)
        else:
            far += [limb((hip + 0.07, top), (hip + 0.09, wide / 2), wide)]
            near += [limb((hip - 0.03, top), (hip - 0.03, wide / 2), wide * 1.1, wide)]
    return Legs([inked("dark", *far)], near, [])


def dog(pose: str, part: bool) -> list[Layer]:
    """A dog with a snout, a hanging ear and a tail that stands up."""
    low = {"standing": 0.0, "running": 0.02, "lying": -0.29}[pose]
    body = 0.47 + low
    legs = _legs(pose, -0.30, 0.20, body - 0.06, 0.12, 0.30)
    head = (0.36, 0.76 + low * 0.85)
    tail = [inked("main", *bend((-0.34, body + 0.08), (-0.50, body + 0.22), (-0.54, body + 0.46), wide=0.13, tip=0.08))]
    u, v = head
    return [
        *(tail if part else []),
        *legs.far,
        inked(
            "main",
            *legs.near,
            limb((-0.27, body), (0.20, body + 0.02), 0.34, 0.36),
            *bend((0.20, body + 0.08), head, wide=0.26, tip=0.2),
            ellipse(u, v, 0.17),
            limb((u + 0.05, v - 0.05), (u + 0.19, v - 0.07), 0.19, 0.13),
        ),
        *legs.folded,
        inked("light", limb((u + 0.12, v - 0.085), (u + 0.19, v - 0.085), 0.11, 0.09)),
        inked("ink", ellipse(u + 0.235, v - 0.035, 0.045, 0.04)),
        inked(
            "dark",
            smooth(*path("-0.1,0.13 0,0.12 -0.01,-0.1 -0.1,-0.2 -0.18,-0.08", u, v)),
        ),
        plain("ink", ellipse(u + 0.075, v + 0.05, 0.03, 0.04)),
    ]


def cat(pose: str, part: bool) -> list[Layer]:
    """A cat with a round face, pointed ears, whiskers and a long curled tail."""
    low = {"standing": 0.0, "running": 0.0, "lying": -0.24}[pose]
    body = 0.40 + low
    legs = _legs(pose, -0.25, 0.14, body - 0.05, 0.10, 0.27)
    u, v = 0.28, 0.66 + low * 0.9
    curl = path("-0.3,0.02 -0.46,0.14 -0.47,0.36 -0.36,0.5 -0.27,0.44", 0.0, body)
    ears = [polygon((u + s * 0.19, v + 0.07), (u + s * 0.185, v + 0.33), (u + s * 0.01, v + 0.17)) for s in (-1, 1)]
    inner = [polygon((u + s * 0.165, v + 0.12), (u + s * 0.165, v + 0.26), (u + s * 0.07, v + 0.17)) for s in (-1, 1)]
    whiskers = [
        one
        for s in (-1, 1)
        for one in (
            limb((u + s * 0.10, v - 0.05), (u + s * 0.27, v - 0.02), 0.012),
            limb((u + s * 0.10, v - 0.08), (u + s * 0.26, v - 0.12), 0.012),
        )
    ]
    return [
        *([inked("main", *bend(*curl, wide=0.11, tip=0.09))] if part else []),
        *legs.far,
        inked(
            "main",
            *legs.near,
            limb((-0.22, body), (0.14, body + 0.01), 0.29, 0.27),
            limb((0.14, body), (u, v - 0.05), 0.22),
        ),
        *legs.folded,
        inked("main", ellipse(u, v, 0.205, 0.185), *ears),
        plain("accent", *inner),
        plain("white", ellipse(u - 0.045, v - 0.07, 0.06, 0.05), ellipse(u + 0.045, v - 0.07, 0.06, 0.05)),
        plain("ink", *whiskers, ellipse(u - 0.085, v + 0.03, 0.03, 0.045), ellipse(u + 0.085, v + 0.03, 0.03, 0.045)),
        plain("beak", polygon((u - 0.035, v - 0.03), (u + 0.035, v - 0.03), (u, v - 0.075))),
    ]


def horse(pose: str, part: bool) -> list[Layer]:
    """A horse with long legs, a neck, a mane and a tail; the part is a saddle on a blanket."""
    low = {"standing": 0.0, "running": 0.02, "lying": -0.36}[pose]
    body = 0.52 + low
    legs = _legs(pose, -0.27, 0.16, body - 0.05, 0.095, 0.30)
    head = (0.38, 0.85 + low * 0.75)
    u, v = head
    neck = bend((0.16, body + 0.04), (u - 0.07, v - 0.05), wide=0.26, tip=0.18)
    mane = smooth(
        (u - 0.09, v + 0.11), (u - 0.03, v + 0.03), (0.19, body + 0.16), (0.04, body + 0.12), (0.10, v - 0.08)
    )
    saddle = [
        inked(
            "accent",
            smooth(*path("-0.21,0.17 0.07,0.17 0.07,-0.09 -0.07,-0.13 -0.21,-0.09", 0.0, body), steps=4),
        ),
        inked(
            "dark",
            smooth(*path("-0.21,0.23 -0.14,0.15 0,0.15 0.08,0.26 0,0.21 -0.12,0.2", 0.0, body)),
        ),
        inked("metal", limb((-0.06, body + 0.05), (-0.06, body - 0.13), 0.03), ellipse(-0.06, body - 0.16, 0.045)),
    ]
    return [
        inked(
            "dark",
            *bend((-0.37, body + 0.10), (-0.50, body + 0.02), (-0.52, max(0.05, body - 0.22)), wide=0.11, tip=0.06),
        ),
        *legs.far,
        inked(
            "main",
            *legs.near,
            limb((-0.26, body), (0.16, body), 0.28, 0.29),
            *neck,
            *bend(head, (u + 0.14, v - 0.13), wide=0.17, tip=0.12),
            polygon((u - 0.07, v + 0.05), (u - 0.05, v + 0.17), (u + 0.02, v + 0.06)),
        ),
        *legs.folded,
        inked("dark", mane),
        *(saddle if part else []),
        plain("light", ellipse(u + 0.14, v - 0.14, 0.05, 0.045)),
        plain("ink", ellipse(u + 0.02, v + 0.0, 0.02, 0.028), ellipse(u + 0.165, v - 0.125, 0.012)),
    ]


def bird(pose: str, part: bool) -> list[Layer]:
    """A round bird; standing with folded wings, flying with wings spread; the part is a crest."""
    u, v = (0.24, 0.66) if pose == "standing" else (0.32, 0.56)
    crest = [
        inked(
            "accent",
            limb((u - 0.02, v + 0.12), (u - 0.16, v + 0.36), 0.11, 0.06),
            limb((u, v + 0.12), (u + 0.0, v + 0.40), 0.11, 0.06),
            limb((u + 0.03, v + 0.12), (u + 0.15, v + 0.34), 0.11, 0.06),
        ),
    ]
    face = [
        inked("beak", polygon((u + 0.12, v + 0.07), (u + 0.36, v - 0.02), (u + 0.12, v - 0.09))),
        plain("white", ellipse(u + 0.05, v + 0.04, 0.055)),
        plain("ink", ellipse(u + 0.065, v + 0.04, 0.032)),
    ]
    if pose == "standing":
        return [
            plain(
                "beak",
                *bend((-0.02, 0.25), (-0.02, 0.03), (0.08, 0.02), wide=0.045),
                *bend((0.10, 0.25), (0.10, 0.03), (0.20, 0.02), wide=0.045),
            ),
            inked("dark", polygon((-0.25, 0.50), (-0.60, 0.42), (-0.54, 0.26), (-0.18, 0.28))),
            *(crest if part else []),
            inked("main", ellipse(0.0, 0.42, 0.33, 0.23, 18.0), ellipse(u, v, 0.18)),
            plain("light", ellipse(0.14, 0.36, 0.14, 0.11, 30.0)),
            inked("dark", smooth((0.08, 0.52), (0.02, 0.34), (-0.20, 0.28), (-0.36, 0.34), (-0.18, 0.54))),
            *face,
        ]
    return [
        inked("dark", smooth((0.10, 0.50), (0.14, 0.85), (0.02, 1.0), (-0.14, 0.82), (-0.10, 0.50))),
        inked("dark", polygon((-0.22, 0.52), (-0.60, 0.60), (-0.58, 0.36), (-0.22, 0.38))),
        *(crest if part else []),
        inked("main", ellipse(0.0, 0.45, 0.34, 0.17, 8.0), ellipse(u, v, 0.17)),
        inked("main", smooth((0.06, 0.48), (-0.12, 0.86), (-0.34, 1.02), (-0.40, 0.82), (-0.18, 0.40), (-0.02, 0.38))),
        *face,
    ]

"""Colours, and the three ways of drawing: flat, textured, sketch.

A style never moves anything: it changes how outlines, fills and paper look. Models are trained on "flat";
the other two ask whether what they learned was about things or about this way of drawing.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mmhallu_core.world import shapes

RGB = tuple[int, int, int]

COLOUR: dict[str, RGB] = {
    "red": (214, 44, 50),
    "orange": (246, 142, 30),
    "yellow": (252, 218, 62),
    "green": (56, 158, 72),
    "blue": (46, 104, 208),
    "purple": (142, 72, 178),
    "white": (248, 247, 242),
    "black": (52, 52, 60),
}
# Where a plain mix would read as another colour: shade, and stripes and dots.
DARKER: dict[str, RGB] = {"white": (206, 206, 216), "black": (34, 33, 40), "yellow": (238, 192, 44)}
ON_TOP: dict[str, RGB] = {"white": (112, 112, 128), "black": (208, 208, 216), "yellow": (186, 120, 20)}
# The colour of a scarf, a saddle, a flag: far from the main colour, so that the part stands out.
ACCENT: dict[str, RGB] = {
    "red": (255, 214, 84),
    "orange": (64, 110, 196),
    "yellow": (212, 62, 66),
    "green": (238, 92, 92),
    "blue": (255, 206, 74),
    "purple": (255, 206, 74),
    "white": (216, 66, 70),
    "black": (226, 74, 78),
}
SKIN = ((255, 219, 186), (236, 188, 146), (190, 130, 88), (128, 84, 58))
HAIR = ((104, 66, 40), (58, 42, 38), (48, 36, 36), (34, 28, 32))
FIXED: dict[int, RGB] = {
    shapes.INK: (44, 38, 50),
    shapes.WHITE: (255, 253, 246),
    shapes.METAL: (160, 164, 174),
    shapes.TYRE: (62, 60, 70),
    shapes.GLASS: (188, 226, 242),
    shapes.WOOD: (146, 98, 60),
    shapes.LEAF: (84, 170, 84),
    shapes.GLOW: (255, 230, 120),
    shapes.BEAK: (240, 158, 56),
    shapes.SHADOW: (30, 26, 46),
}
VARIANTS = len(SKIN)
SHADOW_WEIGHT = 1  # a shadow covers a quarter: 1 where everything else weighs FULL_WEIGHT
FULL_WEIGHT = 4


@dataclass(frozen=True)
class Style:
    """One way of drawing.

    Attributes:
        ink: thickness of outlines, as a fraction of the picture.
        wobble: how far outlines stray, in units of a thing's height.
        hatch: whether the main colour is shaded with pencil lines.
        grain: strength of the grain, 0 to 1.
        shade: how much darker a thing is at its lower right than at its upper left, 0 to 1.
        paper: how much of the paper's colour shows through, 0 to 1.
    """

    ink: float
    wobble: float = 0.0
    hatch: bool = False
    grain: float = 0.0
    shade: float = 0.0
    paper: float = 0.0


STYLES: dict[str, Style] = {
    "flat": Style(ink=0.0075),
    "textured": Style(ink=0.004, grain=0.16, shade=0.55),
    "sketch": Style(ink=0.006, wobble=0.012, hatch=True, paper=0.30),
}
PAPER: RGB = (250, 244, 230)


def style_named(name: str) -> Style:
    """The style with this name.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in STYLES:
        raise ValueError(f"unknown style {name!r}; known: {', '.join(STYLES)}")
    return STYLES[name]


def mixed(a: RGB, b: RGB, share: float) -> RGB:
    """`share` of b in a."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b, strict=True))


@lru_cache(maxsize=256)
def palette(colour: str, variant: int, style: str) -> np.ndarray:
    """The colour of every role.

    Args:
        colour: the thing's main colour.
        variant: which skin and hair a person has, 0 to VARIANTS - 1.
        style: a name of STYLES.

    Returns:
        int [roles, 3], 0 to 255.
    """
    main = COLOUR[colour]
    table = dict(FIXED)
    table[shapes.MAIN] = main
    table[shapes.DARK] = DARKER.get(colour) or mixed(main, (30, 20, 50), 0.30)
    table[shapes.LIGHT] = {"black": (104, 104, 116)}.get(colour) or mixed(main, (255, 255, 250), 0.50)
    table[shapes.PATTERN] = ON_TOP.get(colour) or mixed(main, (255, 255, 250), 0.82)
    table[shapes.HATCH] = {"black": (78, 78, 88)}.get(colour) or mixed(main, (30, 20, 50), 0.16)
    table[shapes.ACCENT] = ACCENT[colour]
    table[shapes.SKIN], table[shapes.HAIR] = SKIN[variant], HAIR[variant]
    paper = style_named(style).paper
    table[shapes.NOTHING] = (0, 0, 0)
    through = {role: 0.0 if role in (shapes.INK, shapes.SHADOW, shapes.NOTHING) else paper for role in table}
    rows = [mixed(table[role], PAPER, through[role]) for role in range(len(shapes.ROLES))]
    return np.array(rows, dtype=np.int32)

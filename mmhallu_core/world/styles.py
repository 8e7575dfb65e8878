"""Colours, and the three ways of drawing: flat, textured, sketch; then grain, light, wobble and pencil.

A style never moves anything: it changes how outlines, fills and paper look. Models are trained on "flat"; the other
two ask whether what they learned was about things or about this way of drawing. All randomness comes from a seed of
the caller: a thing's from its own id, a background's from its place. So a texture belongs to what carries it, and an
edit elsewhere never changes it.
"""

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from mmhallu_core.world.shapes import ROLES, Points, rotated

RGB = tuple[int, int, int]
ONE = 256  # light of this strength leaves a colour as it is
PENCIL = np.array((92, 88, 96))

# Of each colour the colour itself, and that of a scarf, a saddle, a flag: far from it, so that the part stands out.
COLOUR: dict[str, tuple[RGB, RGB]] = {
    "red": ((214, 44, 50), (255, 214, 84)),
    "orange": ((246, 142, 30), (64, 110, 196)),
    "yellow": ((252, 218, 62), (212, 62, 66)),
    "green": ((56, 158, 72), (238, 92, 92)),
    "blue": ((46, 104, 208), (255, 206, 74)),
    "purple": ((142, 72, 178), (255, 206, 74)),
    "white": ((248, 247, 242), (216, 66, 70)),
    "black": ((52, 52, 60), (226, 74, 78)),
}
# Where a plain mix would read as another colour: shade, and stripes and dots.
DARKER: dict[str, RGB] = {"white": (206, 206, 216), "black": (34, 33, 40), "yellow": (238, 192, 44)}
ON_TOP: dict[str, RGB] = {"white": (112, 112, 128), "black": (208, 208, 216), "yellow": (186, 120, 20)}
SKIN = ((255, 219, 186), (236, 188, 146), (190, 130, 88), (128, 84, 58))
HAIR = ((104, 66, 40), (58, 42, 38), (48, 36, 36), (34, 28, 32))
FIXED: dict[str, RGB] = {
    "ink": (44, 38, 50),
    "white": (255, 253, 246),
    "metal": (160, 164, 174),
    "tyre": (62, 60, 70),
    "glass": (188, 226, 242),
    "wood": (146, 98, 60),
    "leaf": (84, 170, 84),
    "glow": (255, 230, 120),
    "beak": (240, 158, 56),
    "shadow": (30, 26, 46),
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
    main, accent = COLOUR[colour]
    table = dict(FIXED)
    table["main"] = main
    table["dark"] = DARKER.get(colour) or mixed(main, (30, 20, 50), 0.30)
    table["light"] = {"black": (104, 104, 116)}.get(colour) or mixed(main, (255, 255, 250), 0.50)
    table["pattern"] = ON_TOP.get(colour) or mixed(main, (255, 255, 250), 0.82)
    table["hatch"] = {"black": (78, 78, 88)}.get(colour) or mixed(main, (30, 20, 50), 0.16)
    table["accent"] = accent
    table["skin"], table["hair"] = SKIN[variant], HAIR[variant]
    paper = style_named(style).paper
    table["nothing"] = (0, 0, 0)
    through = {role: 0.0 if role in ("ink", "shadow", "nothing") else paper for role in table}
    rows = [mixed(table[role], PAPER, through[role]) for role in ROLES]
    return np.array(rows, dtype=np.int32)


def seeded(*names: object) -> np.random.Generator:
    """A generator for these names, the same on every machine."""
    return np.random.default_rng(zlib.crc32("/".join(map(str, names)).encode()))


def grain(height: int, width: int, strength: float, cell: float, rng: np.random.Generator) -> np.ndarray:
    """Uneven light: fine noise plus soft blotches about `cell` pixels wide; int32 [height, width] around ONE."""
    fine = rng.uniform(-1, 1, (height, width))
    rough = rng.uniform(-1, 1, (max(2, round(height / cell) + 1), max(2, round(width / cell) + 1))).astype(np.float32)
    soft = np.asarray(Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC))
    return np.rint(ONE * (1 + strength * (0.35 * fine + 0.65 * soft))).astype(np.int32)


def slope(height: int, width: int, strength: float) -> np.ndarray:
    """Light from the upper left: int32 [height, width], brighter than ONE there and darker at the lower right."""
    down, across = np.ogrid[0:height, 0:width]
    share = (0.65 * down / max(1, height - 1)) + 0.35 * across / max(1, width - 1)
    return np.rint(ONE * (1 + strength * (0.4 - share))).astype(np.int32)


def wobbled(outline: Points, amount: float, rng: np.random.Generator) -> Points:
    """An outline as a hand draws it: long edges are divided, then every point strays by at most `amount`."""
    ahead = rotated(outline, 1) - outline
    parts = np.maximum(1, np.ceil(np.hypot(ahead[:, 0], ahead[:, 1]) / 0.06)).astype(int)
    start = np.repeat(np.arange(len(outline)), parts)
    step = np.concatenate([np.arange(n) / n for n in parts])
    dense = outline[start] + ahead[start] * step[:, None]
    turn = np.linspace(0, 2 * np.pi, len(dense), endpoint=False)[:, None]
    phase, share = rng.uniform(0, 2 * np.pi, (3, 1, 2)), (0.45, 0.33, 0.22)
    stray = sum(share[k] * np.sin((k + 2) * turn + phase[k]) for k in range(3))
    return dense + amount * stray


def pencilled(picture: np.ndarray, line: int) -> np.ndarray:
    """Draws along the edges of a picture: int [height, width, 3] in and out; `line` is the width in pixels."""
    edge = np.zeros(picture.shape[:2], dtype=bool)
    edge[line:] |= np.abs(picture[line:] - picture[:-line]).max(-1) > 9
    edge[:, line:] |= np.abs(picture[:, line:] - picture[:, :-line]).max(-1) > 9
    return np.where(edge[..., None], (picture + 2 * PENCIL) // 3, picture)

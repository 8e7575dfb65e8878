"""Grain, light, wobble and pencil: what the textured and the sketch style add.

All randomness comes from a seed of the caller: a thing's from its own id, a background's from its place.
So a texture belongs to what carries it, and an edit elsewhere never changes it.
"""

import zlib

import numpy as np
from PIL import Image

from mmhallu_core.world.shapes import Points, rotated

ONE = 256  # light of this strength leaves a colour as it is
PENCIL = np.array((92, 88, 96))


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

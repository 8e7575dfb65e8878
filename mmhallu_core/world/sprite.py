"""From layers to pixels: a thing by itself, as shares of roles and then as colour.

A thing is rasterized once into *coverage*: for every pixel and every role, how many of its 4 x 4 sub-pixels
the role covers. Colour comes after, as one small integer product of coverage and palette, so eight colours
cost one drawing and the arithmetic is exact: the same thing gives the same bytes on every machine.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from mmhallu_core.world import shapes
from mmhallu_core.world.draw import drawing
from mmhallu_core.world.shapes import ROLE
from mmhallu_core.world.styles import (
    FULL_WEIGHT,
    ONE,
    SHADOW_WEIGHT,
    grain,
    palette,
    seeded,
    slope,
    style_named,
    wobbled,
)
from mmhallu_core.world.vocabulary import KINDS

SUB = 4  # sub-pixels per pixel along each axis
OPAQUE = SUB * SUB * FULL_WEIGHT  # the opacity of a fully covered pixel
PERIOD = 0.062  # of stripes and of dots, as a fraction of the picture
HATCH_PERIOD = 0.026  # of pencil lines
KEEP_UP_TO = 128  # sprites of pictures up to this size are remembered: about 100 MB when all memory is full


@dataclass(frozen=True)
class Sprite:
    """A thing's own picture, to be pasted with its (left, top) at the thing's anchor pixel plus that offset.

    Attributes:
        left, top: offset of the tile's corner from the anchor (middle of the lower edge), in pixels.
        paint: int16 [height, width, 3], colour times opacity.
        opacity: uint8 [height, width], 0 to OPAQUE.
        solid: bool [height, width], where the thing covers at least half of the pixel (shadows do not count).
    """

    left: int
    top: int
    paint: np.ndarray
    opacity: np.ndarray
    solid: np.ndarray


@dataclass(frozen=True)
class Coverage:
    """A sprite before it has a colour.

    Attributes:
        left, top, opacity, solid: as in `Sprite`.
        roles: the roles that are present.
        shares: uint8 [height, width, roles], how much of the opacity each role has.
    """

    left: int
    top: int
    opacity: np.ndarray
    solid: np.ndarray
    roles: tuple[int, ...]
    shares: np.ndarray


@dataclass(frozen=True)
class Look:
    """All that decides a thing's coverage: two things with one look share one drawing."""

    kind: str
    pose: str | None
    part: bool
    pattern: str
    height: int  # pixels, times SUB
    grounded: bool
    tether: tuple[float, float] | None
    picture: int  # size of the picture in pixels
    style: str
    variant: int  # seeds skin, hair and texture


def _shadow(kind: str, pose: str | None) -> shapes.Layer:
    half = KINDS[kind].aspect * (0.42 if pose else 0.46)
    return shapes.plain("shadow", shapes.ellipse(0.02, 0.005, half, 0.045 / KINDS[kind].height * 0.38))


def _stencil(pattern: str, height: int, width: int, origin: tuple[float, float], period: float) -> np.ndarray:
    """Where a pattern lies: bool [height, width]; `origin` is the anchor and `period` the repeat, in sub-pixels."""
    down, across = np.ogrid[0:height, 0:width]
    across, down = (across + 0.5 - origin[0]) / period, (down + 0.5 - origin[1]) / period
    if pattern == "striped":
        return ((across + 0.5 * down) % 1.0) < 0.42
    if pattern == "hatched":
        return ((across - down) % 1.0) < 0.35
    row = np.floor(down)
    return np.hypot((across + 0.5 * (row % 2)) % 1.0 - 0.5, down - row - 0.5) < 0.31


def _painted(look: Look) -> list[tuple[int, shapes.Points]]:
    """Every outline to fill, back to front: (role, points in sub-pixels relative to the anchor)."""
    style = style_named(look.style)
    layers = drawing(look.kind, look.pose, look.part, look.tether)
    if look.grounded:
        layers = [_shadow(look.kind, look.pose), *layers]
    ink = style.ink * look.picture * SUB
    flip = np.array([look.height, -look.height], dtype=float)
    rng = seeded("hand", look.kind, look.variant)
    painted = []
    for layer in layers:
        outlines, again = layer.outlines, ()
        if style.wobble and layer.role != "shadow":
            again = [wobbled(outline, 1.4 * style.wobble, rng) * flip for outline in outlines]  # a second, looser line
            outlines = [wobbled(outline, style.wobble, rng) for outline in outlines]
        outlines = [outline * flip for outline in outlines]
        if layer.ink:
            painted += [(ROLE["ink"], shapes.grown(outline, ink)) for outline in (*again, *outlines)]
        painted += [(ROLE[layer.role], outline) for outline in outlines]
    return painted


def rasterized(look: Look) -> Coverage:
    """Fills the outlines of one look on a tile of sub-pixels and counts the roles in every pixel."""
    painted = _painted(look)
    everything = np.concatenate([points for _, points in painted])
    left, top = (int(v) for v in np.floor(everything.min(0) / SUB) - 1)
    right, bottom = (int(v) for v in np.ceil(everything.max(0) / SUB) + 1)
    tile = Image.new("L", ((right - left) * SUB, (bottom - top) * SUB))
    draw = ImageDraw.Draw(tile)
    anchor = (-float(left * SUB), -float(top * SUB))  # where it is in the tile
    for role, points in painted:
        draw.polygon((points + anchor).ravel().tolist(), fill=role)
    index = np.array(tile)
    if look.pattern != "plain":
        usual = KINDS[look.kind].height * look.picture * SUB
        period = PERIOD * look.picture * SUB * min(1.15, max(0.85, look.height / usual))
        inside = _stencil(look.pattern, *index.shape, anchor, period)
        index[(index == ROLE["main"]) & inside] = ROLE["pattern"]
    if style_named(look.style).hatch:
        inside = _stencil("hatched", *index.shape, anchor, HATCH_PERIOD * look.picture * SUB)
        index[(index == ROLE["main"]) & inside] = ROLE["hatch"]
    roles = tuple(int(role) for role in np.flatnonzero(np.bincount(index.ravel(), minlength=len(ROLE))) if role)
    counts = np.stack([_counted(index == role) for role in roles], axis=-1)
    shadow = np.array(roles) == ROLE["shadow"]
    shares = counts * np.where(shadow, SHADOW_WEIGHT, FULL_WEIGHT).astype(np.uint8)
    solid = counts[..., ~shadow].sum(-1) * 2 >= SUB * SUB
    return Coverage(left, top, shares.sum(-1, dtype=np.uint8), solid, roles, shares)


def _counted(inside: np.ndarray) -> np.ndarray:
    """How many of a pixel's sub-pixels are inside: uint8 [height, width] from bool [height * SUB, width * SUB].

    Four neighbours are read as one 32-bit word and added as words: no byte can overflow, for 4 * 4 = 16.
    """
    words = inside.view(np.uint32).reshape(inside.shape[0] // SUB, SUB, -1).sum(1, dtype=np.uint32)
    return words.view(np.uint8).reshape(*words.shape, SUB).sum(-1, dtype=np.uint8)


def coloured(look: Look, colour: str) -> Sprite:
    """One look in one colour, as paint."""
    style = style_named(look.style)
    drawn = coverage(look if style.wobble else replace(look, variant=0))  # only a hand's wobble changes outlines
    paint = drawn.shares.astype(np.int32) @ palette(colour, look.variant, look.style)[list(drawn.roles)]
    if style.grain or style.shade:
        size, rng = drawn.opacity.shape, seeded("grain", look.kind, look.variant)
        light = grain(*size, style.grain, 0.04 * look.picture, rng) * slope(*size, style.shade) // ONE
        paint = np.minimum(paint * light[..., None] // ONE, 255 * drawn.opacity[..., None].astype(np.int32))
    return Sprite(drawn.left, drawn.top, paint.astype(np.int16), drawn.opacity, drawn.solid)


_kept_coverage = lru_cache(maxsize=2048)(rasterized)
_kept_sprite = lru_cache(maxsize=4096)(coloured)


def coverage(look: Look) -> Coverage:
    """`rasterized`, remembered for small pictures: there are thousands of those, and each look comes again."""
    return _kept_coverage(look) if look.picture <= KEEP_UP_TO else rasterized(look)


def sprite(look: Look, colour: str) -> Sprite:
    """`coloured`, remembered for small pictures."""
    return _kept_sprite(look, colour) if look.picture <= KEEP_UP_TO else coloured(look, colour)


def forget() -> None:
    """Empties what is remembered; nothing but speed and memory changes."""
    _kept_coverage.cache_clear()
    _kept_sprite.cache_clear()

"""Draws a scene: a picture, the exact mask of every thing, and the exact mask of every change.

Every thing is drawn by itself (`sprite`) and pasted, back to front, on the background of the place. So what
one thing looks like never depends on another thing, and a change of some things can only touch the pixels
that their own sprites touch before and after: `silhouette` gives exactly those.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mmhallu_core.world.draw_people import HEAD, anchors
from mmhallu_core.world.places import background
from mmhallu_core.world.scene import SKY, Scene, Thing
from mmhallu_core.world.sprite import OPAQUE, SUB, Look, Sprite, sprite
from mmhallu_core.world.styles import VARIANTS, style_named
from mmhallu_core.world.vocabulary import KINDS

WORN = 0.85  # a hat on a head is drawn a little smaller than one on the ground
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Rendering:
    """A drawn scene.

    Attributes:
        image: RGB picture.
        masks: bool [things, height, width], the visible pixels of each thing in the order of `scene.things`.
        boxes: (x0, y0, x1, y1) in pixels around each mask, x1 and y1 exclusive; None where nothing is visible.
    """

    image: Image.Image
    masks: np.ndarray
    boxes: list[Box | None]


def render(scene: Scene, size: int = 96, style: str = "flat") -> Rendering:
    """Draws a scene; the same arguments give the same bytes.

    Args:
        scene: what to draw.
        size: width and height in pixels.
        style: "flat", "textured" or "sketch".

    Raises:
        ValueError: for an unknown style or a size under 16.
    """
    canvas = _empty(scene, size, style)
    owner = np.full((size, size), -1, dtype=np.int16)
    for number, (_, drawn, tile, inside) in enumerate(_placed(scene, size, style)):
        view = canvas[tile]
        clear = OPAQUE - drawn.opacity[inside][..., None]
        view *= clear
        view += drawn.paint[inside]
        view += OPAQUE // 2
        view //= OPAQUE
        owner[tile][drawn.solid[inside]] = number
    masks = owner[None] == np.arange(len(scene.things), dtype=np.int16)[:, None, None]
    return Rendering(Image.fromarray(canvas.astype(np.uint8)), masks, [box_of(mask) for mask in masks])


def silhouette(scene: Scene, thing_ids: Iterable[str], size: int = 96, style: str = "flat") -> np.ndarray:
    """Every pixel that these things, and what they carry, touch at all, hidden or not.

    Two scenes that differ only in these things differ only inside silhouette(before) | silhouette(after).

    Returns:
        bool [size, size].
    """
    wanted = set(thing_ids)
    touched = np.zeros((size, size), dtype=bool)
    for thing, drawn, tile, inside in _placed(scene, size, style):
        if thing.id in wanted or thing.held_by in wanted:
            touched[tile] |= drawn.opacity[inside] > 0
    return touched


def background_mask(scene: Scene, size: int = 96, style: str = "flat") -> np.ndarray:
    """Every pixel through which the place can be seen, even partly: bool [size, size]."""
    open_ = np.ones((size, size), dtype=bool)
    for _, drawn, tile, inside in _placed(scene, size, style):
        open_[tile] &= drawn.opacity[inside] < OPAQUE
    return open_


def box_of(mask: np.ndarray) -> Box | None:
    """The smallest box (x0, y0, x1, y1) around a mask, x1 and y1 exclusive; None when it is empty."""
    rows = np.flatnonzero(mask.any(1))
    if not len(rows):
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _empty(scene: Scene, size: int, style: str) -> np.ndarray:
    style_named(style)
    if size < 16:
        raise ValueError(f"a picture of {size} pixels is too small to draw; use 16 or more")
    return background(scene.place, size, style).copy()


def _placed(scene: Scene, size: int, style: str) -> Iterator[tuple[Thing, Sprite, tuple, tuple]]:
    """Each thing with its sprite, the picture's slice that it covers, and the sprite's slice that is inside."""
    for thing in scene:
        drawn, x, y = _drawn(scene, thing, size, style)
        height, width = drawn.opacity.shape
        left, top = x + drawn.left, y + drawn.top
        x0, y0 = min(max(left, 0), size), min(max(top, 0), size)
        x1, y1 = max(min(left + width, size), x0), max(min(top + height, size), y0)
        yield thing, drawn, np.s_[y0:y1, x0:x1], np.s_[y0 - top : y1 - top, x0 - left : x1 - left]


def _drawn(scene: Scene, thing: Thing, size: int, style: str) -> tuple[Sprite, int, int]:
    """A thing's sprite and its anchor pixel."""
    x, y, height, hand = thing.x, thing.y, thing.height, None
    if thing.held_by is not None:
        x, y, height, hand = carried_place(thing, scene[thing.held_by])
    column, row = round(x * size), round(y * size)
    tether = None
    if hand is not None:
        tether = ((round(hand[0] * size) - column) / (height * size), (row - round(hand[1] * size)) / (height * size))
    grounded = thing.held_by is None and thing.y > SKY and thing.pose != "flying"
    # Without skin, hair or texture all variants look the same: share their drawing.
    varies = style != "flat" or KINDS[thing.kind].group == "people"
    variant = zlib.crc32(thing.id.encode()) % VARIANTS if varies else 0
    look = Look(
        thing.kind, thing.pose, thing.part, thing.pattern, round(height * size * SUB), grounded, tether, size, style,
        variant,
    )  # fmt: skip
    return sprite(look, thing.colour), column, row


def carried_place(thing: Thing, person: Thing) -> tuple[float, float, float, tuple[float, float] | None]:
    """Where a carried thing is drawn: x and y of its lower edge, its height, and the hand that its string reaches.

    A hat sits on the head. An umbrella is held above it. A kite flies over the shoulder of the carrying hand,
    or over the other one where it would leave the picture. A ball lies in the carrying hand and a bag hangs
    from the other.
    """
    head, hand, other = ((person.x + u * person.height, person.y - v * person.height) for u, v in anchors(person.pose))
    radius = HEAD * person.height
    if thing.kind == "hat":
        height = thing.height * WORN
        return head[0], head[1] - 0.35 * radius, height, None
    if thing.kind == "umbrella":
        return hand[0] - 0.3 * (hand[0] - head[0]), head[1] - radius * 1.05 + 0.5 * thing.height, thing.height, hand
    if thing.kind == "kite":
        aside = 0.12 * person.height + 0.5 * thing.width
        right = person.x + aside + thing.width / 2 < 1 and (hand[0] >= person.x or person.x - aside < thing.width / 2)
        x = person.x + (aside if right else -aside)
        return x, max(head[1] - radius, thing.height + 0.02), thing.height, hand
    if thing.kind == "bag":
        return other[0], min(other[1] + 0.72 * thing.height, person.y + 0.02), thing.height, None
    outwards = 0.25 if hand[0] >= person.x else -0.25
    return hand[0] + outwards * thing.height, hand[1] + 0.5 * thing.height, thing.height, None

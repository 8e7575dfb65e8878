"""Backgrounds: one soft picture for each place, quiet enough that things stand out.

The horizon lies at half height (`scene.SKY`): what stands on the ground has its lower edge below it.
A background depends on nothing but place, size and style, so an edit can never change it by accident.
"""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from mmhallu_core.world.shapes import ellipse, smooth
from mmhallu_core.world.styles import ONE, PAPER, RGB, grain, pencilled, seeded, slope, style_named

SUB = 4

# Sky at the top and at the horizon, ground at the horizon and at the bottom.
TONES: dict[str, tuple[RGB, RGB, RGB, RGB]] = {
    "street": ((186, 218, 236), (232, 240, 240), (188, 186, 188), (172, 170, 176)),
    "beach": ((150, 214, 240), (218, 242, 246), (246, 226, 178), (238, 210, 154)),
    "field": ((168, 218, 244), (228, 244, 240), (178, 214, 128), (148, 194, 104)),
    "room": ((244, 228, 206), (238, 218, 192), (206, 164, 122), (190, 144, 102)),
    "snow": ((188, 206, 226), (222, 232, 242), (232, 240, 248), (214, 226, 242)),
    "night": ((44, 54, 112), (98, 108, 168), (120, 146, 160), (106, 132, 150)),
}
HORIZON = 0.50
BARE_PAPER = 0.45  # how much of a sketched background is left to the paper


class Canvas:
    """A drawing surface in fractions of the picture, x to the right and y down."""

    def __init__(self, size: int) -> None:
        self.size = size * SUB
        self.image = Image.new("RGB", (self.size, self.size))
        self.draw = ImageDraw.Draw(self.image)

    def fade(self, top: RGB, bottom: RGB, y0: float, y1: float) -> None:
        """Fills a band across the picture, fading from one colour to another."""
        a, b = round(y0 * self.size), round(y1 * self.size)
        share = np.linspace(0, 1, max(1, b - a))[:, None, None]
        band = np.array(top) * (1 - share) + np.array(bottom) * share
        band = np.broadcast_to(band, (max(1, b - a), self.size, 3)).round().astype(np.uint8)
        self.image.paste(Image.fromarray(np.ascontiguousarray(band)), (0, a))

    def shape(self, colour: RGB, points: np.ndarray) -> None:
        """Fills a closed outline."""
        self.draw.polygon((points * self.size).ravel().tolist(), fill=colour)

    def rectangle(self, colour: RGB, x0: float, y0: float, x1: float, y1: float) -> None:
        """Fills an upright rectangle."""
        self.draw.rectangle([round(v * self.size) for v in (x0, y0, x1, y1)], fill=colour)


def scattered(i: int) -> tuple[float, float]:
    """The i-th of evenly scattered points in the unit square (the additive recurrence of the plastic number)."""
    return (0.5 + 0.754877666 * i) % 1.0, (0.5 + 0.569840291 * i) % 1.0


def _street(canvas: Canvas) -> None:
    heights = (0.26, 0.34, 0.20, 0.30, 0.38, 0.24, 0.32)
    shades = ((206, 208, 214), (216, 210, 206), (202, 210, 216), (212, 206, 210))
    x = -0.02
    for i, tall in enumerate(heights):
        wide = 0.12 + 0.03 * (i % 3)
        canvas.rectangle(shades[i % 4], x, HORIZON - tall, x + wide, HORIZON)
        for row in range(int(tall / 0.075)):
            for column in range(3):
                left = x + wide * (0.16 + 0.27 * column)
                y = HORIZON - tall + 0.03 + 0.075 * row
                canvas.rectangle((228, 232, 232), left, y, left + wide * 0.14, y + 0.03)
        x += wide + 0.005
    canvas.rectangle((206, 202, 198), 0.0, HORIZON, 1.0, 0.66)  # pavement at the far side
    canvas.rectangle((160, 158, 164), 0.0, 0.66, 1.0, 0.675)  # kerb
    for i in range(4):
        canvas.rectangle((222, 220, 212), 0.03 + 0.27 * i, 0.80, 0.16 + 0.27 * i, 0.818)


def _beach(canvas: Canvas) -> None:
    canvas.shape((255, 244, 196), ellipse(0.84, 0.14, 0.08))
    for x, y, r in ((0.18, 0.14, 0.05), (0.25, 0.12, 0.065), (0.33, 0.15, 0.045)):
        canvas.shape((250, 253, 253), ellipse(x, y, r, r * 0.6))
    canvas.fade((104, 184, 214), (150, 214, 224), 0.40, 0.56)
    for x, y in ((0.12, 0.45), (0.45, 0.43), (0.75, 0.46), (0.30, 0.49), (0.60, 0.50)):
        canvas.shape((190, 230, 236), ellipse(x, y, 0.06, 0.004))
    shore = smooth((-0.1, 0.565), (0.2, 0.545), (0.5, 0.575), (0.8, 0.55), (1.1, 0.57), (1.1, 0.62), (-0.1, 0.62))
    canvas.shape((240, 250, 246), shore - (0, 0.012))
    canvas.shape(TONES["beach"][2], shore)


def _field(canvas: Canvas) -> None:
    for x, y, r in ((0.68, 0.15, 0.06), (0.77, 0.12, 0.075), (0.86, 0.16, 0.05)):
        canvas.shape((252, 253, 252), ellipse(x, y, r, r * 0.6))
    canvas.shape((178, 212, 158), ellipse(0.22, 0.62, 0.42, 0.24))
    canvas.shape((164, 204, 140), ellipse(0.80, 0.66, 0.46, 0.25))
    canvas.fade(TONES["field"][2], TONES["field"][3], 0.54, 1.0)
    for i in range(26):
        x, y = scattered(i)
        y = 0.58 + 0.40 * y
        for lean in (-0.008, 0.0, 0.008):
            canvas.shape((128, 178, 90), np.array([(x - 0.003, y), (x + lean, y - 0.02), (x + 0.003, y)]))


def _room(canvas: Canvas) -> None:
    canvas.fade(TONES["room"][0], TONES["room"][1], 0.0, 0.55)  # the wall ends a little below the horizon
    for i in range(9):
        canvas.rectangle((240, 222, 198), 0.06 + 0.12 * i, 0.0, 0.068 + 0.12 * i, 0.54)
    canvas.rectangle((250, 246, 238), 0.58, 0.08, 0.90, 0.38)  # window frame
    canvas.rectangle((178, 218, 238), 0.60, 0.10, 0.88, 0.36)
    canvas.shape(
        (170, 206, 150), np.array([(0.60, 0.36), (0.60, 0.30), (0.70, 0.26), (0.80, 0.30), (0.88, 0.28), (0.88, 0.36)])
    )
    canvas.rectangle((250, 246, 238), 0.732, 0.10, 0.748, 0.36)
    canvas.rectangle((250, 246, 238), 0.60, 0.222, 0.88, 0.238)
    canvas.rectangle((228, 206, 180), 0.56, 0.38, 0.92, 0.40)
    canvas.rectangle((216, 190, 160), 0.12, 0.12, 0.34, 0.32)  # a picture on the wall
    canvas.rectangle((232, 224, 206), 0.14, 0.14, 0.32, 0.30)
    canvas.shape(
        (212, 196, 164), np.array([(0.14, 0.30), (0.21, 0.20), (0.26, 0.26), (0.29, 0.22), (0.32, 0.27), (0.32, 0.30)])
    )
    canvas.rectangle((250, 244, 232), 0.0, 0.525, 1.0, 0.55)  # skirting board
    canvas.fade((206, 166, 126), (190, 146, 106), 0.55, 1.0)
    for y in (0.60, 0.67, 0.76, 0.87):
        canvas.rectangle((180, 136, 96), 0.0, y, 1.0, y + 0.004)


def _snow(canvas: Canvas) -> None:
    canvas.shape((208, 220, 234), ellipse(0.25, 0.66, 0.40, 0.28))
    canvas.shape((216, 227, 239), ellipse(0.82, 0.68, 0.44, 0.26))
    for x, tall in ((0.06, 0.12), (0.13, 0.15), (0.90, 0.14), (0.97, 0.11), (0.55, 0.09)):
        for step in range(3):
            y = 0.53 - tall * 0.3 * step
            half = 0.035 * (1 - 0.22 * step)
            canvas.shape((158, 182, 180), np.array([(x - half, y), (x + half, y), (x, y - tall * 0.48)]))
    canvas.fade(TONES["snow"][2], TONES["snow"][3], 0.53, 1.0)
    for i in range(40):
        x, y = scattered(i)
        canvas.shape((250, 252, 255), ellipse(x, y, 0.006 + 0.003 * (i % 2)))


def _night(canvas: Canvas) -> None:
    for i in range(24):
        x, y = scattered(i)
        y = 0.03 + 0.40 * y
        canvas.shape((240, 240, 224), ellipse(x, y, 0.004 + 0.0025 * (i % 2)))
    canvas.shape((250, 244, 208), ellipse(0.82, 0.15, 0.085))
    canvas.shape((236, 228, 188), ellipse(0.80, 0.13, 0.018))
    canvas.shape((236, 228, 188), ellipse(0.845, 0.175, 0.014))
    canvas.shape((92, 108, 152), ellipse(0.20, 0.64, 0.40, 0.22))
    canvas.shape((84, 100, 144), ellipse(0.75, 0.66, 0.50, 0.22))
    canvas.fade(TONES["night"][2], TONES["night"][3], 0.54, 1.0)


PAINTERS = {"street": _street, "beach": _beach, "field": _field, "room": _room, "snow": _snow, "night": _night}


@lru_cache(maxsize=24)
def background(place: str, size: int, style: str) -> np.ndarray:
    """The empty place: read-only int32 [size, size, 3], 0 to 255."""
    canvas = Canvas(size)
    sky, low_sky, high_ground, ground = TONES[place]
    canvas.fade(sky, low_sky, 0.0, HORIZON)
    canvas.fade(high_ground, ground, HORIZON, 1.0)
    PAINTERS[place](canvas)
    look = style_named(style)
    image = canvas.image
    if look.paper:
        fine = pencilled(np.array(image, dtype=np.int32), max(1, round(look.ink * canvas.size / 2)))
        image = Image.fromarray((fine + (np.array(PAPER) - fine) * BARE_PAPER).astype(np.uint8))
    picture = np.array(image.reduce(SUB), dtype=np.int32)
    if look.grain:
        light = grain(size, size, 0.6 * look.grain, 0.05 * size, seeded("place", place)) * slope(
            size, size, look.shade / 4
        )
        picture = np.minimum(picture * light[..., None] // ONE**2, 255)
    picture.setflags(write=False)
    return picture

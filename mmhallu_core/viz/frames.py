"""Many pictures that differ a little, in few bytes.

A page that shows what every single change does to a scene carries hundreds of pictures, and most of each is the same.
So one picture is kept whole, and of the others only the pixels that differ from it: a patch, transparent elsewhere,
that is laid over the whole one. All of them stand below each other in one sheet, one WebP file without loss, so that
what they have in common (colours, edges, shapes) is written once.
"""

import base64
import io
from dataclasses import dataclass, field

import matplotlib as mpl
import numpy as np
from PIL import Image

from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene

HIGHEST = 16000  # pixels; a WebP picture has at most 16,383 a side
COLOURS = "inferno"  # grows lighter all the way, so it reads in grey too
Heat = tuple[tuple[int, ...], ...]  # a level from 0 to 9 for each cell, row by row


def png(image: Image.Image) -> bytes:
    """The picture as a PNG file."""
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return file.getvalue()


def data_uri(content: bytes, kind: str = "png") -> str:
    """A picture file as an address that carries the file itself."""
    return f"data:image/{kind};base64," + base64.b64encode(content).decode("ascii")


def drawn(scene: Scene, size: int, heat: Heat | None = None) -> Image.Image:
    """A scene, `size` pixels wide, under a map if there is one."""
    image = render(scene, size).image
    return image if heat is None else under(image, heat)


def under(image: Image.Image, heat: Heat) -> Image.Image:
    """A picture in grey, with the cells of a map over it; level 0 is drawn as nothing."""
    levels = Image.fromarray(np.array(heat, dtype=np.uint8)).resize(image.size, Image.Resampling.NEAREST)
    share = np.asarray(levels)[..., None] / 9
    colours = 255 * mpl.colormaps[COLOURS](share[..., 0])[..., :3]
    grey = np.asarray(image.convert("L"), dtype=np.float64)[..., None]
    cover = np.where(share > 0, 0.25 + 0.55 * share, 0)
    return Image.fromarray(np.rint((1 - cover) * grey + cover * colours).astype(np.uint8))


@dataclass
class Frames:
    """A set of pictures of one size.

    Attributes:
        size: pixels of a side.
        tiles: where each whole picture and each patch stands in the sheet: `[left, top, width, height]`.
    """

    size: int = 192
    tiles: list[list[int]] = field(default_factory=list)
    _pictures: list[Image.Image] = field(default_factory=list)
    _numbers: dict[tuple, int] = field(default_factory=dict)
    _drawn: dict[tuple[Scene, Heat | None], np.ndarray] = field(default_factory=dict)

    def add(self, scene: Scene, base: Scene | None = None, heat: Heat | None = None, left: int = 0) -> list[list[int]]:
        """Takes in the picture of a scene.

        Args:
            scene: what to draw.
            base: a scene that looks almost the same.
            heat: a map that lies over it.
            left: pixels between the left edge of the whole and this picture.

        Returns:
            The tiles to draw, one over the other: `[number, left, top]`, with the place in the picture.
        """
        image, under = self._picture(scene, heat), self._picture(base or scene, heat)
        changed = (image != under).any(axis=-1)
        if not changed.any():
            return [[self._tile(image), left, 0]]
        rows, columns = (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        patch = image[box] * changed[box][..., None]  # no colour and no opacity where nothing changed
        return [[self._tile(under), left, 0], [self._tile(patch), left + int(columns[0]), int(rows[0])]]

    def sheet(self) -> Image.Image:
        """All tiles in one picture, without loss."""
        right, bottom = (max(tile[side] + tile[side + 2] for tile in self.tiles) for side in (0, 1))
        sheet = Image.new("RGBA", (right, bottom))
        for picture, (left, top, _, _) in zip(self._pictures, self.tiles, strict=True):
            sheet.paste(picture, (left, top))
        return sheet

    def uri(self) -> str:
        """The sheet as an address that carries it."""
        file = io.BytesIO()
        self.sheet().save(file, format="WEBP", lossless=True, quality=80, method=4)
        return data_uri(file.getvalue(), "webp")

    def _picture(self, scene: Scene, heat: Heat | None) -> np.ndarray:
        """A scene, drawn: [size, size, red green blue and opacity]."""
        if (scene, heat) not in self._drawn:
            self._drawn[scene, heat] = np.asarray(drawn(scene, self.size, heat).convert("RGBA"))
        return self._drawn[scene, heat]

    def _tile(self, pixels: np.ndarray) -> int:
        """The number of a tile; equal ones are kept once."""
        key = (pixels.shape, pixels.tobytes())
        if key not in self._numbers:
            self._numbers[key] = len(self.tiles)
            high, wide = pixels.shape[:2]
            left, top, _, above = self.tiles[-1] if self.tiles else (0, 0, 0, 0)
            if top + above + high > HIGHEST:  # the column is full
                left, top, above = left + self.size, 0, 0
            self.tiles.append([left, top + above, wide, high])
            self._pictures.append(Image.fromarray(pixels))
        return self._numbers[key]

"""Many pictures that differ a little, in few bytes.

A page that shows what every single change does to a scene would carry hundreds of pictures, and most of each is the
same. So one picture is kept whole, and others as the smallest box of pixels in which they differ from it: a patch that
is laid over the whole one. Files that are equal byte for byte are kept once.
"""

import base64
import io
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageChops

from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene

WORTH = 0.6  # a patch that covers more than this share of the picture is kept as a whole picture instead


def png(image: Image.Image) -> bytes:
    """The picture as a PNG file."""
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return file.getvalue()


def data_uri(content: bytes) -> str:
    """A PNG file as an address that carries the file itself."""
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def difference_box(a: Image.Image, b: Image.Image) -> tuple[int, int, int, int] | None:
    """The smallest box (x0, y0, x1, y1) around all pixels in which two pictures differ; None when they are equal."""
    return ImageChops.difference(a, b).getbbox()


@dataclass
class Frames:
    """A set of pictures of one size.

    Attributes:
        size: pixels of a side.
        files: data URIs, each once; frames refer to them by number.
    """

    size: int = 192
    files: list[str] = field(default_factory=list)
    _wholes: dict[Scene, tuple[int, Image.Image]] = field(default_factory=dict)

    def add(self, scene: Scene, base: Scene | None = None) -> list:
        """Takes in the picture of a scene.

        Args:
            scene: what to draw.
            base: a scene that looks almost the same.

        Returns:
            `[whole]`, the number of a file, or `[whole, patch, left, top, width, height]`: two files, and where the
            patch goes, in percent of the picture.
        """
        if base is None or base == scene:
            return [self._whole(scene)[0]]
        whole, under = self._whole(base)
        image = render(scene, self.size).image
        box = difference_box(under, image)
        if box is None:
            return [whole]
        x0, y0, x1, y1 = box
        if (x1 - x0) * (y1 - y0) > WORTH * self.size**2:
            return [self._file(image)]
        place = np.round(100 * np.array([x0, y0, x1 - x0, y1 - y0]) / self.size, 4).tolist()
        return [whole, self._file(image.crop(box)), *place]

    def _whole(self, scene: Scene) -> tuple[int, Image.Image]:
        if scene not in self._wholes:
            image = render(scene, self.size).image
            self._wholes[scene] = self._file(image), image
        return self._wholes[scene]

    def _file(self, image: Image.Image) -> int:
        uri = data_uri(png(image))
        if uri not in self.files:
            self.files.append(uri)
        return self.files.index(uri)

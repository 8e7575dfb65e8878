"""Padding that can be undone: a photo becomes a shape that an image editor takes, and the reply becomes the photo's.

Editors behind an API take or return a few shapes only (3:2, 16:9, ...). A photo of another shape would be stretched or
cropped, and then the pair no longer differs in one thing: everything has moved. So the photo is set into the smallest
canvas of an allowed shape, its border pixels continued outwards, and afterwards cut out again at the same place.

A reply of the canvas's size is cut out byte for byte. A reply of another size is first scaled to the canvas: by area
averages when it is larger (so an editor that repeats pixels is undone exactly, too), smoothly when it is smaller.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from PIL import Image

# The shapes that Gemini's image models list for `aspectRatio` (width, height); other editors take some of them.
RATIOS = ((1, 1), (2, 3), (3, 2), (3, 4), (4, 3), (4, 5), (5, 4), (9, 16), (16, 9), (21, 9))
TOLERANCE = 0.05  # editors round: a reply to 16:9 may be 1344 x 768, which is 1.6% off


@dataclass(frozen=True)
class Padding:
    """Where a photo lies in its canvas. Sizes are (width, height) in pixels.

    Attributes:
        size: of the photo.
        canvas: of the padded picture; its sides are in `ratio` exactly.
        ratio: the shape, in lowest terms.
        left: columns of the canvas before the photo.
        top: rows of the canvas above the photo.
    """

    size: tuple[int, int]
    canvas: tuple[int, int]
    ratio: tuple[int, int]
    left: int
    top: int

    def pad(self, photo: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "canvas_height canvas_width 3"]:
        """Sets a photo into its canvas; the pixels of its border are continued outwards.

        Raises:
            ValueError: when the photo has another size.
        """
        return np.pad(photo, (*self._margins(photo), (0, 0)), mode="edge")

    def pad_mask(self, mask: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "canvas_height canvas_width"]:
        """Sets a mask into the canvas; the margins are outside it.

        Raises:
            ValueError: when the mask has another size.
        """
        return np.pad(mask, self._margins(mask))

    def undo(self, reply: UInt8[np.ndarray, "reply_height reply_width 3"]) -> UInt8[np.ndarray, "height width 3"]:
        """Cuts the photo's part out of an editor's reply.

        Raises:
            ValueError: when the reply has another shape than the canvas: it cannot be laid over it.
        """
        self._check_shape(reply)
        if (reply.shape[1], reply.shape[0]) != self.canvas:
            shrinks = reply.shape[1] >= self.canvas[0] and reply.shape[0] >= self.canvas[1]
            how = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
            reply = np.asarray(Image.fromarray(reply).resize(self.canvas, how))
        return self._cut(reply)

    def undo_mask(self, mask: Bool[np.ndarray, "reply_height reply_width"]) -> Bool[np.ndarray, "height width"]:
        """Cuts the photo's part out of a mask over the reply: a pixel is in when any of what it covers was in.

        Raises:
            ValueError: when the mask has another shape than the canvas.
        """
        self._check_shape(mask)
        if (mask.shape[1], mask.shape[0]) != self.canvas:
            share = Image.fromarray(mask.astype(np.float32)).resize(self.canvas, Image.Resampling.BOX)
            mask = np.asarray(share) > 0
        return self._cut(mask)

    def _margins(self, picture: Shaped[np.ndarray, "height width *rest"]) -> tuple[tuple[int, int], tuple[int, int]]:
        """Rows above and below, columns before and behind."""
        if (picture.shape[1], picture.shape[0]) != self.size:
            raise ValueError(f"this padding is for {self.size}, the picture has {picture.shape[1::-1]} pixels")
        across, down = self.canvas[0] - self.size[0], self.canvas[1] - self.size[1]
        return (self.top, down - self.top), (self.left, across - self.left)

    def _cut(self, canvas: Shaped[np.ndarray, "height width *rest"]) -> Shaped[np.ndarray, "h w *rest"]:
        """The photo's part, as an array of its own."""
        return canvas[self.top : self.top + self.size[1], self.left : self.left + self.size[0]].copy()

    def _check_shape(self, reply: Shaped[np.ndarray, "height width *rest"]) -> None:
        """Compares a reply's width over height with the canvas's."""
        height, width = reply.shape[:2]
        off = abs(width * self.canvas[1] / (height * self.canvas[0]) - 1) if height and width else 1
        if off > TOLERANCE:
            wanted = f"{self.ratio[0]}:{self.ratio[1]}"
            raise ValueError(f"the reply has {width} x {height} pixels, which is not {wanted}: it shows something else")


def plan_padding(size: tuple[int, int], ratios: Sequence[tuple[int, int]] = RATIOS) -> Padding:
    """The smallest canvas of an allowed shape that holds a photo, with the photo in its middle.

    Args:
        size: width and height of the photo, in pixels.
        ratios: the shapes that the editor takes, each width to height; of equal canvases the first is taken.

    Raises:
        ValueError: when there is no shape, or a side is not positive.
    """
    if not ratios or min(size) < 1 or min(min(ratio) for ratio in ratios) < 1:
        raise ValueError(f"padding needs a size and ratios of positive numbers, got {size} and {list(ratios)}")
    plans = [_in_shape(size, ratio) for ratio in ratios]
    return min(plans, key=lambda plan: plan.canvas[0] * plan.canvas[1])


def _in_shape(size: tuple[int, int], ratio: tuple[int, int]) -> Padding:
    """The smallest canvas of one shape: a whole multiple of the ratio in lowest terms."""
    across, down = (side // gcd(*ratio) for side in ratio)
    times = max(-(-size[0] // across), -(-size[1] // down))
    canvas = (across * times, down * times)
    return Padding(size, canvas, (across, down), (canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2)

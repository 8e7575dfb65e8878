"""Maps that know nothing of the model: what a true map has to beat.

They stand among the methods of `run.explain`, so whatever tests a map tests them, too.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional

from mmhallu_core.explain.maps import Stack
from mmhallu_core.explain.perturb import grids_of
from mmhallu_core.explain.reading import Reading, Target
from mmhallu_core.models.image_tokens import WHOLE

WIDTH = 0.25  # standard deviation of the blob, as a share of the picture's side


def blob(image: Image.Image, rows: int, cols: int) -> Float[Tensor, "rows cols"]:
    """A round blob in the middle: photographers and this world alike put things there."""
    y, x = ((torch.arange(count, dtype=torch.float64) + 0.5) / count - 0.5 for count in (rows, cols))
    return torch.exp(-(y[:, None] ** 2 + x[None] ** 2) / (2 * WIDTH**2))


def edge_strength(image: Image.Image, rows: int, cols: int) -> Float[Tensor, "rows cols"]:
    """How much the brightness changes from pixel to pixel, averaged over each cell."""
    down, across = np.gradient(np.asarray(image.convert("L"), dtype=np.float64))
    strength = torch.from_numpy(np.hypot(down, across))
    return functional.adaptive_avg_pool2d(strength[None, None], (rows, cols))[0, 0]


def even(image: Image.Image, rows: int, cols: int) -> Float[Tensor, "rows cols"]:
    """The same everywhere."""
    return torch.ones(rows, cols, dtype=torch.float64)


def control(draw: Callable[[Image.Image, int, int], Tensor]) -> Callable[..., list[Stack]]:
    """A method that gives every word what `draw` makes of the picture; its `grid` is that of occlusion."""

    def method(reading: Reading, targets: Sequence[Target], grid: tuple[int, int] | None = None) -> list[Stack]:
        grids = enumerate(zip(reading.images, grids_of(reading, grid), strict=True))
        return [Stack(i, WHOLE, draw(image, *size).repeat(len(targets), 1, 1)) for i, (image, size) in grids]

    return method


CONTROLS = {"centre": control(blob), "edges": control(edge_strength), "constant": control(even)}

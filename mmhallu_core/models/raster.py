"""What a vision tower's layer gave out, patch by patch, as the picture has them: row by row from the top left.

Every tower has an order of its own. CLIP's puts a class token first. Qwen's puts each square of two by two patches
together, since a square becomes one token; Qwen2.5-VL's also goes through the picture window by window, because a patch
looks only at its own window in most layers. Llama's reads four tiles in one row and fills them up. A heat map drawn in
such an order shows the wrong places. Each function here has the same form: (model, what the processor made of the
batch, what a layer gave out) gives one grid for each view that the tower read, in the order of the views.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

Grids = list[Float[Tensor, "rows cols width"]]
Raster = Callable[[nn.Module, Any, Tensor], Grids]


def views(model: nn.Module, inputs: Any, states: Float[Tensor, "views tokens width"]) -> Grids:
    """Views of one size: rows of patches, with or without a class token before them."""
    rows, cols = _patches(model, inputs)
    return list(states[:, states.shape[1] - rows * cols :].unflatten(1, (rows, cols)))


def tiles(model: nn.Module, inputs: Any, states: Float[Tensor, "pictures tokens width"]) -> Grids:
    """Llama: the tiles of a picture, each with a class token before its patches and filler behind; empty ones too."""
    rows, cols = _patches(model, inputs)
    apart = states.unflatten(1, (inputs["pixel_values"].shape[2], -1)).flatten(0, 1)
    return list(apart[:, 1 : 1 + rows * cols].unflatten(1, (rows, cols)))


def squares(model: nn.Module, inputs: Any, states: Float[Tensor, "patches width"]) -> Grids:
    """Qwen2-VL and Qwen3-VL: a picture is a row of squares, and a square is merge_size x merge_size patches."""
    side = model.config.vision_config.spatial_merge_size
    return [_unsquared(part, rows, cols, side) for part, rows, cols in _pictures(inputs, states)]


def windows(model: nn.Module, inputs: Any, states: Float[Tensor, "patches width"]) -> Grids:
    """Qwen2.5-VL: squares as in Qwen2-VL, window by window, and row by row in each window."""
    config = model.config.vision_config
    side = config.spatial_merge_size
    window = config.window_size // config.patch_size // side  # in squares
    grids = []
    for part, rows, cols in _pictures(inputs, states):
        places = [(row, col) for row in range(rows // side) for col in range(cols // side)]
        read = sorted(range(len(places)), key=lambda i: (*(place // window for place in places[i]), *places[i]))
        back = torch.tensor(read, device=part.device).argsort()
        grids.append(_unsquared(part.unflatten(0, (-1, side**2))[back].flatten(0, 1), rows, cols, side))
    return grids


def _patches(model: nn.Module, inputs: Any) -> tuple[int, int]:
    """Rows and columns of patches in a view."""
    size = model.config.vision_config.patch_size
    high, wide = (size, size) if isinstance(size, int) else size
    return inputs["pixel_values"].shape[-2] // high, inputs["pixel_values"].shape[-1] // wide


def _pictures(inputs: Any, states: Float[Tensor, "patches width"]) -> list[tuple[Tensor, int, int]]:
    """Each picture's part of a row of patches, with its rows and columns."""
    sizes = inputs["image_grid_thw"].tolist()
    parts = torch.split(states, [frames * rows * cols for frames, rows, cols in sizes])
    return [(part, rows, cols) for part, (_, rows, cols) in zip(parts, sizes, strict=True)]


def _unsquared(
    part: Float[Tensor, "patches width"], rows: int, cols: int, side: int
) -> Float[Tensor, "rows cols width"]:
    """Patches that stand square by square, row by row."""
    apart = part.view(rows // side, cols // side, side, side, -1)
    return apart.transpose(1, 2).reshape(rows, cols, -1)

"""How each family lays one picture out: as image tokens, and as patches of its vision tower.

The functions for tokens all have one form: (processor, what it made of the batch, the picture's number in the batch,
its height and width, whether it is alone in its prompt) gives the grids of that picture in reading order. The sources
are the processors and models of transformers 5; tests/test_families.py changes a patch and looks which token moves.

The functions for patches, below, put what a tower's layer gave out as the picture has it, row by row from the top left.
CLIP's tower puts a class token first, Qwen's goes by squares of two by two patches and Qwen2.5-VL's by windows too,
Llama's reads four tiles in one row and fills them up. Each has the form: (model, what the processor made of the batch,
what a layer gave out) gives one grid for each view that the tower read, in the order of the views.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.image_processing_utils import select_best_resolution
from transformers.models.got_ocr2.image_processing_got_ocr2 import get_optimal_tiled_canvas
from transformers.models.mllama import image_processing_mllama

from mmhallu_core.models.fit import center_crop
from mmhallu_core.models.image_tokens import Box, Grid, Size

Patches = list[Float[Tensor, "rows cols width"]]
Raster = Callable[[nn.Module, Any, Tensor], Patches]


def llava(processor: Any, inputs: Any, number: int, size: Size, alone: bool) -> tuple[Grid, ...]:
    """One grid. CLIP's processor may cut a square out of the middle, which the box tells."""
    height, width = inputs["pixel_values"].shape[-2:]
    class_tokens = processor.num_additional_image_tokens - (processor.vision_feature_select_strategy == "default")
    rows, cols = height // processor.patch_size, width // processor.patch_size
    return (Grid(rows, cols, center_crop(processor.image_processor, size), before=class_tokens),)


def llava_next(processor: Any, inputs: Any, number: int, size: Size, alone: bool) -> tuple[Grid, ...]:
    """A small copy of the whole, then the tiles as one large grid without its padding, a line break after each row."""
    tile = inputs["pixel_values"].shape[-1]
    side = tile // processor.patch_size
    grid, _ = _anyres(processor, size, tile, side)
    return Grid(side, side), grid


def llava_onevision(processor: Any, inputs: Any, number: int, size: Size, alone: bool) -> tuple[Grid, ...]:
    """As LLaVA-NeXT, with a ceiling on tiles; beside other pictures (interleaved) one grid of the padded square."""
    tile = inputs["pixel_values"].shape[-1]
    side = math.isqrt(processor.num_image_tokens)
    if not alone:
        return (Grid(side, side, _square(size), after=1),)
    grid, rows_and_cols = _anyres(processor, size, tile, side)
    most = int(processor.vision_aspect_ratio.removeprefix("anyres_max_"))
    shrink = math.sqrt(rows_and_cols[0] * rows_and_cols[1] / (most * side**2))
    if shrink > 1.1:  # the model resizes the large grid of features
        grid = Grid(int(grid.rows // shrink), int(grid.cols // shrink), grid.box, row_end=1)
    return Grid(side, side), grid


def qwen_vl(processor: Any, inputs: Any, number: int, size: Size, alone: bool) -> tuple[Grid, ...]:
    """One grid, as fine as the picture is large: merge_size x merge_size patches become one token."""
    _, rows, cols = inputs["image_grid_thw"][number].tolist()
    merge = processor.image_processor.merge_size
    return (Grid(rows // merge, cols // merge),)


def idefics3(processor: Any, inputs: Any, number: int, size: Size, alone: bool) -> tuple[Grid, ...]:
    """Tiles row by row, then the whole; a small picture has the whole alone. Text tokens stand between the tiles."""
    side = math.isqrt(processor.image_seq_len)
    rows, cols = _idefics3_tiles(processor.image_processor, size)
    return (*_tiles(rows, cols, side), Grid(side, side))


def internvl(processor: Any, inputs: Any, number: int, size: Size, alone: bool) -> tuple[Grid, ...]:
    """Tiles row by row, then the whole; one tile stands alone. All have the same number of tokens."""
    side = math.isqrt(processor.image_seq_length)
    images = processor.image_processor
    cols, rows = get_optimal_tiled_canvas(
        size, (images.size["height"], images.size["width"]), images.min_patches, images.max_patches
    )
    if rows * cols == 1:
        return (Grid(side, side),)
    return (*_tiles(rows, cols, side), Grid(side, side))


def llava_next_views(processor: Any, inputs: Any, number: int, size: Size, alone: bool) -> tuple[Grid | None, ...]:
    """What the tower reads of a picture: the whole, then the tiles of its canvas, padding included."""
    tile = inputs["pixel_values"].shape[-1]
    side = tile // processor.patch_size
    return Grid(side, side), *_canvas_tiles(processor, size, tile, side)


def llava_onevision_views(processor: Any, inputs: Any, number: int, size: Size, alone: bool) -> tuple[Grid | None, ...]:
    """As LLaVA-NeXT; beside other pictures the padded square alone."""
    tile = inputs["pixel_values"].shape[-1]
    side = math.isqrt(processor.num_image_tokens)
    if not alone:
        return (Grid(side, side, _square(size)),)
    return Grid(side, side), *_canvas_tiles(processor, size, tile, side)


def mllama_views(processor: Any, inputs: Any, number: int, size: Size, alone: bool) -> tuple[Grid | None, ...]:
    """Tiles row by row, the picture at the top left of their canvas; None for each empty tile behind them."""
    (height, width), tile, most = size, inputs["pixel_values"].shape[-1], inputs["pixel_values"].shape[2]
    high, wide = map(int, image_processing_mllama.get_optimal_tiled_canvas(height, width, most, tile))
    fitted_high, fitted_wide = image_processing_mllama.get_image_size_fit_to_canvas(height, width, high, wide, tile)
    # Of so many patches nothing is asked but their box: the tower's own size gives the grid.
    boxes = _cut(high // tile, wide // tile, tile, (0, 0), (int(fitted_high), int(fitted_wide)))
    return *(Grid(1, 1, box) for box in boxes), *[None] * (most - len(boxes))


def _canvas_tiles(processor: Any, size: Size, tile: int, side: int) -> tuple[Grid, ...]:
    """The tiles of LLaVA-NeXT's canvas, in whose middle the picture lies."""
    height, width = size
    high, wide = select_best_resolution(size, processor.image_processor.image_grid_pinpoints)
    scale = min(wide / width, high / height)
    fitted = min(math.ceil(height * scale), high), min(math.ceil(width * scale), wide)
    start = (high - fitted[0]) // 2, (wide - fitted[1]) // 2
    return tuple(Grid(side, side, box) for box in _cut(high // tile, wide // tile, tile, start, fitted))


def _cut(rows: int, cols: int, tile: int, start: Size, fitted: Size) -> list[Box]:
    """The boxes of rows x cols tiles as shares of a picture that was fitted into them, its corner at `start`."""
    down = [(row * tile - start[0]) / fitted[0] for row in range(rows + 1)]
    across = [(col * tile - start[1]) / fitted[1] for col in range(cols + 1)]
    return [(across[c], down[r], across[c + 1], down[r + 1]) for r in range(rows) for c in range(cols)]


def _tiles(rows: int, cols: int, side: int) -> tuple[Grid, ...]:
    """Equal tiles of side x side tokens that together cover the picture."""
    return tuple(
        Grid(side, side, (col / cols, row / rows, (col + 1) / cols, (row + 1) / rows))
        for row in range(rows)
        for col in range(cols)
    )


def _idefics3_tiles(images: Any, size: Size) -> Size:
    """Rows and columns of tiles: the long side is fitted, then both sides are rounded up to whole tiles."""
    if not images.do_image_splitting:
        return 0, 0
    height, width = size
    tile, share = images.max_image_size["longest_edge"], width / height
    if images.do_resize:
        longest = images.size["longest_edge"]
        height, width = (int(longest / share), longest) if width >= height else (longest, int(longest * share))
        height, width = max(1, height + height % 2), max(1, width + width % 2)
        share = width / height
    if width >= height:
        cols = math.ceil(width / tile)
        rows = math.ceil(int(cols * tile / share) / tile)
    else:
        rows = math.ceil(height / tile)
        cols = math.ceil(int(rows * tile * share) / tile)
    return (rows, cols) if rows * cols > 1 else (0, 0)


def _square(size: Size) -> Box:
    """The box of the square around a picture."""
    height, width = size
    x, y = (max(size) - width) / 2 / width, (max(size) - height) / 2 / height
    return (-x, -y, 1 + x, 1 + y)


def _anyres(processor: Any, size: Size, tile: int, side: int) -> tuple[Grid, Size]:
    """LLaVA-NeXT's large grid, rows, columns: fitted into a canvas of tiles, without rows or columns of padding."""
    height, width = size
    canvas_height, canvas_width = select_best_resolution(size, processor.image_processor.image_grid_pinpoints)
    rows, cols = canvas_height // tile * side, canvas_width // tile * side
    patch = tile / side
    # As the model's unpad_image counts: the padding in whole tokens, the same on both sides.
    if width / height > cols / rows:
        cut = (rows - int(round(height * cols / width, 7))) // 2
        rows -= 2 * cut
        scale = canvas_width / width
        fitted = min(math.ceil(height * scale), canvas_height)
        top = (cut * patch - (canvas_height - fitted) // 2) / fitted
        box = (0.0, top, 1.0, top + rows * patch / fitted)
    else:
        cut = (cols - int(round(width * rows / height, 7))) // 2
        cols -= 2 * cut
        scale = canvas_height / height
        fitted = min(math.ceil(width * scale), canvas_width)
        left = (cut * patch - (canvas_width - fitted) // 2) / fitted
        box = (left, 0.0, left + cols * patch / fitted, 1.0)
    return Grid(rows, cols, box, row_end=1), (rows, cols)


def views(model: nn.Module, inputs: Any, states: Float[Tensor, "views tokens width"]) -> Patches:
    """Views of one size: rows of patches, with or without a class token before them."""
    rows, cols = _patches(model, inputs)
    return list(states[:, states.shape[1] - rows * cols :].unflatten(1, (rows, cols)))


def tiles(model: nn.Module, inputs: Any, states: Float[Tensor, "pictures tokens width"]) -> Patches:
    """Llama: the tiles of a picture, each with a class token before its patches and filler behind; empty ones too."""
    rows, cols = _patches(model, inputs)
    apart = states.unflatten(1, (inputs["pixel_values"].shape[2], -1)).flatten(0, 1)
    return list(apart[:, 1 : 1 + rows * cols].unflatten(1, (rows, cols)))


def squares(model: nn.Module, inputs: Any, states: Float[Tensor, "patches width"]) -> Patches:
    """Qwen2-VL and Qwen3-VL: a picture is a row of squares, and a square is merge_size x merge_size patches."""
    side = model.config.vision_config.spatial_merge_size
    return [_unsquared(part, rows, cols, side) for part, rows, cols in _pictures(inputs, states)]


def windows(model: nn.Module, inputs: Any, states: Float[Tensor, "patches width"]) -> Patches:
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

"""Which tokens of a prompt are which picture, and which part of the picture each of them stands for.

A decoder reads a picture as a run of *image tokens*. Their order follows a plan that differs between families: one
grid for the whole picture; or the picture cut into tiles, a grid for each, and a small copy of the whole beside
them. Here a family says only the plan (a few `Grid`s for one picture). `locate` then finds the tokens in the prompt,
gives each grid its positions, and refuses prompts in which tokens are missing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from mmhallu_core.types import CannotRun

Size = tuple[int, int]  # height and width of a picture in pixels
Box = tuple[float, float, float, float]  # x0 y0 x1 y1 as shares of the picture's width and height
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Grid:
    """The plan of one grid of image tokens, row by row from the top left.

    Attributes:
        rows, cols: its size in tokens.
        box: the part of the picture that it covers; it reaches beyond 0 and 1 where padding was added.
        before: tokens in front of the grid that stand for no place, such as a class token.
        row_end: tokens after each row that stand for no place, such as a learned line break.
        after: tokens behind the grid that stand for no place.
    """

    rows: int
    cols: int
    box: Box = WHOLE
    before: int = 0
    row_end: int = 0
    after: int = 0

    @property
    def length(self) -> int:
        """How many image tokens the grid takes up."""
        return self.before + self.rows * (self.cols + self.row_end) + self.after


@dataclass(frozen=True)
class View:
    """One look at a picture: the whole, or a tile of it.

    Attributes:
        box: the part of the picture that the view covers, as in `Grid`.
        positions: where in the prompt each of its tokens stands (padding counted).
    """

    box: Box
    positions: Int[Tensor, "rows cols"]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns."""
        return tuple(self.positions.shape)

    @property
    def token_area(self) -> float:
        """The share of the picture that one token stands for."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1]) / self.positions.numel()

    def cell(self, x: float, y: float) -> tuple[int, int] | None:
        """The row and column whose token covers a point, given as shares of the picture; None when outside."""
        rows, cols = self.grid
        row = int((y - self.box[1]) / (self.box[3] - self.box[1]) * rows // 1)
        col = int((x - self.box[0]) / (self.box[2] - self.box[0]) * cols // 1)
        return (row, col) if 0 <= row < rows and 0 <= col < cols else None


@dataclass(frozen=True)
class ImageTokens:
    """The tokens of one picture.

    Attributes:
        views: in the order in which the decoder reads them.
        positions: all of its image tokens in the prompt, line breaks and class tokens too.
    """

    views: tuple[View, ...]
    positions: Int[Tensor, " tokens"]

    @property
    def finest(self) -> tuple[View, ...]:
        """The views that show most detail: the tiles where there are any, else the only view."""
        least = min(view.token_area for view in self.views)
        return tuple(view for view in self.views if view.token_area < 1.01 * least)


# A family's plan: (processor, its output, number of the picture in the batch, size, is it alone in its prompt).
PicturePlan = Callable[[Any, Any, int, Size, bool], tuple[Grid | None, ...]]


def locate(
    plan: PicturePlan, processor: Any, inputs: Any, sizes: Sequence[Sequence[Size]], names: Sequence[str] | None = None
) -> list[list[ImageTokens]]:
    """Finds the image tokens of every picture of a batch.

    Args:
        plan: how the family lays out one picture.
        processor: the model's processor.
        inputs: what the processor made of the batch; `input_ids` is (batch, tokens).
        sizes: for each sample, the size of each of its pictures.
        names: what to call the samples in an error; their numbers when None.

    Returns:
        For each sample, one `ImageTokens` for each picture, in their order.

    Raises:
        CannotRun: when a sample has more or fewer image tokens than its pictures need, as after truncation.
    """
    found, number = [], 0
    for sample, pictures in enumerate(sizes):
        plans = []
        for size in pictures:
            plans.append(plan(processor, inputs, number, size, len(pictures) == 1))
            number += 1
        run = (inputs["input_ids"][sample] == processor.image_token_id).nonzero()[:, 0].cpu()
        lengths = [sum(grid.length for grid in one) for one in plans]
        if run.numel() != sum(lengths):
            name = f"sample {sample}" if names is None else f"sample {names[sample]!r}"
            raise CannotRun(
                f"{name}: its pictures need {sum(lengths)} image tokens and its prompt has {run.numel()}. "
                "Give fewer or smaller pictures, or a shorter text."
            )
        parts = torch.split(run, lengths)
        found.append([ImageTokens(_views(one, part), part) for one, part in zip(plans, parts, strict=True)])
    return found


def _views(grids: tuple[Grid, ...], run: Int[Tensor, " tokens"]) -> tuple[View, ...]:
    """Deals one picture's image tokens out to its grids."""
    views = []
    for grid, part in zip(grids, torch.split(run, [grid.length for grid in grids]), strict=True):
        lines = part[grid.before : grid.length - grid.after].view(grid.rows, grid.cols + grid.row_end)
        views.append(View(grid.box, lines[:, : grid.cols]))
    return tuple(views)

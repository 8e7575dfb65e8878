"""A map: how much each part of each picture counts for a word, as numbers, as a figure and in words.

A model may read a picture in several views: a small copy of the whole, and tiles. Each view has its own grid and its
own box. `PictureMap.on_grid` puts the views back where they belong: what stands in a cell is spread evenly over the
cell's area, and the views are added. So the values of a map add up to the same sum on every grid.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from mmhallu_core.explain.draw import drawn, saved
from mmhallu_core.models.image_tokens import WHOLE, Box

THIRDS = ("upper left", "top", "upper right", "left", "centre", "right", "lower left", "bottom", "lower right")


@dataclass(frozen=True)
class Stack:
    """What a method found for several words in one view; each word's slice becomes a `ViewMap`.

    Attributes:
        picture: number of the picture, from 0.
        box: the part of the picture that the grid covers.
        values: one grid for each word.
    """

    picture: int
    box: Box
    values: Float[Tensor, "words rows cols"]


@dataclass(frozen=True)
class ViewMap:
    """The values of one view of a picture.

    Attributes:
        values: of its cells, with their sign.
        box: the part of the picture that the grid covers, as shares of its width and height; it reaches beyond 0 and 1
            where the picture was padded.
    """

    values: Float[Tensor, "rows cols"]
    box: Box

    def boxes(self, size: tuple[int, int]) -> Float[Tensor, "rows cols 4"]:
        """x0 y0 x1 y1 of each cell, in pixels of a picture of a width and height."""
        rows, cols = self.values.shape
        down = torch.linspace(self.box[1], self.box[3], rows + 1, dtype=torch.float64) * size[1]
        across = torch.linspace(self.box[0], self.box[2], cols + 1, dtype=torch.float64) * size[0]
        y0, x0 = torch.meshgrid(down[:-1], across[:-1], indexing="ij")
        y1, x1 = torch.meshgrid(down[1:], across[1:], indexing="ij")
        return torch.stack([x0, y0, x1, y1], dim=-1)


@dataclass(frozen=True)
class PictureMap:
    """The map of one picture.

    Attributes:
        image: the picture.
        views: as the model reads them.
    """

    image: Image.Image
    views: tuple[ViewMap, ...]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of a grid over the whole picture whose cells are those of the finest view."""
        high = min((view.box[3] - view.box[1]) / view.values.shape[0] for view in self.views)
        wide = min((view.box[2] - view.box[0]) / view.values.shape[1] for view in self.views)
        return max(1, round(1 / high)), max(1, round(1 / wide))

    @property
    def values(self) -> Float[Tensor, "rows cols"]:
        """The map on `grid`; of a picture that is read as one view, that view's own values."""
        if len(self.views) == 1 and self.views[0].box == WHOLE:
            return self.views[0].values
        return self.on_grid(*self.grid)

    @property
    def boxes(self) -> Float[Tensor, "rows cols 4"]:
        """x0 y0 x1 y1 in pixels of each cell of `values`."""
        return ViewMap(self.values, WHOLE).boxes(self.image.size)

    @property
    def heat(self) -> Float[Tensor, "height width"]:
        """The positive part at each pixel: what speaks for the word. It adds up to the positive part of the map."""
        return self.on_grid(self.image.height, self.image.width, positive=True)

    @property
    def peak(self) -> tuple[float, float]:
        """x and y in pixels of the place where the map is largest: the middle of its cell."""
        heat = self.heat
        rows, cols = (heat >= heat.max() * (1 - 1e-9)).nonzero().double().mean(0).tolist()
        return cols + 0.5, rows + 0.5

    def on_grid(self, rows: int, cols: int, positive: bool = False) -> Float[Tensor, "rows cols"]:
        """The views, added, on a grid over the whole picture.

        Args:
            rows, cols: of the grid.
            positive: leave negative values out first.
        """
        total = torch.zeros(rows, cols, dtype=torch.float64)
        for view in self.views:
            values = view.values.double().clamp(min=0) if positive else view.values.double()
            x0, y0, x1, y1 = view.box
            total += _overlap(y0, y1, values.shape[0], rows) @ values @ _overlap(x0, x1, values.shape[1], cols).T
        return total

    def tell(self) -> str:
        """The map in words and digits."""
        values, (x, y) = self.values, self.peak
        heat, thirds = self.heat, self.on_grid(3, 3, positive=True)
        whole = float(heat.sum())
        size = f"{self.image.width} x {self.image.height} pixels, {values.shape[0]} rows of {values.shape[1]} cells"
        if not whole:
            return f"{size}: no cell speaks for it"
        order = thirds.flatten().argsort(descending=True)[:3].tolist()
        parts = {THIRDS[i]: float(thirds.flatten()[i]) / whole for i in order}
        shares = ", ".join(f"{name} {share:.0%}" for name, share in parts.items() if share >= 0.005)
        digits = (values.clamp(min=0) / values.max().clamp(min=1e-300) * 9).round().int().tolist()
        lines = [" ".join(str(digit) if digit else "." for digit in row) for row in digits]
        return "\n".join([f"{size}; largest at x {x:.0f}, y {y:.0f}; {shares}", *lines])


@dataclass(frozen=True)
class Map:
    """What speaks for a word of an answer, in each picture of the prompt.

    Attributes:
        pictures: one map each, in the prompt's order.
        method: such as "gradcam".
        layer: where it was taken; empty for a method that looks at the pictures alone.
        target: the word.
        tokens: the word's tokens, as text.
        question, answer: that the model read.
        model: its name.
        score: the word's log-probability.
        note: what a reader must know about this map.
        facts: numbers that the method checks itself with.
    """

    pictures: tuple[PictureMap, ...]
    method: str
    layer: str
    target: str
    tokens: tuple[str, ...]
    question: str
    answer: str
    model: str
    score: float
    note: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> list[Float[Tensor, "rows cols"]]:
        """For each picture its map on its own grid."""
        return [picture.values for picture in self.pictures]

    @property
    def title(self) -> str:
        """One line: the method, where, and for what."""
        return f"{self.method}{' at ' * bool(self.layer)}{self.layer} for {self.target!r}"

    @property
    def text(self) -> str:
        """The map in words: for a terminal, a log, a screen reader. Digits stand for the cells, 9 for the largest."""
        lines = [f"{self.title} (log-probability {self.score:.2f}) in the answer {self.answer!r}"]
        lines += [f"Picture {number}: {picture.tell()}" for number, picture in enumerate(self.pictures, start=1)]
        return "\n".join([*lines, *([f"Note: {self.note}."] if self.note else [])])

    def __str__(self) -> str:
        return self.text

    def figure(self) -> Figure:
        """Each picture, and beside it the picture under its map."""
        return drawn(self)

    def save(self, folder: Path | str) -> dict[str, Any]:
        """Writes map.png, map.json and the values as .npy files; see `draw.saved`."""
        return saved(self, folder)


def _overlap(begin: float, end: float, cells: int, parts: int) -> Float[Tensor, "parts cells"]:
    """Which share of each of the cells from `begin` to `end` lies in each of the parts of the length from 0 to 1."""
    cell = torch.linspace(begin, end, cells + 1, dtype=torch.float64)
    part = torch.linspace(0, 1, parts + 1, dtype=torch.float64)
    shared = torch.minimum(part[1:, None], cell[None, 1:]) - torch.maximum(part[:-1, None], cell[None, :-1])
    return shared.clamp(min=0) / ((end - begin) / cells)

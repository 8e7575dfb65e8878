"""Occlusion and RISE: parts of a picture are covered, and the word's log-probability is read again.

Nothing is asked of the model but its answer, so these methods need no gradient and no look inside. What is covered is
covered in the *picture*, and the processor reads that picture anew: then a part is gone from its tile and from the
small copy of the whole alike, in every family. captum moves the window; it sees one grid of ones for each picture, and
a zero covers a cell.
"""

from collections.abc import Sequence

import numpy as np
import torch
from captum.attr import Occlusion
from jaxtyping import Float
from PIL import Image, ImageFilter
from torch import Tensor
from torch.nn import functional

from mmhallu_core.explain.maps import PictureMap, Stack, ViewMap
from mmhallu_core.explain.places import pixel_cells
from mmhallu_core.explain.reading import Reading, Target
from mmhallu_core.models.image_tokens import WHOLE
from mmhallu_core.types import CannotRun

GREY = (127, 127, 127)
FILLS = ("grey", "blur", "black", "white")


def filled(image: Image.Image, fill: str) -> Image.Image:
    """What is seen where a picture is covered, as a picture of its size.

    Args:
        image: RGB.
        fill: "grey", "black", "white", or "blur", the picture with its details gone.

    Raises:
        CannotRun: for another word.
    """
    if fill == "blur":
        return image.filter(ImageFilter.GaussianBlur(max(image.size) / 8))
    colours = {"grey": GREY, "black": (0, 0, 0), "white": (255, 255, 255)}
    if fill not in colours:
        raise CannotRun(f"no way to cover a picture is called {fill!r}; there are {', '.join(FILLS)}")
    return Image.new("RGB", image.size, colours[fill])


def covered(image: Image.Image, fill: Image.Image, shown: Float[Tensor, "rows cols"], smooth: bool) -> Image.Image:
    """A picture of which only some is shown.

    Args:
        image, fill: the picture, and what is seen where it is covered.
        shown: 1 where a cell is shown, 0 where it is covered, in between a mixture.
        smooth: let the cells run into each other.
    """
    size = (image.height, image.width)
    kind = {"mode": "bilinear", "align_corners": False} if smooth else {"mode": "nearest-exact"}
    mask = functional.interpolate(shown[None, None].float().cpu(), size, **kind)[0, 0, ..., None].numpy()
    mixed = mask * np.asarray(image.convert("RGB"), np.float32) + (1 - mask) * np.asarray(fill, np.float32)
    return Image.fromarray(np.rint(mixed).astype(np.uint8))


class Covering:
    """Scores words for covered pictures, in batches; what was asked before is not run again for the next word."""

    def __init__(self, reading: Reading, targets: Sequence[Target], fill: str, smooth: bool = False) -> None:
        self.reading, self.targets, self.smooth = reading, targets, smooth
        self.fills = [filled(image, fill) for image in reading.images]
        self._known: dict[bytes, Tensor] = {}

    @torch.no_grad()
    def __call__(self, *shown: Float[Tensor, "times _rows _cols"]) -> Float[Tensor, "times targets"]:
        """The log-probabilities, for each picture's grids of what is shown of it."""
        grids = [torch.cat([one[i].flatten() for one in shown]) for i in range(len(shown[0]))]
        names = [grid.cpu().numpy().tobytes() for grid in grids]
        new = [i for i, name in enumerate(names) if name not in self._known and name not in names[:i]]
        if new:
            images, fills = self.reading.images, self.fills
            groups = [[covered(image, fill, one[i], self.smooth)
                       for image, fill, one in zip(images, fills, shown, strict=True)] for i in new]  # fmt: skip
            scores = self.reading.scores(self.reading.encode(groups), self.targets).cpu()
            self._known |= {names[i]: row for i, row in zip(new, scores, strict=True)}
        return torch.stack([self._known[name] for name in names])


def grids_of(reading: Reading, grid: tuple[int, int] | None, most: int = 16) -> list[tuple[int, int]]:
    """Rows and columns by which each picture is covered: as given, or as fine as its patches, `most` at most."""
    if grid is not None:
        return [grid] * len(reading.images)
    found, patches = [], pixel_cells(reading, torch.zeros_like(reading.inputs["pixel_values"]))
    for number, image in enumerate(reading.images):
        views = tuple(ViewMap(values, box) for picture, box, values in patches if picture == number)
        rows, cols = PictureMap(image, views).grid
        found.append((min(rows, most), min(cols, most)))
    return found


def occlusion(
    reading: Reading,
    targets: Sequence[Target],
    grid: tuple[int, int] | None = None,
    window: int = 2,
    fill: str = "grey",
    batch_size: int = 16,
) -> list[Stack]:
    """How much the word loses when a window is covered, averaged over the windows that cover a cell.

    Args:
        reading: what is read.
        targets: the words.
        grid: rows and columns by which pictures are covered; as fine as the model's patches, 16 at most, when None.
        window: its side in cells; it moves by one cell.
        fill: what is seen there, see `filled`.
        batch_size: pictures per forward pass.

    Source: Zeiler and Fergus (2014), Visualizing and Understanding Convolutional Networks.
    """
    cover, grids = Covering(reading, targets, fill), grids_of(reading, grid)
    whole = tuple(torch.ones(1, rows, cols) for rows, cols in grids)
    windows = tuple((min(window, rows), min(window, cols)) for rows, cols in grids)
    found = []
    for number in range(len(targets)):
        lost = Occlusion(lambda *shown, number=number: cover(*shown)[:, number]).attribute(
            whole, sliding_window_shapes=windows, strides=tuple((1, 1) for _ in grids), baselines=(0.0,) * len(grids),
            perturbations_per_eval=batch_size,
        )  # fmt: skip
        found.append([one[0] for one in lost])
    return [Stack(picture, WHOLE, torch.stack(values)) for picture, values in enumerate(zip(*found, strict=True))]


def rise(
    reading: Reading,
    targets: Sequence[Target],
    masks: int = 400,
    coarse: int = 6,
    grid: tuple[int, int] | None = None,
    fill: str = "grey",
    batch_size: int = 16,
    seed: int = 0,
) -> list[Stack]:
    """The word's log-probability where a cell is shown, less that over all masks. captum does not have it.

    Args:
        reading: what is read.
        targets: the words.
        masks: how many random masks; each shows half of every picture on average.
        coarse: rows and columns of the random grid, which is made smooth and shifted.
        grid: of the map; as for `occlusion`.
        fill: what is seen where a picture is covered, see `filled`.
        batch_size: pictures per forward pass.
        seed: of the masks.

    Source: Petsiuk et al. (2018), RISE, equation 6 with p = 0.5. The original leaves the mean in, as a constant.
    """
    random = torch.Generator().manual_seed(seed)
    grids = grids_of(reading, grid)
    shown = [_masks(masks, coarse, rows, cols, random) for rows, cols in grids]
    cover = Covering(reading, targets, fill, smooth=True)
    parts = [cover(*(one[i : i + batch_size] for one in shown)) for i in range(0, masks, batch_size)]
    scores = torch.cat(parts).double()
    gain = scores - scores.mean(0)
    return [
        Stack(picture, WHOLE, torch.einsum("mt,mrc->trc", gain, one) / one.sum(0)) for picture, one in enumerate(shown)
    ]


def _masks(count: int, coarse: int, rows: int, cols: int, random: torch.Generator) -> Float[Tensor, "count rows cols"]:
    """Random grids of zeros and ones, made smooth and cut out at random shifts."""
    ones = (torch.rand(count, 1, coarse + 1, coarse + 1, generator=random) < 0.5).double()
    high, wide = -(-rows // coarse), -(-cols // coarse)  # fine cells in a coarse one, rounded up
    size = ((coarse + 1) * high, (coarse + 1) * wide)
    smooth = functional.interpolate(ones, size, mode="bilinear", align_corners=False)[:, 0]
    down = torch.randint(high + 1, (count,), generator=random).tolist()
    right = torch.randint(wide + 1, (count,), generator=random).tolist()
    return torch.stack([one[y : y + rows, x : x + cols] for one, y, x in zip(smooth, down, right, strict=True)])

"""Two photos of one thing laid over each other, and where they differ: in pixels, and in a vision tower's features.

An edited photo that comes out of an image model often has another size and is moved by a little. Pixel by pixel it then
differs everywhere. So it is scaled to the original's size and shifted to where it fits best, and if it does not fit
even then, it is refused with the reason: a difference of two photos that do not lie over each other says nothing.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional

from mmhallu_core.models.families import plain
from mmhallu_core.models.record import record
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun

SIDE = 256  # pixels of the longer side
OFF_SHAPE = 0.05  # width over height may be off by this share; more is cut or stretched
FARTHEST = 0.05  # of a side, that it may be shifted
ALIKE = 0.7  # least correlation of the grey pictures


@dataclass(frozen=True)
class Registered:
    """Two pictures of one size that lie over each other.

    Attributes:
        before, after: RGB; both cut to what they share.
        shift: pixels by which the second was moved, right and down.
        likeness: correlation of the two in grey.
    """

    before: Image.Image
    after: Image.Image
    shift: tuple[int, int]
    likeness: float


def registered(before: Image.Image, after: Image.Image) -> Registered:
    """Lays an edited picture over its original, by scaling and by a shift.

    Args:
        before, after: RGB, of any size.

    Raises:
        CannotRun: when their shapes differ, or when they are not alike wherever the second is shifted.
    """
    off = abs(after.width * before.height / (after.height * before.width) - 1)
    if off > OFF_SHAPE:
        raise CannotRun(f"width over height differs by {off:.0%}: one of them is cut or stretched")
    scale = SIDE / max(before.size)
    size = (round(before.width * scale), round(before.height * scale))
    one, other = (image.convert("RGB").resize(size, Image.Resampling.BICUBIC) for image in (before, after))
    right, down = _shift(_grey(one), _grey(other))
    wide, high = size[0] - abs(right), size[1] - abs(down)
    here, there = (max(right, 0), max(down, 0)), (max(-right, 0), max(-down, 0))
    one, other = (image.crop((x, y, x + wide, y + high)) for image, (x, y) in ((one, here), (other, there)))
    both = np.stack([_grey(one).ravel(), _grey(other).ravel()])
    likeness = float(np.corrcoef(both)[0, 1]) if both.std(1).min() > 0 else 0.0  # a picture of one colour fits nowhere
    if likeness < ALIKE:
        raise CannotRun(f"they do not lie over each other: their correlation is {likeness:.2f}, below {ALIKE}")
    return Registered(one, other, (right, down), likeness)


def _grey(image: Image.Image) -> Float[np.ndarray, "height width"]:
    return np.asarray(image.convert("L"), dtype=np.float64)


def _shift(one: Float[np.ndarray, "height width"], other: Float[np.ndarray, "height width"]) -> tuple[int, int]:
    """How far to move the second right and down so that it fits best, by phase correlation, FARTHEST at most."""
    spectrum = np.fft.fft2(one - one.mean()) * np.conj(np.fft.fft2(other - other.mean()))
    fit = np.fft.ifft2(spectrum / np.maximum(np.abs(spectrum), 1e-12)).real
    down, right = (np.fft.fftfreq(count, 1 / count).round().astype(int) for count in fit.shape)
    far = (abs(down)[:, None] > FARTHEST * len(down)) | (abs(right)[None] > FARTHEST * len(right))
    y, x = np.unravel_index(np.where(far, -np.inf, fit).argmax(), fit.shape)
    return int(right[x]), int(down[y])


def pixel_difference(pair: Registered, rows: int, cols: int) -> Float[Tensor, "rows cols"]:
    """How much pixels differ, as a share of what they can, averaged over each cell of a grid."""
    one, other = (np.asarray(image, dtype=np.float64) for image in (pair.before, pair.after))
    off = torch.from_numpy(np.abs(one - other).mean(2) / 255)
    return functional.adaptive_avg_pool2d(off[None, None], (rows, cols))[0, 0]


@torch.no_grad()
def feature_difference(vlm: Vlm, pair: Registered) -> Float[Tensor, "rows cols"]:
    """One minus the cosine of what the vision tower's last layer gives for each cell of the two pictures.

    Args:
        vlm: of a family that reads a picture as one view.
        pair: see `registered`.
    """
    family, model, grids = vlm.family, vlm.model, []
    last = len(family.tower_layers(model)) - 1
    for image in (pair.before, pair.after):
        inputs = vlm.encode([image], [vlm.prompt("?")])
        with record(model, (), vision_layers=(last,)) as seen:
            model(**inputs, use_cache=False, logits_to_keep=1)
        (grid,) = family.raster(plain(model), inputs, seen.vision[last])
        grids.append(grid.float().cpu())
    return 1 - functional.cosine_similarity(*grids, dim=-1)


def concentration(values: Float[Tensor, "rows cols"], share: float = 0.1) -> float:
    """Which part of a map's squares stands in its strongest cells, a tenth of all: near 1 for one small region."""
    squares = values.double().flatten().square().sort(descending=True).values
    return float(squares[: max(1, round(share * len(squares)))].sum() / squares.sum().clamp(min=1e-300))

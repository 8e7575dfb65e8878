"""Losses as pure functions: of an answer's tokens, and MED's consistency of features.

`answer_loss` is supervised fine-tuning. MED (arXiv 2506.07227) fine-tunes on pairs that differ in one small edit; its
equation 7 asks a decoder to say the difference from the *difference of features*, I(x) - I(x'). Abstract, introduction
and conclusion also speak of a "feature-level consistency loss", without equation, weight, table row or code. Features
that do not move at all leave nothing to say, so the loss is a switch of three modes:

- `none`: captions only. Section 5.1 ("using our SFT loss (Equation 7)") and the code know no other loss.
- `global`: the paper's words, read literally. The mean features of the two pictures must be at least as similar as
  `floor` says. With floor 1 any difference costs. With the pair's similarity under the model as it was before
  training (our default advice), only features that drift further apart cost, and the edit stays visible.
- `masked`: our reading that serves equation 7. Outside the edit the two pictures are the same, and so should be
  their features, token by token; inside the edit the features must *not* be alike.

Features are those that the decoder reads: one row for each image token, after the connector.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from mmhallu_core.models.image_tokens import WHOLE, Box

IGNORE = -100  # the label of a token that is only read
Mode = Literal["none", "global", "masked"]


@dataclass(frozen=True)
class Consistency:
    """Which consistency loss, and how much of it. The paper gives no number: weight and margin are ours.

    Attributes:
        mode: see the top of this page.
        weight: the caption's loss counts 1, the consistency loss this much.
        margin: `masked` only: inside the edit, a cosine up to here costs nothing.

    Raises:
        ValueError: when there is no such mode, the weight is negative, or the margin is not in [-1, 1).
    """

    mode: Mode = "none"
    weight: float = 0.1
    margin: float = 0.5

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ValueError(f"there is no consistency mode {self.mode!r}; take one of {', '.join(get_args(Mode))}")
        if self.weight < 0 or not -1 <= self.margin < 1:
            raise ValueError(f"weight {self.weight} must not be negative, and margin {self.margin} lies in [-1, 1)")

    @property
    def on(self) -> bool:
        """Whether anything is asked for beside the answers' loss."""
        return self.mode != "none" and self.weight > 0


def answer_loss(
    logits: Float[Tensor, "answers vocab"],
    labels: Int[Tensor, " answers"],
    weights: Float[Tensor, " answers"],
    total: Float[Tensor, ""] | None = None,
) -> Float[Tensor, ""]:
    """The weighted mean cross-entropy of the answers' tokens.

    Args:
        logits: of the supervised places alone.
        labels: the token that each should predict.
        weights: of each of them.
        total: the weight of all tokens of the step, of which these may be a part; their own when None.
    """
    losses = functional.cross_entropy(logits.float(), labels, reduction="none")
    return (losses * weights).sum() / (weights.sum() if total is None else total)


def answer_loss_of_states(
    hidden: Float[Tensor, "batch tokens width"],
    head: torch.nn.Module,
    labels: Int[Tensor, "batch tokens"],
    weights: Float[Tensor, "batch tokens"],
) -> Float[Tensor, ""]:
    """The same from the decoder's last states; only those of supervised places pass through the vocabulary."""
    here = labels[:, 1:] != IGNORE  # the state before a token predicts it
    return answer_loss(head(hidden[:, :-1][here]), labels[:, 1:][here], weights[:, 1:][here])


def med_loss(
    caption: Float[Tensor, ""],
    rule: Consistency,
    first: Float[Tensor, "batch tokens width"] | None = None,
    second: Float[Tensor, "batch tokens width"] | None = None,
    edited: Bool[Tensor, "batch tokens"] | None = None,
    floor: Float[Tensor, " batch"] | None = None,
    real: Bool[Tensor, "batch tokens"] | None = None,
) -> Float[Tensor, ""]:
    """The whole loss of one batch. With mode `none` or weight 0 it is `caption` itself, to the last bit.

    Args:
        caption: the mean loss of the answers' tokens.
        rule: the consistency loss.
        first, second: features of the two pictures of each pair; `global` and `masked` need them.
        edited: tokens that the edit touches, see `edited_cells`; `masked` needs it.
        floor: the least similarity that costs nothing, see `similarity`; `global` needs it.
        real: False at rows that only fill up a picture with fewer tokens; all True when None.

    Raises:
        ValueError: when something that the mode needs is missing.
    """
    if not rule.on:
        return caption
    needed = {"first": first, "second": second, **({"floor": floor} if rule.mode == "global" else {"edited": edited})}
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise ValueError(f"the consistency mode {rule.mode!r} needs {', '.join(missing)}")
    if rule.mode == "global":
        held = global_consistency(first, second, floor, real)
    else:
        held = masked_consistency(first, second, edited, rule.margin, real)
    return caption + rule.weight * held


def similarity(
    first: Float[Tensor, "batch tokens width"],
    second: Float[Tensor, "batch tokens width"],
    real: Bool[Tensor, "batch tokens"] | None = None,
) -> Float[Tensor, " batch"]:
    """Cosine between the mean features of the two pictures of each pair.

    Taken of the model before training and without gradient, it is the `floor` of `global_consistency`.
    """
    real = _all(first) if real is None else real
    means = [_mean(features, real[..., None]) for features in (first, second)]
    return functional.cosine_similarity(*means, dim=-1)


def global_consistency(
    first: Float[Tensor, "batch tokens width"],
    second: Float[Tensor, "batch tokens width"],
    floor: Float[Tensor, " batch"],
    real: Bool[Tensor, "batch tokens"] | None = None,
) -> Float[Tensor, ""]:
    """How far the pairs' similarity has fallen under its floor: mean of max(0, floor - cosine)."""
    return (floor - similarity(first, second, real)).clamp(min=0).mean()


def masked_consistency(
    first: Float[Tensor, "batch tokens width"],
    second: Float[Tensor, "batch tokens width"],
    edited: Bool[Tensor, "batch tokens"],
    margin: float = 0.5,
    real: Bool[Tensor, "batch tokens"] | None = None,
) -> Float[Tensor, ""]:
    """Alike outside the edit, apart inside: 1 - cosine there, max(0, cosine - margin) here.

    Each side is a mean over its tokens, so that a small edit weighs as much as the large rest of the picture. A pair
    without an edit (the same picture twice) has only the first side. The result is the mean over pairs.
    """
    real = _all(first) if real is None else real
    cosine = functional.cosine_similarity(first, second, dim=-1)
    outside = _mean(1 - cosine, real & ~edited)
    inside = _mean((cosine - margin).clamp(min=0), real & edited)
    return (outside + inside).mean()


def edited_cells(
    changed: Bool[Tensor, "height width"], rows: int, cols: int, box: Box = WHOLE, spread: int = 1
) -> Bool[Tensor, "rows cols"]:
    """The cells of a grid of image tokens that an edit touches.

    Args:
        changed: True at pixels that the edit changed.
        rows, cols: the grid's size, as in `image_tokens.Grid`.
        box: the part of the picture that the grid covers, as in `image_tokens.Grid`; it may reach beyond the picture.
        spread: cells that are added on every side. The tower's layers mix neighbours, so an edit leaks a little.

    Raises:
        ValueError: when the grid has no cells or `spread` is negative.
    """
    if rows < 1 or cols < 1 or spread < 0:
        raise ValueError(f"a grid of {rows} x {cols} cells, spread by {spread}, cannot be laid on a picture")
    down = _overlap(changed.shape[0], rows, box[1], box[3]).to(changed.device)
    across = _overlap(changed.shape[1], cols, box[0], box[2]).to(changed.device)
    touched = (down @ changed.float() @ across.T) > 0
    grown = functional.max_pool2d(touched.float()[None, None], 2 * spread + 1, stride=1, padding=spread)
    return grown[0, 0] > 0


def _overlap(pixels: int, cells: int, low: float, high: float) -> Float[Tensor, "cells pixels"]:
    """1 where a cell and a pixel share more than an edge, along one side of the picture."""
    edges = low + (high - low) * torch.arange(cells + 1, dtype=torch.float64) / cells
    starts = torch.arange(pixels, dtype=torch.float64) / pixels
    shared = torch.minimum(edges[1:, None], starts + 1 / pixels) - torch.maximum(edges[:-1, None], starts)
    return (shared > 1e-9).float()


def _all(features: Float[Tensor, "batch tokens width"]) -> Bool[Tensor, "batch tokens"]:
    """A mask that leaves nothing out."""
    return torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)


def _mean(
    values: Float[Tensor, "batch tokens *rest"], kept: Bool[Tensor, "batch tokens *#rest"]
) -> Float[Tensor, "batch *rest"]:
    """The mean over the tokens that are kept, 0 where none is."""
    return values.masked_fill(~kept, 0).sum(1) / kept.sum(1).clamp(min=1)

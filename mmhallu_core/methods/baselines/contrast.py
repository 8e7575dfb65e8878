"""Contrastive decoding: what a model says of a picture, less what it says when it does not see the picture well.

At each step the model gives logits twice: `seen`, with the picture, and `other`, with a disturbed one or none. The
next token is chosen by

    (1 + weight) * seen - weight * other

among the tokens that are plausible: those with at least `cut` times the probability that `seen` gives its favourite.

The two are two rows of one batch. So there is one decoder, one call of `generate`, and one forward pass a step; each
row has its own keys and values in the cache; and both rows are given the same new token. It is so from the first token
on. Right in every family is then what is right for a batch.

Sources: VCD (arXiv 2311.16922), and its released code, DAMO-NLP-SG/VCD: `vcd_utils/vcd_sample.py` (commit d3693f5,
2024-10-07), which has the same sum and cut. It draws the next token; `generate` without sampling does not reach it.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import BatchFeature, LogitsProcessor

from mmhallu_core.models.greedy import Decoding
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun

MINUS_INFINITY = float("-inf")


def plausible(
    seen: Float[Tensor, "batch vocabulary"], scores: Float[Tensor, "batch vocabulary"], cut: float
) -> Float[Tensor, "batch vocabulary"]:
    """The scores of tokens to which `seen` gives at least `cut` times its largest probability; minus infinity else."""
    if cut == 0:
        return scores
    return scores.masked_fill(seen < seen.amax(-1, keepdim=True) + math.log(cut), MINUS_INFINITY)


def contrast(
    seen: Float[Tensor, "batch vocabulary"], other: Float[Tensor, "batch vocabulary"], weight: float, cut: float
) -> Float[Tensor, "batch vocabulary"]:
    """The logits of both branches put together.

    Adding a number to all logits of a row changes nothing that is drawn or chosen from it, so that logits and
    log-probabilities give the same.

    Args:
        seen: logits with the picture.
        other: logits without, or with a disturbed one.
        weight: of the contrast; 0 leaves `seen`.
        cut: share of the largest probability, from 0 (cuts nothing) to 1 (leaves the favourite).
    """
    return plausible(seen, (1 + weight) * seen - weight * other, cut)


def require_share(name: str, value: float) -> None:
    """Raises CannotRun unless a number is from 0 to 1."""
    if not 0 <= value <= 1:
        raise CannotRun(f"{name} is a share of the largest probability, from 0 to 1, and not {value}")


def require_finite(name: str, value: float, least: float = MINUS_INFINITY) -> None:
    """Raises CannotRun unless a number is finite and not below another."""
    if not math.isfinite(value) or value < least:
        bound = "" if least == MINUS_INFINITY else f" of at least {least:g}"
        raise CannotRun(f"{name} is a finite number{bound}, and not {value}")


class Repair(Decoding):
    """A decoding with a name and numbers of its own, which are the fields of its dataclass."""

    name: ClassVar[str]

    @property
    def about(self) -> dict[str, Any]:
        """Its name and numbers."""
        return {"name": self.name, **asdict(self)}


class Mix(LogitsProcessor):
    """Puts the logits of the first half of a batch and of the second together, and gives both halves the same."""

    def __init__(self, weight: float, cut: float) -> None:
        self.weight, self.cut = weight, cut

    def __call__(
        self, input_ids: Int[Tensor, "batch tokens"], scores: Float[Tensor, "batch vocabulary"]
    ) -> Float[Tensor, "batch vocabulary"]:
        """See `contrast`."""
        mixed = contrast(*scores.chunk(2), self.weight, self.cut)
        return torch.cat([mixed, mixed])


@dataclass(frozen=True)
class Contrast(Repair):
    """A contrast with another branch; `disturbed` says what that one reads.

    Attributes:
        weight: alpha in VCD, gamma - 1 in PAI.
        cut: beta in VCD.

    Raises:
        CannotRun: when a number is out of its bounds.
    """

    weight: float = 1.0
    cut: float = 0.1

    def __post_init__(self) -> None:
        require_finite("the weight of a contrast", self.weight, 0.0)
        require_share("the cut", self.cut)

    @abstractmethod
    def disturbed(self, vlm: Vlm, inputs: BatchFeature) -> dict[str, Tensor]:
        """What the other branch reads instead, by the names of `inputs`."""

    @contextmanager
    def begin(self, vlm: Vlm, inputs: BatchFeature) -> Iterator[tuple[dict[str, Tensor], Sequence[LogitsProcessor]]]:
        """Both branches as one batch: the rows, and behind them the same rows, disturbed.

        Raises:
            CannotRun: when the model's own settings for writing are kept: beams would mix the branches.
        """
        if vlm.keep_generation_config:
            raise CannotRun(
                f"{self.name} goes with plain greedy search: leave the model's own settings for writing out"
            )
        # What a processor gives is laid out sample after sample, so that twice the tensor is twice the batch.
        other = {**inputs, **self.disturbed(vlm, inputs)}
        yield {key: torch.cat([value, other[key]]) for key, value in inputs.items()}, (Mix(self.weight, self.cut),)

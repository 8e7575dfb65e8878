"""Did the features collapse? Four numbers, before and after training, and one sentence.

A loss that wants two pictures to have the same features is easiest to please by giving *all* pictures the same
features. Then nothing can be told from them. Four well-known numbers see it coming, each from another side:

- `spread`: how much each number of a feature varies over pictures (Chen and He, arXiv 2011.10566, figure 2).
- `effective_rank`: over how many directions that variation is shared out (Roy and Vetterli, EUSIPCO 2007).
- `uniformity`: how evenly features lie on the sphere, lower is better (Wang and Isola, arXiv 2005.10242).
- `alignment`: how far apart the two pictures of a pair are (the same paper). In MED it must not fall to zero either:
  the small distance between a picture and its edit is all that its equation 7 has to speak about.

A single level means little, since every tower crowds its features in its own way. So `verdict` compares two states.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.consistency import changed_pixels, pair_inputs, picture_means

AT_ONCE = 8  # pairs in memory
SHARE = 0.5  # of its value before training: spread, rank, or a pair's distance below this is a collapse (our choice)


@dataclass(frozen=True)
class Features:
    """What `measure` found.

    Attributes:
        spread: 0 when all features are the same, about 1 when they lie evenly on the sphere.
        rank: from 1 to the number of directions.
        uniformity: 0 when all features are the same, falling as they spread out.
        alignment: mean squared distance within pairs, on the unit sphere: from 0 to 4.
    """

    spread: float
    rank: float
    uniformity: float
    alignment: float


def spread(features: Float[Tensor, "n width"]) -> float:
    """The mean over dimensions of the standard deviation over two or more pictures, at length 1, times sqrt(width)."""
    _several(features)
    unit = _unit(features)
    return float(unit.std(0, correction=0).mean() * unit.shape[1] ** 0.5)


def effective_rank(features: Float[Tensor, "n width"]) -> float:
    """The exponential of the entropy of the centred features' singular values, taken as shares of their sum.

    It is k when the features vary equally along k directions, and 1 when along one or, by convention, along none.

    Raises:
        ValueError: when there are fewer than two pictures.
    """
    _several(features)
    wide = _wide(features)
    values = torch.linalg.svdvals(wide - wide.mean(0))
    if values.sum() <= 1e-12 * wide.norm():  # only rounding is left
        return 1.0
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())


def alignment(first: Float[Tensor, "n width"], second: Float[Tensor, "n width"]) -> float:
    """The mean squared distance between the two pictures of a pair, of features of length 1."""
    return float((_unit(first) - _unit(second)).square().sum(1).mean())


def uniformity(features: Float[Tensor, "n width"]) -> float:
    """The logarithm of the mean of exp(-2 d^2) over pairs of different pictures, d their distance at length 1.

    Raises:
        ValueError: when there are fewer than two pictures.
    """
    _several(features)
    return float(functional.pdist(_unit(features)).square().mul(-2).exp().mean().log())


def measure(first: Float[Tensor, "n width"], second: Float[Tensor, "n width"]) -> Features:
    """The four numbers of n pairs; `first` holds n different pictures, `second` each one's edit.

    Args:
        first, second: one feature for each picture, such as the mean of its image tokens.

    Raises:
        ValueError: when there are fewer than two pairs, or a feature is not a finite number.
    """
    for features in (first, second):
        if not features.isfinite().all():
            raise ValueError("some features are not finite numbers: training has diverged, take a smaller rate")
    return Features(spread(first), effective_rank(first), uniformity(first), alignment(first, second))


def verdict(before: Features, after: Features) -> tuple[bool, str]:
    """Whether training collapsed the features of some pairs, and one sentence that says how."""
    if after.spread < SHARE * before.spread:
        return True, (
            f"The features collapsed: all pictures became alike, their spread fell from {before.spread:.3g} to "
            f"{after.spread:.3g}."
        )
    if after.rank < SHARE * before.rank:
        return True, (
            f"The features collapsed: they vary along fewer directions, the effective rank fell from {before.rank:.1f} "
            f"to {after.rank:.1f}."
        )
    if after.alignment < SHARE**2 * before.alignment:  # it is a squared distance
        return True, (
            f"The features collapsed within pairs: a picture and its edit became alike, their squared distance fell "
            f"from {before.alignment:.3g} to {after.alignment:.3g}."
        )
    return False, (
        f"The features did not collapse: spread {before.spread:.3g} to {after.spread:.3g}, effective rank "
        f"{before.rank:.1f} to {after.rank:.1f}, uniformity {before.uniformity:.2f} to {after.uniformity:.2f}, squared "
        f"distance within pairs {before.alignment:.3g} to {after.alignment:.3g}."
    )


@torch.no_grad()
def feature_statistics(model: nn.Module, vlm: Vlm, pairs: Sequence[tuple[Image.Image, Image.Image]]) -> Features:
    """Four numbers about the features of some pairs, as the model is now; training goes on as if nothing was.

    Args:
        model: of a family with image tokens, with or without an adapter.
        vlm: has the processor that belongs to it.
        pairs: pictures and their edits, at least two.
    """
    was_training, means = model.training, []
    model.eval()
    for start in range(0, len(pairs), AT_ONCE):
        some = list(pairs[start : start + AT_ONCE])
        inputs = vlm.encode(some, [vlm.prompt("What is different?", 2)] * len(some), side="right")
        found = pair_inputs(vlm, inputs, some, [changed_pixels(*pair) for pair in some])
        on_device = {name: value.to(inputs["input_ids"].device) for name, value in found.items()}
        means.append(picture_means(model, {**inputs, **on_device}))
    model.train(was_training)
    return measure(*(torch.cat(side) for side in zip(*means, strict=True)))


def collapse_record(before: Features, after: Features) -> dict[str, Any]:
    """What a run's record says of its features before and after training."""
    collapsed, sentence = verdict(before, after)
    return {"before": asdict(before), "after": asdict(after), "collapsed": collapsed, "verdict": sentence}


def _wide(features: Float[Tensor, "n width"]) -> Float[Tensor, "n width"]:
    """Without gradient, in double precision, which not every device has."""
    return features.detach().cpu().double()


def _unit(features: Float[Tensor, "n width"]) -> Float[Tensor, "n width"]:
    """At length 1."""
    return functional.normalize(_wide(features), dim=1)


def _several(features: Float[Tensor, "n width"]) -> None:
    """Raises for a single picture, which cannot vary."""
    if len(features) < 2:
        raise ValueError(f"collapse shows over several pictures, and here are features of {len(features)}")

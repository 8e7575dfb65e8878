"""Stage 3's help for pairs: the second picture's tokens learn what stood in their place in the first.

A difference of two pictures is a comparison cell by cell, and a sentence is a poor teacher of it: a dozen words about
128 visual tokens. So the decoder's states at the second picture get targets of their own. After the first layer, each
names what the *first* picture shows in its cell; after the second layer, each says whether the two differ. What a
cell of the second picture shows itself it carries already, in the same words: so what the first shows is read
through a fixed rotation of the state, where the two do not collide. Nothing of this is left in the finished model.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmhallu_core.train.pretrain.see import see_loss

NAMES_AFTER, TELLS_AFTER = 1, 2  # decoder layers
CHANGED_WEIGHT = 8.0  # about one cell in eight has changed


def rotation(width: int) -> Float[Tensor, "width width"]:
    """A random rotation, the same in every run."""
    noise = torch.randn(width, width, generator=torch.Generator().manual_seed(0))
    return torch.linalg.qr(noise).Q


def second_picture(
    states: Float[Tensor, "pairs tokens width"], is_image: Bool[Tensor, "pairs tokens"]
) -> Float[Tensor, "pairs cells width"]:
    """The states at the second picture's visual tokens."""
    return states[is_image].unflatten(0, (len(states), 2, -1))[:, 1]


def compare_loss(
    named: Float[Tensor, "pairs cells width"],
    told: Float[Tensor, "pairs cells width"],
    words: Float[Tensor, "vocab width"],
    groups: dict[str, list[int]],
    labels: Int[Tensor, "pairs 2 groups cells"],
    turned: Float[Tensor, "width width"],
) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """The loss of both targets, and how often a changed cell is told from an unchanged one.

    Args:
        named: states of the second picture's cells after layer `NAMES_AFTER`.
        told: the same after layer `TELLS_AFTER`.
        words, groups: see `see.see_loss`.
        labels: see `see.cell_labels`, of the first and the second picture.
        turned: see `rotation`; its first column reads "changed".
    """
    before, after = labels[:, 0], labels[:, 1]
    names, _ = see_loss(named @ turned, words, groups, before)
    changed = (before != after).any(1)
    logits = told @ turned[:, 0]
    weight = torch.where(changed, CHANGED_WEIGHT, 1.0)
    tells = F.binary_cross_entropy_with_logits(logits, changed.float(), weight, reduction="sum") / weight.sum()
    right = ((logits > 0) == changed).float()
    return names + tells, {"changed": (right * weight).sum().item() / weight.sum().item()}

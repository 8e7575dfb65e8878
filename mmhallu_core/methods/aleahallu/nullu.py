"""Nullu (arXiv 2412.13817), a rival without training: what tells false from true responses is projected out of weights.

For each edited layer the states of a pair's two responses are averaged over their tokens. The differences of many pairs
span a few main directions, the paper's HalluSpace V: the first right singular vectors of the matrix of differences. The
weights of the MLP then lose what they write along them: W becomes (I - V' V) W. What is edited here is the MLP's last
matrix, whose output lies in the same space as the states.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mmhallu_core.methods.aleahallu.batch import SIDES, collated, responses, without_labels
from mmhallu_core.methods.aleahallu.places import places_of
from mmhallu_core.models.adapter_folders import base_hash
from mmhallu_core.models.edits import Edit
from mmhallu_core.models.record import record
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun, ResponsePair

RANK = 4  # of the paper, for LLaVA-1.5, whose layers 16 to 31 are edited


def halluspace(
    vlm: Vlm, pairs: Sequence[ResponsePair], layers: Sequence[int], rank: int = RANK, batch_size: int = 8,
    folder: Path = Path(),
) -> dict[int, Float[Tensor, "rank width"]]:  # fmt: skip
    """The main directions in which the states of false responses differ from those of true ones, by layer.

    Args:
        vlm: the model.
        pairs: at least `rank` of them.
        layers: whose states are looked at.
        rank: how many directions; they are orthonormal.
        batch_size: pairs at once.
        folder: where the paths of pictures start.

    Raises:
        CannotRun: when there are fewer pairs than directions.
    """
    if len(pairs) < rank:
        raise CannotRun(f"{rank} directions take as many pairs at least, and there are {len(pairs)}")
    gaps: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    for start in range(0, len(pairs), batch_size):
        batch = collated(vlm, some := pairs[start : start + batch_size], SIDES, folder)
        here = responses(batch["labels"])[..., None]
        with torch.no_grad(), record(vlm.model, layers) as seen:
            vlm.model(**without_labels(batch), use_cache=False, logits_to_keep=1)
        for layer, states in seen.states.items():
            means = (states.float() * here).sum(1) / here.sum(1)
            gaps[layer].append(means[len(some) :] - means[: len(some)])
    return {layer: torch.linalg.svd(torch.cat(each), full_matrices=False)[2][:rank] for layer, each in gaps.items()}


def nullu_edit(
    vlm: Vlm, pairs: Sequence[ResponsePair], layers: Sequence[int] | None = None, rank: int = RANK,
    batch_size: int = 8, folder: Path = Path(),
) -> Edit:  # fmt: skip
    """The projection as an edit of a model; the model is left as it is.

    Args: as in `halluspace`; without `layers` the second half of them, as in the paper.
    """
    count = len(vlm.family.layers(vlm.model))
    layers = range(count // 2, count) if layers is None else layers
    names, deltas = places_of(vlm, ("mlp",)), {}
    for layer, space in halluspace(vlm, pairs, layers, rank, batch_size, folder).items():
        weight = vlm.model.get_parameter(name := names[layer, "mlp"]).detach().float()
        deltas[name] = -space.T @ (space @ weight)
    return Edit(vlm.name, base_hash(vlm.model, vlm.adapters), deltas)

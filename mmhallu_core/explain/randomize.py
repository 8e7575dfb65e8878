"""The randomization test: a map that stays as it is while the model's weights are shuffled is decoration.

Layer by layer, from the answer down to the pixels, the numbers of each weight are put in another order. A method that
explains the model must then give another map. How alike two maps are is the rank correlation of their cells, so how
large the values are does not count, only where they are.

Source: Adebayo et al. (2018), Sanity Checks for Saliency Maps, "cascading randomization". They draw new weights where
here the trained ones are shuffled. Embeddings, and norms outside of layers, stay.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from mmhallu_core.explain.maps import Map
from mmhallu_core.explain.reading import Reading, Target
from mmhallu_core.models.vlm import Vlm

CHANGED = 0.5  # maps that are more alike than this, on average, have not changed

Method = Callable[[Reading, Sequence[Target]], list[Map]]


def alike(first: Map, second: Map) -> float:
    """Spearman's rank correlation of two maps, over all cells of all pictures.

    1 for maps that are equal everywhere or both even; 0 where only one of them is even.
    """
    from scipy.stats import rankdata

    ranks = [rankdata(np.concatenate([values.double().numpy().ravel() for values in one.values]))
             for one in (first, second)]  # fmt: skip
    even = [np.ptp(one) == 0 for one in ranks]
    if any(even):
        return float(all(even))
    return float(np.corrcoef(*ranks)[0, 1])


def stages(vlm: Vlm) -> list[tuple[str, list[nn.Module]]]:
    """What is shuffled one after the other, with its name: decoder layers, the connector, layers of the tower."""
    family, model = vlm.family, vlm.model
    parts = {"decoder": family.layers(model), "vision": family.tower_layers(model)}
    named = {kind: [(f"{kind}:{i}", [layer]) for i, layer in reversed(list(enumerate(layers)))]
             for kind, layers in parts.items()}  # fmt: skip
    return [*named["decoder"], ("connector", list(family.connector_modules(model))), *named["vision"]]


@contextmanager
@torch.no_grad()
def shuffling(vlm: Vlm, seed: int = 0) -> Iterator[Iterator[str]]:
    """Gives an iterator that shuffles one more stage at each step and says its name; afterwards all is as it was.

    Args:
        vlm: its weights must be plain numbers, not quantized.
        seed: of the orders.
    """
    random, kept = torch.Generator().manual_seed(seed), {}

    def steps() -> Iterator[str]:
        for name, modules in stages(vlm):
            for weight in (weight for module in modules for weight in module.parameters()):
                if weight not in kept:
                    kept[weight] = weight.detach().clone()
                    order = torch.randperm(weight.numel(), generator=random).to(weight.device)
                    weight.data.copy_(kept[weight].flatten()[order].view_as(weight))
            yield name

    try:
        yield steps()
    finally:
        for weight, before in kept.items():
            weight.data.copy_(before)


def randomization(
    reading: Reading, targets: Sequence[Target], method: Method, seed: int = 0
) -> tuple[list[str], Float[np.ndarray, "stages targets"]]:
    """How alike each word's map is to what it was, while more and more of the model is shuffled.

    Args:
        reading: what is read; the words stay, whatever the model would say now.
        targets: the words.
        method: makes their maps.
        seed: of the shuffling.

    Returns:
        The names of the stages, and for each stage and word the rank correlation.
    """
    before, names, found = method(reading, targets), [], []
    with shuffling(reading.vlm, seed) as steps:
        for name in steps:
            names.append(name)
            found.append([alike(*pair) for pair in zip(before, method(reading, targets), strict=True)])
    return names, np.array(found)


def passes(kept: Float[np.ndarray, "stages targets"]) -> bool:
    """Whether maps pass: with every layer shuffled they are, on average, no more alike than CHANGED."""
    return float(kept[-1].mean()) <= CHANGED

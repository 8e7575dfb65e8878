"""Is a map true? Where the thing is, is known; and what a covered picture does to a word can be asked.

| measure | asks | source |
|---|---|---|
| pointing | is the largest value on the thing? | Zhang et al. (2016), Top-down Neural Attention |
| energy | how much of what speaks for the word lies on the thing? | Wang et al. (2020), Score-CAM |
| insertion | does the word come back early when cells are shown, the largest first? | Petsiuk et al. (2018), RISE |
| deletion | does the word go early when cells are covered, the largest first? | the same |

The first two compare a map with the truth about the picture, the others with the model. A model may name an umbrella
because of the beach. Then a map on the umbrella is wrong about the model, and one on the beach fails the first two.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmhallu_core.explain.maps import Map
from mmhallu_core.explain.perturb import Covering
from mmhallu_core.explain.reading import Reading, Target

Masks = Sequence[Bool[np.ndarray, "_height _width"]]


def pointing(found: Map, masks: Masks, near: float = 0.0) -> bool:
    """Whether the place where a map is largest lies on the thing.

    Args:
        found: the map.
        masks: for each picture the pixels of the thing.
        near: how many pixels beside the thing still count; the original allows 15 on photos.

    Returns:
        False, too, where nothing in the map is positive.
    """
    largest = [float(picture.heat.max()) for picture in found.pictures]
    best = int(np.argmax(largest))
    places = np.argwhere(masks[best]) + 0.5  # y and x of the middles of the thing's pixels
    if largest[best] <= 0 or not len(places):
        return False
    x, y = found.pictures[best].peak
    beside = np.clip(np.abs(places - (y, x)) - 0.5, 0, None)
    return bool(np.hypot(*beside.T).min() <= near)


def energy(found: Map, masks: Masks) -> float:
    """The share of a map's positive values that lies on the thing, over all pictures; 0 where nothing is positive."""
    heats = [picture.heat for picture in found.pictures]
    inside = sum(float(heat[torch.from_numpy(mask)].sum()) for heat, mask in zip(heats, masks, strict=True))
    return inside / whole if (whole := sum(float(heat.sum()) for heat in heats)) > 0 else 0.0


@torch.no_grad()
def curves(
    reading: Reading,
    targets: Sequence[Target],
    maps: Sequence[Map],
    fill: str = "grey",
    steps: int = 8,
    batch_size: int = 64,
) -> Float[Tensor, "targets 2 _points"]:
    """A word's probability while cells are shown (first row) or covered (second row), the map's largest first.

    Args:
        reading: what the maps were made of.
        targets: the words.
        maps: of these words; all have the same grids. Equal values come in reading order.
        fill: what is seen where a picture is covered, see `perturb.filled`. Another fill can give another order of
            methods, so two should be tried.
        steps: in how many equal steps.
        batch_size: pictures per forward pass.

    Returns:
        `steps + 1` points each, from nothing to all of the cells.
    """
    cover = Covering(reading, targets, fill)
    shapes = [values.shape for values in maps[0].values]
    sizes = [shape.numel() for shape in shapes]
    asked = []  # what is shown of all cells; [targets * 2 * points, cells]
    for one in maps:
        values = torch.cat([values.flatten().double() for values in one.values])
        rank = torch.empty(len(values), dtype=torch.long)
        rank[values.argsort(descending=True, stable=True)] = torch.arange(len(values))
        counts = [round(len(values) * step / steps) for step in range(steps + 1)]
        shown = torch.stack([(rank < count).float() for count in counts])
        asked.append(torch.stack([shown, 1 - shown]))
    rows = torch.stack(asked).flatten(0, 2)
    parts = [
        cover(*(part.view(-1, *shape) for part, shape in zip(some.split(sizes, 1), shapes, strict=True)))
        for some in rows.split(batch_size)
    ]
    scores = torch.cat(parts).view(len(maps), 2, steps + 1, len(targets))
    return torch.stack([scores[i, ..., i] for i in range(len(targets))]).double().exp()


def area(curve: Float[Tensor, "*rows points"]) -> Float[Tensor, "*rows"]:
    """The area under curves over 0 to 1: for insertion more is better, for deletion less."""
    return torch.trapezoid(curve, dx=1 / (curve.shape[-1] - 1))

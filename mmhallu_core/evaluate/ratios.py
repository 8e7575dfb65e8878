"""Two shapes that most scores have, as `Metric`s: the scores of one class, and the mean of several ratios.

A mean over categories (or subsets) of ratios is itself one ratio of sums, when each unit is weighted by how often its
categories count it, divided by their sizes. So it gets an interval like every other score. For a perfect model that
interval has no width, as it should: the weights stand above and below the line.
"""

from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Float, Shaped

from mmhallu_core.evaluate.answers import Reading
from mmhallu_core.evaluate.benchmark import Metric

Sides = tuple[Float[np.ndarray, " unit"], Float[np.ndarray, " unit"]]  # What counts, and what it is counted out of.


def class_sides(truth: Sequence[str], said: Sequence[Reading], positive: str) -> dict[str, Sides]:
    """Accuracy, precision, recall and F1 of one class, as what counts and what it is counted out of, unit by unit.

    Args:
        truth: the right answer of each unit.
        said: what was answered; None is neither class, so it lowers accuracy and recall but not precision
            (see `unread_as_wrong`).
        positive: the class whose precision and recall are asked for.
    """
    right = np.array([one == other for one, other in zip(truth, said, strict=True)], dtype=float)
    there = np.array([one == positive for one in truth], dtype=float)
    claimed = np.array([one == positive for one in said], dtype=float)
    hit = there * claimed
    return {
        "accuracy": (right, np.ones(len(right))),
        "precision": (hit, claimed),
        "recall": (hit, there),
        "f1": (2 * hit, claimed + there),  # 2 TP / (TP + FP + TP + FN)
    }


def unread_as_wrong(truth: Sequence[str], said: Sequence[Reading]) -> list[str]:
    """Yes/no answers with each None made the wrong one, so that saying nothing readable pays in no score."""
    return [other or ("no" if one == "yes" else "yes") for one, other in zip(truth, said, strict=True)]


def metric(sides: Sides, groups: Sequence[Hashable], printed: float | None = None) -> Metric:
    """A `Metric` of two rows of numbers."""
    return Metric(*sides, groups, printed)


def mean_of_ratios(
    sides: Sides,
    groups: Sequence[Hashable],
    parts: Shaped[np.ndarray, "part unit"],
    add: bool = False,
    printed: float | None = None,
) -> Metric:
    """The mean over parts of each part's ratio; parts with nothing to count are left out.

    Args:
        sides: what counts and what it is counted out of.
        groups: see `Metric`.
        parts: how often each part counts each unit (0 or 1 where no unit comes twice).
        add: the sum of the ratios instead.
        printed: see `Metric`; without it, each part's ratio is taken and then their mean, as one does it by hand.
    """
    top, bottom = sides
    tops, sizes = parts @ top, parts @ bottom
    counted = sizes > 0
    if not counted.any():
        return Metric((), (), (), printed)
    weight = (1 / sizes[counted]) @ parts[counted]
    shares = (tops[counted] / sizes[counted]).tolist()
    if printed is None:
        printed = sum(shares) if add else sum(shares) / len(shares)
    return metric(((len(shares) if add else 1) * weight * top, weight * bottom), groups, printed)

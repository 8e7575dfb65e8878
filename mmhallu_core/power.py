"""What could a benchmark show at all? The smallest difference that a number of items can tell from chance.

Before a test is made, its *power* can be computed: the chance that it comes out, if there is a difference of a given
size. The custom, kept here, is a test at 0.05 on both sides and a power of 0.8: one in five true differences of that
size still goes unseen. There are two ways to compare two models, and they differ a lot:

* *independent*: each model has its own items, or only two printed scores are known. Both scores waver, and an
  accuracy of 0.5 wavers most.
* *paired*: both answered the same items and it is known which (`comparison.mcnemar`). Only items on which exactly one
  is right count. Their share is the *disagreement*; models alike, such as one before and after some fine-tuning,
  disagree less and show smaller differences.

Differences and accuracies are shares, from 0 to 1. Items about one picture carry less than as many about several.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

ALPHA, POWER = 0.05, 0.8
DISAGREEMENTS = (0.1, 0.3)  # a model before and after some fine-tuning; two models of different families


def power_independent(n: int, difference: int | float, accuracy: float = 0.5) -> float:
    """The chance that two scores over `n` items each, from different items, differ significantly.

    By the normal approximation after the arcsine transform, which gives all shares the same spread (J. Cohen,
    "Statistical Power Analysis", 1988, chapter 6; statsmodels has it as `NormalIndPower`).

    Args:
        n: items that each model answered.
        difference: how much better the second model is.
        accuracy: of the first model.

    Raises:
        ValueError: when there are no items, or accuracy or accuracy plus difference is not a share.
    """
    from scipy.stats import norm

    if n < 1:
        raise ValueError(f"need at least one item, got {n}")
    if not (0 <= accuracy <= 1 and 0 <= accuracy + difference <= 1):
        raise ValueError(f"accuracy {accuracy} and {accuracy + difference} must be shares between 0 and 1")
    apart = 2 * (np.arcsin(np.sqrt(accuracy + difference)) - np.arcsin(np.sqrt(accuracy)))
    moved, limit = abs(apart) * np.sqrt(n / 2), norm.isf(ALPHA / 2)
    return float(norm.sf(limit - moved) + norm.cdf(-limit - moved))


def power_paired(n: int, difference: int | float, disagreement: float) -> float:
    """The chance that McNemar's exact test comes out for two models on the same `n` items.

    No approximation: the sum over every number of items on which the two can disagree, of the chance of that number
    times the chance that gains and losses among them are uneven enough (O. S. Miettinen, Biometrics 1968, has the
    approximation). The exact test is careful with few items, so this lies below the usual formula there.

    Args:
        n: items that both models answered.
        difference: how much better the second model is.
        disagreement: share of items on which exactly one of the two is right.

    Raises:
        ValueError: when there are no items, disagreement is not a share above 0, or difference is larger than it.
    """
    from scipy.stats import binom

    if n < 1:
        raise ValueError(f"need at least one item, got {n}")
    if not 0 < disagreement <= 1 or abs(difference) > disagreement:
        raise ValueError(f"models that disagree on {disagreement} of the items cannot differ by {difference}")
    # Numbers of items beyond these have a chance below one in a billion.
    few, many = binom.ppf([1e-9, 1 - 1e-9], n, disagreement).astype(int)
    apart = np.arange(few, many + 1)  # items on which exactly one is right
    edge = binom.ppf(ALPHA / 2, apart, 0.5)
    edge -= binom.cdf(edge, apart, 0.5) > ALPHA / 2  # the most gains that still are significantly few; -1 for none
    gain = (disagreement + difference) / (2 * disagreement)  # chance that such an item is a gain
    significant = binom.cdf(edge, apart, gain) + binom.sf(apart - edge - 1, apart, gain)
    return float((binom.pmf(apart, n, disagreement) * significant).sum())


def detectable_difference(n: int, accuracy: float = 0.5, disagreement: float | None = None) -> float | None:
    """The smallest improvement that `n` items show with a power of 0.8.

    Args:
        n: items that each model answered.
        accuracy: of the first model; it acts for independent models only.
        disagreement: share of items on which exactly one is right; None for independent models.

    Returns:
        The difference of the accuracies as a share, or None where even the largest possible one (up to a perfect
        model, or all disagreements gained) would be missed too often.

    Raises:
        ValueError: when a number is out of its range.
    """
    from scipy.optimize import brentq

    if disagreement is None:
        chance, largest = partial(power_independent, n, accuracy=accuracy), 1 - accuracy
    else:
        chance, largest = partial(power_paired, n, disagreement=disagreement), disagreement
    if chance(largest) < POWER:
        return None
    return float(brentq(lambda difference: chance(difference) - POWER, 0.0, largest, xtol=1e-7))


def power_table(sizes: Sequence[int]) -> list[dict[str, int | float | None | dict[float, float | None]]]:
    """What benchmarks of several sizes can show.

    Returns:
        `{n, independent, paired}` for each size: detectable differences as shares, `paired` from each of
        `DISAGREEMENTS` to its own. None where no difference can be shown.

    Raises:
        ValueError: when a number is out of its range.
    """
    find = detectable_difference
    return [
        {"n": n, "independent": find(n), "paired": {share: find(n, disagreement=share) for share in DISAGREEMENTS}}
        for n in sizes
    ]

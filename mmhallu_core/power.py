"""What could a benchmark show at all? The smallest difference that a number of items can tell from chance.

A benchmark of 165 items that finds no difference between two models has not shown that there is none. Before a test
is made, its *power* can be computed: the chance that it comes out, if there is a difference of a given size. The
custom, kept here, is a test at 0.05 on both sides and a power of 0.8: then one in five true differences of that size
still goes unseen.

There are two ways to compare two models, and they differ a lot:

* *independent*: each model has its own items, or only two printed scores are known. Both scores waver, and an
  accuracy of 0.5 wavers most.
* *paired*: both answered the same items and it is known which (`comparison.mcnemar`). Only items on which exactly one
  is right count. Their share is the *disagreement*; models alike, such as one before and after some fine-tuning,
  disagree less and show smaller differences.

Items about one picture carry less than as many about different pictures. A `design_effect`
(`statistics.design_effect`) of 2 makes 3,000 items worth 1,500. Differences and accuracies are shares, from 0 to 1.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

ALPHA, POWER = 0.05, 0.8
DISAGREEMENTS = (0.1, 0.3)  # a model before and after some fine-tuning; two models of different families


def power_independent(
    n: int, difference: int | float, accuracy: float = 0.5, design_effect: int | float = 1, alpha: float = ALPHA
) -> float:
    """The chance that two scores over `n` items each, from different items, differ significantly.

    By the normal approximation after the arcsine transform, which gives all shares the same spread (J. Cohen,
    "Statistical Power Analysis", 1988, chapter 6; statsmodels has it as `NormalIndPower`).

    Args:
        n: items that each model answered.
        difference: how much better the second model is.
        accuracy: of the first model.
        design_effect: how many items are worth one independent item.
        alpha: level of the two-sided test.

    Raises:
        ValueError: when there are no items, or accuracy or accuracy plus difference is not a share.
    """
    from scipy.stats import norm

    effective = _effective(n, design_effect)
    if not (0 <= accuracy <= 1 and 0 <= accuracy + difference <= 1):
        raise ValueError(f"accuracy {accuracy} and {accuracy + difference} must be shares between 0 and 1")
    apart = 2 * (np.arcsin(np.sqrt(accuracy + difference)) - np.arcsin(np.sqrt(accuracy)))
    moved, limit = abs(apart) * np.sqrt(effective / 2), norm.isf(alpha / 2)
    return float(norm.sf(limit - moved) + norm.cdf(-limit - moved))


def power_paired(
    n: int, difference: int | float, disagreement: float, design_effect: int | float = 1, alpha: float = ALPHA
) -> float:
    """The chance that McNemar's exact test comes out for two models on the same `n` items.

    No approximation: the sum over every number of items on which the two can disagree, of the chance of that number
    times the chance that gains and losses among them are uneven enough (O. S. Miettinen, Biometrics 1968, has the
    approximation). The exact test is careful with few items, so this lies below the usual formula there.

    Args:
        n: items that both models answered.
        difference, design_effect, alpha: as for `power_independent`; `n` over `design_effect` is rounded down.
        disagreement: share of items on which exactly one of the two is right.

    Raises:
        ValueError: when there are no items, disagreement is not a share above 0, or difference is larger than it.
    """
    from scipy.stats import binom

    whole = int(_effective(n, design_effect) + 1e-9)
    if not 0 < disagreement <= 1 or abs(difference) > disagreement:
        raise ValueError(f"models that disagree on {disagreement} of the items cannot differ by {difference}")
    # Numbers of items beyond these have a chance below one in a billion.
    few, many = binom.ppf([1e-9, 1 - 1e-9], whole, disagreement).astype(int)
    apart = np.arange(few, many + 1)  # items on which exactly one is right
    edge = binom.ppf(alpha / 2, apart, 0.5)
    edge -= binom.cdf(edge, apart, 0.5) > alpha / 2  # the most gains that still are significantly few; -1 for none
    gain = (disagreement + difference) / (2 * disagreement)  # chance that such an item is a gain
    significant = binom.cdf(edge, apart, gain) + binom.sf(apart - edge - 1, apart, gain)
    return float((binom.pmf(apart, whole, disagreement) * significant).sum())


def detectable_difference(
    n: int,
    accuracy: float = 0.5,
    disagreement: float | None = None,
    design_effect: int | float = 1,
    alpha: float = ALPHA,
    power: float = POWER,
) -> float | None:
    """The smallest improvement that `n` items show with the given power.

    Args:
        n: items that each model answered.
        accuracy, design_effect, alpha: as for `power_independent`; the accuracy acts for independent models only.
        disagreement: share of items on which exactly one is right; None for independent models.
        power: the wanted chance that the test comes out.

    Returns:
        The difference of the accuracies as a share, or None where even the largest possible one (up to a perfect
        model, or all disagreements gained) would be missed too often.

    Raises:
        ValueError: when a number is out of its range.
    """
    from scipy.optimize import brentq

    chance, largest = _chance(accuracy, disagreement, design_effect, alpha, power)
    if chance(n, largest) < power:
        return None
    return float(brentq(lambda difference: chance(n, difference) - power, 0.0, largest, xtol=1e-7))


def items_needed(
    difference: float,
    accuracy: float = 0.5,
    disagreement: float | None = None,
    design_effect: int | float = 1,
    alpha: float = ALPHA,
    power: float = POWER,
) -> int:
    """How many items show a given improvement with the given power; the inverse of `detectable_difference`.

    Args:
        difference: improvement of the accuracy as a share, above 0.
        accuracy, disagreement, design_effect, alpha, power: as there.

    Returns:
        A number of items whose power suffices while that of one less does not.

    Raises:
        ValueError: when a number is out of its range.
    """
    chance, largest = _chance(accuracy, disagreement, design_effect, alpha, power)
    if not 0 < difference <= largest:
        raise ValueError(f"the difference must lie above 0 and be at most {largest:g}, got {difference:g}")
    enough = 1
    while chance(enough, difference) < power:
        enough *= 2
    few = max(1, enough // 2)
    return few + bisect_left(range(few, enough), power, key=lambda n: chance(n, difference))


def power_table(
    sizes: Sequence[int],
    accuracy: float = 0.5,
    disagreements: Sequence[float] = DISAGREEMENTS,
    design_effect: int | float = 1,
) -> list[dict[str, int | float | None | dict[float, float | None]]]:
    """What benchmarks of several sizes can show, at 0.05 and a power of 0.8.

    Returns:
        `{n, independent, paired}` for each size: detectable differences as shares, `paired` from each disagreement to
        its own. None where no difference can be shown.

    Raises:
        ValueError: when a number is out of its range.
    """
    find = partial(detectable_difference, accuracy=accuracy, design_effect=design_effect)
    return [
        {"n": n, "independent": find(n), "paired": {share: find(n, disagreement=share) for share in disagreements}}
        for n in sizes
    ]


def _effective(n: int, design_effect: int | float) -> float:
    """What `n` items are worth in independent ones."""
    if n < 1 or design_effect <= 0:
        raise ValueError(f"need at least one item and a design effect above 0, got {n} and {design_effect}")
    return n / design_effect


def _chance(
    accuracy: float, disagreement: float | None, design_effect: int | float, alpha: float, power: float
) -> tuple[Callable[[int, float], float], float]:
    """The power as a function of items and difference, and the largest difference there can be."""
    if not 0 < alpha < power < 1:
        raise ValueError(f"need 0 < alpha < power < 1, got alpha {alpha} and power {power}")
    if disagreement is None:
        fixed = {"accuracy": accuracy, "design_effect": design_effect, "alpha": alpha}
        return partial(power_independent, **fixed), 1 - accuracy
    fixed = {"disagreement": disagreement, "design_effect": design_effect, "alpha": alpha}
    return partial(power_paired, **fixed), disagreement

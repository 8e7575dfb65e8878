"""Do two systems differ, or did chance do it? Tests for two models, for training seeds, and for many tests at once.

Three questions, and what each one draws:

* *Two models answered the same items.* Then items are drawn, each with both answers: `mcnemar` for right and wrong,
  `ratio_test` for every ratio of sums (F1, CHAIR_i), with `groups` where questions about one picture go together.
  They speak about these two models and other pictures.
* *Two recipes were trained with the same seeds.* Then runs are drawn: `shared_seed_contrast`. It speaks about the
  recipes. An item test on one run of each cannot: another seed may change the answer.
* *Many such tests were made.* One in twenty comes out below 0.05 by chance; `corrected` accounts for that.

Every test gives the difference, its 95% interval and a two-sided p: the chance of a difference at least as large if
the two were alike. A difference has the unit of its scores, and is always second minus first.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped

from mmhallu_core.statistics import DRAWS, group_sums

SWAPS = 9_999  # The smallest p is 1 in 10,000: small enough to survive the correction of a hundred tests.
_BLOCK = 1_000_000  # Random numbers held at once, so that memory stays flat for any number of items.

Parts = tuple[Shaped[np.ndarray, " _"], Shaped[np.ndarray, " _"]]  # numerators and denominators, one of each per item


def mcnemar(first: Shaped[np.ndarray, " n"], second: Shaped[np.ndarray, " m"]) -> dict[str, Any]:
    """Do two models differ in accuracy, given which of the same items each had right?

    Items on which both are right, or both wrong, say nothing; of the others each would be a gain or a loss with equal
    chance, were the models alike (Q. McNemar, Psychometrika 1947). Chances are exact binomial; the interval is that of
    D. G. Bonett and R. M. Price (J. Educational and Behavioral Statistics 2012). Made separately, the two can disagree
    at the edge. For items that belong together neither holds: `ratio_test` takes whole groups.

    Args:
        first: 1 or True where the first model is right, 0 or False where it is wrong, one per item.
        second: the same for the second model, items in the same order.

    Returns:
        `{difference, ci, p, gained, lost, n}`: difference of the accuracies as a share, `gained` and `lost` items, and
        the number `n` of all items.

    Raises:
        ValueError: when the rows differ in length, are empty, or hold something else than 0 and 1.
    """
    from scipy.stats import binomtest

    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if first.shape != second.shape or not len(first):
        raise ValueError(f"need one entry per item in both rows, and items, got shapes {first.shape}, {second.shape}")
    if not np.isin([first, second], (0, 1)).all():
        raise ValueError("right is 1 and wrong is 0, nothing between: use ratio_test for other scores")
    n, gained, lost = len(first), int((second > first).sum()), int((second < first).sum())
    counts = {"gained": gained, "lost": lost, "n": n}
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = 1.959963984540054 * np.sqrt((up + down - (up - down) ** 2) / (n + 2))
    ci = [float(max(-1.0, up - down - half)), float(min(1.0, up - down + half))]
    return {"difference": (gained - lost) / n, "ci": ci, "p": p, **counts}


def ratio_test(
    first: Parts,
    second: Parts,
    groups: Sequence[Hashable] | None = None,
    draws: int = DRAWS,
    swaps: int = SWAPS,
    seed: int = 0,
) -> dict[str, float | list[float] | None]:
    """Do two models differ in a ratio of sums over the same items, such as F1 or CHAIR_i?

    The interval is a paired bootstrap: each draw takes items (or groups) with the counts of both models. The p is a
    randomization test: if the models were alike, each item could as well have come with its two results swapped, so
    the observed difference is compared with those after random swaps. Groups are swapped whole. For right and wrong
    answers without groups, this is McNemar's test. All swaps are tried where there are few; else the observed one is
    counted among the random ones (B. Phipson and G. K. Smyth 2010), so that p is never 0.

    F1 is `(2 * hit, 2 * hit + false_alarm + missed)` with one 0 or 1 per item; CHAIR_i is `(hallucinated, mentions)`
    per caption; a mean of scores is `(score, ones)`.

    Args:
        first: numerators and denominators of the first model, one of each per item.
        second: those of the second model, items in the same order.
        groups: labels of items that belong together.
        draws: number of bootstrap samples.
        swaps: number of random swaps.
        seed: same seed, same result.

    Returns:
        `{difference, ci, p}`, all None where one of the ratios has nothing in its denominator. Draws and swaps with an
        empty denominator are left out.

    Raises:
        ValueError: when the four rows or the labels differ in length, or there are no items.
    """
    rows = [np.asarray(row, dtype=float) for row in (*first, *second)]
    shapes = [row.shape for row in rows]
    if len(set(shapes)) > 1 or rows[0].ndim != 1 or not len(rows[0]):
        raise ValueError(f"need four equally long, non-empty rows of numbers, got shapes {shapes}")
    if groups is not None:
        rows = [group_sums(row, groups) for row in rows]
    parts = np.stack(rows, axis=1)  # [item or group, numerator and denominator of first, then of second]
    observed = _differences(parts.sum(axis=0, keepdims=True))
    if not len(observed):
        return {"difference": None, "ci": None, "p": None}
    found, g = observed[0], len(parts)

    random, drawn = np.random.default_rng(seed), []
    for count in _blocks(draws, g):
        index = random.integers(0, g, size=(count, g))  # [draw, item]
        drawn.append(_differences(parts[index].sum(axis=1)))
    low, high = np.percentile(np.concatenate(drawn), [2.5, 97.5])

    exact = 2**g <= swaps
    total, change, reached, tried = parts.sum(axis=0), parts[:, 2:] - parts[:, :2], 0, 0
    for swapped in _swaps(g, swaps, exact, np.random.default_rng([seed, 1])):
        moved = swapped @ change  # [swap, numerator and denominator]
        differences = _differences(np.hstack([total[:2] + moved, total[2:] - moved]))
        reached += int((np.abs(differences) >= abs(found) * (1 - 1e-9) - 1e-12).sum())  # ties, whatever the rounding
        tried += len(differences)
    p = reached / tried if exact else (reached + 1) / (tried + 1)
    return {"difference": float(found), "ci": [float(low), float(high)], "p": p}


def _differences(sums: np.ndarray) -> np.ndarray:
    """Second ratio minus first for each row [numerator, denominator, numerator, denominator] where both exist."""
    a, b, c, d = sums[(sums[:, 1] > 0) & (sums[:, 3] > 0)].T
    return c / d - a / b


def _blocks(total: int, width: int) -> Iterator[int]:
    """Cuts `total` rows of `width` numbers into blocks that fit into memory."""
    most = max(1, _BLOCK // width)
    for start in range(0, total, most):
        yield min(most, total - start)


def _swaps(g: int, swaps: int, exact: bool, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Blocks [swap, group] of 0 and 1: all of them once, or random ones."""
    if exact:
        yield ((np.arange(2**g)[:, None] >> np.arange(g)) & 1).astype(float)
    else:
        for count in _blocks(swaps, g):
            yield random.integers(0, 2, size=(count, g), dtype=np.int8).astype(float)


def shared_seed_contrast(first: Mapping[Hashable, float], second: Mapping[Hashable, float]) -> dict[str, Any]:
    """Do two recipes differ, when each seed trained both? Student's t test of the differences within a seed.

    Sharing first weights, order of data or a warm-up checkpoint removes the variation that both runs share, and costs
    degrees of freedom: with three seeds two instead of up to four. A run's score is one number, however many items.

    Args:
        first: seed to score of the first recipe.
        second: seed to score of the second, for the same seeds.

    Returns:
        `{difference, ci, p, df}`, the last three None for a single seed or where every difference is the same.

    Raises:
        ValueError: when the seeds of the two differ, or there are none.
    """
    from scipy.stats import ttest_rel

    if set(first) != set(second) or not first:
        odd = sorted(map(str, set(first) ^ set(second)))
        raise ValueError(f"both recipes need the same seeds, at least one; only one of them has {odd}")
    a, b = np.array([first[seed] for seed in first]), np.array([second[seed] for seed in first])
    change = b - a
    difference = float(change.mean())
    if len(change) < 2 or np.ptp(change) <= 1e-12 * max(1.0, float(np.abs(change).max())):
        return {"difference": difference, "ci": None, "p": None, "df": None}
    result = ttest_rel(b, a)
    interval = result.confidence_interval(0.95)
    ci = [float(interval.low), float(interval.high)]
    return {"difference": difference, "ci": ci, "p": float(result.pvalue), "df": float(result.df)}


def corrected(p_values: Mapping[str, float]) -> dict[str, float]:
    """The p values of many tests, made larger so that together they keep their promise (Holm 1979).

    The chance that any test below 0.05 is a false alarm stays below 5%, whatever the tests have to do with each other.
    Give all tests that were made, not only those that look good.

    Args:
        p_values: name of each test to its p.

    Returns:
        Name to corrected p, in the given order; compare it with 0.05 as it is.

    Raises:
        ValueError: when a p lies outside 0 to 1 or is not a number.
    """
    wrong = {name: p for name, p in p_values.items() if not 0 <= p <= 1}
    if wrong:
        raise ValueError(f"a p value lies between 0 and 1, got {wrong}")
    # statsmodels' multipletests does the same, and collects garbage at each call, which takes half a second.
    values = np.array(list(p_values.values()), dtype=float)
    order = np.argsort(values)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    return dict(zip(p_values, map(float, adjusted), strict=True))

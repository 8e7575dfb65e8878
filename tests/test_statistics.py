"""Intervals against independent references: scipy, statsmodels, brute force, and coverage by simulation."""

import numpy as np
import pytest
from scipy import stats

from mmhallu_core.statistics import (
    auc,
    group_sums,
    paired_difference,
    ratio,
    ratio_interval,
    wilson_interval,
)


def test_ratio_of_nothing_is_no_score():
    assert ratio(0, 0) is None
    assert ratio(3, 4) == 0.75


def test_ratio_interval_agrees_with_scipys_bootstrap():
    random = np.random.default_rng(1)
    bottom = random.integers(1, 9, 300)
    top = random.binomial(bottom, 0.3)
    ours = ratio_interval(top, bottom, draws=4000)
    theirs = stats.bootstrap(
        (top, bottom),
        lambda a, b, axis=-1: a.sum(axis) / b.sum(axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=4000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert ours == pytest.approx([theirs.low, theirs.high], abs=0.004)


def test_same_seed_same_interval_and_other_seed_other():
    top, bottom = np.array([0, 1, 1, 0, 1.0]), np.ones(5)
    assert ratio_interval(top, bottom, seed=3) == ratio_interval(top, bottom, seed=3)
    random = np.random.default_rng(0)
    noisy = random.normal(size=50)
    assert ratio_interval(noisy, np.ones(50), seed=3) != ratio_interval(noisy, np.ones(50), seed=4)


def test_blocks_do_not_change_the_number_of_draws(monkeypatch):
    values = np.random.default_rng(0).normal(size=40)
    whole = ratio_interval(values, np.ones(40), draws=1000)
    monkeypatch.setattr("mmhallu_core.statistics._BLOCK", 400)
    assert ratio_interval(values, np.ones(40), draws=1000) == pytest.approx(whole, abs=1e-12)


def test_groups_widen_the_interval_when_items_repeat():
    values = np.repeat(np.random.default_rng(0).integers(0, 2, 60), 6)
    labels = np.repeat(np.arange(60), 6).tolist()
    alone = ratio_interval(values, np.ones(360))
    together = ratio_interval(values, np.ones(360), groups=labels)
    assert (together[1] - together[0]) / (alone[1] - alone[0]) == pytest.approx(np.sqrt(6), rel=0.15)


def test_group_sums_keep_first_appearance_order():
    assert group_sums(np.array([1, 2, 3, 4]), ["b", "a", "b", "c"]).tolist() == [4, 2, 4]
    with pytest.raises(ValueError, match="2 group labels"):
        group_sums(np.ones(3), ["a", "b"])


def test_interval_without_a_denominator_is_none_and_without_items_an_error():
    assert ratio_interval(np.zeros(3), np.zeros(3)) is None
    with pytest.raises(ValueError, match="non-empty"):
        ratio_interval(np.array([]), np.array([]))
    with pytest.raises(ValueError, match="shapes"):
        ratio_interval(np.ones(2), np.ones(3))


def test_bootstrap_covers_the_truth_about_95_times_in_100():
    random, hits = np.random.default_rng(7), 0
    for trial in range(200):
        bottom = random.poisson(5, 150)
        low, high = ratio_interval(random.binomial(bottom, 0.2), bottom, draws=400, seed=trial)
        hits += low <= 0.2 <= high
    assert 180 <= hits <= 199


@pytest.mark.parametrize("successes, n", [(0, 10), (10, 10), (3, 17), (83, 165), (1, 1)])
def test_wilson_agrees_with_scipy(successes, n):
    theirs = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson_interval(successes, n) == pytest.approx([theirs.low, theirs.high], abs=1e-9)


def test_wilson_refuses_the_impossible():
    assert wilson_interval(0, 0) is None
    with pytest.raises(ValueError, match="impossible"):
        wilson_interval(5, 4)


def test_auc_agrees_with_counting_pairs():
    random = np.random.default_rng(0)
    positive, negative = random.integers(0, 6, 40), random.integers(0, 5, 30)
    pairs = np.sign(positive[:, None] - negative[None, :])
    assert auc(positive, negative) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert auc(np.array([2.0]), np.array([1.0])) == 1.0
    with pytest.raises(ValueError, match="both sides"):
        auc(np.array([]), np.ones(2))


def test_paired_difference_sees_what_separate_intervals_hide():
    random = np.random.default_rng(0)
    ease = random.normal(size=200)
    first, second = ease + random.normal(scale=0.05, size=200), ease + 0.1 + random.normal(scale=0.05, size=200)
    result = paired_difference(first, second)
    assert result["difference"] == pytest.approx(0.1, abs=0.02)
    assert 0.08 < result["ci"][0] < result["ci"][1] < 0.12
    reference = stats.ttest_rel(second, first).confidence_interval()
    assert result["ci"] == pytest.approx([reference.low, reference.high], abs=0.003)
    with pytest.raises(ValueError, match="both rows"):
        paired_difference(np.ones(3), np.ones(4))


# ---------------------------------------------------------------- clusters


def grouped(groups: int, size: int, correlation: float, seed: int = 0):
    """Right and wrong answers, `size` for each group, whose answers correlate (beta-binomial), and their labels."""
    random = np.random.default_rng(seed)
    spread = 1 / correlation - 1
    share = random.beta(0.6 * spread, 0.4 * spread, groups)
    right = random.random((groups, size)) < share[:, None]
    return right.ravel().astype(float), np.repeat(np.arange(groups), size).tolist()

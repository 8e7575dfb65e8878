"""Intervals against independent references: scipy, statsmodels, brute force, and coverage by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mmhallu_core.statistics import (
    auc,
    design_effect,
    group_sums,
    paired_difference,
    ratio,
    ratio_interval,
    standard_error,
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


@pytest.mark.long  # statsmodels takes seconds to import
def test_clustered_error_is_that_of_statsmodels():
    from statsmodels.regression.linear_model import WLS

    random = np.random.default_rng(3)
    bottom = random.integers(1, 9, 200).astype(float)
    labels = random.integers(0, 40, 200).tolist()
    top = random.binomial(bottom.astype(int), random.uniform(0.1, 0.6, 40)[labels]).astype(float)
    # A ratio of sums is the constant of a regression of top / bottom, weighted by bottom.
    model = WLS(top / bottom, np.ones(200), weights=bottom)
    clustered = model.fit(cov_type="cluster", cov_kwds={"groups": labels})
    assert clustered.params[0] == pytest.approx(top.sum() / bottom.sum())
    assert standard_error(top, bottom, labels) == pytest.approx(clustered.bse[0], rel=1e-9)
    alone = model.fit(cov_type="HC1")
    assert standard_error(top, bottom) == pytest.approx(alone.bse[0], rel=1e-9)


@given(
    st.lists(st.tuples(st.integers(-4, 9), st.integers(1, 9), st.sampled_from("abcde")), min_size=2, max_size=30),
    st.randoms(use_true_random=False),
)
def test_clustered_error_is_a_plain_loop_and_does_not_mind_the_order(items, random):
    def error_of(items):
        top, bottom, labels = zip(*items, strict=True)
        return standard_error(np.array(top), np.array(bottom), labels)

    found, again = error_of(items), error_of(random.sample(items, len(items)))
    top, bottom, labels = (np.array(row) for row in zip(*items, strict=True))
    names, squares = set(labels), 0.0
    if len(names) == 1:
        assert found is again is None
        return
    for name in names:
        error = sum(a - top.sum() / bottom.sum() * b for a, b, label in items if label == name)
        squares += error * error
    expected = (len(names) / (len(names) - 1) * squares) ** 0.5 / bottom.sum()
    assert found == pytest.approx(expected, abs=1e-12) == again


def test_plain_error_of_a_mean_is_the_one_of_every_textbook():
    values = np.random.default_rng(0).normal(size=30)
    assert standard_error(values, np.ones(30)) == pytest.approx(stats.sem(values))


def test_clustered_error_agrees_with_the_cluster_bootstrap():
    right, labels = grouped(300, 6, 0.4)
    low, high = ratio_interval(right, np.ones_like(right), labels)
    assert (high - low) / (2 * 1.96) == pytest.approx(standard_error(right, np.ones_like(right), labels), rel=0.08)


def test_design_effect_is_kishs_formula():
    right, labels = grouped(4000, 6, 0.3)
    assert design_effect(right, np.ones_like(right), labels) == pytest.approx(1 + 5 * 0.3, rel=0.06)
    assert design_effect(right, np.ones_like(right), list(range(len(right)))) == pytest.approx(1.0)
    copies, names = np.repeat([0.0, 1.0, 1.0], 4), np.repeat(["a", "b", "c"], 4).tolist()
    assert design_effect(copies, np.ones(12), names) == pytest.approx(4 * (3 / 2) / (12 / 11))


def test_errors_that_do_not_exist_are_none():
    assert standard_error(np.ones(3), np.zeros(3)) is None
    assert standard_error(np.array([1, 0]), np.ones(2), ["a", "a"]) is None
    assert design_effect(np.ones(4), np.ones(4), ["a", "a", "b", "b"]) is None
    with pytest.raises(ValueError, match="shapes"):
        standard_error(np.ones(2), np.ones(3))

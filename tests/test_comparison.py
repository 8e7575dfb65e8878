"""Tests of tests: against scipy and statsmodels, by counting every case, and by how often they raise a false alarm."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mmhallu_core.comparison import corrected, mcnemar, ratio_test, shared_seed_contrast
from mmhallu_core.statistics import paired_difference


def answers(n: int, gained: int, lost: int, both: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Right (1) and wrong (0) of two models with given numbers of gains and losses."""
    first, second = np.zeros(n), np.zeros(n)
    second[:gained] = 1
    first[gained : gained + lost] = 1
    first[gained + lost : gained + lost + both] = second[gained + lost : gained + lost + both] = 1
    return first, second


# ---------------------------------------------------------------- right and wrong


@pytest.mark.long  # statsmodels takes seconds to import
@pytest.mark.parametrize("gained, lost", [(10, 3), (3, 10), (6, 0), (5, 5), (1, 0), (0, 0)])
def test_mcnemar_agrees_with_statsmodels(gained, lost):
    from statsmodels.stats.contingency_tables import mcnemar as theirs

    found = mcnemar(*answers(40, gained, lost, both=20))
    table = [[20, lost], [gained, 40 - 20 - gained - lost]]
    assert found["p"] == pytest.approx(theirs(table, exact=True).pvalue)
    assert (found["gained"], found["lost"], found["n"]) == (gained, lost, 40)
    assert found["difference"] == pytest.approx((gained - lost) / 40)
    assert found["ci"][0] < found["difference"] < found["ci"][1] or gained + lost == 0


def test_six_gains_and_no_loss_are_the_fewest_that_count():
    assert mcnemar(*answers(165, 5, 0))["p"] == pytest.approx(2 / 2**5) and 2 / 2**5 > 0.05
    assert mcnemar(*answers(165, 6, 0))["p"] == pytest.approx(2 / 2**6) and 2 / 2**6 < 0.05


@pytest.mark.parametrize("up, down", [(0.05, 0.05), (0.15, 0.05), (0.3, 0.02), (0.08, 0.0)])
def test_interval_covers_the_true_difference_summed_over_every_outcome(up, down):
    n, covered = 35, 0.0
    chance = stats.multinomial(n, [up, down, 1 - up - down])
    for gained, lost in product(range(n + 1), repeat=2):
        mass = chance.pmf([gained, lost, n - gained - lost]) if gained + lost <= n else 0.0
        if mass > 1e-7:
            low, high = mcnemar(*answers(n, gained, lost))["ci"]
            covered += mass * (low <= up - down <= high)
    assert covered > 0.93


def test_swapping_the_models_turns_the_sign():
    first, second = answers(50, 9, 2)
    one, other = mcnemar(first, second), mcnemar(second, first)
    assert one["p"] == other["p"] and one["difference"] == -other["difference"]
    assert one["ci"] == pytest.approx([-other["ci"][1], -other["ci"][0]])


def test_mcnemar_refuses_what_is_not_right_or_wrong():
    with pytest.raises(ValueError, match="ratio_test"):
        mcnemar(np.array([0.5, 1]), np.array([0.0, 1]))
    with pytest.raises(ValueError, match="one entry per item"):
        mcnemar(np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="one entry per item"):
        mcnemar(np.array([]), np.array([]))


# ---------------------------------------------------------------- ratios, by swaps


@given(st.integers(0, 6), st.integers(0, 6))
def test_all_swaps_are_mcnemars_test(gained, lost):
    first, second = answers(12, gained, lost)
    ones = np.ones(12)
    found = ratio_test((first, ones), (second, ones), draws=50)
    assert found["p"] == pytest.approx(mcnemar(first, second)["p"], abs=1e-12)
    assert found["difference"] == pytest.approx((gained - lost) / 12)


def test_random_swaps_come_near_mcnemars_test():
    first, second = answers(165, 22, 10)
    found = ratio_test((first, np.ones(165)), (second, np.ones(165)))
    assert found["p"] == pytest.approx(mcnemar(first, second)["p"], abs=0.006)


def chair_like(random, n, rate):
    mentions = random.integers(0, 7, n)
    return random.binomial(mentions, rate).astype(float), mentions.astype(float)


def test_p_of_a_ratio_counts_every_swap():
    random = np.random.default_rng(5)
    first, second = chair_like(random, 8, 0.2), chair_like(random, 8, 0.6)
    found = ratio_test(first, second, draws=50)

    def difference(swaps):
        a, b, c, d = 0.0, 0.0, 0.0, 0.0
        for item, swapped in enumerate(swaps):
            one, two = (second, first) if swapped else (first, second)
            a, b, c, d = a + one[0][item], b + one[1][item], c + two[0][item], d + two[1][item]
        return c / d - a / b

    every = [abs(difference(swaps)) for swaps in product((0, 1), repeat=8)]
    assert found["difference"] == pytest.approx(difference((0,) * 8))
    assert found["p"] == sum(value >= abs(found["difference"]) - 1e-12 for value in every) / 2**8


def test_interval_of_a_ratio_is_scipys_paired_bootstrap():
    random = np.random.default_rng(2)
    first, second = chair_like(random, 400, 0.3), chair_like(random, 400, 0.2)

    def difference(a, b, c, d, axis=-1):
        return c.sum(axis) / d.sum(axis) - a.sum(axis) / b.sum(axis)

    theirs = stats.bootstrap(
        (*first, *second),
        difference,
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=4000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = ratio_test(first, second, draws=4000)
    assert found["ci"] == pytest.approx([theirs.low, theirs.high], abs=0.004)
    assert found["p"] < 0.001 and found["ci"][1] < 0


def test_a_mean_has_the_interval_of_paired_difference():
    random = np.random.default_rng(0)
    first, second, labels = random.random(90), random.random(90), np.repeat(np.arange(30), 3).tolist()
    found = ratio_test((first, np.ones(90)), (second, np.ones(90)), labels)
    reference = paired_difference(first, second, labels)
    assert found["ci"] == pytest.approx(reference["ci"])
    assert found["difference"] == pytest.approx(reference["difference"])


def test_f1_is_a_ratio_of_sums():
    random = np.random.default_rng(9)
    label = random.integers(0, 2, 200)
    said = [np.where(random.random(200) < right, label, 1 - label) for right in (0.6, 0.8)]
    parts = [(2.0 * (label & one), 2.0 * (label & one) + (label != one)) for one in said]

    def f1(one):
        hit, said_yes = (label & one).sum(), one.sum()
        precision, recall = hit / said_yes, hit / label.sum()
        return 2 * precision * recall / (precision + recall)

    assert ratio_test(*parts)["difference"] == pytest.approx(f1(said[1]) - f1(said[0]))


def test_groups_that_answer_alike_count_once():
    first, second = answers(20, 8, 1)
    labels = np.arange(20).tolist()
    alone = ratio_test((first, np.ones(20)), (second, np.ones(20)), labels)
    many = np.ones(120)
    sixfold = ratio_test((np.repeat(first, 6), many), (np.repeat(second, 6), many), np.repeat(labels, 6).tolist())
    naive = mcnemar(np.repeat(first, 6), np.repeat(second, 6))
    assert (sixfold["p"], sixfold["ci"]) == (alone["p"], pytest.approx(alone["ci"]))
    assert naive["p"] < 1e-6 < 0.01 < alone["p"]


def test_false_alarms_one_in_twenty_with_groups_and_many_more_without():
    random, alarms, naive = np.random.default_rng(4), 0, 0
    labels = np.repeat(np.arange(40), 6).tolist()
    for trial in range(200):
        # Two models alike on average, but each has pictures that it handles better: answers to a picture go together.
        first, second = ((random.random((40, 6)) < random.beta(0.5, 0.5, (40, 1))).ravel() for _ in range(2))
        ones = np.ones(240)
        found = ratio_test((first, ones), (second, ones), labels, draws=20, swaps=399, seed=trial)
        alarms += found["p"] < 0.05
        naive += mcnemar(first, second)["p"] < 0.05
    assert 2 <= alarms <= 20
    assert naive > 50


def test_nothing_counted_is_no_result_and_blocks_do_not_matter(monkeypatch):
    nothing, some = (np.zeros(4), np.zeros(4)), (np.ones(4), np.ones(4))
    assert ratio_test(nothing, some) == {"difference": None, "ci": None, "p": None}
    random = np.random.default_rng(0)
    pair = chair_like(random, 60, 0.3), chair_like(random, 60, 0.2)
    whole = ratio_test(*pair)
    monkeypatch.setattr("mmhallu_core.comparison._BLOCK", 60 * 7)
    assert ratio_test(*pair)["ci"] == pytest.approx(whole["ci"])
    assert 0 < whole["p"] < 1
    with pytest.raises(ValueError, match="four equally long"):
        ratio_test(some, (np.ones(3), np.ones(3)))
    with pytest.raises(ValueError, match="3 group labels"):
        ratio_test(some, some, ["a", "b", "c"])


# ---------------------------------------------------------------- seeds


def test_shared_seeds_are_paired_by_seed_not_by_place():
    first, second = {0: 0.50, 1: 0.60, 2: 0.70}, {2: 0.73, 0: 0.52, 1: 0.63}
    found = shared_seed_contrast(first, second)
    reference = stats.ttest_1samp([0.02, 0.03, 0.03], 0)
    assert (found["p"], found["df"]) == (pytest.approx(reference.pvalue), 2)
    assert found["ci"] == pytest.approx([*reference.confidence_interval()])
    assert found["p"] < 0.05 < stats.ttest_ind([*first.values()], [*second.values()], equal_var=False).pvalue
    with pytest.raises(ValueError, match=r"same seeds.*\['3'\]"):
        shared_seed_contrast(first, {**second, 3: 0.5})
    with pytest.raises(ValueError, match="at least one"):
        shared_seed_contrast({}, {})


def test_seeds_without_spread_give_a_difference_and_no_verdict():
    silent = {"ci": None, "p": None, "df": None}
    assert shared_seed_contrast({0: 0.5}, {0: 0.75}) == {"difference": 0.25, **silent}
    assert shared_seed_contrast({0: 0.1, 1: 0.3}, {0: 0.2, 1: 0.4}) == {"difference": pytest.approx(0.1), **silent}


# ---------------------------------------------------------------- many tests

P = st.dictionaries(st.text(min_size=1, max_size=3), st.floats(0, 1), max_size=12)


@given(P)
def test_holm_by_its_definition(p_values):
    ordered = sorted(p_values.values())
    m = len(ordered)

    def holm(p):  # every step down to p must be passed
        return min(1.0, max((m - k) * q for k, q in enumerate(ordered) if q <= p))

    found = corrected(p_values)
    assert list(found) == list(p_values)
    for name, p in p_values.items():
        assert found[name] == pytest.approx(holm(p), abs=1e-12)
        assert found[name] >= p - 1e-12


@pytest.mark.parametrize("wrong", [-0.01, 1.01, float("nan")])
def test_a_p_that_is_none_is_named(wrong):
    with pytest.raises(ValueError, match="'b'"):
        corrected({"a": 0.5, "b": wrong})

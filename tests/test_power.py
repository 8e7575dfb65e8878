"""Power against statsmodels, a textbook's formula, and experiments repeated many times."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mmhallu_core.comparison import mcnemar
from mmhallu_core.power import detectable_difference, power_independent, power_paired, power_table

pytestmark = pytest.mark.long


@pytest.mark.long  # statsmodels takes seconds to import
@pytest.mark.parametrize("n, accuracy, difference", [(35, 0.5, 0.3), (165, 0.4, 0.1), (3000, 0.85, 0.02), (9, 0.9, 0)])
def test_independent_power_is_that_of_statsmodels(n, accuracy, difference):
    from statsmodels.stats.power import NormalIndPower
    from statsmodels.stats.proportion import proportion_effectsize

    effect = proportion_effectsize(accuracy + difference, accuracy)
    theirs = NormalIndPower().power(effect, n, 0.05)
    assert power_independent(n, difference, accuracy) == pytest.approx(theirs, abs=1e-10)


@pytest.mark.long
@pytest.mark.parametrize("n", [35, 165, 3000])
def test_detectable_difference_of_independent_models_is_that_of_statsmodels(n):
    from statsmodels.stats.power import NormalIndPower

    effect = NormalIndPower().solve_power(nobs1=n, alpha=0.05, power=0.8)
    second = np.sin(np.arcsin(np.sqrt(0.5)) + effect / 2) ** 2
    assert detectable_difference(n) == pytest.approx(second - 0.5, abs=1e-5)


@pytest.mark.parametrize("n, accuracy, difference", [(165, 0.5, 0.15), (1000, 0.8, 0.05)])
def test_independent_power_is_how_often_the_test_comes_out(n, accuracy, difference):
    random = np.random.default_rng(0)
    first, second = (random.binomial(n, share, 20_000) / n for share in (accuracy, accuracy + difference))
    pooled = (first + second) / 2
    z = (second - first) / np.sqrt(2 * pooled * (1 - pooled) / n)
    share = (np.abs(z) > stats.norm.isf(0.025)).mean()
    assert power_independent(n, difference, accuracy) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("n, difference, disagreement", [(35, 0.25, 0.35), (165, 0.07, 0.1), (165, 0.0, 0.3)])
def test_paired_power_is_how_often_mcnemars_test_comes_out(n, difference, disagreement):
    random, trials, hits = np.random.default_rng(1), 2000, 0
    up, down = (disagreement + difference) / 2, (disagreement - difference) / 2
    p_of = {}
    for gained, lost, _ in random.multinomial(n, [up, down, 1 - up - down], trials):
        if (gained, lost) not in p_of:
            first, second = np.zeros(n), np.zeros(n)
            second[:gained], first[gained : gained + lost] = 1, 1
            p_of[gained, lost] = mcnemar(first, second)["p"]
        hits += p_of[gained, lost] <= 0.05
    assert power_paired(n, difference, disagreement) == pytest.approx(hits / trials, abs=0.03)


def miettinen(n, disagreement):
    """The difference that the usual formula (1968) finds: n d^2 = (z sqrt(D) + y sqrt(D - d^2))^2, solved for d."""
    z, y = stats.norm.isf(0.025), stats.norm.ppf(0.8)
    grid = np.linspace(0, disagreement, 1_000_001)[1:]
    needed = (z * np.sqrt(disagreement) + y * np.sqrt(disagreement - grid**2)) ** 2 / grid**2
    return grid[np.argmax(needed <= n)]


@pytest.mark.parametrize("n, near", [(165, 0.1), (1000, 0.04), (9000, 0.02), (100_000, 0.01)])
def test_exact_power_comes_near_the_usual_formula_and_stays_on_the_careful_side(n, near):
    ours, theirs = detectable_difference(n, disagreement=0.3), miettinen(n, 0.3)
    assert theirs < ours < theirs * (1 + near)


SHARES = st.floats(0.05, 0.95)


@settings(max_examples=40)
@given(st.integers(1, 3000), SHARES, st.booleans())
def test_more_items_show_smaller_differences(n, share, paired):
    kind = {"disagreement": share} if paired else {"accuracy": share}
    few, many = detectable_difference(n, **kind), detectable_difference(4 * n, **kind)
    assert few is None or many < few


def test_what_cannot_be_shown_is_none():
    assert detectable_difference(35, accuracy=0.95) is None  # even a perfect model is too near
    assert detectable_difference(35, disagreement=0.1) is None  # too few items on which the two differ
    assert detectable_difference(5, disagreement=1.0) is None  # five gains out of five have a p of 1/16
    # Six items, and all must be gained: a gain has chance g with g^6 = 0.8, and g - (1 - g) is the difference.
    assert detectable_difference(6, disagreement=1.0) == pytest.approx(2 * 0.8 ** (1 / 6) - 1, abs=1e-6)


def test_power_without_a_difference_is_the_level_of_the_test():
    assert power_independent(165, 0) == pytest.approx(0.05)
    assert 0.02 < power_paired(165, 0, 0.3) <= 0.05


def test_table():
    rows = power_table([35, 165, 3000])
    assert [row["n"] for row in rows] == [35, 165, 3000]
    assert rows[1]["independent"] == detectable_difference(165)
    assert rows[1]["paired"] == {share: detectable_difference(165, disagreement=share) for share in (0.1, 0.3)}
    assert rows[0]["paired"][0.1] is None


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: power_independent(0, 0.1), "at least one item"),
        (lambda: power_independent(10, 0.6), "shares between"),
        (lambda: power_paired(10, 0.2, 0.1), "cannot differ by 0.2"),
        (lambda: power_paired(10, 0.0, 0.0), "cannot differ by 0"),
    ],
)
def test_impossible_wishes_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# ---------------------------------------------------------------- the figure


def test_the_figure_says_what_its_table_says():
    from mmhallu_core.chapters.benchmarks import BENCHMARKS, power_figure

    assert BENCHMARKS["MED-bench"] == 165 and BENCHMARKS["MED-Real"] == 35
    shown = power_figure()
    words, numbers = shown.text.split("\n\n")
    for row in power_table([*BENCHMARKS.values()]):
        assert f"{100 * row['independent']:.1f}" in words and f"{100 * row['independent']:.1f}" in numbers
    assert "paired nothing if they disagree on 10 of 100" in words and "none" in numbers
    for name in BENCHMARKS:
        assert name in numbers and name in shown.html

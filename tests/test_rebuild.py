"""What decides whether a rebuilt model is the shipped one, up to the spread of its seeds."""

import pytest

from mmhallu_core.studies.rebuild import compare, headline, tolerance


def result(seed, recall, chair_i):
    pope = {name: {"strict": {"accuracy": 0.9}} for name in ("random", "popular", "adversarial")}
    scores = {"chair": {"recall": recall, "chair_i": chair_i}, "pope": pope}
    return {"run": {"recipe": {"seed": seed}}, "scores": scores, "short_answers": {"all": {"accuracy": 0.8}}}


def test_the_tolerance_is_the_largest_difference_between_two_seeds():
    stated = tolerance({"base": result(0, 0.90, 0.2), "seed1": result(1, 0.86, 0.21), "seed2": result(2, 0.88, 0.24)})
    assert stated["tolerance"]["recall"] == pytest.approx(0.04)
    assert stated["tolerance"]["chair_i"] == pytest.approx(0.04)
    assert stated["tolerance"]["pope_random"] == 0.0
    assert stated["seeds"] == {"base": 0, "seed1": 1, "seed2": 2}


def test_one_seed_has_no_spread():
    for seeds in ((0,), (0, 0)):
        with pytest.raises(ValueError, match="spread"):
            tolerance({f"run{n}": result(seed, 0.9, 0.2) for n, seed in enumerate(seeds)})


def test_a_rebuilt_model_is_compared_score_by_score():
    shipped = headline(result(0, 0.9, 0.2))
    allowed = dict.fromkeys(shipped, 0.02)
    assert compare(shipped, headline(result(0, 0.915, 0.19)), allowed)["within"]
    off = compare(shipped, headline(result(0, 0.85, 0.19)), allowed)
    assert not off["within"] and not off["scores"]["recall"]["within"] and off["scores"]["chair_i"]["within"]

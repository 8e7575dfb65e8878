"""The scores of one class, and the mean of several ratios with one interval."""

import random

import numpy as np
import pytest

from mmhallu_core.evaluate.metrics import Metric, class_sides, mean_of_ratios


@pytest.mark.parametrize("positive", ["yes", "no"])
def test_the_scores_of_a_class_are_those_of_its_confusion_table(positive):
    dice = random.Random(3)
    truth = [dice.choice(["yes", "no"]) for _ in range(200)]
    said = [dice.choice(["yes", "no", None]) for _ in truth]
    tp = sum(one == other == positive for one, other in zip(truth, said, strict=True))
    fp = sum(one != positive and other == positive for one, other in zip(truth, said, strict=True))
    fn = sum(one == positive and other != positive for one, other in zip(truth, said, strict=True))
    expected = {
        "accuracy": sum(one == other for one, other in zip(truth, said, strict=True)) / 200,
        "precision": tp / (tp + fp), "recall": tp / (tp + fn), "f1": 2 * tp / (2 * tp + fp + fn),
    }  # fmt: skip
    sides = class_sides(truth, said, positive)
    assert {name: Metric(*one, range(200)).value for name, one in sides.items()} == expected


def test_the_mean_of_ratios_is_one_ratio_of_sums():
    generator = np.random.default_rng(0)
    top, bottom = generator.integers(0, 2, 60).astype(float), np.ones(60)
    parts = generator.integers(0, 3, (4, 60)).astype(float)
    shares = [sum(parts[row] * top) / sum(parts[row]) for row in range(4)]
    found = mean_of_ratios((top, bottom), range(60), parts)
    assert found.value == pytest.approx(sum(shares) / 4)
    assert sum(found.top) / sum(found.bottom) == pytest.approx(found.value)  # so the interval is about the same number
    total = mean_of_ratios((top, bottom), range(60), parts, add=True)
    assert total.value == pytest.approx(sum(shares)) == pytest.approx(sum(total.top) / sum(total.bottom))
    low, high = found.interval(200, 0)
    assert low < found.value < high


def test_a_perfect_model_has_an_interval_without_width():
    parts = np.array([[1.0, 0, 0, 0], [0, 1, 1, 1]])
    found = mean_of_ratios((np.ones(4), np.ones(4)), range(4), parts, add=True)
    assert found.value == 2 and found.interval(100, 0) == pytest.approx([2, 2])


def test_parts_with_nothing_to_count_are_left_out():
    parts = np.array([[1.0, 1, 0], [0, 0, 1]])
    top, bottom = np.array([1.0, 0, 0]), np.array([1.0, 1, 0])
    assert mean_of_ratios((top, bottom), range(3), parts).value == 0.5
    nothing = mean_of_ratios((top, 0 * bottom), range(3), parts)
    assert nothing.value is None and nothing.interval(10, 0) is None

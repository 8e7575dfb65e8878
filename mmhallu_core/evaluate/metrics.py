"""Scores unit by unit, and the shapes that most of them have.

Nearly every published score is a ratio of sums: what counts, and what it is counted out of. A ratio of sums has an
interval (`statistics.ratio_interval`), clustered by picture. So scorers return `Metric`s, which hold both, unit by
unit (a unit is a question, a pair of questions, a picture).

A mean over categories of ratios is itself one ratio of sums, when each unit is weighted by how often its categories
count it, divided by their sizes. It is not the mean over questions; here both are, under names of their own.
"""

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Shaped

from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.answers import Reading
from mmhallu_core.statistics import ratio, ratio_interval, wilson_interval
from mmhallu_core.types import CannotRun

Numbers = Sequence[int | float | bool] | np.ndarray
Values = Sequence[int | float | bool]
Sides = tuple[Float[np.ndarray, " unit"], Float[np.ndarray, " unit"]]  # What counts, and what it is counted out of.


@dataclass(frozen=True)
class Metric:
    """One score, unit by unit.

    Attributes:
        top: what counts, a number a unit; NaN for a unit that a judge has not read yet.
        bottom: what it is counted out of, a number a unit; all ones for a mean.
        groups: a label a unit; units of one label (a picture) are drawn together for the interval.
        printed: the score as the official script prints it, where rounding makes it differ from the ratio.
        share: whether it is a share, which people read in percent. A rating, a length or a sum of points is none, also
            where its value happens to lie between 0 and 1.
    """

    top: Numbers
    bottom: Numbers
    groups: Sequence[Hashable]
    printed: float | None = None
    share: bool = True

    @property
    def value(self) -> float | None:
        """The score; None where nothing was counted, or a judge is still to be asked."""
        if np.isnan(np.sum(self.top)):
            return None
        if self.printed is not None:
            return self.printed
        return ratio(float(np.sum(self.top)), float(np.sum(self.bottom)))

    def interval(self, draws: int, seed: int = 0) -> list[float] | None:
        """The 95% interval by drawing groups; None where there is no score."""
        top, bottom = (np.asarray(side, dtype=float) for side in (self.top, self.bottom))
        missing = not len(top) or np.isnan(top).any()
        return None if missing else ratio_interval(top, bottom, list(self.groups), draws, seed)


Metrics = dict[str, Metric]
NOTHING = Metric((), (), ())  # a score of nothing


def values(metrics: Metrics) -> dict[str, float | None]:
    """The scores by name."""
    return {name: metric.value for name, metric in metrics.items()}


def intervals(metrics: Metrics, draws: int, seed: int = 0) -> dict[str, list[float] | None]:
    """Their 95% intervals by name."""
    return {name: metric.interval(draws, seed) for name, metric in metrics.items()}


def share(values: Values, questions: Sequence[Question]) -> Metric:
    """The mean of a value a question, such as whether it is answered right, clustered by picture."""
    return Metric(values, [1] * len(values), [question.picture for question in questions])


def mean(values: Values, questions: Sequence[Question]) -> Metric:
    """The same for a value that is no share of anything, such as a rating or a length."""
    return replace(share(values, questions), share=False)


def interval(hits: Sequence[bool], questions: Sequence[Question]) -> list[float] | None:
    """The 95% interval of a share: Wilson's where each question has a picture of its own, else drawn by picture."""
    pictures = [question.picture for question in questions]
    if len(set(pictures)) == len(pictures):
        return wilson_interval(int(sum(hits)), len(hits))
    return ratio_interval(np.asarray(hits, dtype=float), np.ones(len(hits)), pictures)


def all_right(questions: Sequence[Question], right: Sequence[bool], field: str, size: int | None = None) -> Metric:
    """The share of groups (a pair, a figure) all of whose questions are answered right.

    Args:
        questions: those of one group have the same `about[field]`.
        right: a value a question.
        field: see `questions`.
        size: how many questions a group has; a subset may break groups, and those are left out. None takes all.
    """
    hits: dict[Hashable, list[bool]] = {}
    pictures: dict[Hashable, str] = {}
    for question, hit in zip(questions, right, strict=True):
        key = question.about[field]
        hits.setdefault(key, []).append(hit)
        pictures.setdefault(key, question.picture)
    whole = [key for key, some in hits.items() if size in (None, len(some))]
    return Metric([all(hits[key]) for key in whole], [1] * len(whole), [pictures[key] for key in whole])


# ---------------------------------------------------------------- categories


def metric_name(category: str) -> str:
    """A category's name as a metric: "image style & quality" gives "image_style_quality"."""
    return re.sub(r"[^a-z0-9]+", "_", category.lower()).strip("_")


def _labels(questions: Sequence[Question], field: str) -> list[str]:
    bare = [question.id for question in questions if not question.about.get(field)]
    if bare:
        raise CannotRun(f"{len(bare)} questions have no `{field}`: {', '.join(bare[:5])}")
    return [str(question.about[field]) for question in questions]


def by_category(
    values: Values,
    questions: Sequence[Question],
    field: str = "category",
    of: Callable[[Values, Sequence[Question]], Metric] = share,
) -> Metrics:
    """The mean of each category (`share` or `mean`), under `metric_name` of it, in the order of the questions.

    Raises:
        CannotRun: when a question has no category.
    """
    rows: dict[str, list[int]] = {}
    for row, label in enumerate(_labels(questions, field)):
        rows.setdefault(label, []).append(row)
    return {
        metric_name(label): of([values[i] for i in those], [questions[i] for i in those])
        for label, those in rows.items()
    }


def mean_of_categories(values: Values, questions: Sequence[Question], field: str = "category") -> Metric:
    """The plain mean of the categories' means; categories without a question are left out.

    Each question weighs one over the size of its category. For the interval pictures are drawn with these weights,
    which stay as they are.

    Raises:
        CannotRun: when a question has no category.
    """
    named = _labels(questions, field)
    means = [one.value for one in by_category(values, questions, field).values()]
    weights = [1 / named.count(label) for label in named]
    top = [weight * value for weight, value in zip(weights, values, strict=True)]
    printed = None if None in means else sum(means) / len(means)
    return Metric(top, weights, [question.picture for question in questions], printed)


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
        return replace(NOTHING, printed=printed)
    weight = (1 / sizes[counted]) @ parts[counted]
    shares = (tops[counted] / sizes[counted]).tolist()
    if printed is None:
        printed = sum(shares) if add else sum(shares) / len(shares)
    return Metric((len(shares) if add else 1) * weight * top, weight * bottom, groups, printed)


# ---------------------------------------------------------------- yes and no


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


def yes_sides(questions: Sequence[Question], said: Sequence[Reading]) -> dict[str, Sides]:
    """The scores of "yes" with what is unread wrong for its label, and `yes_ratio`, the share that says yes."""
    truth = [question.truth for question in questions]
    yes = np.array([one == "yes" for one in said], dtype=float)
    return {**class_sides(truth, unread_as_wrong(truth, said), "yes"), "yes_ratio": (yes, np.ones(len(yes)))}

"""A score for each category, and the mean of these: the same answers, another number.

Where categories differ in size, the mean over categories is not the mean over questions. Papers print one and call it
accuracy. Both are here under names of their own, so that like is compared with like.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.benchmark import Metric, Metrics
from mmhallu_core.types import CannotRun

Values = Sequence[int | float | bool]


def metric_name(category: str) -> str:
    """A category's name as a metric: "image style & quality" gives "image_style_quality"."""
    return re.sub(r"[^a-z0-9]+", "_", category.lower()).strip("_")


def labels(questions: Sequence[Question], field: str) -> list[str]:
    """The category of each question.

    Raises:
        CannotRun: when a question has none.
    """
    bare = [question.id for question in questions if not question.about.get(field)]
    if bare:
        raise CannotRun(f"{len(bare)} questions have no `{field}`: {', '.join(bare[:5])}")
    return [str(question.about[field]) for question in questions]


def share(values: Values, questions: Sequence[Question]) -> Metric:
    """The mean of a value a question, clustered by picture."""
    return Metric(values, [1] * len(values), [question.picture for question in questions])


def mean(values: Values, questions: Sequence[Question]) -> Metric:
    """The same for a value that is no share of anything, such as a rating or a length."""
    return replace(share(values, questions), share=False)


def by_category(
    values: Values,
    questions: Sequence[Question],
    field: str = "category",
    of: Callable[[Values, Sequence[Question]], Metric] = share,
) -> Metrics:
    """The mean of each category (`share` or `mean`), under `metric_name` of it, in the order of the questions."""
    rows: dict[str, list[int]] = {}
    for row, label in enumerate(labels(questions, field)):
        rows.setdefault(label, []).append(row)
    return {
        metric_name(label): of([values[i] for i in those], [questions[i] for i in those])
        for label, those in rows.items()
    }


def mean_of_categories(values: Values, questions: Sequence[Question], field: str = "category") -> Metric:
    """The plain mean of the categories' means; categories without a question are left out.

    As a ratio of sums, each question weighs one over the size of its category. For its interval pictures are drawn
    with these weights, which stay as they are.
    """
    named = labels(questions, field)
    means = [one.value for one in by_category(values, questions, field).values()]
    weights = [1 / named.count(label) for label in named]
    top = [weight * value for weight, value in zip(weights, values, strict=True)]
    printed = None if None in means else sum(means) / len(means)
    return Metric(top, weights, [question.picture for question in questions], printed)

"""What every benchmark must do, whatever it asks: called by the test of each (`test_bench_NAME.py`)."""

import math
import random

import pytest

from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.benchmark import Benchmark, score
from mmhallu_core.types import Answer, CannotRun


def right_answer(question: Question) -> str:
    """An answer that every rule reads as right."""
    return question.truth.capitalize() if question.truth in ("yes", "no") else question.truth


def answered(questions, say) -> list[Answer]:
    """Answers to questions by a function of the question."""
    return [Answer(question.id, say(question)) for question in questions]


def check(benchmark: Benchmark, questions: list[Question], right=right_answer) -> None:
    """The contract, on questions of the benchmark (read from a file of its published form).

    Args:
        benchmark: under test.
        questions: of it.
        right: makes the answer that every rule reads as right, where the plain one does not do.
    """
    assert benchmark.form in ("yes_no", "letter", "free") and benchmark.title and benchmark.licence
    assert benchmark.home.startswith(("hub:", "https://"))
    assert len({question.id for question in questions}) == len(questions) > 1
    quick = {"draws": 50}

    perfect = score(benchmark, questions, answered(questions, right), **quick)
    assert {"n", "coverage", "official", "strict", "chance", "blind", "ci"} <= set(perfect)
    assert (perfect["n"], perfect["coverage"]) == (len(questions), 1.0)
    assert 0 <= perfect["chance"] <= 1 or benchmark.name == "mme"
    if benchmark.form != "free":
        best = perfect["strict"][benchmark.headline]
        assert perfect["strict"]["unparsed"] == 0 and best >= perfect["chance"]
        if benchmark.judge is None:
            assert perfect["official"][benchmark.headline] == pytest.approx(best)
        silent = score(benchmark, questions, answered(questions, lambda _: ""), **quick)
        assert silent["strict"]["unparsed"] == 1 and silent["strict"][benchmark.headline] == 0
        assert set(perfect["blind"]) and all(value <= best for value in perfect["blind"].values())

    dice = random.Random(0)
    odd = [
        "",
        "Yes",
        "No.",
        "A",
        "B",
        "(C)",
        "NO",
        "Not sure, but yes.",
        "The answer is D",
        "\n\n",
        "rating: 6 correct",
    ]
    mixed = answered(questions, lambda _: dice.choice(odd))
    found = score(benchmark, questions, mixed, **quick)
    for rule in ("official", "strict"):
        for name, value in (found[rule] or {}).items():
            assert value is None or math.isfinite(value), (rule, name)
            assert name in found["ci"][rule]
    dice.shuffle(mixed)
    assert score(benchmark, questions, mixed, **quick) == found  # joined by id, whatever the order

    if benchmark.judge is None:
        with pytest.raises(CannotRun, match="reads no verdicts"):
            score(benchmark, questions, mixed, mixed)
    with pytest.raises(CannotRun, match="more than once"):
        score(benchmark, questions, [*mixed, mixed[0]])
    with pytest.raises(CannotRun, match="without an answer"):
        score(benchmark, questions, mixed[1:])
    with pytest.raises(CannotRun, match="answers to no question"):
        score(benchmark, questions, [*mixed, Answer("nobody asked", "Yes")])
    part = score(benchmark, questions, mixed[1:], subset=True, **quick)
    assert part["n"] == len(questions) - 1 and 0 < part["coverage"] < 1
    with pytest.raises(CannotRun, match="no questions"):
        score(benchmark, [], [])

"""What every benchmark is to this library, and how its answers are scored.

A benchmark is one `Benchmark` object in one file of `evaluate/benchmarks/`: where it is published, how its files are
read into questions, and two scorers. `official` is the published rule, oddities included; `strict` is ours: an answer
that does not say one thing clearly is unparsed, counted, and wrong.

A scorer returns `Metric`s: what counts and what it is counted out of, unit by unit. Nearly every published score is
such a ratio of sums, and a ratio of sums has an interval (`statistics.ratio_interval`), clustered by picture.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmhallu_core.data.answers import thinking
from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.answers import Reading, strict
from mmhallu_core.evaluate.joining import join, with_verdicts
from mmhallu_core.evaluate.letters import strict_letter
from mmhallu_core.statistics import DRAWS, ratio, ratio_interval
from mmhallu_core.types import Answer, CannotRun

Numbers = Sequence[int | float | bool] | np.ndarray


@dataclass(frozen=True)
class Metric:
    """One score, unit by unit (a unit is a question, a pair of questions, a picture).

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

    def interval(self, draws: int, seed: int) -> list[float] | None:
        """The 95% interval by drawing groups; None where there is no score."""
        top, bottom = (np.asarray(side, dtype=float) for side in (self.top, self.bottom))
        missing = not len(top) or np.isnan(top).any()
        return None if missing else ratio_interval(top, bottom, list(self.groups), draws, seed)


Metrics = dict[str, Metric]
Scorer = Callable[[Sequence[Question], Sequence[str]], Metrics]
Results = tuple[list[Answer], list[Answer]]  # the answers of a model, and a judge's verdicts on them
Official = Scorer | Callable[[Sequence[Question], Sequence[str | None]], Metrics]


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: where it comes from, how it is read, how it is scored.

    Attributes:
        name: as on the command line.
        title: what it is, in one line.
        home: the public place of its files: an address, or "hub:" and a dataset's id.
        licence: of the files, as their authors state it.
        form: of the answers: "yes_no", "letter" or "free".
        headline: the metric that tables print.
        read: makes questions from the published file or folder; None means the data folder (`mmhallu data get`).
        official: the published rule. It gets the answers, or verdicts where `judge` names a judge; a verdict is None
            where `settled` leaves an answer to the judge, who was not asked.
        strict: our rule; its metrics include `unparsed`.
        chance: what guessing scores on some questions, by the headline metric.
        sha256: of the published files, by name, where they are fixed.
        judge: which judge of `clients.judge` the official rule needs.
        settled: what the official rule makes of an answer without its judge, as a verdict, or None where it asks the
            judge. Without this function the judge reads every answer.
        draw: makes a question's pictures as they are shown, where they are not shown as published.
        results: reads the authors' own result files, where these are more than answers with an id; None for a file of
            another form. It gets the path, the questions, and the column of the answer where somebody named one.
    """

    name: str
    title: str
    home: str
    licence: str
    form: str
    headline: str
    read: Callable[[Path | None], list[Question]]
    official: Official
    strict: Scorer
    chance: Callable[[Sequence[Question]], float]
    sha256: Mapping[str, str] | None = None
    judge: str | None = None
    settled: Callable[[Question, str], str | None] | None = None
    draw: Callable[[Question], Question] | None = None
    results: Callable[[Path, Sequence[Question], str | None], Results | None] | None = None


def read_answer(question: Question, text: str) -> Reading:
    """The strict reading of an answer: a letter where the question has options, else yes or no."""
    return strict_letter(text, question.choices) if question.options else strict(text)


def rate(hits: Sequence[bool], questions: Sequence[Question]) -> Metric:
    """The share of questions of which something holds, clustered by picture."""
    return Metric(hits, [1] * len(hits), [question.picture for question in questions])


def strict_accuracy(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """Accuracy by the strict reading, and the share of answers that it cannot read."""
    said = [read_answer(question, text) for question, text in zip(questions, texts, strict=True)]
    right = [one == question.truth for one, question in zip(said, questions, strict=True)]
    return {"accuracy": rate(right, questions), "unparsed": rate([one is None for one in said], questions)}


def guessing(questions: Sequence[Question]) -> float:
    """The expected share of right answers when each is guessed among its options (two for yes/no)."""
    return sum(1 / (len(question.options) or 2) for question in questions) / len(questions)


def score(
    benchmark: Benchmark,
    questions: Sequence[Question],
    answers: Sequence[Answer],
    verdicts: Sequence[Answer] | None = None,
    subset: bool = False,
    by_position: bool = False,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Any]:
    """Scores answers by the official and by the strict rule.

    Args:
        benchmark: whose rules.
        questions: see `Benchmark.read`.
        answers: joined by id, see `join`.
        verdicts: a judge's, joined by id, where the official rule needs a judge. Without them `official` is None, or
            None are those of its scores that wait for the judge (see `Benchmark.settled`). With `subset`, answers that
            wait for a verdict are left out, by both rules.
        subset, by_position: see `join`.
        draws, seed: of the bootstrap.

    Returns:
        `benchmark, n, coverage, empty_answers, official, strict, chance, blind, ci, shares`. Scores are fractions or
        counts under the benchmark's own metric names; `ci` has the same names, and `shares` lists the fractions.
        `coverage` is the share of the benchmark's questions that was scored, `empty_answers` how many answers have
        no text. `chance` is what guessing scores by the headline metric, and `blind` what answers score by it that are
        the same for every question. Where a model thought aloud, `thinking`: see
        `data.answers.thinking`.

    Raises:
        CannotRun: see `join`; or when there are verdicts that the official rule does not read.
    """
    if verdicts is not None and benchmark.judge is None:
        raise CannotRun(f"the official rule of {benchmark.name} reads no verdicts of a judge: leave them out")
    kept, texts = join(questions, answers, subset, by_position)
    heard = own_readings(benchmark, kept, texts)
    if verdicts is not None:
        kept, texts, heard = with_verdicts(questions, (kept, texts, heard), verdicts, subset, by_position)
    wait = benchmark.settled is None and None in heard  # then there is nothing that the rule could count
    found = {} if wait else {"official": benchmark.official(kept, heard)}
    found["strict"] = benchmark.strict(kept, texts)
    return {
        "benchmark": benchmark.name,
        "n": len(kept),
        "coverage": len(kept) / len(questions),
        "empty_answers": sum(not text.strip() for text in texts),
        **{rule: _values(found.get(rule)) for rule in ("official", "strict")},
        "headline": benchmark.headline,
        "chance": benchmark.chance(kept),
        "blind": blind(benchmark, kept),
        "ci": {rule: {name: one.interval(draws, seed) for name, one in found[rule].items()} for rule in found},
        "shares": {rule: [name for name, one in found[rule].items() if one.share] for rule in found},
        **thinking(answers),
    }


def own_readings(benchmark: Benchmark, questions: Sequence[Question], texts: Sequence[str]) -> list[str | None]:
    """What the official rule makes of each answer by itself, as its scorer takes it; None where it asks its judge."""
    if benchmark.judge is None:
        return list(texts)
    if benchmark.settled is None:
        return [None] * len(texts)
    return [benchmark.settled(question, text) for question, text in zip(questions, texts, strict=True)]


def _values(metrics: Metrics | None) -> dict[str, float | None] | None:
    return None if metrics is None else {name: metric.value for name, metric in metrics.items()}


def blind(benchmark: Benchmark, questions: Sequence[Question]) -> dict[str, float | None]:
    """What always giving the same answer scores by the headline metric, strictly read: `always_yes`, `always_a`, ..."""
    if benchmark.form == "yes_no":
        said = {"always_yes": "Yes", "always_no": "No"}
    elif benchmark.form == "letter":
        letters = sorted({letter for question in questions for letter in question.choices})
        said = {f"always_{letter.lower()}": letter for letter in letters}
    else:
        return {}
    scores = {name: benchmark.strict(questions, [text] * len(questions)) for name, text in said.items()}
    return {name: metrics[benchmark.headline].value for name, metrics in scores.items()}

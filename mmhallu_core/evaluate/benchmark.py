"""What every benchmark is to this library, and how its answers are scored.

A benchmark is one `Benchmark` object in one file of `evaluate/benchmarks/`: where it is published, how its files are
read into questions, and two scorers. `official` is the published rule, oddities included; `strict` is ours: an answer
that does not say one thing clearly is unparsed, counted, and wrong.

Most benchmarks differ in how their answers are read, and add them up alike. `by_rule` makes the official scorer of a
reading rule (`answers.YES_NO`, `letters.LETTER`), and `strictly` the strict one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmhallu_core.data.answers import thinking
from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.answers import Reading, Rule, strict
from mmhallu_core.evaluate.joining import join, with_verdicts
from mmhallu_core.evaluate.letters import strict_letter
from mmhallu_core.evaluate.metrics import Metrics, intervals, share, values
from mmhallu_core.statistics import DRAWS
from mmhallu_core.types import Answer, CannotRun

Scorer = Callable[[Sequence[Question], Sequence[str]], Metrics]
Results = tuple[list[Answer], list[Answer]]  # the answers of a model, and a judge's verdicts on them
Official = Scorer | Callable[[Sequence[Question], Sequence[str | None]], Metrics]


def guessing(questions: Sequence[Question]) -> float:
    """The expected share of right answers when each is guessed among its options (two for yes/no)."""
    return sum(1 / (len(question.options) or 2) for question in questions) / len(questions)


def given(path: Path | None, name: str, what: str) -> Path:
    """The path of a benchmark whose files people get themselves.

    Args:
        path: as the reader got it.
        name: of the benchmark.
        what: to get, and from where.

    Raises:
        CannotRun: when it is None; the message says what to get.
    """
    if path is None:
        raise CannotRun(f"{name} does not come with `mmhallu data get`; get {what}")
    return Path(path)


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
    chance: Callable[[Sequence[Question]], float] = guessing
    sha256: Mapping[str, str] | None = None
    judge: str | None = None
    settled: Callable[[Question, str], str | None] | None = None
    draw: Callable[[Question], Question] | None = None
    results: Callable[[Path, Sequence[Question], str | None], Results | None] | None = None


def read_answer(question: Question, text: str) -> Reading:
    """The strict reading of an answer: a letter where the question has options, else yes or no."""
    return strict_letter(text, question.choices) if question.options else strict(text)


def right_by(rule: Rule | Callable[..., Reading], questions: Sequence[Question], texts: Sequence[str]) -> list[bool]:
    """Whether each answer is right as a rule for letters or for yes and no reads it."""
    options = [(one.choices,) if one.options else () for one in questions]
    return [rule(t, *o) == q.truth for q, o, t in zip(questions, options, texts, strict=True)]


Scores = Callable[[Sequence[Question], Sequence[bool]], Metrics]  # from whether each question is answered right


def by_rule(scores: Scores, rule: Rule) -> Scorer:
    """An official scorer: answers are read by a rule."""
    return lambda questions, texts: scores(questions, right_by(rule, questions, texts))


def strictly(scores: Scores, others: Scorer | None = None) -> Scorer:
    """A strict scorer: the same scores by the strict reading, and `unparsed`, the share of answers that it cannot read.

    Args:
        scores: see `by_rule`.
        others: adds scores by other rules, under names of their own.
    """

    def scorer(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
        said = [read_answer(question, text) for question, text in zip(questions, texts, strict=True)]
        right = [one == question.truth for one, question in zip(said, questions, strict=True)]
        unparsed = share([one is None for one in said], questions)
        more = others(questions, texts) if others else {}
        return {**scores(questions, right), "unparsed": unparsed, **more}

    return scorer


def accuracy(questions: Sequence[Question], right: Sequence[bool]) -> Metrics:
    """The share of right answers, for `by_rule` and `strictly`."""
    return {"accuracy": share(right, questions)}


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
        `coverage` is the share of the questions that was scored, `empty_answers` how many answers have no text.
        `chance` is what guessing scores by the headline metric, `blind` what the same answer to every question does.
        Where a model thought aloud, `thinking`: see `data.answers.thinking`.

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
        **{rule: values(found[rule]) if rule in found else None for rule in ("official", "strict")},
        "headline": benchmark.headline,
        "chance": benchmark.chance(kept),
        "blind": blind(benchmark, kept),
        "ci": {rule: intervals(found[rule], draws, seed) for rule in found},
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


def blind(benchmark: Benchmark, questions: Sequence[Question]) -> dict[str, float | None]:
    """What always giving the same answer scores by the headline metric, strictly read: `always_yes`, `always_a`, ...;
    None where no question is one that the metric counts."""
    if benchmark.form == "yes_no":
        said = {"always_yes": "Yes", "always_no": "No"}
    elif benchmark.form == "letter":
        letters = sorted({letter for question in questions for letter in question.choices})
        said = {f"always_{letter.lower()}": letter for letter in letters}
    else:
        return {}
    scores = {name: benchmark.strict(questions, [text] * len(questions)) for name, text in said.items()}
    headline = benchmark.headline
    return {name: found[headline].value if headline in found else None for name, found in scores.items()}

"""MMVP: two pictures that CLIP finds alike, one question, two different right answers.

Source: Tong et al., "Eyes Wide Shut? Exploring the Visual Shortcomings of Multimodal LLMs", arXiv 2401.06209. 300
questions, each with two options, stand in pairs; a pair counts when both its questions are right. So guessing scores a
quarter, not a half. Papers that quote single-question accuracy beside pair accuracy compare two different numbers.

The official grader was a language model that compares the answer with the right one. Here `official` is the rule that
lmms-eval uses in its place, under which the article "a" counts as the letter A; `strict` is ours.
"""

from collections.abc import Sequence
from pathlib import Path

from mmhallu_core.data.question import Question
from mmhallu_core.data.rows import id_in, rows, text_in
from mmhallu_core.evaluate.answers import LETTER, strict_letter
from mmhallu_core.evaluate.benchmark import Benchmark, Metric, Metrics, rate
from mmhallu_core.types import CannotRun, require

HOME = "hub:MMVP/MMVP"
# Rows (from 1) whose published answer is wrong (lmms-eval issue 1018); its copy of the data set has them the other way.
WRONG_LABELS = (99, 100, 279, 280)


def read(path: Path | None) -> list[Question]:
    """Reads `Questions.csv`; the pictures stand beside it in `MMVP Images/NUMBER.jpg`.

    Raises:
        CannotRun: when no path is given.
        RecordError: when a row is not as published.
    """
    if path is None:
        raise CannotRun(f"MMVP does not come with `mmhallu data get`; get Questions.csv from {HOME}, and name it")
    questions = []
    for here, row in rows(path):
        number = id_in(row, here, "Index", "lndex")  # the published header has a misprint
        text, options = text_in(row, here, "Question"), text_in(row, here, "Options")
        whole = number.isascii() and number.isdigit() and len(number) < 10
        require(whole, f"{here}: the number of the question must be a whole number, got {number[:40]!r}")
        # "(a) Open (b) Closed"
        first, mark, second = options.partition("(b)")
        require(bool(mark) and first.strip().startswith("(a)"), f"{here}: options must read (a) ... (b) ...")
        texts = (first.strip().removeprefix("(a)").strip(), second.strip())
        truth = text_in(row, here, "Correct Answer").strip().strip("()").upper()
        prompt = (
            f"{text}\nA. {texts[0]}\nB. {texts[1]}\nAnswer with the option's letter from the given choices directly."
        )
        picture = str(Path(path).parent / "MMVP Images" / f"{number}.jpg")
        pair = (int(number) - 1) // 2
        questions.append(Question(number, prompt, truth, (picture,), texts, {"pair": pair, "picture": f"pair {pair}"}))
    return questions


def _scores(questions: Sequence[Question], right: Sequence[bool]) -> Metrics:
    pairs: dict[int, list[bool]] = {}
    for question, hit in zip(questions, right, strict=True):
        pairs.setdefault(question.about["pair"], []).append(hit)
    whole = {pair: hits for pair, hits in pairs.items() if len(hits) == 2}  # a subset may break pairs
    both = Metric([all(hits) for hits in whole.values()], [1] * len(whole), list(whole))
    return {"pair_accuracy": both, "accuracy": rate(right, questions)}


def official(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """Pair accuracy and single accuracy by lmms-eval's reading."""
    read_letter = LETTER["lmms-eval MMVP"]
    return _scores(questions, [read_letter(t, q.choices) == q.truth for q, t in zip(questions, texts, strict=True)])


def strict(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """The same by the strict reading, and the share of answers that it cannot read."""
    said = [strict_letter(text, question.choices) for question, text in zip(questions, texts, strict=True)]
    scores = _scores(questions, [one == question.truth for one, question in zip(said, questions, strict=True)])
    return {**scores, "unparsed": rate([one is None for one in said], questions)}


BENCHMARKS = (
    Benchmark(
        name="mmvp",
        title="MMVP: 150 pairs of pictures that CLIP takes for alike",
        home=HOME,
        licence="MIT",
        form="letter",
        headline="pair_accuracy",
        read=read,
        official=official,
        strict=strict,
        chance=lambda questions: 0.25,
    ),
)

"""MMVP: two pictures that CLIP finds alike, one question, two different right answers.

Source: Tong et al., "Eyes Wide Shut? Exploring the Visual Shortcomings of Multimodal LLMs", arXiv 2401.06209. 300
questions, each with two options, stand in pairs; a pair counts when both its questions are right. So guessing scores a
quarter, not a half. Papers that quote single-question accuracy beside pair accuracy compare two different numbers.

The published grader is a judge: a language model that sees question, right answer and given answer, and says yes or no.
So `official` is None without verdicts, and counts a verdict that is exactly yes, in any case. `strict` is ours. With it
stand two harnesses that ask no judge, by name: lmms-eval, to which the article "a" is the letter A, and S-VCO, which
reads the first four characters.

Two pairs have their right answers the wrong way round (lmms-eval's issue 1018). `..._without_wrong_labels` leaves them
out; the other scores keep them, as published. lmms-eval's copy of the data set has them corrected, and so have its
scores here.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmhallu_core.data.question import Question
from mmhallu_core.data.rows import id_in, rows, text_in
from mmhallu_core.evaluate.benchmark import Benchmark, given, right_by, strictly
from mmhallu_core.evaluate.letters import LETTER
from mmhallu_core.evaluate.metrics import Metrics, all_right, share
from mmhallu_core.types import require

HOME = "hub:MMVP/MMVP"
WRONG_LABELS = (99, 100, 279, 280)  # numbers of the questions whose published answer is that of the other picture


def read(path: Path | None) -> list[Question]:
    """Reads `Questions.csv`; the pictures stand beside it in `MMVP Images/NUMBER.jpg`.

    Raises:
        CannotRun: when no path is given.
        RecordError: when a row is not as published.
    """
    path = given(path, "MMVP", f"Questions.csv from {HOME}, and name it")
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
        require(truth in ("A", "B"), f"{here}: `Correct Answer` must be (a) or (b), got {truth[:40]!r}")
        prompt = (
            f"{text}\nA. {texts[0]}\nB. {texts[1]}\nAnswer with the option's letter from the given choices directly."
        )
        picture = str(path.parent / "MMVP Images" / f"{number}.jpg")
        pair = (int(number) - 1) // 2
        about = {"pair": pair, "picture": f"pair {pair}", "wrong_label": int(number) in WRONG_LABELS}
        questions.append(Question(number, prompt, truth, (picture,), texts, about))
    return questions


def _scores(questions: Sequence[Question], right: Sequence[bool], prefix: str = "") -> Metrics:
    pairs = all_right(questions, right, "pair", size=2)
    return {f"{prefix}pair_accuracy": pairs, f"{prefix}accuracy": share(right, questions)}


def _both_ways(questions: Sequence[Question], right: Sequence[bool]) -> Metrics:
    """The scores with and without the pairs whose labels are wrong."""
    good = [not question.about.get("wrong_label", False) for question in questions]
    kept = [(question, hit) for question, hit, keep in zip(questions, right, good, strict=True) if keep]
    without = _scores([question for question, _ in kept], [hit for _, hit in kept])
    return {**_scores(questions, right), **{f"{name}_without_wrong_labels": one for name, one in without.items()}}


def official(questions: Sequence[Question], verdicts: Sequence[str]) -> Metrics:
    """Pair accuracy and single accuracy by a judge's verdicts, of which "yes" alone counts."""
    return _both_ways(questions, [verdict.lower() == "yes" for verdict in verdicts])


def _corrected(question: Question) -> str:
    return {"A": "B", "B": "A"}[question.truth] if question.about.get("wrong_label") else question.truth


def _others(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """Two harnesses by name; lmms-eval's labels are corrected."""
    corrected = [replace(question, truth=_corrected(question)) for question in questions]
    return {
        **_scores(questions, right_by(LETTER["lmms-eval MMVP"], corrected, texts), "lmms_eval_"),
        **_scores(questions, right_by(LETTER["S-VCO MMVP"], questions, texts), "svco_"),
    }


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
        strict=strictly(_both_ways, _others),
        chance=lambda questions: 0.25,
        judge="mmvp",
    ),
)

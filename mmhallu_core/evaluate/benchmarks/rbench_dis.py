"""R-Bench-Dis and R-Bench-Ref: lettered questions about pictures that a camera or a network spoilt, and clean ones.

Source: Li et al., "R-Bench: Are your Large Multimodal Model Robust to Real-world Corruptions?", arXiv 2410.05474, in
the form in which VLMEvalKit scores it (one file of distorted pictures, one of reference pictures). IC-VCO's tables hold
the mean of these two accuracies as "R-Bench". The other R-Bench, about relations, is in `rbench.py`.

`official` is VLMEvalKit's rule without a judge: one option letter among the last words, or one option's text; anything
else is wrong. (With a judge it would end in a letter drawn at random.) IC-VCO used that of May 2026: `accuracy`.
Since June 2026 it also takes the letter after "answer is": `accuracy_june_2026`.
"""

from collections.abc import Sequence
from pathlib import Path

from mmhallu_core.data.question import LETTERS, Question
from mmhallu_core.data.rows import id_in, picture, rows, text_in
from mmhallu_core.evaluate.benchmark import Benchmark, Metric, Metrics, guessing, rate, strict_accuracy
from mmhallu_core.evaluate.letters import LETTER
from mmhallu_core.types import CannotRun, require

HOME = "hub:lcysyzxdxc/R-Bench"


def read(path: Path | None) -> list[Question]:
    """Reads `R-bench-dis.tsv` or `R-bench-ref.tsv`: `index, question, A, B, ..., answer, image` (base64), maybe `hint`.

    Raises:
        CannotRun: when no path is given.
        RecordError: when a row is not of this form.
    """
    if path is None:
        raise CannotRun(f"R-Bench does not come with `mmhallu data get`; get its two .tsv files from {HOME}")
    questions = []
    for here, row in rows(path):
        named = [letter for letter in LETTERS if row.get(letter) not in (None, "")]
        options = tuple(text for letter in named if (text := text_in(row, here, letter).strip()))
        truth = text_in(row, here, "answer").strip().upper()
        require(len(options) > 1 and truth in LETTERS[: len(options)], f"{here}: `answer` {truth!r} is no option")
        shown = picture(row.get("image"), here, Path(path).parent)
        lines = [f"Question: {text_in(row, here, 'question')}", "Options:"]
        lines += [f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=False)]
        lines = [f"Hint: {row['hint']}", *lines] if row.get("hint") else lines
        prompt = "\n".join([*lines, "Please select the correct answer from the options above."])
        images = () if shown is None else (shown,)
        questions.append(Question(id_in(row, here, "index"), prompt, truth, images, options))
    return questions


def official(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """Accuracy by VLMEvalKit's reading, the older and the newer."""

    def accuracy(rule: str) -> Metric:
        pairs = zip(questions, texts, strict=True)
        return rate([LETTER[rule](text, one.choices) == one.truth for one, text in pairs], questions)

    return {"accuracy": accuracy("VLMEvalKit"), "accuracy_june_2026": accuracy("VLMEvalKit June 2026")}


def _benchmark(name: str, title: str) -> Benchmark:
    return Benchmark(
        name=name,
        title=title,
        home=HOME,
        licence="none stated",
        form="letter",
        headline="accuracy",
        read=read,
        official=official,
        strict=strict_accuracy,
        chance=guessing,
    )


BENCHMARKS = (
    _benchmark("rbench-dis", "R-Bench-Dis: lettered questions about distorted pictures"),
    _benchmark("rbench-ref", "R-Bench-Ref: lettered questions about the same pictures undistorted"),
)

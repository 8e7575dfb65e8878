"""BLINK: 14 old tasks of computer vision as questions with up to four pictures.

Source: Fu et al., "BLINK: Multimodal Large Language Models Can See but Not Perceive", arXiv 2404.12390, and its
repository at commit 2d6a779. The 1,901 questions of the validation set have published answers, the test set's are
hidden. Questions have two to five options, so guessing scores more than a quarter.

The published script reads most answers by itself: a bare letter, or exactly one letter in brackets. The others it gives
to a judge, a language model that chooses "(A)" and so on, or "(Z)" for none. It prints the mean over the 14 subtasks.
`official` does the same. Without verdicts, what a judge would have to say is not made up: a score that depends on it is
None, `undecided` is the share of such answers, and `accuracy_of_decided` is that of the others.

lmms-eval asks no judge and prints the mean over questions. Version 0.7.2 took the first letter after opening brackets,
whatever word it belongs to, so "The answer is B" is a T. Version 0.7.3 looks for a stated letter. Both are in `strict`
under their names.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmhallu_core.data.question import Question
from mmhallu_core.data.rows import id_in, picture, rows, text_in, texts_in
from mmhallu_core.evaluate.benchmark import Benchmark, given, right_by, strictly
from mmhallu_core.evaluate.letters import LETTER
from mmhallu_core.evaluate.metrics import Metric, Metrics, Values, by_category, mean_of_categories, share
from mmhallu_core.types import CannotRun, require

HOME = "hub:BLINK-Benchmark/BLINK"
PICTURES = ("image_1", "image_2", "image_3", "image_4")


def read(path: Path | None) -> list[Question]:
    """Reads one file of the validation set, or a folder with the 14 subtasks' files in it.

    Raises:
        CannotRun: when no path is given, or a folder has no such file.
        RecordError: when a row is not as published, or is of the test set.
    """
    path = given(path, "BLINK", f"the val files from {HOME}, and name them")
    files = sorted(path.glob("**/val*.parquet")) if path.is_dir() else [path]
    if not files:
        raise CannotRun(f"{path}: no val*.parquet in it or in its subfolders; get them from {HOME}")
    return [_question(row, here, file.parent) for file in files for here, row in rows(file)]


def _question(row: dict[str, Any], here: str, folder: Path) -> Question:
    answer, choices = text_in(row, here, "answer").strip(), texts_in(row, here, "choices")
    require(answer != "hidden", f"{here}: the answers of the test set are not published; read the validation set")
    require(len(choices) > 1, f"{here}: `choices` must be a list of two texts or more")
    pictures = [picture(row.get(name), here, folder) for name in PICTURES]
    return Question(
        id=id_in(row, here, "idx"),
        prompt=text_in(row, here, "prompt"),
        truth=answer.strip("()").upper(),
        images=tuple(one for one in pictures if one is not None),
        options=tuple(choices),
        about={"category": text_in(row, here, "sub_task")},
    )


def _scores(questions: Sequence[Question], values: Values) -> Metrics:
    return {
        "mean_of_subtasks": mean_of_categories(values, questions),
        "accuracy": share(values, questions),
        **by_category(values, questions),
    }


def settled(question: Question, text: str) -> str | None:
    """The script's own reading of an answer, such as "(A)"; None where it asks its judge."""
    letter = LETTER["BLINK"](text, question.choices)
    return None if letter is None else f"({letter})"


def official(questions: Sequence[Question], said: Sequence[str | None]) -> Metrics:
    """The published rule: the mean over subtasks and over questions, and each subtask.

    Args:
        questions: of the validation set.
        said: the script's reading or the judge's words, of which exactly "(A)" counts; None where nobody read.
    """
    known = [one is not None for one in said]
    right = [one == f"({question.truth})" for one, question in zip(said, questions, strict=True)]
    values = [float(hit) if read else float("nan") for hit, read in zip(right, known, strict=True)]
    groups = [question.picture for question in questions]
    return {
        **_scores(questions, values),
        "undecided": share([not read for read in known], questions),
        "accuracy_of_decided": Metric(right, known, groups),
    }


def _others(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """What lmms-eval prints."""
    rules = {"072": LETTER["lmms-eval BLINK"], "073": LETTER["lmms-eval BLINK 0.7.3"]}
    return {
        f"lmms_eval_{name}_accuracy": share(right_by(rule, questions, texts), questions) for name, rule in rules.items()
    }


def chance(questions: Sequence[Question]) -> float:
    """What guessing among each question's options scores by the mean over subtasks."""
    value = mean_of_categories([1 / len(question.options) for question in questions], questions).value
    return float(value) if value is not None else 0.0


BENCHMARKS = (
    Benchmark(
        name="blink",
        title="BLINK: 14 tasks of seeing, with up to four pictures",
        home=HOME,
        licence="Apache-2.0",
        form="letter",
        headline="mean_of_subtasks",
        read=read,
        official=official,
        strict=strictly(_scores, _others),
        chance=chance,
        judge="blink",
        settled=settled,
    ),
)

"""HallusionBench: the same questions about a figure, about its edited twin, and about no figure at all.

Source: Guan et al., "HallusionBench", CVPR 2024, arXiv 2310.14566; rules read at commit 744007c. 1,129 yes/no
questions. Visual dependent ones (VD) need the figure; visual supplement ones (VS) can be answered from knowledge, and
are also asked with an edited figure that contradicts it. Figure 0 of a VS set means: no figure.

* `a_acc` (aAcc): questions answered right.
* `f_acc` (fAcc): figures all of whose questions are answered right; "no figure" is not a figure.
* `q_acc` (qAcc): questions answered right for every figure of the set, and for none.
* `easy_acc`, `hard_acc`: the same without the edited figures, and for the edited figures alone.

The official rule needs a judge who reads the answer beside a reference and says correct, incorrect or unclear; where
there is no figure, unclear is right. So `official` is None without recorded verdicts.

Harnesses score another set: the 951 questions that come with a figure (`..._951`), and one of them, VLMEvalKit, counts
whole words in place of a judge (`vlmevalkit_..._951`; `vlmevalkit_mean_951` is the number of its leaderboard). A score
on 951 questions and one on 1,129 are not the same measure, and neither are a judge's and a rule's.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmhallu_core.clients.judge import official_correctness
from mmhallu_core.data.answers import json_objects, read_answers
from mmhallu_core.data.question import Question
from mmhallu_core.data.rows import id_in, rows, text_in
from mmhallu_core.evaluate.answers import YES_NO
from mmhallu_core.evaluate.answers import strict as strict_reading
from mmhallu_core.evaluate.benchmark import Benchmark, Results, right_by, strictly
from mmhallu_core.evaluate.metrics import NOTHING, Metric, Metrics, all_right, share
from mmhallu_core.store import data_file
from mmhallu_core.types import Answer, require

PARTS = ("category", "subcategory", "set_id", "figure_id", "question_id")
CHECK = "gpt4v_output_gpt_check"
TRUTHS = {"0": "no", "1": "yes"}
VERDICTS = {"0": "incorrect", "1": "correct", "2": "unclear"}  # As the official script writes them to its files.


def _id(row: dict[str, Any], here: str) -> str:
    return "/".join(id_in(row, here, part) for part in PARTS)


def read(path: Path | None) -> list[Question]:
    """Reads `HallusionBench.json`; the pictures stand beside it, under the names in the file.

    Raises:
        MissingFile: without a path, when the data folder does not have it.
        RecordError: when a row is not as published.
    """
    path = Path(path) if path else data_file("hallusionbench/HallusionBench.json")
    questions = []
    for here, row in rows(path):
        name = _id(row, here)
        truth, shown = id_in(row, here, "gt_answer"), id_in(row, here, "visual_input")
        require(truth in TRUTHS, f"{here}: `gt_answer` must be 0 or 1, got {truth!r}")
        require(shown in ("0", "1", "2"), f"{here}: `visual_input` must be 0, 1 or 2, got {shown!r}")
        images = () if shown == "0" else (str(path.parent / text_in(row, here, "filename").removeprefix("./")),)
        parts = name.split("/")
        about = {
            "category": parts[0],
            "no_figure": parts[0] == "VS" and parts[3] == "0",
            "edited": shown == "2",
            "figure": "/".join(parts[:4]),
            "asked": "/".join([*parts[:3], parts[4]]),  # the same question, whatever the figure
            "reference": text_in(row, here, "gt_answer_details"),
            "picture": "/".join(parts[:3]),  # questions of a set are alike, so intervals draw whole sets
        }
        questions.append(Question(name, text_in(row, here, "question").strip(), TRUTHS[truth], images, about=about))
    return questions


def read_results(path: Path, questions: Sequence[Question] = (), key: str | None = None) -> Results | None:
    """Reads a result file of the official form: the questions' rows, to which the answers were added.

    Args:
        path: the file.
        key: the column of the answer, where it is not `model_prediction`.

    Returns:
        The answers, and the judge's verdicts (`gpt4v_output_gpt_check`: 0, 1 or 2), as many as the file has; the
        published sample has none. None for a file whose first row has not the five parts of an id.

    Raises:
        RecordError: when a row has no answer, or no id, or an id comes twice.
    """
    found = list(json_objects(path))
    if not found or not set(PARTS) <= set(found[0][1]):
        return None
    verdicts = [
        Answer(_id(row, f"{path}, line {line}"), id_in(row, f"{path}, line {line}", CHECK))
        for line, row in found
        if row.get(CHECK) is not None
    ]
    return read_answers(path, key, name=_id), verdicts


def verdict(text: str) -> str:
    """What a judge wrote, or a recorded digit, as "correct", "incorrect" or "unclear" by the official program."""
    return VERDICTS.get(text.strip()) or official_correctness(text)


def _scores(questions: Sequence[Question], right: Sequence[bool]) -> Metrics:
    def over(name: str, keep: Callable[[Question], bool]) -> Metric:
        kept = [number for number, question in enumerate(questions) if keep(question)]
        return all_right([questions[n] for n in kept], [right[n] for n in kept], name)

    return {
        "a_acc": share(right, questions),
        "f_acc": over("figure", lambda one: not one.about["no_figure"]),
        "q_acc": all_right(questions, right, "asked"),
        "easy_acc": over("asked", lambda one: not one.about["edited"]),
        "hard_acc": over("asked", lambda one: one.about["edited"]),
    }


def _with_figure(questions: Sequence[Question], right: Sequence[bool], prefix: str = "") -> Metrics:
    """aAcc, fAcc and qAcc of the questions that come with a figure: 951 of the published ones."""
    kept = [(question, hit) for question, hit in zip(questions, right, strict=True) if question.images]
    scores = _scores([question for question, _ in kept], [hit for _, hit in kept])
    return {f"{prefix}{name}_951": scores[name] for name in ("a_acc", "f_acc", "q_acc")}


def official(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """The published rule. `texts` are a judge's verdicts; `unclear` is the share of those that say so."""
    said = [verdict(text) for text in texts]
    right = [
        one == "correct" or (one == "unclear" and question.about["no_figure"])
        for one, question in zip(said, questions, strict=True)
    ]
    correct = [one == "correct" for one in said]
    unclear = share([one == "unclear" for one in said], questions)
    return {**_scores(questions, right), **_with_figure(questions, correct), "unclear": unclear}


def _others(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """The questions that come with a figure, and VLMEvalKit's rule by name."""
    words = _with_figure(questions, right_by(YES_NO["VLMEvalKit"], questions, texts), "vlmevalkit_")
    found = [one.value for one in words.values()]
    mean = NOTHING if None in found else replace(NOTHING, printed=sum(found) / 3)
    figures = _with_figure(questions, right_by(strict_reading, questions, texts))
    return {**figures, **words, "vlmevalkit_mean_951": mean}


BENCHMARKS = (
    Benchmark(
        name="hallusionbench",
        title="HallusionBench: 1,129 yes/no questions about figures, their edited twins, and no figure",
        home="https://github.com/tianyi-lab/HallusionBench",
        licence="BSD-3-Clause",
        form="yes_no",
        headline="a_acc",
        read=read,
        official=official,
        strict=strictly(_scores, _others),  # an unparsed answer is wrong, figure or not
        sha256={"HallusionBench.json": "ca6e0fb677dd56e5fb0e2700d06c58d01f8a6ae66e0f1773b2ac48c0a095d051"},
        judge="hallusionbench",
        results=read_results,
    ),
)

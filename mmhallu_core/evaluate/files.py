"""Anybody's files: which answers a file holds for a benchmark, and which questions.

Authors save results in their own way. HallusionBench adds the answer to its questions, whose ids are spread over five
columns; MME writes a text file a subject. A benchmark that does so brings a reader (`Benchmark.results`). All other
files are read by `data.answers`.
"""

import filecmp
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmhallu_core.data.answers import candidates, json_objects, read_answers
from mmhallu_core.data.pope import read_questions
from mmhallu_core.data.question import Question, read_multiple_choice
from mmhallu_core.evaluate.benchmark import Benchmark, Results
from mmhallu_core.evaluate.pope import as_question
from mmhallu_core.types import Answer, CannotRun, RecordError, require

ADDED = {"model_prediction", "model_answer"}  # columns that are in no file of questions


def answers_of(
    benchmark: Benchmark, questions: Sequence[Question], path: Path, key: str | None = None, by_position: bool = False
) -> list[Answer]:
    """Reads answers to a benchmark's questions.

    Args:
        benchmark: which.
        questions: of it.
        path: the file; a folder where the authors' result files are several.
        key: the column of the answer.
        by_position: the answers have no ids and stand in the order of the questions.

    Raises:
        RecordError: see `data.answers.read_answers`.
    """
    own = None if by_position else _own(benchmark, questions, path, key)
    return read_answers(path, key, by_position) if own is None else own[0]


def verdicts_of(
    benchmark: Benchmark, questions: Sequence[Question], path: Path, by_position: bool = False
) -> list[Answer]:
    """Reads a judge's verdicts, also from the authors' result files.

    Raises:
        RecordError: see `data.answers.read_answers`.
        CannotRun: when a result file of the authors' form has no verdicts in it.
    """
    own = None if by_position else _own(benchmark, questions, path, None)
    if own is None:
        return read_answers(path, by_position=by_position)
    if not own[1]:
        raise CannotRun(f"{path}: a result file without a judge's verdicts")
    return own[1]


def _own(benchmark: Benchmark, questions: Sequence[Question], path: Path, key: str | None) -> Results | None:
    return None if benchmark.results is None else benchmark.results(path, questions, key)


def refuse_same_file(questions: Path | None, answers: Path, key: str | None) -> None:
    """Refuses a file of questions as the file of answers, unless it says clearly what was answered.

    Where a column `answer` is that of the right answers, every answer would be right.

    Raises:
        CannotRun: when both are the same file, or equal ones, and the column of the answer is not plain.
        RecordError: when the file is not JSON.
    """
    both = questions is not None and Path(questions).is_file() and Path(answers).is_file()
    if key is not None or not both or not filecmp.cmp(questions, answers, shallow=False):
        return
    _, first = next(json_objects(answers), (0, {}))
    if not set(candidates(first)) & ADDED:
        raise CannotRun(
            f"{answers} is the file of questions. If a model's answers were added to it, say in which column they are: "
            "--answer-key NAME"
        )


def read_any(path: str | Path) -> list[Question]:
    """Reads anybody's questions: `Question` records, multiple choice (`options`, `answer`), or POPE's form (`label`).

    Raises:
        CannotRun: when there is no such file.
        RecordError: when it is of none of these forms; names file and line where a row is wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise CannotRun(f"there is no file {path}")
    found = list(json_objects(path))
    require(len(found) > 0, f"{path}: no questions in it")
    keys = set(found[0][1])
    if {"id", "prompt", "truth"} <= keys:
        return _records(path, found)
    if "options" in keys:
        return read_multiple_choice(path)
    if "label" in keys:
        return [as_question(one) for one in read_questions(path)]
    raise RecordError(
        f"{path}: neither questions with `options` and `answer`, nor with `label` (yes or no), nor with `id`, `prompt` "
        f"and `truth`; there are {', '.join(sorted(keys))}. The file of a published benchmark is named with it: "
        "mmhallu audit NAME --questions FILE"
    )


def _records(path: Path, found: list[tuple[int, dict[str, Any]]]) -> list[Question]:
    questions, first_seen = [], {}
    for line, values in found:
        here = f"{path}, line {line}"
        try:
            questions.append(Question.from_dict(values))
        except RecordError as error:
            raise RecordError(f"{here}: {error}") from error
        name = questions[-1].id
        require(name not in first_seen, f"{here}: id {name!r} was already used in line {first_seen.get(name)}")
        first_seen[name] = line
    return questions

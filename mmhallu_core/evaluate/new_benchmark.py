"""The skeleton of a new benchmark: one file, one test, both running from the first minute."""

import re
from pathlib import Path

from mmhallu_core.types import CannotRun

BENCHMARK = '''"""{title}: what it asks, and of whom.

Source: the paper or the repository, with its commit. Say how it counts, and what a guess scores.
"""

from pathlib import Path

from mmhallu_core.data.question import Question
from mmhallu_core.data.rows import id_in, rows, text_in
from mmhallu_core.evaluate.answers import YES_NO
from mmhallu_core.evaluate.benchmark import Benchmark, accuracy, by_rule, given, strictly

HOME = "https://example.org/{name}"  # EDIT: where its files are published


def read(path: Path | None) -> list[Question]:
    """Reads the published file.

    Raises:
        CannotRun: when no path is given.
        RecordError: names the line where a column is missing.
    """
    path = given(path, "{title}", f"it from {{HOME}}, and name its file")
    questions = []
    for here, row in rows(path):  # EDIT: the names of its columns
        name, text = id_in(row, here, "id"), text_in(row, here, "question")
        truth = text_in(row, here, "answer").strip().lower()
        picture = str(path.parent / text_in(row, here, "image"))
        questions.append(Question(name, text, truth, (picture,)))
    return questions


BENCHMARKS = (
    Benchmark(
        name="{name}",
        title="{title}",  # EDIT: what it is, in one line
        home=HOME,
        licence="none stated",  # EDIT: of its files
        form="yes_no",  # EDIT: yes_no, letter or free
        headline="accuracy",
        read=read,
        official=by_rule(accuracy, YES_NO["VLMEvalKit"]),  # EDIT: a rule of answers.py or letters.py
        strict=strictly(accuracy),
    ),
)
'''

TEST = '''"""{title}: its contract, and its rule by hand."""

import json

from bench_contract import answered, check

from mmhallu_core.evaluate.benchmark import score
from mmhallu_core.evaluate.diorama import benchmark


def written(folder):
    """A file in the published form."""
    rows = [
        {{"id": n, "image": f"{{n}}.png", "question": "Is it day?", "answer": ("no", "yes")[n % 2]}} for n in range(8)
    ]
    path = folder / "questions.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def test_contract(tmp_path):
    one = benchmark("{name}")
    check(one, one.read(written(tmp_path)))


def test_the_rule_by_hand(tmp_path):
    one = benchmark("{name}")
    questions = one.read(written(tmp_path))
    found = score(one, questions, answered(questions, lambda question: "Yes." if question.id != "1" else "No."))
    assert found["official"]["accuracy"] == 3 / 8  # of four questions with the answer yes, one is missed
'''


def write_skeleton(name: str, root: Path) -> list[Path]:
    """Writes `evaluate/benchmarks/NAME.py` and `tests/test_bench_NAME.py` into a clone.

    Raises:
        CannotRun: when the name is not usable or taken, or the folder is not a clone of the repository.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise CannotRun(f"{name!r} cannot name a benchmark: use lower case letters and digits, with single hyphens")
    module = name.replace("-", "_")
    folders = root / "mmhallu_core" / "evaluate" / "benchmarks", root / "tests"
    if not all(folder.is_dir() for folder in folders):
        raise CannotRun(f"{root} is not a clone of this repository; call this in its root, or name it with --out")
    files = [folders[0] / f"{module}.py", folders[1] / f"test_bench_{module}.py"]
    taken = [path for path in files if path.exists()]
    if taken:
        raise CannotRun(f"{taken[0]} is there already; choose another name")
    title = name.replace("-", " ").capitalize()
    for path, text in zip(files, (BENCHMARK, TEST), strict=True):
        path.write_text(text.format(name=name, title=title), encoding="utf-8")
    return files

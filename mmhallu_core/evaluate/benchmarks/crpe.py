"""CRPE: each question four times, with its options moved round; only all four right count.

Source: Wang et al., "The All-Seeing Project V2", arXiv 2402.19474, and its repository at commit 5f13d18. The files
`crpe_exist.jsonl` and `crpe_relation.jsonl` ask what is there, and which subject, predicate or object a relation has.
A guess is right four times in a row with a chance of (1/4)^4, and so is a model that always says A.

The published script takes an answer of exactly one character, and takes every four answers *of the file of answers* as
one question. A file in another order mixes questions without a word. Here the four copies are found by what they ask
(picture, question, options), and answers are joined by id; by order only with `--by-position`.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmhallu_core.data.question import LETTERS, Question
from mmhallu_core.data.rows import beside, id_in, rows, text_in
from mmhallu_core.evaluate.benchmark import Benchmark, by_rule, given, strictly
from mmhallu_core.evaluate.letters import LETTER
from mmhallu_core.evaluate.metrics import Metric, Metrics, all_right, metric_name, share
from mmhallu_core.types import CannotRun, require

HOME = "hub:OpenGVLab/CRPE"
FILES = ("crpe_exist.jsonl", "crpe_relation.jsonl")
OPTION = re.compile(r"^([A-Z])\.\s*(.*?)\s*$", re.MULTILINE)


def read(path: Path | None) -> list[Question]:
    """Reads one of the two files, or a folder with both; then ids are `crpe_exist/0`, `crpe_relation/0`, ...

    Raises:
        CannotRun: when no path is given, or the folder has not both files.
        RecordError: when a row is not as published, or a question has not as many copies as options.
    """
    path = given(path, "CRPE", f"{' and '.join(FILES)} from {HOME}")
    if not path.is_dir():
        return _read_file(path, "")
    missing = [name for name in FILES if not (path / name).is_file()]
    if missing:
        raise CannotRun(f"{path} has no {', '.join(missing)}; get them from {HOME}")
    return [question for name in FILES for question in _read_file(path / name, f"{Path(name).stem}/")]


def _read_file(path: Path, prefix: str) -> list[Question]:
    found: list[tuple[str, dict[str, Any], tuple[str, ...]]] = []
    copies: dict[tuple, list[int]] = {}
    for number, (here, row) in enumerate(rows(path)):
        text = text_in(row, here, "text")
        lettered = OPTION.findall(text)
        options = tuple(words for _, words in lettered)
        in_order = "".join(letter for letter, _ in lettered) == LETTERS[: len(options)]
        require(in_order and len(options) > 1, f"{here}: `text` must hold its options as lines: A. ..., B. ...")
        asked = OPTION.sub("", text)
        same = (text_in(row, here, "image"), text_in(row, here, "category"), asked, tuple(sorted(options)))
        copies.setdefault(same, []).append(number)
        found.append((here, row, options))
    group = {}
    for (_, _, _, options), numbers in copies.items():
        size, here = len(options), found[numbers[0]][0]
        faulty = f"{here}: {len(numbers)} copies of this question; there must be {size}, as many as options"
        require(len(numbers) % size == 0, faulty)
        group |= {number: numbers[place - place % size] for place, number in enumerate(numbers)}
    return [_question(path, prefix, group[n], *one) for n, one in enumerate(found)]


def _question(
    path: Path, prefix: str, group: int, here: str, row: dict[str, Any], options: tuple[str, ...]
) -> Question:
    """One copy; `group` is the number of the first copy's row."""
    image, category = row["image"], row["category"]
    about = {"category": category, "group": f"{prefix}{group}", "picture": image, "copies": len(options)}
    return Question(
        id=f"{prefix}{id_in(row, here, 'question_id')}",
        prompt=row["text"],
        truth=text_in(row, here, "correct_option").strip(),
        images=(beside(path.parent, image),),
        options=options,
        about=about,
    )


def _scores(questions: Sequence[Question], right: Sequence[bool]) -> Metrics:
    """A question counts when all its copies are right; a subset may have lost copies, and then it is not scored."""
    there = Counter(question.about["group"] for question in questions)
    whole = [row for row, one in enumerate(questions) if there[one.about["group"]] == one.about["copies"]]
    names = {row: metric_name(questions[row].about["category"]) for row in whole}

    def over(keep: Callable[[str], bool]) -> Metric:
        kept = [row for row in whole if keep(names[row])]
        return all_right([questions[row] for row in kept], [right[row] for row in kept], "group")

    exist = over(lambda name: name.startswith("exist"))
    relation = over(lambda name: not name.startswith("exist"))
    named = {one: over(lambda name, one=one: name == one) for one in dict.fromkeys(names.values())}
    splits = {"all_existence": exist, "all_relation": relation}
    scores = {"accuracy": over(lambda name: True), **splits, **named, "single_accuracy": share(right, questions)}
    if exist.value is not None and relation.value is not None:
        # Each split weighs the same, as in IC-VCO's tables.
        weight = [1 / len(one.top) for one in (exist, relation) for _ in one.top]
        top = [w * hit for w, hit in zip(weight, [*exist.top, *relation.top], strict=True)]
        mean = (exist.value + relation.value) / 2
        scores["mean_of_splits"] = Metric(top, weight, [*exist.groups, *relation.groups], printed=mean)
    return scores


def chance(questions: Sequence[Question]) -> float:
    """The chance that guesses get all copies of a question right: (1/4)^4 for four options."""
    sizes = {question.about["group"]: question.about["copies"] for question in questions}
    return sum((1 / size) ** size for size in sizes.values()) / len(sizes)


BENCHMARKS = (
    Benchmark(
        name="crpe",
        title="CRPE: existence and relations, four circular copies a question",
        home=HOME,
        licence="Apache-2.0",
        form="letter",
        headline="accuracy",
        read=read,
        official=by_rule(_scores, LETTER["CRPE"]),
        strict=strictly(_scores),
        chance=chance,
    ),
)

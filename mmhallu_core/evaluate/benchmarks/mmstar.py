"""MMStar: 1,500 questions that need the picture, 250 in each of six abilities.

Source: Chen et al., "Are We on the Right Way for Evaluating Large Vision-Language Models?", arXiv 2403.20330, and its
repository at commit 79e6d1c. A question's text holds its options ("Options: A: ..., B: ...").

The published script counts an answer that begins with the right letter, whatever word it belongs to ("A dog" is an A).
Its final score is the mean over questions (`accuracy`). lmms-eval prints the mean over the 18 finer categories, which
differ in size, under the same heading. Until April 2026 it read answers as the published script does
(`mean_of_subcategories`), since then by a rule of its own (in `strict`, `lmms_eval_mean_of_subcategories`).
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmhallu_core.data.question import LETTERS, Question
from mmhallu_core.data.rows import id_in, picture, rows, text_in
from mmhallu_core.evaluate.benchmark import Benchmark, by_rule, given, right_by, strictly
from mmhallu_core.evaluate.letters import LETTER
from mmhallu_core.evaluate.metrics import Metrics, Values, by_category, mean_of_categories, share
from mmhallu_core.types import require

HOME = "hub:Lin-Chen/MMStar"
FORMAT = "Answer with the letter of the right option."


def options_in(text: str) -> tuple[str, ...]:
    """The options that a question's text holds: "... Options: A: red, B: blue" gives ("red", "blue"), else ()."""
    rest = text.rpartition("Options:")[2]
    found, start = [], re.match(r"\s*A:\s*", rest)
    if "Options:" not in text or start is None:
        return ()
    rest = rest[start.end() :]
    for letter in LETTERS[1:]:
        parts = re.split(rf"(?:,\s*|\s+){letter}:\s+", rest, maxsplit=1)
        found.append(parts[0].strip())
        if len(parts) == 1:
            return tuple(found)
        rest = parts[1]
    return tuple(found)


def _options(row: dict[str, Any], text: str, truth: str) -> tuple[str, ...]:
    """From the columns A, B, ... where there are any, else from the text, else the letters alone."""
    columns = [str(row[letter]) for letter in "ABCD" if row.get(letter)]
    found = tuple(columns) or options_in(text)
    return found if truth in LETTERS[: len(found)] else tuple("ABCD")


def read(path: Path | None) -> list[Question]:
    """Reads `mmstar.parquet` or `MMStar.tsv`, or a JSON file with the same columns.

    Raises:
        CannotRun: when no path is given.
        RecordError: when a row is not as published.
    """
    path = given(path, "MMStar", f"mmstar.parquet from {HOME}, and name it")
    questions = []
    for here, row in rows(path):
        text, truth = text_in(row, here, "question"), text_in(row, here, "answer").strip().upper()
        require(len(truth) == 1 and truth in "ABCD", f"{here}: `answer` must be a letter of ABCD, got {truth!r}")
        category, finer = text_in(row, here, "category"), text_in(row, here, "l2_category", "l2-category")
        options = _options(row, text, truth)
        inside = bool(options_in(text)) or options == tuple("ABCD")
        lines = () if inside else (f"{letter}. {words}" for letter, words in zip(LETTERS, options, strict=False))
        image = picture(row.get("image"), here, path.parent)
        questions.append(
            Question(
                id=id_in(row, here, "index"),
                prompt="\n".join([text, *lines, FORMAT]),
                truth=truth,
                images=() if image is None else (image,),
                options=options,
                about={"category": category, "subcategory": f"{category}/{finer}"},
            )
        )
    return questions


def _scores(questions: Sequence[Question], values: Values) -> Metrics:
    return {
        "accuracy": share(values, questions),
        "mean_of_categories": mean_of_categories(values, questions),
        "mean_of_subcategories": mean_of_categories(values, questions, "subcategory"),
        **by_category(values, questions),
    }


def _others(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """What lmms-eval prints now."""
    right = right_by(LETTER["lmms-eval MMStar"], questions, texts)
    return {"lmms_eval_mean_of_subcategories": mean_of_categories(right, questions, "subcategory")}


BENCHMARKS = (
    Benchmark(
        name="mmstar",
        title="MMStar: 1,500 questions that need the picture, in six abilities",
        home=HOME,
        licence="none stated",
        form="letter",
        headline="accuracy",
        read=read,
        official=by_rule(_scores, LETTER["MMStar"]),
        strict=strictly(_scores, _others),
    ),
)

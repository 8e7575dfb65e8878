"""One question of any benchmark, with the truth: what the runner asks and what a scorer compares with.

Whatever a score is broken down by besides (a category, the twin of a pair) stands in `about`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmhallu_core.data.answers import as_id, json_objects
from mmhallu_core.types import Picture, Record, RecordError, require

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LABEL = re.compile(r"^\s*\(?([A-Z])[.):]\s+")
# The benchmarks of multiple-choice questions, with their files in the data folder.
FILES = {"med-bench": "med_bench/MED_bench.json", "med-real": "med_bench/MED_real_set.json"}


@dataclass(frozen=True)
class Question(Record):
    """What is put to a model, and what it should say.

    Attributes:
        id: unique within the benchmark.
        prompt: the whole text that the model gets, options and instructions included.
        truth: "yes" or "no", the letter of the right option, or a reference text.
        images: the pictures, in the order in which they are shown: paths, or the bytes of files.
        options: the texts of a lettered question, as printed; the first is A.
        about: what a score needs besides, such as `category`.
    """

    id: str
    prompt: str
    truth: str
    images: tuple[Picture, ...] = ()
    options: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(bool(self.id.strip()), "a question's `id` is empty")
        require(bool(self.prompt.strip()), f"question {self.id}: `prompt` is empty")
        if self.options:
            letters = LETTERS[: len(self.options)]
            right = len(self.truth) == 1 and self.truth in letters
            require(right, f"question {self.id}: `truth` must be a letter of {letters}, got {self.truth!r}")

    @property
    def choices(self) -> dict[str, str]:
        """Letter to text of the options; a letter that is printed with a text is left out of it."""
        return {letter: without_label(text) for letter, text in zip(LETTERS, self.options, strict=False)}

    @property
    def picture(self) -> str:
        """What intervals are clustered by: the first picture's path, or the question's own id where there is none."""
        first = self.images[0] if self.images else None
        return self.about.get("picture") or (first if isinstance(first, str) else self.id)


def in_folder(questions: Iterable[Question], folder: str | Path | None) -> list[Question]:
    """The questions with their pictures' paths counted from a folder; absolute paths and bytes stay as they are."""
    if folder is None:
        return list(questions)
    found = []
    for one in questions:
        images = tuple(str(Path(folder) / image) if isinstance(image, str) else image for image in one.images)
        found.append(replace(one, images=images))
    return found


def read_multiple_choice(path: str | Path, name: str | None = None) -> list[Question]:
    """Reads multiple-choice questions in the form of MED's released benchmark.

    The file is a JSON list, JSON objects, or JSON Lines. Each item has `options`, texts that begin with a letter
    ("A. ..."), and `answer`, the right letter; the prompt is its question and its options. Options are kept as they
    are, blanks at their ends included: what such a blank gives away is a finding (see `evaluate.audit`).

    Args:
        path: the file.
        name: begins the ids of items that have none, which are positions in the file (`med-bench:000`); the file's
            stem when None.

    Raises:
        RecordError: names file and line when an item lacks options or an answer, an answer is not the letter of an
            option, or an id comes twice.
    """
    items, first_seen = [], {}
    for number, (line, values) in enumerate(json_objects(path)):
        here = f"{path}, line {line}"
        options, answer = values.get("options"), values.get("answer")
        require(isinstance(options, list) and len(options) > 1, f"{here}: no list `options` with two texts or more")
        require(all(isinstance(one, str) for one in options), f"{here}: an option is not a text")
        require(isinstance(answer, str), f"{here}: no `answer` with the letter of the right option")
        image = values.get("image") or values.get("image_name") or ""
        question, category = values.get("question", ""), values.get("category") or values.get("type")
        for what, value in (("question", question), ("image", image), ("category", category)):
            good = value is None or isinstance(value, str)
            require(good, f"{here}: the {what} must be a text, got {repr(value)[:60]}")
        given = values.get("id", values.get("question_id"))
        require(given is None or as_id(given) is not None, f"{here}: the id must be a number or a text")
        one = f"{name or Path(path).stem}:{number:03d}" if given is None else as_id(given)
        prompt = "\n".join([question or "", *map(str.strip, options)]).strip()
        truth, about = answer.strip().strip("().").upper(), {"category": category} if category else {}
        try:
            item = Question(one, prompt, truth, (image,) if image else (), tuple(options), about)
        except RecordError as error:
            raise RecordError(f"{here}: {error}") from error
        require(item.id not in first_seen, f"{here}: id {item.id!r} was already used in line {first_seen.get(item.id)}")
        first_seen[item.id] = line
        items.append(item)
    require(len(items) > 0, f"{path}: no questions in it")
    return items


def without_label(option: str) -> str:
    """An option's words: "A. A dog sits." gives "A dog sits."; the blanks at its ends go too."""
    return LABEL.sub("", option).strip()

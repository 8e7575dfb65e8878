"""Multiple-choice questions from a JSON or JSON Lines file, in the form of MED's released benchmark.

Each item has `options`, texts that begin with a letter ("A. ..."), and `answer`, the right letter. Ids are positions in
the file (`med-bench:000`), because the released files carry none. Texts are kept as they are, blanks at their ends
included: what such a blank gives away is a finding (see `evaluate.audit`).
"""

import re
from dataclasses import dataclass
from pathlib import Path

from mmhallu_core.data.answers import as_id, json_objects
from mmhallu_core.store import data_file
from mmhallu_core.types import RecordError, require

# Name of a benchmark -> its file in the data folder.
FILES = {"med-bench": "med_bench/MED_bench.json", "med-real": "med_bench/MED_real_set.json"}
LABEL = re.compile(r"^\s*\(?([A-Z])[.):]\s+")


@dataclass(frozen=True)
class MultipleChoice:
    """A question with lettered options, one of which is right; options as printed, letters included."""

    id: str
    question: str
    options: tuple[str, ...]
    answer: str
    image: str = ""
    category: str | None = None

    def __post_init__(self) -> None:
        letters = [chr(ord("A") + number) for number in range(len(self.options))]
        require(self.answer in letters, f"`answer` must be a letter of {', '.join(letters)}, got {self.answer!r}")

    @property
    def right(self) -> int:
        """The number of the right option, from 0."""
        return ord(self.answer) - ord("A")


def read_multiple_choice(path: str | Path, name: str | None = None) -> list[MultipleChoice]:
    """Reads a file of multiple-choice questions: a JSON list, JSON objects, or JSON Lines.

    Args:
        path: the file.
        name: begins the ids of items that have none; the file's stem when None.

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
        try:
            item = MultipleChoice(
                id=f"{name or Path(path).stem}:{number:03d}" if given is None else as_id(given),
                question=question or "",
                options=tuple(options),
                answer=answer.strip().strip("().").upper(),
                image=image,
                category=category,
            )
        except RecordError as error:
            raise RecordError(f"{here}: {error}") from error
        require(item.id not in first_seen, f"{here}: id {item.id!r} was already used in line {first_seen.get(item.id)}")
        first_seen[item.id] = line
        items.append(item)
    require(len(items) > 0, f"{path}: no questions in it")
    return items


def multiple_choice(name: str) -> list[MultipleChoice]:
    """The questions of a published benchmark of `FILES`, from the data folder.

    Raises:
        MissingFile: when they are not here; the message names the command that gets them.
        RecordError: for a benchmark that is not in `FILES`.
    """
    require(name in FILES, f"no multiple-choice benchmark {name!r}; there are {', '.join(FILES)}")
    return read_multiple_choice(data_file(FILES[name]), name)


def without_label(option: str) -> str:
    """An option's words: "A. A dog sits." gives "A dog sits."; the blanks at its ends go too."""
    return LABEL.sub("", option).strip()

"""One question of any benchmark, with the truth: what the runner asks and what a scorer compares with.

Benchmarks differ in what they ask about and in how they count, not in what a question is: some pictures, a text, and
an answer that is right. Whatever else a score is broken down by (a category, the twin of a pair) stands in `about`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmhallu_core.data.multiple_choice import without_label
from mmhallu_core.types import Picture, Record, require

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


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

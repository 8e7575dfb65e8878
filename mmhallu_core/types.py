"""The records that travel between the sub-packages of this library, and how they are written to files.

A dataset, a model's answers: each is a JSON Lines file with one record per line. A record is a frozen dataclass that
checks itself when it is made, so a wrong span is found where it is written. An error names file, line, and fault.

Pictures are given by path (a string) or by value (the bytes of a PNG or JPEG file; base64 in JSON).
Ids are strings everywhere, because benchmarks mix numbers, numbers as strings, and paths.
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Picture = str | bytes
Number = int | float
Span = tuple[int, int]  # [start, end) in characters
Box = tuple[Number, Number, Number, Number]  # x0 y0 x1 y1 in pixels, origin at the top left

# The eleven edit categories of MED (arXiv 2506.07227, table 1), as the paper prints them.
CATEGORIES = (
    "Object", "Attribute", "Scene", "Spatial Relation", "Action Relation", "Part Relation",
    "Counting", "Differentiation", "Comparison", "Negation", "Universality",
)  # fmt: skip


class CannotRun(Exception):
    """Something outside the program is missing or wrong. The message says what, where, and what to do about it.

    The command line prints the message alone and exits with 2; every other exception is a bug of this program.
    """


class RecordError(CannotRun, ValueError):
    """A record, or the file that holds it, is malformed."""


def slug(category: str) -> str:
    """Writes a category name in snake case: "Spatial Relation" becomes "spatial_relation"."""
    return category.lower().replace(" ", "_")


def require(condition: bool, message: str) -> None:
    """Raises RecordError with the message unless the condition holds."""
    if not condition:
        raise RecordError(message)


def _texts(record: "Record", *names: str) -> None:
    """Every named field must be a string with something in it."""
    for name in names:
        value = getattr(record, name)
        require(isinstance(value, str) and bool(value.strip()), f"`{name}` must be a non-empty text, got {value!r}")


def _pictures(record: "Record", *names: str) -> None:
    """Every named field must be a picture: a path or the bytes of a file."""
    for name in names:
        value = getattr(record, name)
        require(isinstance(value, str | bytes) and len(value) > 0, f"`{name}` must be a path or the bytes of a picture")


def _spans(name: str, spans: tuple[Span, ...], text: str) -> None:
    """Spans must lie inside their text, hold at least one character, and come in order without overlap."""
    last = 0
    for span in spans:
        good = len(span) == 2 and all(isinstance(x, int) for x in span) and last <= span[0] < span[1] <= len(text)
        require(good, f"`{name}`: span {list(span)} is empty, out of order or outside {len(text)} characters")
        last = span[1]


class Record:
    """What every record can do: become a JSON object and come back."""

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON values; fields that hold their default None are left out."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: _plain(value) for name, value in values.items() if value is not None}

    @classmethod
    def from_dict(cls, values: Any) -> "Record":
        """Builds the record from a JSON object.

        Raises:
            RecordError: when a field is missing, unknown, or has a wrong value.
        """
        require(isinstance(values, dict), f"{cls.__name__} must be a JSON object, got {type(values).__name__}")
        known = {entry.name: entry for entry in fields(cls)}
        required = [n for n, entry in known.items() if entry.default is MISSING and entry.default_factory is MISSING]
        for name in required:
            require(name in values, f"{cls.__name__} needs `{name}`")
        rich, hints = {name: _rich(value) for name, value in values.items()}, get_type_hints(cls)
        for name, value in rich.items():
            require(name in known, f"{cls.__name__} has no field `{name}`")
            hint = hints[name]
            require(_fits(value, hint), f"`{name}` of {cls.__name__} must be {_words(hint)}, got {values[name]!r}")
        return cls(**rich)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value from JSON has the type that a field declares (true is not a number)."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is tuple:
        same = inner[1:] == (...,)
        wanted = inner[:1] * len(value) if same and isinstance(value, tuple) else inner
        return isinstance(value, tuple) and len(value) == len(wanted) and all(map(_fits, value, wanted))
    if isinstance(value, bool):
        return False
    return isinstance(value, origin or hint)


def _words(hint: Any) -> str:
    """A type hint as a reader says it."""
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_words(one) for one in get_args(hint))
    plain = {str: "a text", bytes: "bytes", int: "a whole number", float: "a number", type(None): "null"}
    return plain.get(hint, "a list" if get_origin(hint) is tuple else "an object")


def _plain(value: Any) -> Any:
    """Turns bytes into {"base64": text} and tuples into lists."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode("ascii")}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _rich(value: Any) -> Any:
    """Undoes `_plain`."""
    if isinstance(value, dict) and set(value) == {"base64"}:
        try:
            return base64.b64decode(value["base64"], validate=True)
        except (ValueError, TypeError) as error:
            raise RecordError(f"a picture's base64 text is damaged: {error}") from error
    return tuple(_rich(item) for item in value) if isinstance(value, list) else value


@dataclass(frozen=True)
class ImagePair(Record):
    """A picture and its edited twin; `mask` is a picture that is white where the edit may have changed pixels."""

    id: str
    image: Picture
    edited_image: Picture
    mask: Picture | None = None

    def __post_init__(self) -> None:
        _texts(self, "id")
        _pictures(self, "image", "edited_image", *([] if self.mask is None else ["mask"]))


@dataclass(frozen=True)
class EditSample(Record):
    """One micro-edit with everything MED trains or tests on. `similarity` is the CLIP cosine of the two pictures."""

    id: str
    image: Picture
    edited_image: Picture
    category: str
    edit_instruction: str
    caption: str
    edited_caption: str
    difference: str
    question: str
    answer: str
    options: tuple[str, ...] | None = None
    similarity: Number | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _texts(self, "id", "edit_instruction", "caption", "edited_caption", "difference", "question", "answer")
        _pictures(self, "image", "edited_image")
        known = ", ".join(CATEGORIES)
        require(self.category in CATEGORIES, f"`category` must be one of {known}, got {self.category!r}")
        if self.options is not None:
            require(len(set(self.options)) == len(self.options) >= 2, "`options` must be at least two different texts")
        if self.similarity is not None:
            require(-1.0001 <= self.similarity <= 1.0001, f"`similarity` is a cosine, got {self.similarity}")


@dataclass(frozen=True)
class Preference(Record):
    """A better and a worse answer to one prompt about pictures. Spans mark the characters in which they differ."""

    id: str
    prompt: str
    chosen: str
    rejected: str
    images: tuple[Picture, ...]
    chosen_spans: tuple[Span, ...] = ()
    rejected_spans: tuple[Span, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _texts(self, "id", "prompt", "chosen", "rejected")
        require(self.chosen != self.rejected, "`chosen` and `rejected` are the same text: nothing to prefer")
        require(len(self.images) > 0, "`images` is empty")
        _spans("chosen_spans", self.chosen_spans, self.chosen)
        _spans("rejected_spans", self.rejected_spans, self.rejected)


@dataclass(frozen=True)
class RegionText(Record):
    """A text that describes one box of a picture. `source` says where the box comes from (world, dataset, detector)."""

    id: str
    image: Picture
    box: Box
    text: str
    source: str

    def __post_init__(self) -> None:
        _texts(self, "id", "text", "source")
        _pictures(self, "image")
        good = len(self.box) == 4 and 0 <= self.box[0] < self.box[2] and 0 <= self.box[1] < self.box[3]
        require(good, f"`box` must be x0 y0 x1 y1 in pixels with x0 < x1 and y0 < y1, got {list(self.box)}")


@dataclass(frozen=True)
class ResponsePair(Record):
    """A grounded and a hallucinated response to one prompt about one picture (ALEAHallu's activation data)."""

    id: str
    image: Picture
    prompt: str
    grounded: str
    hallucinated: str
    kind: str

    def __post_init__(self) -> None:
        _texts(self, "id", "prompt", "grounded", "hallucinated", "kind")
        _pictures(self, "image")
        require(self.grounded != self.hallucinated, "`grounded` and `hallucinated` are the same text")


@dataclass(frozen=True)
class Answer(Record):
    """What a model said, and apart from it what it thought aloud. An empty text is data too, and is counted."""

    id: str
    answer: str
    image_id: str | None = None
    thought: str | None = None

    def __post_init__(self) -> None:
        _texts(self, "id", *([] if self.image_id is None else ["image_id"]))
        require(isinstance(self.answer, str), f"`answer` must be a text, got {self.answer!r}")


@dataclass(frozen=True)
class YesNoQuestion(Record):
    """A question about the presence of one object, with its true answer (POPE's unit)."""

    id: str
    image_id: str
    question: str
    label: str

    def __post_init__(self) -> None:
        _texts(self, "id", "image_id", "question")
        require(self.label in ("yes", "no"), f"`label` must be yes or no, got {self.label!r}")


R = TypeVar("R", bound=Record)


def read_jsonl(path: str | Path, kind: type[R]) -> list[R]:
    """Reads a JSON Lines file of one kind of record; empty lines are skipped.

    Raises:
        RecordError: names the file, the line and the fault. A repeated id is a fault.
    """
    records, first_seen = [], {}
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise RecordError(f"{path}: not a UTF-8 text file ({error.reason} at byte {error.start})") from error
    for number, line in ((number, line) for number, line in enumerate(lines, start=1) if line.strip()):
        try:
            record = kind.from_dict(json.loads(line))
        except RecordError as error:
            raise RecordError(f"{path}, line {number}: {error}") from error
        except (ValueError, RecursionError) as error:  # also a number of thousands of digits
            raise RecordError(f"{path}, line {number}: not a JSON object on one line ({error})") from error
        earlier = first_seen.setdefault(record.id, number)
        require(earlier == number, f"{path}, line {number}: id {record.id!r} was already used in line {earlier}")
        records.append(record)
    return records


def write_jsonl(path: str | Path, records: Iterable[Record]) -> None:
    """Writes records as JSON Lines, with Unix line ends everywhere: the same records give the same bytes."""
    with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as out:  # a lone surrogate: escaped
        for record in records:
            out.write(json.dumps(record.to_dict(), ensure_ascii=False) + "\n")

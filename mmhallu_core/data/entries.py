"""The records of a file as it stands, good or bad: the lines of JSON Lines, or the items of one JSON list.

`mmhallu data check` and training read with it alike. Python's reader of JSON has more ways to stop than
`JSONDecodeError`: brackets without end, a number of thousands of digits, a value too deep to be written again.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BLANK = re.compile(r"[ \t\r\n]*")
DEEPEST = 100  # lists and objects in each other
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Entry:
    """One record of a file.

    Attributes:
        number: of its line, from 1; of the item where the file is a list.
        values: the JSON object; None when there is none.
        fault: why there is none.
    """

    number: int
    values: dict[str, Any] | None
    fault: str = ""


def read_entries(path: str | Path) -> tuple[str, list[Entry]]:
    """What the numbers count ("line", or "item" where the file holds a JSON list), and every record of a file.

    Blank lines are passed over. The file is read once, so it may be a pipe.

    Raises:
        OSError: when the file cannot be read.
    """
    # A byte that is not UTF-8 becomes a lone surrogate, so that one bad line does not end the reading.
    text = Path(path).read_bytes().decode("utf-8-sig", errors="surrogateescape")
    if text.lstrip().startswith("["):
        return "item", list(_items(text))
    lines = enumerate(text.split("\n"), start=1)
    return "line", [_line(number, line.strip(" \t\r\n")) for number, line in lines if line.strip()]


def _line(number: int, text: str) -> Entry:
    """One line of JSON Lines."""
    if found := _not_utf8(text):
        return Entry(number, None, found)
    try:
        value, end = value_at(text)
        if text[end:].strip():
            raise NotJson("something stands behind it", end)
    except NotJson as error:
        return Entry(number, None, f"not a JSON object on one line ({error}, column {error.place + 1})")
    return _object(number, value)


def _items(text: str) -> Iterator[Entry]:
    """The items of a JSON list; ends at the first place where it is none."""
    number, place, separator = 0, text.index("[") + 1, ","
    while True:
        place = BLANK.match(text, place).end()
        if text[place : place + 1] == "]" and (number == 0 or separator != ","):
            rest = text[place + 1 :].strip()
            if rest:
                yield Entry(number + 1, None, f"not a JSON list (something stands behind its end: {rest[:20]!r})")
            return
        number += 1
        try:
            if separator != ",":
                raise NotJson("expected , or ]", place)
            value, end = value_at(text, place)
        except NotJson as error:
            line = text.count("\n", 0, error.place) + 1
            yield Entry(number, None, f"not a JSON list ({error}, line {line})")
            return
        yield Entry(number, None, found) if (found := _not_utf8(text[place:end])) else _object(number, value)
        place = BLANK.match(text, end).end()
        separator = text[place : place + 1]
        place += separator == ","


def _not_utf8(text: str) -> str:
    """What is said of a text whose bytes were no UTF-8; nothing of others."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"not UTF-8 text (byte {ord(text[error.start]) - 0xDC00:#x})"
    return ""


def _object(number: int, value: Any) -> Entry:
    """An entry, which must be an object."""
    if isinstance(value, dict):
        return Entry(number, value)
    return Entry(number, None, f"expected a JSON object, got {repr(value)[:40]}")


class NotJson(ValueError):
    """A text holds no JSON value.

    Attributes:
        place: where in the text the fault is, in characters.
    """

    def __init__(self, why: str, place: int) -> None:
        super().__init__(why)
        self.place = place


def value_at(text: str, place: int = 0) -> tuple[Any, int]:
    """The JSON value that begins at a place of a text, and where it ends.

    Raises:
        NotJson: when there is none; its text says why.
    """
    try:
        value, end = _DECODER.raw_decode(text, place)
    except json.JSONDecodeError as error:
        raise NotJson(error.msg, error.pos) from error
    except RecursionError:
        raise NotJson("brackets inside brackets without end", place) from None
    except ValueError as error:
        raise NotJson("a number with thousands of digits", place) from error
    if _is_deeper(value, DEEPEST):
        raise NotJson(f"more than {DEEPEST} brackets inside brackets", place)
    return value, end


def half_letter(value: Any) -> bool:
    """Whether a text in a JSON value holds half of a surrogate pair, which no tokenizer takes."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether there are more lists and objects in each other than `levels`."""
    inside = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        parts = (part for one in inside for part in (one.values() if isinstance(one, dict) else one))
        inside = [part for part in parts if isinstance(part, dict | list)]
    return bool(inside)

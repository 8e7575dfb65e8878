"""JSON that other people wrote: a value, or a sentence that says why there is none.

Python's reader has more ways to stop than `JSONDecodeError`: brackets without end, a number of thousands of digits.
And what it just manages to read others cannot: a value nested a thousand deep can be neither shown nor written again.
"""

import json
from typing import Any

DEEPEST = 100  # lists and objects in each other
_DECODER = json.JSONDecoder()


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

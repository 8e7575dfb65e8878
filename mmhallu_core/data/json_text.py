"""JSON that other people wrote: a value, or a sentence that says why there is none.

Python's reader has more ways to stop than `JSONDecodeError`: brackets without end, a number of thousands of digits.
And it takes half of a surrogate pair for text, which no file and no tokenizer can hold. Here all of them are one error.
"""

import json
from typing import Any

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
        if "\\ud" in text[place:end].lower():
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise NotJson(error.msg, error.pos) from error
    except RecursionError:
        raise NotJson("brackets inside brackets without end", place) from None
    except UnicodeEncodeError:
        raise NotJson("half of a pair of \\u escapes, which is no letter", place) from None
    except ValueError as error:
        raise NotJson("a number with thousands of digits", place) from error
    return value, end

"""Reads anybody's answers, whatever shape their file has.

A JSON list, JSON Lines, or objects one after another; ids as numbers or texts; the answer under `answer`, `text`,
`response`, `caption`, or a benchmark's own name: all become `Answer` records. What is not clear is refused, with file
and line. Beware of questions to which answers were added: in POPE's form `text` is the question and `response` the
answer, in MMVP's `answer` is what is right. A record with two columns that could be the answer is refused, until
somebody says which it is.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mmhallu_core.types import Answer, RecordError, require

OPEN, CLOSE = "<think>", "</think>"
TAG = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
ID_KEYS = ("id", "question_id", "image_id", "image")
IMAGE_KEYS = ("image_id", "image")
# The last two are the names in the result files of HallusionBench and MMHal-Bench.
TEXT_KEYS = ("answer", "text", "response", "caption", "model_prediction", "model_answer")
Row = tuple[int, dict[str, Any]]  # a line's number, and the object in it
Namer = Callable[[dict[str, Any], str], str | None]  # makes an id of a record, and of where it stands


def json_objects(path: str | Path) -> Iterator[Row]:
    """Yields (line, object) for a JSON list of objects, for JSON Lines, and for objects one after another.

    Raises:
        RecordError: with file and line, where the text is not JSON, a value is not an object, or it holds a number or a
            nesting that Python refuses to read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecordError(f"{path}: not a UTF-8 text file ({error.reason} at byte {error.start})") from error
    decoder, place, line, counted = json.JSONDecoder(), 0, 1, 0
    in_list = text.lstrip().startswith("[")
    skipped = " \t\r\n,[]" if in_list else " \t\r\n"
    while True:
        while place < len(text) and text[place] in skipped:
            place += 1
        line, counted = line + text.count("\n", counted, place), place
        if place == len(text):
            break
        try:
            value, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise RecordError(f"{path}, line {error.lineno}: not JSON ({error.msg})") from error
        except ValueError as error:
            raise RecordError(f"{path}, line {line}: a number has more digits than can be read") from error
        except RecursionError as error:
            raise RecordError(f"{path}, line {line}: lists or objects are nested too deeply") from error
        require(isinstance(value, dict), f"{path}, line {line}: expected a JSON object, got {json.dumps(value)[:60]}")
        yield line, value
    closed = not in_list or text.rstrip().endswith("]")
    require(closed, f"{path}, line {line}: the list has no end; was the file cut off?")


def as_id(value: Any) -> str | None:
    """An id as text: 7, 7.0 and "7" are the same id. None for what cannot be one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return str(value).strip() or None


def candidates(values: dict[str, Any]) -> list[str]:
    """The columns of a record that could be its answer. A column of POPE's questions, with `label`, counts too."""
    return [name for name in TEXT_KEYS if name in values]


def read_answers(
    path: str | Path, key: str | None = None, by_position: bool = False, name: Namer | None = None
) -> list[Answer]:
    """Reads answers of any of the accepted shapes.

    The id is the first of `id`, `question_id`, `image_id`, `image`; the text is under one of `TEXT_KEYS`.
    What stands in it between think tags becomes the `thought`.

    Args:
        path: the file.
        key: the column of the answer, whatever its name.
        by_position: for answers without ids: the k-th answer gets the id k, whatever stands beside it.
        name: makes the id, where a benchmark's ids are not in one column.

    Raises:
        RecordError: names file and line when an id or a text is missing, has a wrong type, an id comes twice, or a
            record has more than one column that could be the answer.
    """
    answers, first_seen = [], {}
    for place, (line, values) in enumerate(json_objects(path), start=1):
        here = f"{path}, line {line}"
        text, thought = _said(values, here, key)
        one = str(place) if by_position else (name or _id)(values, here)
        require(one not in first_seen, f"{here}: id {one!r} was already used in line {first_seen.get(one)}")
        first_seen[one] = line
        image = next((as_id(values[other]) for other in IMAGE_KEYS if other in values), None)
        answers.append(Answer(one, text, image, thought))
    require(len(answers) > 0, f"{path}: no answers in it")
    return answers


def read_captions(path: str | Path, key: str | None = None) -> list[Answer]:
    """Reads captions. A picture may have several: they are told apart by their ids, and share `image_id`.

    Besides the shapes of `read_answers` it reads the files of CHAIR's published script: its input, with the captions in
    `imgToEval`, and its output, with them in `sentences`.

    Raises:
        RecordError: as `read_answers`, but for a picture that comes twice.
    """
    captions, seen = [], {}
    for line, values in _captions(path):
        here = f"{path}, line {line}"
        text, thought = _said(values, here, key)
        picture = next((as_id(values[other]) for other in IMAGE_KEYS if other in values), None)
        one = picture or _id(values, here)
        seen[one] = seen.get(one, 0) + 1
        captions.append(Answer(one if seen[one] == 1 else f"{one}#{seen[one]}", text, one, thought))
    require(len(captions) > 0, f"{path}: no captions in it")
    return captions


def _captions(path: str | Path) -> Iterator[Row]:
    for line, values in json_objects(path):
        inside = values.get("imgToEval", values.get("sentences"))
        if inside is None:
            yield line, values
            continue
        several = list(inside.values()) if isinstance(inside, dict) else inside
        good = isinstance(several, list) and all(isinstance(one, dict) for one in several)
        require(good, f"{path}, line {line}: `imgToEval` or `sentences` must hold captions as objects")
        yield from ((line, one) for one in several)


def _id(values: dict[str, Any], here: str) -> str:
    key = next((name for name in ID_KEYS if name in values), None)
    known = ", ".join(ID_KEYS)
    require(key is not None, f"{here}: no id among {known}; answers are joined by id (--by-position joins by order)")
    name = as_id(values[key])
    require(name is not None, f"{here}: `{key}` must be a number or a text, got {repr(values[key])[:60]}")
    return name


def _said(values: dict[str, Any], here: str, key: str | None) -> tuple[str, str | None]:
    """The answer of a record, under `key` or in the one column that can be meant, and the thought apart from it."""
    if key is None:
        found = candidates(values)
        require(len(found) > 0, f"{here}: no answer among {', '.join(TEXT_KEYS)} (--answer-key names another column)")
        said = ", ".join(f"`{one}`" for one in found)
        require(len(found) == 1, f"{here}: {said} could each be the answer; say which one with --answer-key NAME")
        key = found[0]
    require(key in values, f"{here}: no column `{key}`; there are {', '.join(values)}")
    text = values[key]
    require(isinstance(text, str), f"{here}: `{key}` must be a text, got {repr(text)[:60]}")
    answer, thought = split_thought(text)
    if thought is None and isinstance(values.get("thought"), str):  # as our own files have it
        thought = values["thought"]
    return answer, thought


def thinking(answers: Iterable[Answer]) -> dict[str, Any]:
    """For a result: `{"thinking": {"thought", "cut"}}`; nothing where no answer has a thought.

    `thought` counts the answers with a thought, and `cut` those of them that end before an answer: most often at the
    limit of tokens. They are empty, and scored as such.
    """
    thought = [one for one in answers if one.thought is not None]
    cut = sum(not one.answer.strip() for one in thought)
    return {"thinking": {"thought": len(thought), "cut": cut}} if thought else {}


def split_thought(text: str) -> tuple[str, str | None]:
    """The answer in a text, and what was thought beside it; None, and the text as it is, where there is no tag.

    Reasoning names yes and no and every object that it considers, so it must not be scored. A text that ends before its
    closing tag has no answer: most often it was cut. A closing tag without an opening one ends a thought that began
    with the text, since many chat templates write the opening tag themselves.
    """
    answer, thought, inside, last = [], [], False, 0
    for tag in TAG.finditer(text):
        piece, last = text[last : tag.start()], tag.end()
        closes = tag[1] == "/"
        if closes and not inside:  # all that stood outside so far was thought
            thought, answer = [*thought, *answer], []
        (thought if inside or closes else answer).append(piece)
        inside = not closes
    if not last:
        return text, None
    (thought if inside else answer).append(text[last:])
    return "".join(answer).strip(), "".join(thought).strip()

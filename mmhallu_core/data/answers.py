"""Reads anybody's answers, whatever shape their file has.

People save what a model said in many ways: a JSON list, JSON Lines, JSON objects one after another with line breaks
inside, ids as numbers or as texts, the answer under `answer`, `text`, `response` or `caption`. All of these become
`Answer` records here. What is not clear is refused, with file and line: a scorer that guesses is how wrong tables are
made.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mmhallu_core.data.thinking import split_thought
from mmhallu_core.types import Answer, RecordError, require

ID_KEYS = ("id", "question_id", "image_id", "image")
IMAGE_KEYS = ("image_id", "image")
TEXT_KEYS = ("answer", "text", "response", "caption")


def json_objects(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (line, object) for a JSON list of objects, for JSON Lines, and for objects one after another.

    Raises:
        RecordError: with file and line, where the text is not JSON or a value is not an object.
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


def read_answers(path: str | Path) -> list[Answer]:
    """Reads answers of any of the accepted shapes.

    The id is the first of `id`, `question_id`, `image_id`, `image`; the text the first of `answer`, `text`,
    `response`, `caption`. What stands in it between think tags becomes the `thought`.

    Raises:
        RecordError: names file and line when an id or a text is missing, has a wrong type, or an id comes twice.
    """
    answers, first_seen = [], {}
    for line, values in json_objects(path):
        here = f"{path}, line {line}"
        key = next((name for name in ID_KEYS if name in values), None)
        require(key is not None, f"{here}: no id among {', '.join(ID_KEYS)}; answers are joined by id, never by order")
        name = as_id(values[key])
        require(name is not None, f"{here}: `{key}` must be a number or a text, got {values[key]!r}")
        text_key = next((name for name in TEXT_KEYS if name in values), None)
        require(text_key is not None, f"{here}: no answer among {', '.join(TEXT_KEYS)}")
        require(isinstance(values[text_key], str), f"{here}: `{text_key}` must be a text, got {values[text_key]!r}")
        require(name not in first_seen, f"{here}: id {name!r} was already used in line {first_seen.get(name)}")
        first_seen[name] = line
        image = next((as_id(values[other]) for other in IMAGE_KEYS if other in values), None)
        answer, thought = split_thought(values[text_key])
        if thought is None and isinstance(values.get("thought"), str):  # as our own files have it
            thought = values["thought"]
        answers.append(Answer(name, answer, image, thought))
    require(len(answers) > 0, f"{path}: no answers in it")
    return answers


def thinking(answers: Iterable[Answer]) -> dict[str, Any]:
    """For a result: `{"thinking": {"thought", "cut"}}`; nothing where no answer has a thought.

    `thought` counts the answers with a thought, and `cut` those of them that end before an answer: most often at the
    limit of tokens. They are empty, and scored as such.
    """
    thought = [one for one in answers if one.thought is not None]
    cut = sum(not one.answer.strip() for one in thought)
    return {"thinking": {"thought": len(thought), "cut": cut}} if thought else {}

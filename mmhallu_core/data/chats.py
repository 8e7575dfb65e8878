"""Training data of your own: talks about pictures, in the two forms that people have.

The plain form is JSON Lines, one talk of one turn on each line:

    {"id": "kitchen-1", "images": ["a.png", "b.png"], "question": "What changed?", "answer": "A cup is gone."}

The other is what LLaMA-Factory calls sharegpt, as JSON Lines or as one JSON list, with any number of turns:

    {"messages": [{"role": "user", "content": "<image><image>What changed?"},
                  {"role": "assistant", "content": "A cup is gone."}], "images": ["a.png", "b.png"]}

`<image>` says where a picture stands. Without any, all pictures stand before the first question. Paths count from the
folder of the file. Every fault is told with its line; what cannot be read is never left out in silence.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmhallu_core.data.decode import BadPicture, Decoded, decode
from mmhallu_core.store import sha256
from mmhallu_core.types import CannotRun, EditSample, RecordError, read_jsonl, require

IMAGE = "<image>"
SHOWN = 10  # faults in an error's text
ROLES = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}


@dataclass(frozen=True)
class Chat:
    """A talk about pictures.

    Attributes:
        id: unique in its file.
        images: paths from the folder of the file, or {"base64": ...}.
        turns: questions, with `<image>` where a picture stands, and their answers.
    """

    id: str
    images: tuple[Any, ...]
    turns: tuple[tuple[str, str], ...]


def read_training_file(path: str | Path) -> list[EditSample] | list[Chat]:
    """Reads a file to train on: `EditSample`s as `mmhallu med build` writes them, or talks.

    Raises:
        CannotRun: when a line cannot be used, with its number, or a picture is not there, with its name.
        OSError: when the file cannot be read.
    """
    path = Path(path)
    kind, entries = _entries(path)
    if not entries:
        raise CannotRun(f"{path} has no records in it")
    if kind == "line" and isinstance(entries[0][1], dict) and "edited_image" in entries[0][1]:
        try:
            samples = read_jsonl(path, EditSample)
        except RecordError as error:
            raise CannotRun(f"{error}. `mmhallu data check {path} --as edit` lists all faults.") from error
        _require_pictures(path, kind, ((number, picture) for number, picture in _of_samples(entries, samples)))
        return samples
    chats, faults, seen = [], [], {}
    for number, values in entries:
        try:
            chat = chat_of(values, f"{path.stem}-{number}")
            earlier = seen.setdefault(chat.id, number)
            require(earlier == number, f"id {chat.id!r} was already used in {kind} {earlier}")
            chats.append((number, chat))
        except RecordError as error:
            faults.append(f"{kind} {number}: {error}")
    _raise(path, faults)
    _require_pictures(path, kind, ((number, picture) for number, chat in chats for picture in chat.images))
    return [chat for _, chat in chats]


def chat_of(values: Any, name: str) -> Chat:
    """A talk from a JSON object of either form.

    Args:
        values: the object.
        name: its id where it has none of its own.

    Raises:
        RecordError: when the object is of neither form, or its marks and pictures do not agree.
    """
    require(isinstance(values, dict), f"expected a JSON object, got {json.dumps(values)[:40]}")
    images = values.get("images", [])
    require(isinstance(images, list), "`images` must be a list of pictures, also when there is one")
    if "question" in values or "answer" in values:
        turns = [(values.get("question"), values.get("answer"))]
    else:
        turns = list(_sharegpt(values))
    for question, answer in turns:
        for text, what in ((question, "question"), (answer, "answer")):
            require(isinstance(text, str) and bool(text.strip()), f"the {what} must be a text with something in it")
        require(IMAGE not in answer, f"an answer holds {IMAGE}")
    require(bool(turns), "there is no turn with an answer")
    marks = [question.count(IMAGE) for question, _ in turns]
    if not any(marks):
        turns[0] = (IMAGE * len(images) + turns[0][0], turns[0][1])
        marks[0] = len(images)
    require(sum(marks) == len(images), f"{len(images)} pictures, and {IMAGE} stands {sum(marks)} times")
    require(sum(marks) == marks[0], "a picture stands after the first answer; only those before it can be trained on")
    return Chat(str(values.get("id", name)), tuple(images), tuple((q.strip(), a.strip()) for q, a in turns))


def open_picture(picture: Any, folder: Path, owner: str) -> Decoded:
    """Decodes a picture of a record.

    Args:
        picture: a path, {"base64": ...}, or the bytes of a file.
        folder: where a path starts.
        owner: the record's id, for an error.

    Raises:
        CannotRun: when it cannot be decoded.
    """
    try:
        return decode(picture, folder)
    except BadPicture as bad:
        raise CannotRun(f"sample {owner}: a picture cannot be used: {bad}") from bad


def file_sha256(path: Path, pictures: Iterable[Any]) -> str:
    """A hash of a training file and of all pictures that it names, in their order."""
    digest = hashlib.sha256(Path(path).read_bytes())
    for picture in pictures:
        if isinstance(picture, str):  # others stand in the file itself
            digest.update(bytes.fromhex(sha256(Path(path).parent / picture)))
    return digest.hexdigest()


def _entries(path: Path) -> tuple[str, list[tuple[int, Any]]]:
    """What the entries are called, and each with its number: the lines of JSON Lines, or the items of a list."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CannotRun(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    if text.lstrip().startswith("["):
        try:
            return "item", list(enumerate(json.loads(text), start=1))
        except json.JSONDecodeError as error:
            raise CannotRun(f"{path}, line {error.lineno}: not a JSON list ({error.msg})") from error
    entries = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                entries.append((number, json.loads(line)))
            except json.JSONDecodeError as error:
                raise CannotRun(f"{path}, line {number}: not a JSON object on one line ({error.msg})") from error
    return "line", entries


def _sharegpt(values: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Questions and answers of the form with messages, under either of its two sets of names."""
    key = next((key for key in ("messages", "conversations") if key in values), None)
    require(key is not None, "needs `question` and `answer`, or `messages` with roles and contents")
    messages = values[key]
    require(isinstance(messages, list) and all(isinstance(one, dict) for one in messages), f"`{key}` must be a list")
    said = [(one.get("role", one.get("from")), one.get("content", one.get("value"))) for one in messages]
    for place, (role, _) in enumerate(said):
        wanted = ("user", "assistant")[place % 2]
        require(ROLES.get(role) == wanted, f"message {place + 1} must be of the {wanted}, and is of {role!r}")
    require(len(said) % 2 == 0, "the last message must be of the assistant")
    yield from ((said[i][1], said[i + 1][1]) for i in range(0, len(said), 2))


def _of_samples(entries: list[tuple[int, Any]], samples: list[EditSample]) -> Iterator[tuple[int, Any]]:
    """The line and the name of every picture of edit samples, masks too."""
    for (number, values), sample in zip(entries, samples, strict=True):
        yield number, values["image"]
        yield number, values["edited_image"]
        if "mask" in sample.provenance:
            yield number, sample.provenance["mask"]


def _require_pictures(path: Path, kind: str, named: Iterable[tuple[int, Any]]) -> None:
    """Raises with the names of the pictures that are not there; none is decoded yet."""
    faults, known = [], {}
    for number, picture in named:
        if isinstance(picture, str):
            if picture not in known:
                known[picture] = os.path.isfile(path.parent / picture)
            if not known[picture]:
                faults.append(f"{kind} {number}: there is no picture {picture}")
        elif not (isinstance(picture, dict) and set(picture) == {"base64"}):
            faults.append(f"{kind} {number}: a picture is a path or {{'base64': ...}}, not {str(picture)[:40]}")
    _raise(path, faults)


def _raise(path: Path, faults: list[str]) -> None:
    """Raises with the first faults and their number, if there are any."""
    if faults:
        more = f"\n  and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise CannotRun("\n  ".join([f"{path} cannot be trained on:", *faults[:SHOWN]]) + more)

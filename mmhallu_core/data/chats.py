"""Training data of your own: conversations about pictures, in the two forms that people have.

The plain form is JSON Lines, one conversation of one turn on each line:

    {"id": "kitchen-1", "images": ["a.png", "b.png"], "question": "What changed?", "answer": "A cup is gone."}

The other is what LLaMA-Factory calls sharegpt, as JSON Lines or as one JSON list, with any number of turns:

    {"messages": [{"role": "user", "content": "<image><image>What changed?"},
                  {"role": "assistant", "content": "A cup is gone."}], "images": ["a.png", "b.png"]}

`<image>` says where a picture stands. Without any, all pictures stand before the first question. Paths count from the
folder of the file. `read_training_file` reads such a file; what cannot be read is never left out in silence.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmhallu_core.data.answers import as_id
from mmhallu_core.data.decode import BadPicture, Decoded, decode
from mmhallu_core.types import CannotRun, require

IMAGE = "<image>"
TURN, MESSAGES = ("question", "answer"), ("messages", "conversations")
KEYS = ("id", "images", *TURN, *MESSAGES, "provenance")  # all that there may be; nobody reads the last
PARTS = ("role", "content", "from", "value")  # of a message
ROLES = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}


@dataclass(frozen=True)
class Chat:
    """A conversation about pictures.

    Attributes:
        id: unique in its file.
        images: paths from the folder of the file, or {"base64": ...}.
        turns: questions, with `<image>` where a picture stands, and their answers.
    """

    id: str
    images: tuple[Any, ...]
    turns: tuple[tuple[str, str], ...]


def chat_of(values: dict[str, Any], name: str) -> Chat:
    """A conversation from a JSON object of either form.

    Args:
        values: the object.
        name: its id where it has none of its own.

    Raises:
        RecordError: when the object is of neither form, or its marks and pictures do not agree.
    """
    name = as_id(values.get("id", name))
    require(name is not None, f"`id` must be a text or a whole number, got {repr(values.get('id'))[:40]}")
    images = values.get("images", [])
    require(isinstance(images, list), "`images` must be a list of pictures, also when there is one")
    plain, messages = ({*keys} & values.keys() for keys in (TURN, MESSAGES))
    require(len(messages) + bool(plain) < 2, f"has {' and '.join(f'`{key}`' for key in sorted(plain | messages))}")
    turns = [(values.get("question"), values.get("answer"))] if plain else list(_sharegpt(values))
    for question, answer in turns:
        for text, what in ((question, "question"), (answer, "answer")):
            require(isinstance(text, str) and bool(text.strip()), f"the {what} must be a text with something in it")
        require(IMAGE not in answer, f"an answer holds {IMAGE}")
    require(bool(turns), "there is no turn with an answer")
    marks = [question.count(IMAGE) for question, _ in turns]
    if not any(marks):
        turns[0] = (IMAGE * len(images) + turns[0][0], turns[0][1])
        marks[0] = len(images)
    require(sum(marks) == len(images), f"{len(images)} pictures, but {sum(marks)} times the image placeholder {IMAGE}")
    require(sum(marks) == marks[0], "a picture stands after the first answer; only those before it can be trained on")
    return Chat(name, tuple(images), tuple((q.strip(), a.strip()) for q, a in turns))


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


def _sharegpt(values: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Questions and answers of the form with messages, under either of its two sets of names."""
    key = next((key for key in MESSAGES if key in values), None)
    require(key is not None, "needs `question` and `answer`, or `messages` with roles and contents")
    messages = values[key]
    require(isinstance(messages, list) and all(isinstance(one, dict) for one in messages), f"`{key}` must be a list")
    strange = next((key for one in messages for key in one if key not in PARTS), None)
    require(strange is None, f"a message has `{strange}`, which nobody reads; pictures stand in the record's `images`")
    said = [(one.get("role", one.get("from")), one.get("content", one.get("value"))) for one in messages]
    for place, (role, _) in enumerate(said):
        wanted = ("user", "assistant")[place % 2]
        require(
            isinstance(role, str) and ROLES.get(role) == wanted,
            f"message {place + 1} must be of the {wanted}, and is of {role!r}",
        )
    require(len(said) % 2 == 0, "the last message must be of the assistant")
    yield from ((said[i][1], said[i + 1][1]) for i in range(0, len(said), 2))

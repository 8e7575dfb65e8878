"""Is anything of a test in the training data? A scene, a picture, or a pair.

Ids are compared as they are, pictures by the hash of their pixels (so that another file format is no hiding place), and
scenes by the names under which the world made them. Training data is read loosely, whatever records its lines hold: a
check that cannot read a file says so, and does not call it clean.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmhallu_core.data.answers import json_objects
from mmhallu_core.data.decode import BadPicture
from mmhallu_core.data.pictures import Pictures
from mmhallu_core.data.question import Question
from mmhallu_core.types import CannotRun

PICTURES = ("image", "edited_image", "image_name", "edited_image_name")
ABOUT = ("about", "provenance")
SCENES = ("scene", "picture")  # keys, at any depth of `about` or `provenance`, under which a scene is named


@dataclass(frozen=True)
class Offender:
    """Something that a test question and a training record share.

    Attributes:
        test, train: their ids.
        what: "scene", "picture" or "pair".
    """

    test: str
    train: str
    what: str


def contamination(test: Path | Sequence[Question], train: Path) -> list[Offender]:
    """What a test shares with training data; empty when nothing.

    Args:
        test: questions, or a folder or JSON Lines file like `train`.
        train: a folder with `samples.jsonl` or `items.jsonl`, any other folder with `.jsonl` files, or such a file.

    Returns:
        One entry for each test question that shares something, with the first training record that it shares it with.

    Raises:
        CannotRun: when there is no such data, or a picture that a record names cannot be read.
    """
    rows = _rows(test) if isinstance(test, Path) else [(one.to_dict(), Path(".")) for one in test]
    known: dict[tuple[str, str], str] = {}
    for what, value, owner in _traces(_rows(train)):
        known.setdefault((what, value), owner)
    found: dict[str, Offender] = {}
    for what, value, owner in _traces(rows):
        if (what, value) in known:
            found.setdefault(owner, Offender(owner, known[what, value], what))
    return list(found.values())


def _rows(path: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """Each record of a file or a folder, with the folder that its pictures' paths start from."""
    if path.is_dir():
        named = [path / name for name in ("samples.jsonl", "items.jsonl") if (path / name).is_file()]
        files = named or sorted(path.glob("*.jsonl"))
    else:
        files = [path] if path.is_file() else []
    if not files:
        raise CannotRun(f"there is no training data at {path}: neither a JSON Lines file nor a folder that holds one")
    for file in files:
        for line, values in json_objects(file):
            yield {"id": f"{file.name}, line {line}", **values}, file.parent


def _traces(rows: Iterable[tuple[dict[str, Any], Path]]) -> Iterator[tuple[str, str, str]]:
    """What each record can be known by: (what, value, the record's id)."""
    readers: dict[Path, Pictures] = {}
    for values, folder in rows:
        owner = str(values["id"])
        yield "pair", owner, owner
        pictures = [values[name] for name in PICTURES if values.get(name)] + list(values.get("images") or [])
        for picture in pictures:
            try:
                yield "picture", readers.setdefault(folder, Pictures(folder)).look(picture), owner
            except BadPicture as bad:
                raise CannotRun(f"record {owner}: {bad}; without its pictures the data cannot be compared") from bad
        for name in (name for key in ABOUT for name in _scenes(values.get(key))):
            yield "scene", name.removeprefix("scene-"), owner
        for key in ABOUT:
            if isinstance(values.get(key), dict) and values[key].get("sample"):
                yield "pair", str(values[key]["sample"]), owner


def _scenes(values: Any) -> Iterator[str]:
    """The names of scenes in nested JSON values."""
    if isinstance(values, dict):
        for key, value in values.items():
            if key in SCENES and isinstance(value, str):
                yield value
            else:
                yield from _scenes(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _scenes(value)

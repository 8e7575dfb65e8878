"""The one reader of files to train on or to export: what `mmhallu data check` finds nothing wrong with.

A file holds edit samples or conversations, and its first record says which. All of it is checked before anything
begins, pictures too: a training that stops after hours at a broken picture, or goes on without the pictures that
somebody misspelt, costs more than the look.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmhallu_core.data.chats import Chat, chat_of
from mmhallu_core.data.check import ADVICE, examine
from mmhallu_core.data.check_rules import kind_of
from mmhallu_core.data.entries import read_entries
from mmhallu_core.store import sha256
from mmhallu_core.types import CannotRun, EditSample

SHOWN = 10  # faults in an error's text


def read_training_file(path: str | Path, progress: bool = False) -> list[EditSample] | list[Chat]:
    """Reads a file to train on: `EditSample`s as `mmhallu med build` writes them, or conversations.

    Args:
        path: JSON Lines, or one JSON list.
        progress: whether to show a progress bar.

    Raises:
        CannotRun: when anything about the file has to be repaired, with the numbers of the lines.
        OSError: when the file cannot be read.
    """
    path = Path(path)
    first = next((entry.values for entry in read_entries(path)[1] if entry.values is not None), {})
    kind = kind_of(first)
    counted, records, findings = examine(path, kind, progress)
    problems = [f"{counted} {one.line}: {one.found}. {one.do}" for one in findings if one.reason in ADVICE]
    if problems:
        more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        advice = f"`mmhallu data check {path} --as {kind}` lists all there is to repair."
        raise CannotRun("\n  ".join([f"{path} cannot be used as it is. {advice}", *problems[:SHOWN]]) + more)
    if kind == "edit":
        return [EditSample.from_dict(record.values) for record in records]
    return [chat_of(record.values, f"{path.stem}-{record.number}") for record in records]


def read_samples(path: str | Path) -> list[EditSample]:
    """Reads a file of edit samples, and no other; see `read_training_file`."""
    records = read_training_file(path)
    if isinstance(records[0], Chat):
        raise CannotRun(f"{path} holds conversations; this takes edit samples, as `mmhallu med build` writes them")
    return records


def file_sha256(path: Path, pictures: Iterable[Any]) -> str:
    """A hash of a training file and of all pictures that it names, in their order."""
    digest = hashlib.sha256(Path(path).read_bytes())
    for picture in pictures:
        if isinstance(picture, str):  # others stand in the file itself
            digest.update(bytes.fromhex(sha256(Path(path).parent / picture)))
    return digest.hexdigest()

"""Looks through your own records before anything is trained on them or scored: every fault, with its line.

`read_jsonl` stops at the first fault; who has just written a thousand records wants all of them, each with what to do.
Training and export begin with the same check. Five kinds of file are known:

* `edit`: `EditSample`, two pictures that differ in one small thing, with captions, a question and its answer;
* `conversation`: `Chat`, questions about pictures and their answers, in one of two forms;
* `preference`: `Preference`, a better and a worse answer to one prompt about one or more pictures;
* `pairs`: `ResponsePair`, a grounded and a hallucinated response to one prompt about one picture;
* `answers`: `Answer`, what a model said, with the keys that `mmhallu score` reads.

A *problem* has to be repaired. A *note* only says what a scorer will do: an empty answer, for instance, is data.
The paths of pictures count from the folder of the file, so that a folder can be moved as a whole. Nothing is written.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from mmhallu_core.data.chats import Chat, chat_of
from mmhallu_core.data.check_rules import KINDS, id_of, kind_of, rules
from mmhallu_core.data.entries import Entry, half_letter, read_entries
from mmhallu_core.data.pictures import Pictures
from mmhallu_core.store import sha256
from mmhallu_core.types import CATEGORIES, CannotRun, EditSample, Preference, ResponsePair

SHOWN = 10  # faults in an error's text

# What to do about each reason. A reason that is not a fault of the file stands in NOTES.
ADVICE = {
    "empty_file": "Write one JSON object a line; the page 'Your own pictures' shows one of each kind.",
    "unreadable_line": "Write one whole JSON object on this line, as UTF-8 text.",
    "other_kind": "Put records of another kind into a file of their own, or check with another --as.",
    "missing_field": "Add it; the page 'Your own pictures' shows a whole record.",
    "unknown_key": "Take it out or correct its name; remarks of your own go into `provenance`.",
    "empty_text": "Write the text, or take the record out.",
    "duplicate_id": "Give every record an id of its own.",
    "missing_image": "Put the picture there or correct the path; paths count from the folder of the file.",
    "corrupt_image": "Save the picture again as PNG or JPEG.",
    "empty_image": "Save the picture again: its file has no bytes.",
    "unknown_format": "Save the picture as PNG, JPEG, WebP, GIF, BMP or TIFF.",
    "too_many_pixels": "Make the picture smaller: no model sees so many pixels.",
    "more_than_16_bits": "Save the picture with 8 bits a channel.",
    "no_picture": "Name the record's pictures in `images`: text alone cannot teach about pictures.",
    "unequal_pair": "Give the two pictures one width and height: nothing but the edit may differ.",
    "identical_pair": "Replace one of the two pictures or take the record out: there is nothing to tell apart.",
    "same_text": "Correct one of the two texts or take the record out: there is nothing to prefer or to learn.",
    "bad_span": "A span is [start, end) in characters of its text, not empty; spans come in order and do not overlap.",
    "unknown_category": f"Use one of the eleven: {', '.join(CATEGORIES)}.",
    "wrong_letter": "With options, `answer` is the capital letter of the right one: A is the first.",
    "bad_options": "Give at least two different options, none with a blank at its ends: a rule could see it.",
    "bad_value": "Correct the value; the message says what it must be.",
    "several_answers": "Take the other texts out, or score the file with `--answer-key` and the column of the answer.",
}
NOTES = {
    "empty_answer": "Scorers count it as an empty answer; take it out if it is not one.",
    "ignored_key": "`mmhallu score` does not read it.",
}


@dataclass(frozen=True)
class Finding:
    """One thing about one line: why (a key of `ADVICE` or `NOTES`), what was found, and what to do about it."""

    line: int
    reason: str
    found: str
    do: str


def check_file(path: str | Path, kind: str, progress: bool = False) -> dict[str, Any]:
    """Checks every record of a file.

    Args:
        path: JSON Lines, or one JSON list; the paths of its pictures count from its folder.
        kind: one of `KINDS`.
        progress: whether to show a progress bar.

    Returns:
        `file, as, n` (records), `good` (records without a problem), `ok`, `counted` ("line" or, of a list, "item"),
        `reasons` (how many problems of each), `problems` and `notes`, both lists of `line, reason, found, do` in the
        order of the lines.

    Raises:
        CannotRun: for another kind.
        OSError: when the file cannot be read.
    """
    counted, records, findings = examine(path, kind, progress)
    problems = [finding for finding in findings if finding.reason in ADVICE]
    bad = {problem.line for problem in problems}
    return {
        "file": str(path),
        "as": kind,
        "n": len(records),
        "good": sum(record.number not in bad for record in records),
        "ok": not problems,
        "counted": counted,
        "reasons": dict(Counter(problem.reason for problem in problems).most_common()),
        "problems": [asdict(problem) for problem in problems],
        "notes": [asdict(finding) for finding in findings if finding.reason in NOTES],
    }


def examine(path: str | Path, kind: str, progress: bool = False) -> tuple[str, list[Entry], list[Finding]]:
    """What the numbers of a file's records count, the records as they stand, and all that is found of them."""
    if kind not in KINDS:
        raise CannotRun(f"cannot check a file as {kind!r}; choose one of {', '.join(KINDS)}")
    path, first_seen = Path(path), {}
    counted, records = read_entries(path)
    findings: list[Finding] = []
    pictures = Pictures(path.parent)
    for record in tqdm(records, desc=f"checking {path.name}", unit="record", disable=not progress):
        for reason, found in _check(record, kind, pictures, first_seen):
            findings.append(Finding(record.number, reason, found, (ADVICE | NOTES)[reason]))
    if not records:
        findings.append(Finding(1, "empty_file", "there is no record in the file", ADVICE["empty_file"]))
    return counted, records, findings


def _check(record: Entry, kind: str, pictures: Pictures, first_seen: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Yields (reason, what was found) for everything about one record; remembers its id in `first_seen`."""
    if record.values is None:
        yield "unreadable_line", record.fault
        return
    if kind != "answers" and half_letter(record.values):  # an answer is what a model said, whatever that was
        yield "bad_value", "a text holds half of a letter (one of two \\u escapes that belong together)"
        return
    yield from rules(kind, record.values, pictures)
    name = id_of(kind, record.values)
    if name is not None:
        earlier = first_seen.setdefault(name, record.number)
        if earlier != record.number:
            yield "duplicate_id", f"id {name!r} was already used in line {earlier}"


def read_training_file(path: str | Path, progress: bool = False) -> list[EditSample] | list[Chat]:
    """Reads a file to train on or to export: `EditSample`s as `mmhallu med build` writes them, or conversations.

    Its first record says which. All of it is checked before anything begins, pictures too.

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
    records = _good(path, kind, progress)
    if kind == "edit":
        return [EditSample.from_dict(record.values) for record in records]
    return [chat_of(record.values, f"{path.stem}-{record.number}") for record in records]


def read_pairs(path: str | Path, progress: bool = False) -> list[ResponsePair]:
    """Reads a file of grounded and hallucinated responses, which is checked as `read_training_file` does."""
    return [ResponsePair.from_dict(record.values) for record in _good(Path(path), "pairs", progress)]


def read_preferences(path: str | Path, progress: bool = False) -> list[Preference]:
    """The same for preferences."""
    return [Preference.from_dict(record.values) for record in _good(Path(path), "preference", progress)]


def _good(path: Path, kind: str, progress: bool) -> list[Entry]:
    """The records of a file in which nothing has to be repaired."""
    counted, records, findings = examine(path, kind, progress)
    problems = [f"{counted} {one.line}: {one.found}. {one.do}" for one in findings if one.reason in ADVICE]
    if problems:
        more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        advice = f"`mmhallu data check {path} --as {kind}` lists all there is to repair."
        raise CannotRun("\n  ".join([f"{path} cannot be used as it is. {advice}", *problems[:SHOWN]]) + more)
    return records


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

"""Looks through your own JSON Lines before anything is trained on them or scored: every fault, with its line.

`read_jsonl` stops at the first fault, which is right for a program. A person who has just written a thousand records
wants all of them at once, and with each what to do. Three kinds of file are known:

* `edit`: `EditSample`, two pictures that differ in one small thing, with captions, a question and its answer;
* `preference`: `Preference`, a better and a worse answer to one prompt about one or more pictures;
* `answers`: `Answer`, what a model said, with the keys that `mmhallu score` reads.

A *problem* has to be repaired. A *note* only says what a scorer will do: an empty answer, for instance, is data.
The paths of pictures count from the folder of the file, so that a folder can be moved as a whole. Nothing is written.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from mmhallu_core.data.check_rules import KINDS, id_of, rules
from mmhallu_core.data.pictures import Pictures
from mmhallu_core.types import CATEGORIES, CannotRun

# What to do about each reason. A reason that is not a fault of the file stands in NOTES.
ADVICE = {
    "empty_file": "Write one JSON object a line; the page 'Your own pictures' shows one of each kind.",
    "unreadable_line": "Write one whole JSON object on this line, as UTF-8 text without a byte order mark.",
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
    """Checks every line of a JSON Lines file.

    Args:
        path: the file; the paths of its pictures count from its folder.
        kind: `edit`, `preference` or `answers`.
        progress: whether to show a progress bar.

    Returns:
        `file, as, n` (records), `good` (records without a problem), `ok`, `reasons` (how many problems of each),
        `problems` and `notes`, both lists of `line, reason, found, do` in the order of the lines.

    Raises:
        CannotRun: for another kind, or when the file is a JSON list and not JSON Lines.
        OSError: when the file cannot be read.
    """
    if kind not in KINDS:
        raise CannotRun(f"cannot check a file as {kind!r}; choose one of {', '.join(KINDS)}")
    path, first_seen, findings, records = Path(path), {}, [], 0
    pictures = Pictures(path.parent)
    with open(path, "rb") as file:
        total = sum(1 for _ in file)
    # A byte that is not UTF-8 becomes a lone surrogate, so that one bad line does not end the reading.
    with open(path, encoding="utf-8", errors="surrogateescape") as lines:
        bar = tqdm(lines, total=total, desc=f"checking {path.name}", unit="line", disable=not progress)
        for number, line in enumerate(bar, start=1):
            if not line.strip():
                continue
            records += 1
            if records == 1 and line.lstrip("\ufeff \t").startswith("["):
                raise CannotRun(f"{path} begins like a JSON list. Write JSON Lines: one object a line, no brackets.")
            for reason, found in check_line(line, kind, pictures, first_seen, number):
                findings.append(Finding(number, reason, found, (ADVICE | NOTES)[reason]))
    if not records:
        findings.append(Finding(1, "empty_file", "there is no record in the file", ADVICE["empty_file"]))
    problems = [finding for finding in findings if finding.reason in ADVICE]
    return {
        "file": str(path),
        "as": kind,
        "n": records,
        "good": records - len({problem.line for problem in problems}) if records else 0,
        "ok": not problems,
        "reasons": dict(Counter(problem.reason for problem in problems).most_common()),
        "problems": [asdict(problem) for problem in problems],
        "notes": [asdict(finding) for finding in findings if finding.reason in NOTES],
    }


def check_line(
    line: str, kind: str, pictures: Pictures, first_seen: dict[str, int], number: int
) -> Iterator[tuple[str, str]]:
    """Yields (reason, what was found) for everything about one line; remembers its id in `first_seen`."""
    try:
        line.encode("utf-8")
        values = json.loads(line.removeprefix("\ufeff") if kind == "answers" else line)
    except UnicodeEncodeError as error:
        yield "unreadable_line", f"not UTF-8 text (byte {ord(line[error.start]) - 0xDC00:#x})"
        return
    except RecursionError:
        yield "unreadable_line", "brackets inside brackets without end"
        return
    except json.JSONDecodeError as error:
        yield "unreadable_line", f"not a JSON object on one line ({error.msg}, column {error.colno})"
        return
    if not isinstance(values, dict):
        yield "unreadable_line", f"expected a JSON object, got {json.dumps(values)[:40]}"
        return
    yield from rules(kind, values, pictures)
    name = id_of(kind, values)
    if name is not None:
        earlier = first_seen.setdefault(name, number)
        if earlier != number:
            yield "duplicate_id", f"id {name!r} was already used in line {earlier}"

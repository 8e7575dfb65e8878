"""Numbers that were measured before: one reader of `results/`, one rule for "recorded or computed", and the writer.

A page shows what is computed now where that is possible, else what was recorded, and says which of the two it is. With
`LIVE=1` a page makes the one run again that it names.
"""

import json
import platform
import subprocess
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mmhallu_core.config import live
from mmhallu_core.store import PACKAGE, MissingFile, results_folder


def recorded(name: str) -> dict[str, Any]:
    """A record of the ledger, such as "count-it/photos" or "tiny-llava/base".

    Raises:
        MissingFile: when it is not there. A page stops then: it shows no number that nobody measured.
    """
    path = results_folder() / f"{name}.json"
    if not path.is_file():
        raise MissingFile(f"there is no recorded result at {path}; a clone of the project brings it, a wheel too")
    return json.loads(path.read_text(encoding="utf-8"))


def computed_or_recorded(measure: Callable[[], Any], name: str, *data: str) -> tuple[Any, str]:
    """What a function measures from downloaded files, or the record of it where they are not here.

    Args:
        measure: raises MissingFile where it cannot measure.
        name: of the record.
        data: names for `mmhallu data get` of what the function needs.

    Returns:
        The measurement, and a sentence that says where it comes from.
    """
    try:
        return measure(), "Computed now from the released files."
    except MissingFile:
        record = recorded(name)
        gets = "\n".join(f"mmhallu data get {one}" for one in data)
        return record, f"RECORDED{_at(record)}, not computed now. To compute it here:\n{gets}{_by(record)}"


def live_or_recorded(measure: Callable[[], Any], name: str) -> tuple[Any, str]:
    """The record of a run, or with `LIVE=1` that run made again; and a sentence that says which."""
    if live():
        return measure(), "Computed now, because LIVE is set."
    record = recorded(name)
    return record, f"RECORDED{_at(record)} by:\n{record['command']}"


def _at(record: dict[str, Any]) -> str:
    return f" at commit {record['commit'][:7]}" if "commit" in record else ""


def _by(record: dict[str, Any]) -> str:
    return f"\nThe record was made by:\n{record['command']}" if "command" in record else ""


def commit() -> str:
    """The commit of this library's checkout, wherever the command was typed; "unknown" where there is none."""
    try:
        asked = ["git", "rev-parse", "HEAD"]
        done = subprocess.run(asked, cwd=PACKAGE.parent, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git on this machine: a study of hours must not end here
        return "unknown"
    return done.stdout.strip() or "unknown"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of Python and of some packages."""
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def write(record: Mapping[str, Any], path: Path) -> None:
    """Writes a record as JSON, with Unix line ends everywhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8", newline="\n")

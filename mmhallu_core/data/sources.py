"""The public data sets that the book reads: where they live, what may be done with them, and whether the copy here is
true.

`sources.json` lists every file with its size, its SHA-256 and its address at a fixed commit. The data themselves are
never part of this repository or of any page.
"""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mmhallu_core.store import data_folder, download, json_sha256, sha256
from mmhallu_core.types import CannotRun

RAW = "https://raw.githubusercontent.com"  # GitHub's address for the plain bytes of a file at a commit.


@dataclass(frozen=True)
class SourceFile:
    """One file of a data set.

    Args:
        path: its place under the data set's folder.
        bytes: its size.
        sha256: of its bytes; None for a file that is made on this machine.
        json_sha256: of its JSON content, for a file that is made here (its compressed bytes may differ).
        source: its path in the public repository; None for a file that is made here.
    """

    path: str
    bytes: int
    sha256: str | None = None
    json_sha256: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class Source:
    """A public data set: what it is, its home and commit, its licence, and its files."""

    name: str
    title: str
    home: str
    commit: str
    licence: str
    note: str
    files: tuple[SourceFile, ...]

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(entry.bytes for entry in self.files)

    @property
    def folder(self) -> Path:
        """Where it lives on this machine."""
        return data_folder() / self.name

    def describe(self) -> str:
        """What a reader should know before a download: content, home, licence, size."""
        lines = [self.title, f"  home     {self.home} at {self.commit[:10]}", f"  licence  {self.licence}"]
        lines += [f"  size     {self.bytes / 1e6:.1f} MB in {len(self.files)} files", f"  folder   {self.folder}"]
        return "\n".join([*lines, f"  note     {self.note}"] if self.note else lines)


@cache
def sources() -> dict[str, Source]:
    """All data sets by name."""
    with open(Path(__file__).with_name("sources.json"), encoding="utf-8") as listing:
        content = json.load(listing)
    return {
        name: Source(name, **{**entry, "files": tuple(SourceFile(**row) for row in entry["files"])})
        for name, entry in content.items()
    }


def source(name: str) -> Source:
    """One data set.

    Raises:
        CannotRun: for a name that is not in the list, with the names that are.
    """
    if name not in sources():
        raise CannotRun(f"no data set {name!r}; there are {', '.join(sources())}")
    return sources()[name]


def read_json(path: Path) -> Any:
    """Reads a JSON file, also a gzipped one.

    Raises:
        CannotRun: when it is not JSON; the message names the file.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8") as text:
            return json.load(text)
    except (ValueError, RecursionError, EOFError, gzip.BadGzipFile) as error:
        raise CannotRun(f"{path} is not the JSON file it should be: {error}") from error


def state(entry: SourceFile, folder: Path) -> str:
    """What a file on this machine is worth: "ok", "missing" or "changed"."""
    path = folder / entry.path
    if not path.is_file():
        return "missing"
    if entry.sha256 is not None:
        return "ok" if sha256(path) == entry.sha256 else "changed"
    try:
        return "ok" if json_sha256(read_json(path)) == entry.json_sha256 else "changed"
    except CannotRun:
        return "changed"


def verify(name: str) -> dict[str, str]:
    """The state of every file of a data set, by path."""
    chosen = source(name)
    return {entry.path: state(entry, chosen.folder) for entry in chosen.files}


def fetch(name: str, say: Callable[[str], None] = print, address: str = RAW) -> list[str]:
    """Downloads the files of a data set that are missing here or changed, each checked by its SHA-256.

    Args:
        name: the data set.
        say: is told what it is, its licence and size before anything is fetched, then each file.
        address: where the files are served; tests use a server on this machine.

    Returns:
        The paths that were fetched. Files that are made on this machine are left to the caller.

    Raises:
        CannotRun: for an unknown name, no network, or content that is not the expected one.
    """
    chosen = source(name)
    say(chosen.describe())
    repository = chosen.home.removeprefix("https://github.com/")
    wanted = [entry for entry in chosen.files if entry.source and state(entry, chosen.folder) != "ok"]
    for number, entry in enumerate(wanted, start=1):
        say(f"  fetching {number} of {len(wanted)}: {entry.path} ({entry.bytes / 1e6:.1f} MB)")
        download(f"{address}/{repository}/{chosen.commit}/{entry.source}", chosen.folder / entry.path, entry.sha256)
    return [entry.path for entry in wanted]

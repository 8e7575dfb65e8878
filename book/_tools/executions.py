"""Keeps jupyter-cache true to the library: `python executions.py drop BOOK` before a build, `stamp BOOK` after it.

jupyter-cache stores what a page's cells printed under a hash of the cells. Beside it this file keeps, for each stored
page, the fingerprint of everything beneath the cells (`depends.py`) as it was when they were executed. `drop` throws
away each stored page whose fingerprint is another one now, or not known; the build then executes these, and no others.

A build that is stopped halfway leaves pages without a fingerprint. They are executed again: that costs time, and a page
that was executed while the library changed is never taken for a good one.
"""

import json
import sys
from pathlib import Path

from depends import ROOT, fingerprints
from jupyter_cache import get_cache
from jupyter_cache.base import JupyterCacheAbstract


def _files(book: Path) -> tuple[Path, Path]:
    """The file of fingerprints, and the one in which `drop` leaves for `stamp` what they were before the build."""
    return book / "_build" / "executions.json", book / "_build" / "executions-before.json"


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _write(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def cache_of(book: Path) -> JupyterCacheAbstract:
    """The store of executed pages, where Jupyter Book keeps it."""
    return get_cache(str(book / "_build" / ".jupyter_cache"))


def drop(book: Path, root: Path = ROOT) -> list[str]:
    """Throws away what is stale. Returns the pages that stay, by their paths in the book."""
    known, before = _files(book)
    now, stamps, cache, kept = fingerprints(book, root), _read(known), cache_of(book), {}
    for record in cache.list_cache_records():
        stamp = stamps.get(record.hashkey)
        if stamp and now.get(stamp["page"]) == stamp["fingerprint"]:
            kept[record.hashkey] = stamp
        else:
            cache.remove_cache(record.pk)
    _write(known, kept)
    _write(before, now)
    return sorted({stamp["page"] for stamp in kept.values()})


def stamp(book: Path, root: Path = ROOT) -> list[str]:
    """Notes the fingerprints of what the build executed. Returns these pages, by their paths in the book."""
    known, left = _files(book)
    before, now, stamps, new = _read(left), fingerprints(book, root), _read(known), []
    for record in cache_of(book).list_cache_records():
        page = Path(record.uri).relative_to(book.absolute()).as_posix()
        if record.hashkey not in stamps and page in now and before.get(page) == now[page]:
            stamps[record.hashkey] = {"page": page, "fingerprint": now[page]}
            new.append(page)
    _write(known, stamps)
    return sorted(new)


if __name__ == "__main__":
    command, folder = sys.argv[1], Path(sys.argv[2]).resolve()
    if command == "drop":
        (folder / "_build").mkdir(exist_ok=True)
        print("Unchanged, not executed again:", ", ".join(drop(folder)) or "no page")
    else:
        print("Executed in this build:", ", ".join(stamp(folder)) or "no page")

"""Where files live, how they get here, and how a long run survives being stopped and is never made twice at once.

Four folders, and no surprise about any of them:

* data: `MMHALLU_DATA`, or `data/` in the cache folder. Nothing from it is ever copied into the book or a result.
* cache: `MMHALLU_CACHE`, or the place where this system keeps caches. Everything that can be made again lives here.
* checkpoints: inside the package; they are the project's own and travel with it.
* results: what was measured, `results/` of the repository; a wheel carries a copy inside the package.

A file that is not there is an error that names the command that gets it. Only `mmhallu data get`, a model named by its
hub id, and a server that you name open a connection; `MMHALLU_OFFLINE=1` forbids even that.
"""

import errno
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmhallu_core.types import CannotRun

if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30  # the byte that is locked: far behind the number in the file, which stays readable

    def _take(file: Any) -> None:
        file.seek(_FAR)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(file: Any) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


PACKAGE = Path(__file__).parent
FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # what a disk says that is full, or used up for a user


class MissingFile(CannotRun, FileNotFoundError):
    """A file is not on this machine. The message says which command gets it."""


class Locked(CannotRun):
    """Another process that is alive holds the lock."""


class DiskFull(CannotRun):
    """A disk is full. The message says which, and what to do."""


class JournalError(CannotRun, ValueError):
    """A journal belongs to another run, or was changed by something else than this program."""


def cache_folder() -> Path:
    """The folder for everything that can be made again: `MMHALLU_CACHE`, or the system's own cache folder."""
    named = os.environ.get("MMHALLU_CACHE")
    if named:
        return Path(named)
    import pooch

    return Path(pooch.os_cache("mmhallu"))


def data_folder() -> Path:
    """The folder of downloaded data: `MMHALLU_DATA`, or `data` in the cache folder."""
    named = os.environ.get("MMHALLU_DATA")
    return Path(named) if named else cache_folder() / "data"


def data_file(name: str) -> Path:
    """The path of one data file, by its name under the data folder, such as "pope/coco_pope_random.json".

    Raises:
        MissingFile: when it is not there; the message names the command that gets it.
    """
    path = data_folder() / name
    if path.is_file():
        return path
    dataset = name.split("/")[0]
    advice = f"Get it with `mmhallu data get {dataset}`, or set MMHALLU_DATA to a folder that has {name}."
    raise MissingFile(f"{path} is not here. {advice}")


def checkpoint_folder(name: str) -> Path:
    """The folder of a shipped checkpoint, such as "tiny-llava".

    Raises:
        MissingFile: when the package does not hold it; the message names the command that rebuilds it.
    """
    path = PACKAGE / "checkpoints" / name
    if any((path / form).is_file() for form in ("config.json", "open_clip_config.json")):
        return path
    command = f"mmhallu pretrain {name.replace('-control', ' --control').replace('-seed', ' --seed ')}"
    raise MissingFile(f"checkpoint {name} is not at {path}. Rebuild it with `{command}`.")


def results_folder() -> Path:
    """The folder of recorded results: inside the package when it came as a wheel, beside the package in a clone."""
    inside = PACKAGE / "results"
    return inside if inside.is_dir() else PACKAGE.parent / "results"


def sha256(path: Path) -> str:
    """The SHA-256 of a file in hex; large files need no memory."""
    with open(path, "rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def json_sha256(value: Any) -> str:
    """The SHA-256 of a JSON value's content: sorted keys and fixed separators, so that layout does not matter."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(_utf8(text)).hexdigest()


def write_whole(path: Path, text: str) -> None:
    """Writes a text file, with Unix line ends everywhere, that is there whole or not at all."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.write_text(text, encoding="utf-8", newline="\n")
    os.replace(new, path)


def is_offline() -> bool:
    """Whether `MMHALLU_OFFLINE` forbids opening connections."""
    return os.environ.get("MMHALLU_OFFLINE", "0") not in ("", "0")


def download(url: str, target: Path, expected: str | None) -> None:
    """Fetches one file and puts it in place only when its SHA-256 is the expected one (None: the caller checks).

    Raises:
        CannotRun: when `MMHALLU_OFFLINE` is set, the server cannot be reached, or the content is not what it should be.
    """
    if is_offline():
        raise CannotRun(f"MMHALLU_OFFLINE is set, so {url} was not fetched. Unset it and run the command again.")
    import pooch
    import requests

    target.parent.mkdir(parents=True, exist_ok=True)
    pooch.get_logger().setLevel("WARNING")  # The caller says what is fetched, in its own words.
    try:
        # pooch writes to a temporary name, checks the hash, and only then moves the file to its place.
        known = None if expected is None else f"sha256:{expected}"
        pooch.retrieve(url, known_hash=known, fname=target.name, path=target.parent, progressbar=False)
    except requests.exceptions.RequestException as error:
        raise CannotRun(f"could not fetch {url}: {error}. Is this machine online?") from error
    except ValueError as error:  # pooch's way to say that the hash differs
        raise CannotRun(f"{url} is not the file this version expects, so it was thrown away: {error}") from error


class Journal:
    """An append-only file of finished work: what is in it was paid for once and is never paid for again.

    Each line is `{"sha256": ..., "record": ...}`. The first line says what the run is about, so that a changed seed or
    dataset cannot be mixed into old results. A record is on disk (fsync) before `append` returns. A machine that dies
    in the middle of a write leaves a torn last line, which is dropped; damage anywhere else is an error.

    Args:
        path: the file; it is created with its folder when absent.
        about: what identifies the run (seed, configuration, hashes of inputs), as JSON values.

    Raises:
        JournalError: when the file belongs to a run with another `about`, or a line in its middle is damaged.
    """

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._drop_torn_line()
        lines = list(self._lines())
        if not lines:
            self.append(about)
        elif lines[0] != json.loads(json.dumps(about)):
            difference = f"  there: {lines[0]}\n  here:  {about}"
            raise JournalError(f"{self.path} belongs to another run; use a new --out.\n{difference}")

    def append(self, record: dict[str, Any]) -> None:
        """Adds one record; when this returns, a power cut cannot lose it.

        Raises:
            OSError: when the disk is full, for instance; the journal is then as it was before.
        """
        line = json.dumps({"sha256": json_sha256(record), "record": record}, ensure_ascii=False) + "\n"
        size = self.path.stat().st_size if self.path.exists() else 0
        try:
            with open(self.path, "ab") as out:
                out.write(_utf8(line))
                out.flush()
                os.fsync(out.fileno())
        except OSError:  # half a line in the middle of a journal would spoil it
            if self.path.exists():
                os.truncate(self.path, size)
            raise

    def records(self) -> list[dict[str, Any]]:
        """All finished records in the order in which they were added."""
        return list(self._lines())[1:]

    def _drop_torn_line(self) -> None:
        """Cuts off an unfinished last line: one without a line end, or whose content does not match its checksum."""
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        last = whole.rstrip(b"\n").rfind(b"\n") + 1
        if whole and _record_of(whole[last:]) is None:
            whole = whole[:last]
        if len(whole) < len(data):
            with open(self.path, "r+b") as out:
                out.truncate(len(whole))

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        with open(self.path, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                record = _record_of(line)
                if record is None:
                    raise JournalError(f"{self.path}, line {number}: the line was changed after it was written")
                yield record


def _utf8(json_text: str) -> bytes:
    """JSON as UTF-8; half of a surrogate pair, which UTF-8 cannot hold, as the JSON escape that means the same."""
    return json_text.encode("utf-8", errors="backslashreplace")


def _record_of(line: bytes) -> dict[str, Any] | None:
    """The record in a journal line, or None when the line is not whole."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or set(entry) != {"sha256", "record"}:
        return None
    return entry["record"] if json_sha256(entry["record"]) == entry["sha256"] else None


class Lock:
    """Lets one process at a time into a folder, from `with` to its end.

    The system holds the lock, not a file's presence: it ends with the process, however that ended.

    Args:
        path: the lock's file; it is made when absent, says which process holds the lock, and stays there.
        what: what is locked, for the message.
        seconds: how long to wait for another process to let go.

    Raises:
        Locked: when it does not, on entering.
    """

    def __init__(self, path: Path, what: str, seconds: float = 0.0) -> None:
        self.path, self.what, self.seconds = path, what, seconds

    def __enter__(self) -> "Lock":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "a+b")
        deadline = time.monotonic() + self.seconds
        while True:
            try:
                _take(self._file)
                break
            except (BlockingIOError, PermissionError):  # PermissionError is how Windows says the same
                if time.monotonic() >= deadline:
                    self._refuse()
                time.sleep(0.02)
        self._file.seek(0)
        self._file.truncate()
        self._file.write(str(os.getpid()).encode("ascii"))
        self._file.flush()
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()  # which gives the lock back

    def _refuse(self) -> None:
        """Raises Locked, with the number of the process that has it."""
        self._file.seek(0)
        holder = self._file.read(20).decode("ascii", errors="replace") or "unknown"
        self._file.close()
        raise Locked(f"{self.what} is in use by process {holder}: wait for it, end it, or use another --out")


def run_lock(out: Path) -> Lock:
    """The lock of a run's folder; two runs in one folder would pay twice and write over each other."""
    return Lock(out / "lock", str(out))

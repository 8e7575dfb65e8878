"""A long run over a source of drafts: it can be killed at any moment, and goes on where it was.

    build(make, out)

takes every draft through the stages, chunk by chunk, and writes to `out`:

    samples.jsonl     EditSamples in the order of the source; pictures by path, from this folder
    rejected.jsonl    what became no sample, with stage, reason, and the reply that could not be read
    images/  masks/   PNG or whatever the editor gave
    manifest.json     what the run is about; at the end also counts, and the SHA-256 of both files
    journal.jsonl     a line for each finished chunk, with the SHA-256 of its files
    chunks/           those files, until the run is complete
    calls/            what clients were asked, and their replies, chunk by chunk

All but the journals and `calls` is the same, byte by byte, however many workers there are and however often they were
killed. Nothing in memory grows with the number of drafts, but for a number for each chunk.

A chunk counts when its line is in the journal and its files are there; one whose picture was deleted is made again.
What a killed process had in work is done again, except calls whose reply was in a journal: those are not repeated. See
`work.py` for a chunk, `calls.py` for calls, `local.py` and `ray.py` for who does the work.
"""

import errno
import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from mmhallu_core.edit.engine.local import Crew, Inline, Processes, await_old_workers
from mmhallu_core.edit.engine.work import KINDS, Make, chunk_file, write_whole
from mmhallu_core.store import FULL, DiskFull, Journal, Lock, sha256
from mmhallu_core.types import CannotRun

CHUNK = 64  # drafts: some seconds of work, so that little is done twice after a kill
ENGINES = ("local", "ray")
CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}


def build(
    make: Make,
    out: Path,
    workers: int | None = None,
    engine: str = "local",
    chunk: int = CHUNK,
    progress: bool = False,
) -> dict[str, Any]:
    """Runs a pipeline to its end, or goes on with a run that was stopped.

    Args:
        make: makes the source and the stages in each worker; picklable, such as a function with `functools.partial`.
        out: the run's folder.
        workers: processes; as many as there are cores when None; 0 works in this process.
        engine: `local`, or `ray` for many machines that all see `out`.
        chunk: drafts in a chunk; belongs to the run, because what a network is given together shows in last bits.
        progress: show a bar with counts and the time left.

    Returns:
        `n`, `samples`, `rejected`, `reasons` ("stage: reason" to count), `resumed` (drafts that were finished before),
        `seconds` (of this call), `cpu_seconds` (of all, by stage), `spent` (on calls, of all), `sha256` (of
        `samples.jsonl`) and `out`.

    Raises:
        CannotRun: when a number is out of its bounds, the folder holds another run or is in use, the disk is full, or a
            client ends the run. What is finished is kept.
    """
    if (workers is not None and workers < 0) or chunk < 1:
        raise CannotRun(f"workers must be at least 0 and a chunk at least 1 draft; got {workers} and {chunk}")
    out, began = Path(out).absolute(), time.monotonic()
    with _told(out):
        _require_run_folder(out)
        with Lock(out / "locks" / "run", str(out)):
            await_old_workers(out)
            with closing(_engine(engine, make, out, chunk, workers)) as crew:
                found = _run(crew, out, progress)
    return {**found, "seconds": round(time.monotonic() - began, 2), "out": str(out)}


def _engine(name: str, make: Make, out: Path, chunk: int, workers: int | None) -> Crew | Inline:
    """The engine of that name."""
    if name not in ENGINES:
        raise CannotRun(f"no such engine: {name!r}; choose one of {', '.join(ENGINES)}")
    if name == "ray":
        from mmhallu_core.edit.engine.ray import Ray

        return Ray(make, out, chunk, workers)
    if workers == 0:
        return Inline(make, out, chunk)
    return Processes(make, out, chunk, workers or os.cpu_count() or 1)


def _run(crew: Crew | Inline, out: Path, progress: bool) -> dict[str, Any]:
    """Works on the chunks that are missing, then writes the results."""
    about = crew.about
    manifest = _bind(out, about)
    journal = Journal(out / "journal.jsonl", about)
    numbers = range(-(-about["n"] // about["chunk"]))
    newest = {line["chunk"]: line for line in journal.records()}  # a chunk whose files were damaged has two lines
    complete = "files" in manifest and all(_is(out / name, value) for name, value in manifest["files"].items())
    if complete:
        kept = set(numbers) - _without_pictures(out, out / "samples.jsonl")
    else:
        kept = {number for number, line in newest.items() if _whole(out, line)}
    tally = Tally()
    for number in kept & newest.keys():
        tally.add(newest[number])
    expected = {number: newest[number]["sha256"] for number in newest.keys() - kept} if complete else {}
    del newest
    if expected:  # until its pictures are back, the run counts as unfinished
        write_whole(out / "manifest.json", _json({"run": about}))
    resumed = sum(min(about["chunk"], about["n"] - number * about["chunk"]) for number in kept)
    with tqdm(total=about["n"], initial=resumed, desc="drafts", unit="draft", disable=not progress) as bar:
        for line in crew.results([number for number in numbers if number not in kept]):
            if line["sha256"] != expected.get(line["chunk"], line["sha256"]):
                told = f"pictures of {out} were gone, and chunk {line['chunk']} does not come out as it was"
                raise CannotRun(f"{told}. Run the same command again: then all of it is made again, with what is there")
            journal.append(line)
            tally.add(line)
            bar.set_postfix_str(tally.words(), refresh=False)
            bar.update(line["drafts"])
    if not complete:
        manifest = _assemble(out, about, numbers, tally)
    elif expected:
        write_whole(out / "manifest.json", _json(manifest))
    shutil.rmtree(out / "chunks", ignore_errors=True)  # a kill may leave some of it: nobody reads it any more
    counts = {name: manifest[name] for name in ("samples", "rejected", "reasons")}
    costs = {"cpu_seconds": tally.rounded(), "spent": dict(tally.spent)}
    return {"n": about["n"], **counts, "resumed": resumed, **costs, "sha256": manifest["files"]["samples.jsonl"]}


class Tally:
    """Adds up the journal lines of chunks."""

    def __init__(self) -> None:
        self.drafts = self.samples = 0
        self.reasons: Counter[str] = Counter()
        self.spent: Counter[str] = Counter()
        self.seconds: dict[str, float] = {}

    def add(self, line: dict[str, Any]) -> None:
        """Adds one line."""
        self.drafts += line["drafts"]
        self.samples += line["samples"]
        self.reasons.update(line["reasons"])
        self.spent.update(line["spent"])
        for name, taken in line["seconds"].items():
            self.seconds[name] = self.seconds.get(name, 0.0) + taken

    def rounded(self) -> dict[str, float]:
        """The seconds, to a tenth."""
        return {name: round(value, 1) for name, value in self.seconds.items()}

    def words(self, most: int = 3) -> str:
        """The counts as a progress bar shows them: samples, and the most frequent reasons."""
        common = [f"{name} {count}" for name, count in self.reasons.most_common(most)]
        return ", ".join([f"samples {self.samples}", *common])


def _bind(out: Path, about: dict[str, Any]) -> dict[str, Any]:
    """The folder's manifest, written when there is none; CannotRun when it is of another run."""
    path, about = out / "manifest.json", json.loads(json.dumps(about))
    if not path.exists():
        write_whole(path, _json({"run": about}))
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        there = manifest["run"]
        names = [name for name in sorted({*there, *about}) if there.get(name) != about.get(name)]
    except (ValueError, KeyError, TypeError) as error:
        raise CannotRun(f"{path} is not what a run wrote ({error}): use a new --out") from error
    if names:
        lines = [f"  {name}: there {there.get(name)}, now {about.get(name)}" for name in names]
        advice = "use a new --out, or the options that it was begun with"
        raise CannotRun("\n".join([f"{out} holds another run: {advice}.", *lines]))
    return manifest


def _assemble(out: Path, about: dict[str, Any], numbers: range, tally: Tally) -> dict[str, Any]:
    """Joins the files of the chunks in their order, says in the manifest that the run is complete."""
    files = {f"{kind}.jsonl": _join(out, kind, numbers) for kind in KINDS}
    counts = {"samples": tally.samples, "rejected": tally.drafts - tally.samples}
    manifest = {"run": about, **counts, "reasons": dict(sorted(tally.reasons.items())), "files": files}
    write_whole(out / "manifest.json", _json(manifest))
    return manifest


def _join(out: Path, kind: str, numbers: range) -> str:
    """Writes one of the two results, piece by piece; gives its SHA-256."""
    path, digest = out / f"{kind}.jsonl", hashlib.sha256()
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as whole:
        for number in numbers:
            content = chunk_file(out, number, kind).read_bytes()
            digest.update(content)
            whole.write(content)
        whole.flush()
        os.fsync(whole.fileno())
    os.replace(part, path)
    return digest.hexdigest()


def _whole(out: Path, line: dict[str, Any]) -> bool:
    """Whether the files of a chunk are there as its line says, and the pictures that they name."""
    files = {kind: chunk_file(out, line["chunk"], kind) for kind in KINDS}
    named = all(_is(files[kind], line["sha256"][kind]) for kind in KINDS)
    return named and not _without_pictures(out, files["samples"])


def _without_pictures(out: Path, samples: Path) -> set[int]:
    """The chunks of samples whose pictures are not all there: somebody deleted one, or a disk lost it."""
    gone = set()
    with open(samples, "rb") as lines:
        for one in map(json.loads, lines):
            for name in filter(None, (one["image"], one["edited_image"], one["provenance"].get("mask"))):
                if not (out / name).is_file():
                    gone.add(int(Path(name).parts[-2]))  # the folder is named after the chunk
    return gone


def _is(path: Path, expected: str) -> bool:
    """Whether a file is there with this content."""
    return path.is_file() and sha256(path) == expected


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def _require_run_folder(out: Path) -> None:
    """Raises CannotRun when the folder holds other things than a run, or is a file."""
    if out.exists() and not out.is_dir():
        raise CannotRun(f"{out} is a file, not a folder: use another --out")
    found = {path.name for path in out.iterdir()} if out.exists() else set()
    strange = found - {"locks", "manifest.json.part"}
    if strange and "manifest.json" not in found:
        raise CannotRun(f"{out} holds {min(strange)!r} and no run: use a new --out")


@contextmanager
def _told(out: Path) -> Iterator[None]:
    """Says what to do about a folder that cannot be written: CannotRun in place of such an OSError."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            advice = "Make room and run the same command again: what is finished is kept"
            raise DiskFull(f"the disk of {out} is full ({error}). {advice}.") from error
        if error.errno in CLOSED and str(error.filename or "").startswith(str(out)):
            advice = "Make it writable and run the same command again, or use another --out"
            raise CannotRun(f"{out} cannot be written ({error}). {advice}.") from error
        raise

"""A study's list at work: each run claimed by a file, recorded when done, taken up where it was.

A run writes `DIR/ID/`: the adapter and its `run.json`, and last of all `scores.json`, which says that it is done. One
that was stopped starts anew. Several processes, or machines that share DIR, can work on one list: who makes `ID/lock`
first has the run. A lock that nobody has touched for some minutes belongs to a process that died, and is taken over.
Should two ever take over the same one, both do the same work and write the same record.
"""

import contextlib
import json
import os
import platform
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmhallu_core.models.adapter_folders import WEIGHTS, base_hash
from mmhallu_core.models.vlm import SHIPPED, Vlm
from mmhallu_core.recorded import commit, versions
from mmhallu_core.store import checkpoint_folder, sha256, write_whole
from mmhallu_core.studies.engine.study import Run, Study
from mmhallu_core.types import CannotRun

SCORES, LOCK, BASES = "scores.json", "lock", "bases"
STALE = 600.0  # seconds; a lock is touched at every step, and between training and the end of the questions
PACKAGES = ("numpy", "pillow", "torch", "transformers", "peft")


class Skipped(CannotRun):
    """This run cannot be made here now; the message says why, and the others go on."""


def base_of(name: str, out: Path) -> Path:
    """The folder of a base: shipped, or put under `out/bases`.

    Raises:
        Skipped: when it is in neither place.
    """
    folder = checkpoint_folder(name) if name in SHIPPED else out / BASES / name
    if not (folder / "model.safetensors").is_file():
        raise Skipped(f"there is no base {name}: put its folder at {out / BASES / name}")
    return folder


def perform(study: Study, run: Run, out: Path, tell: Callable[[str], None], progress: bool) -> dict[str, Any]:
    """Makes one run and writes its files.

    Returns:
        What `scores.json` holds: `id, run, numbers, command, commit, versions, base_sha256` (of the weights that were
        loaded), `base_file_sha256` (of their file), `seconds`, `training` (None where nothing was trained) and
        `answers`.

    Raises:
        Skipped: when its base, or the run whose adapter it asks, is not here.
    """
    folder, began = out / run.id, time.monotonic()
    vlm, base = _model(study, run, out)
    base_sha256, training = base_hash(vlm.model), None
    if run.trains:
        vlm, training = study.train(run, vlm, folder, study.numbers, tell)
    trained = time.monotonic() - began
    tell("questions")
    answers = study.ask(vlm, run, study.numbers, progress)
    return {
        "kind": "diorama",
        "id": run.id,
        "run": asdict(run),
        "numbers": asdict(study.numbers),
        "command": study.command(run),
        "commit": commit(),
        "versions": versions(PACKAGES),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "base_sha256": base_sha256,
        "base_file_sha256": sha256(base / "model.safetensors"),
        "seconds": {"train": round(trained, 1), "exam": round(time.monotonic() - began - trained, 1)},
        "training": training,
        "answers": answers,
    }


def _model(study: Study, run: Run, out: Path) -> tuple[Vlm, Path]:
    """The model that a run starts from, and the folder of its base: the base itself, or with another run's adapter."""
    first = study.chosen([run.of])[0] if run.of else run
    base = base_of(first.base, out)
    vlm = Vlm.load(base)
    vlm.name = first.base
    if run.of is None or not first.trains:
        return vlm, base
    if not (out / run.of / WEIGHTS).is_file():
        raise Skipped(f"{run.id} asks {run.of}, whose adapter is not in {out / run.of}: make that run here first")
    return vlm.with_adapter(out / run.of), base


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[Path | None]:
    """Holds a run's lock, or gives None when another process has it; the holder touches the file now and then."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / LOCK
    with contextlib.suppress(FileNotFoundError):
        if time.time() - lock.stat().st_mtime > STALE:
            lock.unlink()
    try:
        with open(lock, "x", encoding="utf-8") as file:
            json.dump({"host": socket.gethostname(), "pid": os.getpid()}, file)
    except FileExistsError:
        yield None
        return
    try:
        yield lock
    finally:
        lock.unlink(missing_ok=True)


def done(study: Study, run: Run, out: Path) -> bool:
    """Whether a run is recorded.

    Raises:
        CannotRun: when the record is of another plan, or of a base that has changed since.
    """
    path = out / run.id / SCORES
    if not path.is_file():
        return False
    record = json.loads(path.read_text(encoding="utf-8"))
    same = json.loads(json.dumps({"run": asdict(run), "numbers": asdict(study.numbers)}))
    if any(record[name] != value for name, value in same.items()):
        raise CannotRun(f"{path} was made by another plan; use a new --out, or remove {path.parent}")
    if not run.of and record["base_file_sha256"] != sha256(base_of(run.base, out) / "model.safetensors"):
        raise CannotRun(f"{path} was made with other weights of {run.base}; use a new --out")
    return True


def work(
    study: Study,
    todo: Sequence[Run],
    out: Path,
    keep: Path | None = None,
    tell: Callable[[str], None] = print,
    progress: bool = True,
) -> dict[str, Any]:
    """Makes those runs of a list that are not made yet.

    Args:
        study: the plan.
        todo: runs of it.
        out: folder of the study.
        keep: a folder that gets a copy of each record, `keep/ID.json`.
        tell: gets what is going on, a line at a time.
        progress: whether the questions show bars.

    Returns:
        `made`, `there` (made before), `elsewhere` (another process is at it) and `skipped` (id to the reason).

    Raises:
        CannotRun: see `done`; also when training fails.
    """
    found: dict[str, Any] = {"made": [], "there": [], "elsewhere": [], "skipped": {}}
    left = [run for run in todo if not _is_there(study, run, out, keep, found)]
    pace = 1.0  # how much slower than planned this machine is
    for number, run in enumerate(left):
        minutes = pace * sum(study.seconds(one, study.numbers) for one in left[number:]) / 60
        tell(f"{run.id}: run {number + 1} of {len(left)}, about {minutes:.0f} minutes left")
        with claimed(out / run.id) as lock:
            if lock is None or _is_there(study, run, out, keep, found):
                found["elsewhere"] += [run.id] if lock is None else []
                continue
            began = time.monotonic()
            try:
                record = perform(study, run, out, _touching(lock, run.id, tell), progress)
            except Skipped as reason:
                found["skipped"][run.id] = str(reason)
                tell(f"{run.id}: skipped, {reason}")
                continue
            write_whole(out / run.id / SCORES, json.dumps(record, separators=(",", ":")) + "\n")
            _copy(run, out, keep)
            found["made"].append(run.id)
            pace = (time.monotonic() - began) / study.seconds(run, study.numbers)
    return found


def _is_there(study: Study, run: Run, out: Path, keep: Path | None, found: dict[str, Any]) -> bool:
    there = done(study, run, out)
    if there:
        found["there"].append(run.id)
        _copy(run, out, keep)
    return there


def _touching(lock: Path, name: str, tell: Callable[[str], None]) -> Callable[[str], None]:
    """Tells every twentieth step, and touches the lock at each."""

    def said(text: str) -> None:
        os.utime(lock)
        words = text.split()
        if words[0] != "step" or int(words[1]) % 20 == 0:
            tell(f"{name}: {text}")

    return said


def _copy(run: Run, out: Path, keep: Path | None) -> None:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        write_whole(keep / f"{run.id}.json", (out / run.id / SCORES).read_text(encoding="utf-8"))

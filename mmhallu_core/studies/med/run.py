"""One run, and the list of runs: claimed by a file, recorded when done, taken up where it was.

A run writes `DIR/ID/`: the adapter and its `run.json`, and last of all `scores.json`, which says that it is done. One
that was stopped starts anew. Several processes, or machines that share DIR, can work on one list: who makes `ID/lock`
first has the run. A lock that nobody has touched for some minutes belongs to a process that died, and is taken over.
Should two ever take over the same one, both do the same work and write the same record.
"""

import contextlib
import json
import os
import platform
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mmhallu_core.edit.similarity import TinyClipEmbedder
from mmhallu_core.methods.med.arms import ARMS, SPLIT, Stream, Tally, alike, arm, token_count
from mmhallu_core.models.adapter_folders import WEIGHTS
from mmhallu_core.models.vlm import SHIPPED, Vlm
from mmhallu_core.models.weights import base_hash
from mmhallu_core.store import checkpoint_folder, sha256
from mmhallu_core.studies.med.exam import ask, look
from mmhallu_core.studies.med.plan import NUMBERS, Numbers, Run, runs
from mmhallu_core.studies.record import commit, versions
from mmhallu_core.train.med_loss import Consistency
from mmhallu_core.train.sft import SftSpec, fine_tune
from mmhallu_core.types import CannotRun

SCORES, LOCK, BASES = "scores.json", "lock", "bases"
STALE = 600.0  # seconds; a lock is touched at every step, and between training and the end of the questions


class Skipped(CannotRun):
    """This run cannot be made here now; the message says why, and the others go on."""


def spec_of(run: Run, numbers: Numbers) -> SftSpec:
    """The fine-tuning of a run."""
    full = run.vision_tower == "full"
    return SftSpec(
        steps=numbers.steps, batch=numbers.edits * ARMS[run.arm or "med"], lr=numbers.lr_full if full else numbers.lr,
        rank=numbers.rank, alpha=numbers.alpha, seed=run.seed, vision_tower=run.vision_tower, decoder=run.decoder,
        kind=run.kind, consistency=Consistency(run.consistency),
    )  # fmt: skip


def base_of(name: str, out: Path) -> Path:
    """The folder of a base: shipped, or put under `out/bases`.

    Raises:
        Skipped: when it is in neither place.
    """
    folder = checkpoint_folder(name) if name in SHIPPED else out / BASES / name
    if not (folder / "model.safetensors").is_file():
        raise Skipped(f"there is no base {name}: put its folder at {out / BASES / name}")
    return folder


def perform(run: Run, out: Path, numbers: Numbers, tell: Callable[[str], None], progress: bool) -> dict[str, Any]:
    """Makes one run and writes its files.

    Returns:
        What `scores.json` holds: `id, run, numbers, command, commit, versions, base_sha256, seconds, training` (None
        where nothing was trained) and `answers` (see `exam.ask`).

    Raises:
        Skipped: when its base, or the run that it looks at, is not here.
    """
    folder, began = out / run.id, time.monotonic()
    vlm, training = _model(run, out)
    base_sha256 = base_hash(vlm.model)
    if run.arm:
        vlm, training = _trained(run, vlm, folder, numbers, tell)
    trained = time.monotonic() - began
    tell("questions")
    found = look(vlm, run.look, numbers, progress) if run.look else ask(vlm, numbers, progress)
    packages = ("numpy", "pillow", "torch", "transformers", "peft")
    return {
        "kind": "diorama",
        "id": run.id,
        "run": asdict(run),
        "numbers": asdict(numbers),
        "command": command(run),
        "commit": commit(),
        "versions": versions(packages),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "base_sha256": base_sha256,
        "seconds": {"train": round(trained, 1), "exam": round(time.monotonic() - began - trained, 1)},
        "training": training,
        "answers": found,
    }


def command(run: Run) -> str:
    """What to type to make one run again."""
    return f"mmhallu study med --only {run.id} --out runs/med"


def _model(run: Run, out: Path) -> tuple[Vlm, None]:
    """The model that a run starts from: a base, or for a look the run that it looks at."""
    if run.of is None:
        return _named(Vlm.load(base_of(run.base, out)), run.base), None
    looked = next(one for one in runs() if one.id == run.of)
    vlm = _named(Vlm.load(base_of(looked.base, out)), looked.base)
    if looked.arm is None:
        return vlm, None
    if not (out / run.of / WEIGHTS).is_file():
        raise Skipped(f"{run.id} looks at {run.of}, whose adapter is not in {out / run.of}: make that run here first")
    return vlm.with_adapter(out / run.of), None


def _named(vlm: Vlm, name: str) -> Vlm:
    vlm.name = name
    return vlm


def _trained(
    run: Run, vlm: Vlm, folder: Path, numbers: Numbers, tell: Callable[[str], None]
) -> tuple[Vlm, dict[str, Any]]:
    """Fine-tunes, and adds to the adapter's `run.json` what was shown."""
    count = token_count(vlm)
    keep = alike(TinyClipEmbedder()) if run.clip else None
    stream = Stream(f"{SPLIT}{run.seed}", run.categories, keep=keep)
    tally = Tally(arm(run.arm, stream, count, run.eta), count)
    tuned, record = fine_tune(
        vlm, tally, spec_of(run, numbers), folder, command(run), lambda step, steps: tell(f"step {step} of {steps}")
    )
    record["study"] = {"arm": run.arm, **tally.to_dict()}
    (folder / "run.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    kept = ("sha256", "data_sha256", "seconds", "trainable", "loss", "steps", "study")
    return tuned, {name: record[name] for name in kept}


# ---------------------------------------------------------------- the list


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


def done(run: Run, out: Path, numbers: Numbers) -> bool:
    """Whether a run is recorded.

    Raises:
        CannotRun: when the record is of another plan, or of a base that has changed since.
    """
    path = out / run.id / SCORES
    if not path.is_file():
        return False
    record = json.loads(path.read_text(encoding="utf-8"))
    same = json.loads(json.dumps({"run": asdict(run), "numbers": asdict(numbers)}))
    if any(record[name] != value for name, value in same.items()):
        raise CannotRun(f"{path} was made by another plan; use a new --out, or remove {path.parent}")
    if not run.of:
        folder = base_of(run.base, out)
        if record["base_file_sha256"] != sha256(folder / "model.safetensors"):
            raise CannotRun(f"{path} was made with other weights of {run.base}; use a new --out")
    return True


def study(
    todo: Sequence[Run],
    out: Path,
    numbers: Numbers = NUMBERS,
    keep: Path | None = None,
    tell: Callable[[str], None] = print,
    progress: bool = True,
) -> dict[str, Any]:
    """Makes those runs of a list that are not made yet.

    Args:
        todo: the runs.
        out: folder of the study.
        numbers: of every run.
        keep: a folder that gets a copy of each record, `keep/ID.json`.
        tell: gets what is going on, a line at a time.
        progress: whether the questions show bars.

    Returns:
        `made`, `there` (made before), `elsewhere` (another process is at it) and `skipped` (id to the reason).

    Raises:
        CannotRun: see `done`; also when training fails.
    """
    found: dict[str, Any] = {"made": [], "there": [], "elsewhere": [], "skipped": {}}
    left = [run for run in todo if not _is_there(run, out, numbers, keep, found)]
    pace = 1.0  # how much slower than planned this machine is
    for number, run in enumerate(left):
        minutes = pace * sum(one.seconds(numbers) for one in left[number:]) / 60
        tell(f"{run.id}: run {number + 1} of {len(left)}, about {minutes:.0f} minutes left")
        with claimed(out / run.id) as lock:
            if lock is None or _is_there(run, out, numbers, keep, found):
                found["elsewhere"] += [run.id] if lock is None else []
                continue
            began = time.monotonic()
            try:
                record = perform(run, out, numbers, _touching(lock, run.id, tell), progress)
                base = next((one.base for one in runs() if one.id == run.of), run.base)
                record["base_file_sha256"] = sha256(base_of(base, out) / "model.safetensors")
            except Skipped as reason:
                found["skipped"][run.id] = str(reason)
                tell(f"{run.id}: skipped, {reason}")
                continue
            _write(out / run.id / SCORES, record)
            _copy(run, out, keep)
            found["made"].append(run.id)
            pace = (time.monotonic() - began) / run.seconds(numbers)
    return found


def _is_there(run: Run, out: Path, numbers: Numbers, keep: Path | None, found: dict[str, Any]) -> bool:
    there = done(run, out, numbers)
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


def _write(path: Path, record: dict[str, Any]) -> None:
    """Writes a record whole or not at all."""
    new = path.with_suffix(f".{os.getpid()}.new")
    new.write_text(json.dumps(record, indent=None, separators=(",", ":")) + "\n", encoding="utf-8", newline="\n")
    os.replace(new, path)


def _copy(run: Run, out: Path, keep: Path | None) -> None:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        new = keep / f"{run.id}.json.new"
        shutil.copy(out / run.id / SCORES, new)
        os.replace(new, keep / f"{run.id}.json")


def small(numbers: Numbers = NUMBERS, steps: int = 3, scenes: int = 8) -> Numbers:
    """The same study with next to nothing in it: to see that it runs, not to learn anything."""
    return replace(numbers, steps=steps, scenes=scenes, per_category=4, same=4, routed=1)

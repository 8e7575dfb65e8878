"""Does a run of MED's pipeline survive being killed, at any moment, again and again?

A process makes edit samples of Diorama and is killed (SIGKILL: it gets no chance to tidy up) after a random time;
another goes on in the same folder, and is killed too. After every kill the journals are read as raw lines and compared
with what they said before. When a run comes to its end between two kills, all its results, pictures included, are
compared byte by byte with those of a run that nobody disturbed, and the next run begins. There are two kinds of run:

- `world`: the whole pipeline in one process, with the oracle inside.
- `paid`: two workers that ask a server on this machine, which counts calls. It answers as the oracle would. Only the
  run's first process is killed; its workers must notice. There is no CLIP filter here: each start would wait for torch.

    python -m maintenance.med_kills --kills 60 40 --out results/med-pipeline

writes `kills.json`. Processes of the first kind begin as copies of this one where the system can do that (Linux), so
that kills land in the run and not in the import of torch.
"""

import argparse
import functools
import json
import multiprocessing
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from maintenance.oracle_server import OracleServer
from mmhallu_core.clients.openai_client import OpenAiClient
from mmhallu_core.edit.engine.calls import ChunkClient
from mmhallu_core.edit.engine.run import build
from mmhallu_core.edit.engine.work import Pipeline
from mmhallu_core.edit.recipe import World
from mmhallu_core.edit.stages import asked
from mmhallu_core.edit.world import WorldSource, world_editor
from mmhallu_core.recorded import commit
from mmhallu_core.store import results_folder, sha256
from mmhallu_core.types import CannotRun

COMMAND = "python -m maintenance.med_kills"
SEED, CHUNK = 0, 4  # small chunks: many moments to be killed at
SHARE, EARLY = 3, 100  # a process lives at most this part of a whole run; one in five does not get beyond its start


@functools.cache
def world(n: int) -> Pipeline:
    """The whole pipeline; a copied process has it already."""
    return World(n, SEED, error=0.05)()


@dataclass(frozen=True)
class Asking:
    """The pipeline without its CLIP filter, asking a server."""

    n: int
    url: str

    def __call__(self) -> Pipeline:
        """Makes it in a worker."""
        oracle = OpenAiClient(self.url, "oracle")
        oracle.about["kind"] = "oracle"  # the one annotator that gets pictures with their truth in the file
        client = ChunkClient(oracle, workers=3)
        stages = [
            ("filter", asked.editability(client)),
            ("plan", asked.plan(client)),
            ("edit", world_editor()),
            ("complete", asked.complete(client)),
            ("recaption", asked.recaption(client)),
            ("difference", asked.difference(client, see_pictures=True)),
            ("judges", asked.judges(client)),
            ("refine", asked.refine(client)),
            ("question", asked.question(SEED)),
        ]
        return Pipeline(WorldSource(SEED, self.n), stages, (client,))


def lines_of(journal: Path) -> tuple[list[dict[str, Any]], bool]:
    """The records of a journal as they are on disk, without its first line, and whether its last line is torn."""
    parts = journal.read_bytes().split(b"\n") if journal.exists() else [b""]
    return [json.loads(line)["record"] for line in parts[:-1]][1:], bool(parts[-1])


def look(out: Path, before: dict[str, Any]) -> dict[str, Any]:
    """What a killed process left behind, and what of it contradicts what was there before.

    Args:
        out: the run's folder.
        before: what this function gave last time; empty at a run's beginning.
    """
    chunks, torn = lines_of(out / "journal.jsonl")
    replies, late = {}, 0
    for path in sorted(out.glob("calls/*")):
        lines, broken = lines_of(path)
        torn = torn or broken
        for line in lines:
            name = f"{path.stem}/{line['id']}"
            late += line["event"] == "begun" and name in replies
            if line["event"] == "reply":
                replies[name] = line["reply"]
    done = {str(line["chunk"]): line["sha256"] for line in chunks}
    kept = {**done, **replies}
    here = {path.name.split(".")[0] for path in out.glob("chunks/*.jsonl")}
    return {
        "kept": kept,
        "chunks": len(done),
        "late": late,
        "lost": sum(kept.get(name) != value for name, value in before.get("kept", {}).items()),
        "landed": "in a line" if torn
        else "in a file" if list(out.rglob("*.part"))
        else "between files and journal" if here - {f"{int(name):06d}" for name in done}
        else "before something was kept" if kept == before.get("kept", {})
        else "in a chunk",
    }  # fmt: skip


def content(out: Path) -> dict[str, str]:
    """Every result of a run, pictures included: its hash by its path. Journals say who did what when: they are none."""
    files = [out / name for name in ("samples.jsonl", "rejected.jsonl", "manifest.json")]
    files += [path for folder in ("images", "masks") for path in sorted(out.glob(f"{folder}/*/*"))]
    return {path.relative_to(out).as_posix(): sha256(path) for path in files}


class Copied:
    """Starts runs of the first kind as copies of this process."""

    def __init__(self, n: int) -> None:
        self.n = n
        self._context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        world(n)

    def __call__(self, out: Path, seconds: Callable[[], float] | None) -> int:
        """Runs a process for so long, then kills it. Returns its exit status."""
        process = self._context.Process(target=make_world, args=(self.n, out))
        process.start()
        process.join(None if seconds is None else seconds())
        process.kill()
        process.join()
        return process.exitcode


class Served:
    """Starts runs of the second kind, each a process that starts two workers."""

    def __init__(self, n: int) -> None:
        self.n, self.server = n, OracleServer()

    def __call__(self, out: Path, seconds: Callable[[], float] | None) -> int:
        """Runs a process for so long after its first call, then kills it. Returns its exit status."""
        calls = self.server.keys.total()
        words = ["-m", "maintenance.med_kills", "--asking", self.server.url, "--drafts", str(self.n)]
        process = subprocess.Popen([sys.executable, *words, "--out", str(out)])
        while seconds is not None and self.server.keys.total() == calls and process.poll() is None:
            time.sleep(0.005)
        try:
            return process.wait(None if seconds is None else seconds())
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def make_world(n: int, out: Path) -> None:
    """What a process of the first kind does."""
    build(functools.partial(world, n), out, workers=0, chunk=CHUNK)


def survive(start: Copied | Served, kills: int, folder: Path, seed: int = 0) -> dict[str, Any]:
    """Kills runs at random moments until it has happened `kills` times; see this file's docstring.

    Returns:
        `kills`, `in_a_row` (the most without an end between them), `runs` (that came to their end), `drafts`, `lost`
        (chunks or replies that a later journal no longer had, or had differently), `asked_after_reply`,
        `files_equal`, `landed` (where the kills fell), `chunks_kept` (at each kill); of paid runs `calls`, `repeated`
        (calls beyond the first of their key), `possibly_paid_twice` (what the journals say about them), and
        `unaccounted` (repeated calls that the journals do not know of).

    Raises:
        CannotRun: when a process fails by itself.
    """
    dice = random.Random(seed)
    began = time.monotonic()
    if start(folder / "undisturbed", None) != 0:
        raise CannotRun("the run that nobody disturbs failed; its message is above")
    whole, wanted = time.monotonic() - began, content(folder / "undisturbed")
    server = start.server if isinstance(start, Served) else None
    tally, landed, paid, equal, kept, before, row = Counter(), Counter(), Counter(), [], [], {}, 0
    if server is not None:
        server.keys.clear()
    while tally["kills"] < kills or row:  # the last run, too, is brought to its end
        out = folder / f"run-{len(equal)}"
        longest = whole / SHARE if dice.random() < 0.8 else whole / EARLY
        drawn = functools.partial(dice.uniform, 0, longest) if tally["kills"] < kills else None
        status = start(out, drawn)
        if status > 0:
            raise CannotRun(f"a process failed with status {status}; its message is above")
        found = look(out, before)
        tally["lost"] += found["lost"]
        if status == 0:
            equal.append(content(out) == wanted)
            tally["asked_after_reply"] += found["late"]
            if server is not None:
                paid.update(_bill(out, server))
            before, row = {}, 0
        else:
            tally["kills"], row = tally["kills"] + 1, row + 1
            tally["in_a_row"] = max(tally["in_a_row"], row)
            landed[found["landed"]] += 1
            kept.append(found["chunks"])
            before = found
    names = ("kills", "in_a_row", "lost", "asked_after_reply")
    shape = {"runs": len(equal), "drafts": start.n, "chunks_in_a_run": -(-start.n // CHUNK)}
    end = {"files_equal": all(equal), "landed": dict(landed.most_common()), "chunks_kept": kept}
    return {**{name: tally[name] for name in names}, **shape, **end, **paid, "undisturbed_seconds": round(whole, 2)}


def _bill(out: Path, server: OracleServer) -> dict[str, int]:
    """What a finished run has cost by the server's count and by its journals. The server begins to count anew."""
    said = sum(reply["possibly_paid_twice"] for reply in look(out, {})["kept"].values() if "text" in reply)
    calls, keys = server.keys.total(), len(server.keys)
    server.keys.clear()
    return {"calls": calls, "repeated": calls - keys, "possibly_paid_twice": said,
            "unaccounted": max(0, calls - keys - said)}  # fmt: skip


def main() -> None:
    """The command line of this file; exits with 1 when anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, nargs=2, default=(60, 40), metavar=("WORLD", "PAID"))
    parser.add_argument("--drafts", type=int, default=96)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=results_folder() / "med-pipeline")
    parser.add_argument("--asking", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.asking:
        build(Asking(options.drafts, options.asking), options.out, workers=2, chunk=CHUNK)
        return
    with tempfile.TemporaryDirectory() as folder:
        paid = survive(Served(options.drafts // 2), options.kills[1], Path(folder, "paid"), options.seed)
        free = survive(Copied(options.drafts), options.kills[0], Path(folder, "world"), options.seed)
    kills = " ".join(map(str, options.kills))
    record = {
        "command": f"{COMMAND} --kills {kills} --drafts {options.drafts} --seed {options.seed}",
        "commit": commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {name: version(name) for name in ("torch", "openai", "pillow")},
        "kind": "diorama",
        "seed": options.seed,
        "parts": {"world": free, "paid": paid},
    }
    options.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1)
    (options.out / "kills.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    print(text)
    sys.exit(0 if all(map(unharmed, record["parts"].values())) else 1)


def unharmed(part: dict[str, Any]) -> bool:
    """Whether nothing was lost, repeated without need, or different in the end."""
    harm = part["lost"] + part["asked_after_reply"] + part.get("unaccounted", 0)
    return harm == 0 and part["files_equal"]


if __name__ == "__main__":
    main()

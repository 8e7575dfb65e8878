"""Does a run over a benchmark survive being killed, at any moment, again and again?

A process answers POPE's questions about Diorama with tiny-llava, and is killed (SIGKILL: it gets no chance to tidy
up) after a random time; another goes on in the same folder, and is killed too. After every kill the journal is read
as raw lines and compared with what it said before. When a run comes to its end between two kills, its file of answers
is compared, byte by byte, with that of a run that nobody disturbed, and the next run begins.

    python -m maintenance.runner_kills --kills 50 --out results/runner

writes `kills.json`. Each process begins as a copy of this one where the system can do that (Linux), so that kills
land in the run and not in the import of torch.
"""

import argparse
import functools
import json
import multiprocessing
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.pope import sample_questions
from mmhallu_core.evaluate.runner import run
from mmhallu_core.models.adapter_folders import weights_sha256
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.recorded import commit
from mmhallu_core.store import results_folder
from mmhallu_core.types import CannotRun, read_jsonl, write_jsonl
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render

COMMAND = "python -m maintenance.runner_kills"
BATCH, TOKENS = 6, 4  # one picture's questions a batch: many moments to be killed at
SHARE, EARLY = 4, 100  # a process lives at most this part of a whole run; one in five does not get beyond its start


@functools.cache
def model() -> Vlm:
    """The model, loaded once; a copied process has it already."""
    torch.set_num_threads(1)  # copying a process that has helper threads would leave it without them
    return Vlm.load("tiny-llava", device="cpu")


def write_questions(folder: Path, pictures: int) -> Path:
    """Draws test scenes, asks POPE's adversarial questions about them, and writes both to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    scenes = {f"{number:03d}": sample_scene(f"test/kills/{number}") for number in range(pictures)}
    for name, scene in scenes.items():
        render(scene, 96).image.save(folder / f"{name}.png")
    asked = sample_questions({name: scene.kinds() for name, scene in scenes.items()}, "adversarial")
    questions = [Question(one.id, one.question, one.label, (str(folder / f"{one.image_id}.png"),)) for one in asked]
    write_jsonl(folder / "questions.jsonl", questions)
    return folder / "questions.jsonl"


def answer(file: Path, out: Path) -> None:
    """What each process does: asks what has no answer yet."""
    run(read_jsonl(file, Question), model(), out, BATCH, TOKENS, progress=False)


def lines_of(journal: Path) -> tuple[list[dict[str, Any]], bool]:
    """The records of a journal as they are on disk, and whether its last line is torn."""
    parts = journal.read_bytes().split(b"\n") if journal.exists() else [b""]
    return [json.loads(line)["record"] for line in parts[:-1]], bool(parts[-1])


def look(journal: Path, known: int) -> dict[str, Any]:
    """What a killed process left: answers so far, questions asked after they had an answer, and where it was.

    Args:
        journal: the file, of this process and those before it.
        known: how many lines it had when the process began.
    """
    lines, torn = lines_of(journal)
    answers: dict[str, str] = {}
    late = changed = 0
    for line in lines[1:]:
        late += sum(one in answers for one in line.get("begun", ()))
        for one, text, _ in line.get("answered", ()):
            changed += answers.setdefault(one, text) != text
    if torn:
        landed = "in a line"
    elif len(lines) <= max(known, 1):  # the first line says which run it is
        landed = "at the start"
    else:
        landed = "in a batch" if "begun" in lines[-1] else "between batches"
    return {"lines": len(lines), "answers": answers, "late": late, "changed": changed, "landed": landed}


def survive(kills: int, folder: Path, pictures: int, seed: int = 0) -> dict[str, Any]:
    """Kills runs at random moments until it has happened `kills` times; see this file's docstring.

    Returns:
        `kills`, `runs` (that came to their end), `lost` (answers that a later journal no longer had),
        `changed` (answers that were written twice, differently), `asked_after_answer`, `files_equal`, `landed`
        (where the kills fell), `answers_kept` (in a journal at each kill), and the hash of the weights.

    Raises:
        CannotRun: when a process fails by itself.
    """
    processes = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    file, dice = write_questions(folder / "pictures", pictures), random.Random(seed)
    model()

    def start(out: Path, seconds: float | None) -> int:
        """Runs a process for so long, then kills it. Returns its exit status."""
        process = processes.Process(target=answer, args=(file, out))
        process.start()
        process.join(seconds)
        process.kill()
        process.join()
        return process.exitcode

    began = time.monotonic()
    if start(folder / "undisturbed", None) != 0:
        raise CannotRun("the run that nobody disturbs failed; its message is above")
    whole, wanted = time.monotonic() - began, (folder / "undisturbed" / "answers.jsonl").read_bytes()
    tally, landed, kept, equal, ended = Counter(), Counter(), [], [], False
    before: dict[str, Any] = {"lines": 0, "answers": {}}
    while tally["kills"] < kills or not ended:  # the last run, too, is brought to its end
        out = folder / f"run-{len(equal)}"
        longest = whole / SHARE if dice.random() < 0.8 else whole / EARLY
        status = start(out, dice.uniform(0, longest) if tally["kills"] < kills else None)
        found, ended = look(out / "journal.jsonl", before["lines"]), status == 0
        tally["lost"] += sum(found["answers"].get(one) != text for one, text in before["answers"].items())
        if status > 0:
            raise CannotRun(f"a process failed with status {status}; its message is above")
        if ended:
            equal.append((out / "answers.jsonl").read_bytes() == wanted)
            tally.update(changed=found["changed"], asked_after_answer=found["late"])
        else:
            tally["kills"] += 1
            landed[found["landed"]] += 1
            kept.append(len(found["answers"]))
        before = {"lines": 0, "answers": {}} if ended else found
    return {
        "kind": "diorama",
        "kills": tally["kills"],
        "runs": len(equal),
        "questions": len(wanted.splitlines()),
        **{name: tally[name] for name in ("lost", "changed", "asked_after_answer")},
        "files_equal": all(equal),
        "landed": dict(landed.most_common()),
        "answers_kept": kept,
        "undisturbed_seconds": round(whole, 2),
        "seed": seed,
        "weights": weights_sha256(model().model),
    }


def main() -> None:
    """The command line of this file; exits with 1 when anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=results_folder() / "runner")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = survive(arguments.kills, Path(folder), arguments.pictures, arguments.seed)
    about = {
        "command": f"{COMMAND} --kills {arguments.kills} --pictures {arguments.pictures} --seed {arguments.seed}",
        "commit": commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**about, **result}, indent=1)
    (arguments.out / "kills.json").write_text(text + "\n", encoding="utf-8")
    print(text)
    harm = result["lost"] + result["changed"] + result["asked_after_answer"]
    sys.exit(0 if harm == 0 and result["files_equal"] else 1)


if __name__ == "__main__":
    main()

"""What the chapter *Build micro-edits* computes: one draft followed through the pipeline, and how photos are edited.

The measurements of many drafts are in `med_faults.py` and `med_similarity.py`, and OpenCV's edits of photos in
`med_photos.py`. Here they are made again where `LIVE=1` asks for it, and else read from the ledger.

`python -m mmhallu_core.studies.build_micro_edits --out results/med-pipeline` compares the released benchmark's edited
photos with their originals (`released.json`: numbers only).
"""

import argparse
import json
import math
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmhallu_core.clients.client import Client, Reply, Request
from mmhallu_core.config import live
from mmhallu_core.edit.decode import decode
from mmhallu_core.edit.draft import Draft, Rejected
from mmhallu_core.edit.pipeline import world_pipeline
from mmhallu_core.store import MissingFile, data_file, sha256
from mmhallu_core.studies.count_it import recorded
from mmhallu_core.studies.med_photos import CLEAR, FILE, pairs, spread

COMMAND = "python -m mmhallu_core.studies.build_micro_edits --out results/med-pipeline"
SAME_SHAPE = 0.01  # difference of the logarithms of width to height
FEW = 12  # pairs of photos that are compared while the chapter is read


@dataclass(frozen=True)
class Step:
    """One stage, and what it made of one draft.

    Attributes:
        stage: its name.
        before: the draft that went in.
        after: what came out.
        calls: what the annotator was asked meanwhile, and its replies.
    """

    stage: str
    before: Draft
    after: Draft | Rejected
    calls: tuple[tuple[Request, Reply], ...]


class Overheard:
    """An annotator whose requests and replies are kept in `calls`."""

    def __init__(self, client: Client) -> None:
        self.client, self.about = client, client.about
        self.calls: list[tuple[Request, Reply]] = []

    def ask(self, request: Request) -> Reply:
        """The annotator's reply."""
        reply = self.client.ask(request)
        self.calls.append((request, reply))
        return reply


def trace(draft: Draft, client: Client, seed: int = 0) -> list[Step]:
    """Sends one draft of Diorama through the pipeline, stage by stage, up to its end.

    Args:
        draft: from a `WorldSource`.
        client: the annotator, such as an `Oracle`.
        seed: of the question.
    """
    heard, steps = Overheard(client), []
    for name, stage in world_pipeline(seed, 1, client=heard)[1]:
        heard.calls.clear()
        (outcome,) = stage([draft])
        steps.append(Step(name, draft, outcome, tuple(heard.calls)))
        if isinstance(outcome, Rejected):
            break
        draft = outcome
    return steps


def faults_or_recorded() -> tuple[dict[str, Any], str]:
    """The record of `med_faults`, or with `LIVE=1` that run made again; and a sentence that says which."""
    if live():
        from mmhallu_core.studies.med_faults import measure

        return measure(progress=False), "Computed now, because LIVE is set."
    record = recorded("med-pipeline/faults")
    return record, f"RECORDED by:\n{record['command']}"


def compared(pairs: Sequence[tuple[Path, Path]]) -> dict[str, Any]:
    """How edited photos differ from their originals, when both are brought to the original's size.

    Scaling changes pixels by itself. So there is a control: the original, scaled to the size of its edited twin and
    back. What the edited photo has more than the control, scaling does not explain.

    Args:
        pairs: originals and edited photos, as files.

    Returns:
        `pairs`, `of_two_sizes`, `of_two_shapes` (width to height differs by more than 1%); `edited` and `control`: the
        spread of the percentage of pixels that differ by more than 8 of 255 in some channel.
    """
    edited, control, sizes, shapes = [], [], 0, 0
    for paths in pairs:
        before, after = (decode(path.read_bytes()) for path in paths)
        sizes += before.size != after.size
        shapes += abs(math.log(before.width * after.height / (before.height * after.width))) > SAME_SHAPE
        edited.append(_clear(before, after.resize(before.size, Image.Resampling.LANCZOS)))
        back = before.resize(after.size, Image.Resampling.LANCZOS).resize(before.size, Image.Resampling.LANCZOS)
        control.append(_clear(before, back))
    about = {"pairs": len(edited), "of_two_sizes": sizes, "of_two_shapes": shapes}
    return {**about, "edited": spread(edited), "control": spread(control)}


def _clear(one: Image.Image, other: Image.Image) -> float:
    """The percentage of pixels that differ clearly."""
    off = abs(np.asarray(one, dtype=np.int16) - np.asarray(other, dtype=np.int16)).max(axis=2)
    return float(100 * (off > CLEAR).mean())


def photos_or_recorded() -> tuple[dict[str, dict[str, Any]], str]:
    """What `compared` measured on the released benchmark's pairs.

    Returns:
        By name: all pairs as recorded, and where the files are here, `FEW` of them now. And a sentence that says which
        is which.
    """
    record = recorded("med-pipeline/released")
    rows, how = {"all, recorded": record}, f"RECORDED by:\n{record['command']}"
    try:
        few = pairs()[:FEW]
    except MissingFile:
        return rows, f"{how}\nTo compare photos here: mmhallu data get med_bench"
    return rows | {f"first {len(few)}, now": compared(few)}, f"{how}\n{len(few)} pairs were compared now."


def main() -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the record of the released photos")
    folder = parser.parse_args().out
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    versions = {"python": platform.python_version(), **{name: version(name) for name in ("numpy", "pillow")}}
    about = {"kind": "recomputed", "command": COMMAND, "commit": done.stdout.strip() or "unknown", "versions": versions}
    record = about | {"inputs": {FILE: sha256(data_file(FILE))}} | compared(pairs())
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1) + "\n"
    (folder / "released.json").write_text(text, encoding="utf-8", newline="\n")
    print(folder / "released.json")


if __name__ == "__main__":
    main()

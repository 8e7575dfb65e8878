"""What the chapter *Build micro-edits* computes: one draft followed through the pipeline, and how photos are edited.

How many wrong labels come through is measured in `build_micro_edits_faults.py`. What took longer was measured by
`maintenance/med_similarity.py` and `maintenance/med_photos.py`, and is read from the ledger.
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmhallu_core.clients.client import Client, Reply, Request
from mmhallu_core.data.decode import decode
from mmhallu_core.edit.draft import Draft, Rejected
from mmhallu_core.edit.editors.editor import largest_change
from mmhallu_core.edit.pipeline import world_pipeline
from mmhallu_core.recorded import recorded
from mmhallu_core.store import MissingFile, data_file

FILE = "med_bench/MED_bench.json"
CLEAR = 8  # of 255: a pixel that differs by more does not differ by packing alone
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


def pairs() -> list[tuple[Path, Path]]:
    """The released benchmark's photos with their edited twins, by the name of the photo.

    Raises:
        MissingFile: when the benchmark is not here; the message names the command that gets it.
    """
    path = data_file(FILE)
    items = json.loads(path.read_text(encoding="utf-8"))
    named = {item["image_name"]: item["edited_image_name"] for item in items}
    return [(path.parent / one, path.parent / other) for one, other in sorted(named.items())]


def released(found: Sequence[tuple[Path, Path]]) -> dict[str, Any]:
    """How the benchmark's own edited photos differ from their originals.

    Most have another size, so an edited photo is first scaled to its original's. That alone changes pixels: how many is
    told by the original itself, scaled to the edited photo's size and back.
    """
    rows, other_size, off_shape = [], 0, []
    for one, other in found:
        before, after = decode(one).image, decode(other).image
        other_size += before.size != after.size
        off_shape.append(100 * abs(after.width * before.height / (after.height * before.width) - 1))
        there_and_back = before.resize(after.size, Image.Resampling.BICUBIC)
        rows.append([*_apart(before, after), *_apart(before, there_and_back)])
    names = ("pixels_that_differ_percent", f"pixels_that_differ_by_more_than_{CLEAR}_percent", "mean_difference_of_255",
             "largest_change_of_a_square_of_255")  # fmt: skip
    columns = [spread([row[k] for row in rows]) for k in range(2 * len(names))]
    return {
        "pairs": len(found),
        "pairs_of_two_sizes": other_size,
        "shape_is_off_by_percent": spread(off_shape),
        "edited": dict(zip(names, columns, strict=False)),
        "original_scaled_there_and_back": dict(zip(names, columns[len(names) :], strict=True)),
    }


def _apart(before: Image.Image, after: Image.Image) -> tuple[float, float, float, float]:
    """Shares of pixels that differ at all and clearly, in percent; mean difference; largest change of a square."""
    one = np.asarray(before)
    other = np.asarray(after.resize(before.size, Image.Resampling.BICUBIC))
    off = abs(one.astype(np.int16) - other).max(axis=2)
    return (
        100 * float((off > 0).mean()),
        100 * float((off > CLEAR).mean()),
        float(off.mean()),
        largest_change(one, other),
    )


def spread(values: Sequence[float]) -> dict[str, float]:
    """Minimum, quartiles and maximum; nothing of no values."""
    if len(values) < 2:
        return {"all": round(values[0], 2)} if values else {}
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    names = {"min": min(values), "quarter": low, "median": median, "three_quarters": high, "max": max(values)}
    return {name: round(value, 2) for name, value in names.items()}


def photos_or_recorded() -> tuple[dict[str, dict[str, Any]], str]:
    """What `released` measured on the released benchmark's pairs.

    Returns:
        By name: all pairs as recorded, and where the files are here, `FEW` of them now. And a sentence that says which
        is which.
    """
    record = recorded("med-photos/released")
    rows, how = {"all, recorded": record}, f"RECORDED by:\n{record['command']}"
    try:
        few = pairs()[:FEW]
    except MissingFile:
        return rows, f"{how}\nTo compare photos here: mmhallu data get med_bench"
    return rows | {f"first {len(few)}, now": released(few)}, f"{how}\n{len(few)} pairs were compared now."

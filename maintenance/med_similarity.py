"""How alike CLIP finds the two pictures of a micro-edit, by category and by kind of embedding; what the filter keeps.

`python -m maintenance.med_similarity --out results/med-pipeline` takes the drafts that Diorama's source makes
for MED's pipeline, each with the edit that its scene was made for, and writes `similarity.json`: quantiles, and the
shares above the paper's two lines, 0.7 and 0.95, for tiny-clip's projected and pooled embeddings.

Nothing is claimed beforehand; the question is how much of each category a filter throws away that was meant to keep
"small" edits. A filter is called even when no category loses more than twice the share of all drafts.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from mmhallu_core.edit.stages.similarity import BENCHMARK, TRAINING, Mode, TinyClipEmbedder, similarities
from mmhallu_core.edit.truth import png
from mmhallu_core.edit.world import WorldSource
from mmhallu_core.recorded import commit, versions, write
from mmhallu_core.statistics import wilson_interval
from mmhallu_core.store import checkpoint_folder, sha256
from mmhallu_core.types import CATEGORIES
from mmhallu_core.world.render import render

COMMAND = "python -m maintenance.med_similarity --out results/med-pipeline"
SEED, PER_CATEGORY = 1, 60
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def kept(values: list[float], line: float) -> dict[str, Any]:
    """How many values a threshold keeps, with a Wilson interval."""
    count = sum(value >= line for value in values)
    return {"n": count, "of": len(values), "share": count / len(values), "ci": wilson_interval(count, len(values))}


def measure(per_category: int = PER_CATEGORY, seed: int = SEED, progress: bool = True) -> dict[str, Any]:
    """Mode to category (and "all") to `quantiles`, and what the lines for `training` and for the `benchmark` keep."""
    n = per_category * len(CATEGORIES)
    source = WorldSource(seed, n)
    edits = [source.edit(i) for i in tqdm(range(n), desc="edits", disable=not progress)]
    pairs = [
        tuple(png(render(scene, source.size, source.style).image) for scene in (edit.before, edit.after))
        for edit in tqdm(edits, desc="pictures", disable=not progress)
    ]
    found: dict[str, Any] = {}
    for mode in Mode:
        values = similarities(TinyClipEmbedder(mode), pairs)
        rows: dict[str, list[float]] = {name: [] for name in CATEGORIES}
        for value, edit in zip(values, edits, strict=True):
            rows[edit.category].append(value)
        found[str(mode)] = {
            name: {
                "quantiles": [round(float(one), 4) for one in np.quantile(row, QUANTILES)],
                "training": kept(row, TRAINING),
                "benchmark": kept(row, BENCHMARK),
            }
            for name, row in {**rows, "all": values}.items()
        }
    return {"seed": seed, "per_category": per_category, "quantiles": list(QUANTILES), "modes": found}


def uneven(rows: dict[str, Any], line: str) -> list[str]:
    """The categories that lose more than twice the share that is lost of all drafts."""
    lost = {name: 1 - one[line]["share"] for name, one in rows.items()}
    return [name for name in lost if name != "all" and lost[name] > 2 * lost["all"]]


def main() -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the record")
    folder, began = parser.parse_args().out, time.monotonic()
    found = measure()
    packages = ("numpy", "pillow", "torch")
    about = {"kind": "diorama", "command": COMMAND, "commit": commit(), "versions": versions(packages)}
    weights = checkpoint_folder("tiny-clip") / "open_clip_model.safetensors"
    about["inputs"] = {"checkpoints/tiny-clip/open_clip_model.safetensors": sha256(weights)}
    record = about | found | {"seconds": round(time.monotonic() - began)}
    write(record, folder / "similarity.json")
    print(folder / "similarity.json")


if __name__ == "__main__":
    main()

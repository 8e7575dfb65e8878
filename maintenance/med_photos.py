"""MED's pipeline on real photos: the originals of the released benchmark, edited by OpenCV; and how the benchmark's own
edited photos differ from their originals.

    python -m maintenance.med_photos --out results/med-photos --run DIR

copies the photos to DIR/photos, makes the run in DIR/out, and writes two files of numbers:

- `run.json`: how many of the photos became a sample, the others by reason, and what a fresh look at every pair finds:
  bytes that differ outside the mask, and the mean change inside it.
- `released.json`: for the benchmark's own pairs, the share of pixels that differ, and by how much.

Then look at the pairs; this goes on with the finished run, and draws its contact sheets:

    mmhallu med build --source photos --photos DIR/photos --n 120 --out DIR/out

What somebody saw there stands in `looked.json`, counted by hand.
"""

import argparse
import random
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmhallu_core.chapters.build_micro_edits import FILE, pairs, released, spread
from mmhallu_core.data.decode import decode
from mmhallu_core.edit.editors.editor import largest_change
from mmhallu_core.edit.engine.run import build
from mmhallu_core.edit.recipe import Photos
from mmhallu_core.recorded import write
from mmhallu_core.store import data_file, results_folder, sha256
from mmhallu_core.types import EditSample, read_jsonl

COMMAND = "python -m maintenance.med_photos --run DIR"
N, SEED = 120, 0


def run(photos: Sequence[Path], place: Path, workers: int | None = 0) -> dict[str, Any]:
    """Edits photos, and looks at every pair again.

    Args:
        photos: files with names that are all different.
        place: where copies of them go (`photos`), and the run (`out`).
        workers: as in `edit.run.build`.

    Returns:
        Counts by reason and by operation, and the checks.
    """
    folder, out = place / "photos", place / "out"
    folder.mkdir(parents=True, exist_ok=True)
    for photo in photos:
        shutil.copyfile(photo, folder / photo.name)
    result = build(Photos(str(folder), len(photos), SEED), out, workers)
    samples = read_jsonl(out / "samples.jsonl", EditSample)
    looks = [look(out, sample) for sample in samples]
    changes = [inside for _, inside, _ in looks]
    return {
        "photos": result["n"],
        "samples": result["samples"],
        "rejected": result["reasons"],
        "operations": dict(sorted(Counter(one.provenance["editor"]["operation"] for one in samples).items())),
        "categories": dict(sorted(Counter(one.category for one in samples).items())),
        "pairs_with_a_change_outside_the_mask": sum(outside > 0 for outside, _, _ in looks),
        "mean_change_inside_the_mask_of_255": spread(changes),
        "share_of_the_photo_percent": spread([100 * share for _, _, share in looks]),
        "largest_change_of_a_square_of_255": spread([_largest(out, one) for one in samples]),
    }


def look(out: Path, sample: EditSample) -> tuple[int, float, float]:
    """What the written files of a sample show.

    Returns:
        (outside, inside, share): how many bytes differ outside the mask, the mean difference inside it, of 255, and
        the mask's share of the photo.
    """
    before, after = _pixels(out / sample.image), _pixels(out / sample.edited_image)
    mask = np.asarray(decode(out / sample.provenance["mask"]).image.convert("L")) > 0
    off = abs(before.astype(np.int16) - after)
    return int((off[~mask] > 0).sum()), float(off[mask].mean()), float(mask.mean())


def _largest(out: Path, sample: EditSample) -> float:
    return largest_change(_pixels(out / sample.image), _pixels(out / sample.edited_image))


def _pixels(path: Path) -> np.ndarray:
    return np.asarray(decode(path).image)


def main() -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=results_folder() / "med-photos")
    parser.add_argument("--run", type=Path, required=True, help="folder for the pictures of the run")
    arguments = parser.parse_args()
    found = pairs()
    chosen = sorted(random.Random(SEED).sample([photo for photo, _ in found], N))
    about = {"kind": "recomputed", "command": COMMAND, "inputs": {FILE: sha256(data_file(FILE))}}
    records = {"released": released(found), "run": {"seed": SEED, **run(chosen, arguments.run)}}
    for name, record in records.items():
        path = arguments.out / f"{name}.json"
        write(about | record, path)
        print(path)


if __name__ == "__main__":
    main()

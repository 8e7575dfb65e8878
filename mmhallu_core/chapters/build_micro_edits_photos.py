"""MED's pipeline on real photos: the originals of the released benchmark, edited by OpenCV; and how the benchmark's own
edited photos differ from their originals.

    python -m mmhallu_core.chapters.build_micro_edits_photos --out results/med-photos --run DIR

copies the photos to DIR/photos, makes the run in DIR/out, and writes two files of numbers:

- `run.json`: how many of the photos became a sample, the others by reason, and what a fresh look at every pair finds:
  bytes that differ outside the mask, and the mean change inside it.
- `released.json`: for the benchmark's own pairs, the share of pixels that differ, and by how much.

Then look at the pairs; this goes on with the finished run, and draws its contact sheets:

    mmhallu med build --source photos --photos DIR/photos --n 120 --out DIR/out

What somebody saw there stands in `looked.json`, counted by hand.
"""

import argparse
import json
import random
import shutil
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmhallu_core.data.decode import decode
from mmhallu_core.edit.editors.editor import largest_change
from mmhallu_core.edit.engine.run import build
from mmhallu_core.edit.recipe import Photos
from mmhallu_core.recorded import write
from mmhallu_core.store import data_file, results_folder, sha256
from mmhallu_core.types import EditSample, read_jsonl

COMMAND = "python -m mmhallu_core.chapters.build_micro_edits_photos --run DIR"
FILE = "med_bench/MED_bench.json"
N, SEED = 120, 0
CLEAR = 8  # of 255: a pixel that differs by more does not differ by packing alone


def pairs() -> list[tuple[Path, Path]]:
    """The released benchmark's photos with their edited twins, by the name of the photo.

    Raises:
        MissingFile: when the benchmark is not here; the message names the command that gets it.
    """
    path = data_file(FILE)
    items = json.loads(path.read_text(encoding="utf-8"))
    named = {item["image_name"]: item["edited_image_name"] for item in items}
    return [(path.parent / one, path.parent / other) for one, other in sorted(named.items())]


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
    mask = np.asarray(_opened(out / sample.provenance["mask"]).convert("L")) > 0
    off = abs(before.astype(np.int16) - after)
    return int((off[~mask] > 0).sum()), float(off[mask].mean()), float(mask.mean())


def released(found: Sequence[tuple[Path, Path]]) -> dict[str, Any]:
    """How the benchmark's own edited photos differ from their originals.

    Most have another size, so an edited photo is first scaled to its original's. That alone changes pixels: how many is
    told by the original itself, scaled to the edited photo's size and back.
    """
    rows, other_size, off_shape = [], 0, []
    for one, other in found:
        before, after = _opened(one), _opened(other)
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


def _largest(out: Path, sample: EditSample) -> float:
    return largest_change(_pixels(out / sample.image), _pixels(out / sample.edited_image))


def _pixels(path: Path) -> np.ndarray:
    return np.asarray(_opened(path))


def _opened(path: Path) -> Image.Image:
    return decode(path).image


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

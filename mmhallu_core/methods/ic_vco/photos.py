"""Surgical negatives of photos: MED's pipeline, read as pairs of IC-VCO; and how alike the pictures of pairs are.

What MED plans to edit is the hallucination point, what it asks its editor for is the instruction, and the caption of
the edited picture is y', written anew for it. With an annotator both captions are the annotator's, and its judges have
accepted the difference as the one that was asked for. Without one the editor is OpenCV, and nothing is known of a photo
but what was done to it. Then a pair gets one short question that this settles, and it is counted as `no_question` where
it settles none: a thing that became larger has no size in words.

IC-VCO begins with a wrong answer that a model gave, and edits the photo to fit it. Here the edit comes first, so what
is wrong is what can be edited, and not what models get wrong.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmhallu_core.data.check import read_preferences, read_samples
from mmhallu_core.edit.engine import run
from mmhallu_core.edit.recipe import Photos
from mmhallu_core.edit.stages.photos import TEMPLATE
from mmhallu_core.edit.stages.similarity import Embedder, similarities
from mmhallu_core.evaluate.diorama.exam import DESCRIBE
from mmhallu_core.methods.ic_vco.pairs import spans_of, write_records
from mmhallu_core.types import EditSample, Preference

EDITS = "edits"  # the folder of MED's run, inside that of the pairs
EXISTENCE, ATTRIBUTE = ("Negation", "Object", "Counting"), ("Attribute", "Scene", "Universality")
WIDTH = 0.05  # of a bar of the histogram


def point_of(category: str) -> str:
    """Which of IC-VCO's three kinds of hallucination an edit of one of MED's categories makes."""
    return "existence" if category in EXISTENCE else "attribute" if category in ATTRIBUTE else "relation"


def asked_of(sample: EditSample) -> tuple[str, str, str] | None:
    """A prompt with its answers about the photo and about the edited one; None where a template settles no question."""
    if sample.provenance.get("captions") != TEMPLATE:
        return DESCRIBE, sample.caption, sample.edited_caption
    made = sample.provenance["editor"]
    if made["operation"] == "remove":
        return f"Is there a {made['thing']}?", "Yes.", "No."
    if made["operation"] == "recolour":
        place, old, new = re.fullmatch(r"The (thing .+) was (.+) and is now (.+)\.", made["difference"]).groups()
        return f"What colour is the {place}?", f"{old.capitalize()}.", f"{new.capitalize()}."
    if made["operation"] == "copy":
        thing, place = re.fullmatch(r"There is one more (.+): a second one (.+)\.", made["difference"]).groups()
        return None if made["thing"].endswith(place) else (f"Is there a {thing} {place}?", "No.", "Yes.")
    return None


def record_of(sample: EditSample) -> Preference | None:
    """A sample of MED's run as a preference whose pictures lie in `EDITS`; None where nothing is asked of it."""
    asked = asked_of(sample)
    if asked is None or asked[1] == asked[2]:
        return None
    prompt, chosen, rejected = asked
    made = {"point": point_of(sample.category), "negative": "edited", "instruction": sample.edit_instruction}
    images = (f"{EDITS}/{sample.image}", f"{EDITS}/{sample.edited_image}")
    about = {"ic_vco": made, "med": sample.provenance}
    return Preference(f"photo-{sample.id}", prompt, chosen, rejected, images, *spans_of(chosen, rejected), about)


def write_photo_pairs(make: Photos, out: Path, workers: int | None = None, progress: bool = False) -> dict[str, Any]:
    """Edits the photos of a folder, or goes on with that, and writes what `pairs.write_pairs` writes.

    Args:
        make: folder, editor, annotator and CLIP.
        out: also gets `EDITS`, the folder of MED's run.
        workers, progress: as for `edit.engine.run.build`.

    Returns:
        As `pairs.write_pairs`; `reasons` has those of MED's stages, too.

    Raises:
        CannotRun: see `edit.engine.run.build`, and when no photo could be edited.
    """
    edited = run.build(make, out / EDITS, workers, progress=progress)
    samples = read_samples(out / EDITS / "samples.jsonl")
    found = [record for sample in samples if (record := record_of(sample)) is not None]
    kinds = Counter(record.provenance["ic_vco"]["point"] for record in found)
    reasons = Counter(edited["reasons"]) + Counter({"no_question": len(samples) - len(found)})
    return write_records(out, found, edited["n"], len(found), reasons, kinds)


def alike(files: Sequence[Path], embedder: Embedder) -> dict[str, dict[str, Any]]:
    """How alike the two pictures of each pair are, for files of preferences; a pair with several answers counts once.

    Args:
        files: of `Preference`s with two pictures.
        embedder: see `edit.stages.similarity`.

    Returns:
        For each file `n`, `median`, `edges` of the bars, `counts` in them, and `values` (cosines).

    Raises:
        CannotRun: when a file, or a picture, cannot be read.
    """
    found = {}
    for file in files:
        pairs = dict.fromkeys(
            tuple(str(file.parent / image) if isinstance(image, str) else image for image in record.images[:2])
            for record in read_preferences(file)
        )
        values = [value for value in similarities(embedder, list(pairs)) if isinstance(value, float)]
        found[str(file)] = histogram(values)
    return found


def histogram(values: Sequence[float]) -> dict[str, Any]:
    """Cosines in bars of `WIDTH`, from the one that holds the smallest up to 1; see `alike`."""
    low = WIDTH * np.floor(min([*values, 1 - WIDTH]) / WIDTH + 1e-6)  # 0.7 / 0.05 is a little less than 14
    edges = np.round(np.arange(low, 1 + WIDTH / 2, WIDTH), 6)
    counts, _ = np.histogram(np.minimum(values, 1.0), bins=edges)
    median = float(np.median(values)) if values else None
    return {"n": len(values), "median": median, "edges": edges.tolist(), "counts": counts.tolist(), "values": [*values]}

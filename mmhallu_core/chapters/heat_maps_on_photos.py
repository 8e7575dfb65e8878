"""The released photo pairs, laid over each other: where pixels differ, and where tiny-llava's vision tower sees it.

Only numbers leave this file: no photo and no word of the benchmark is shown on a page.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmhallu_core.chapters.build_micro_edits import FEW, FILE, pairs, spread
from mmhallu_core.data.decode import decode
from mmhallu_core.explain.maps import Map, PictureMap, ViewMap
from mmhallu_core.explain.randomize import alike
from mmhallu_core.explain.registered import concentration, feature_difference, pixel_difference, registered
from mmhallu_core.models.image_tokens import WHOLE
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.recorded import recorded
from mmhallu_core.store import MissingFile, checkpoint_folder, data_file, sha256
from mmhallu_core.types import CannotRun
from mmhallu_core.viz.twins import Twin, table

GRID = 16  # rows and columns in which pixels are compared
RECORD = "explain/photos"


def differences(vlm: Vlm, found: Sequence[tuple[Path, Path]]) -> dict[str, Any]:
    """How photo pairs differ once they lie over each other.

    Returns:
        How many `pairs` there are, how many are of `two_sizes`, `registered`, or refused, by `reasons`; quartiles of
        the `likeness`, of the `concentration` of the pixel difference, and of the `rank_correlation` of the difference
        in pixels and in features, cell by cell; and the concentration `by_category`, with the number of pairs.
    """
    items = json.loads(data_file(FILE).read_text(encoding="utf-8"))
    kinds = {item["image_name"].split("/")[-1]: item["type"] for item in items}
    reasons, sizes, rows = Counter(), 0, []
    for one, other in found:
        before, after = decode(one).image, decode(other).image
        sizes += before.size != after.size
        try:
            pair = registered(before, after)
        except CannotRun as why:
            reasons[str(why).split(":")[0].partition(" by ")[0]] += 1
            continue
        features = feature_difference(vlm, pair)
        pixels = (_map(pair, values) for values in (pixel_difference(pair, *features.shape), features))
        together = alike(*pixels)
        local = concentration(pixel_difference(pair, GRID, GRID))
        rows.append((kinds[one.name], pair.likeness, local, together))
    names = ("likeness", "concentration", "rank_correlation")
    by_kind = {kind: [row[2] for row in rows if row[0] == kind] for kind in sorted({row[0] for row in rows})}
    return {
        "pairs": len(found),
        "two_sizes": sizes,
        "registered": len(rows),
        "reasons": dict(reasons.most_common()),
        **{name: spread([row[i] for row in rows]) for i, name in enumerate(names, start=1)},
        "by_category": {kind: {"pairs": len(many), **spread(many)} for kind, many in by_kind.items()},
    }


def _map(pair: Any, values: Any) -> Map:
    """A grid as a map, to be compared with another."""
    picture = PictureMap(pair.before, (ViewMap(values, WHOLE),))
    return Map((picture,), "difference", "", "", (), "", "", "", 0.0)


def record() -> dict[str, Any]:
    """All released pairs.

    Raises:
        MissingFile: when the benchmark is not here; the message names the command that gets it.
    """
    weights = "checkpoints/tiny-llava/model.safetensors"
    inputs = {FILE: sha256(data_file(FILE)), weights: sha256(checkpoint_folder("tiny-llava") / "model.safetensors")}
    return {"kind": "recomputed", "inputs": inputs, **differences(Vlm.load("tiny-llava"), pairs())}


def differences_or_recorded() -> tuple[dict[str, dict[str, Any]], str]:
    """All pairs as recorded, the first few now where the files are here, and a sentence that says which is which."""
    record = recorded(RECORD)
    rows, how = {"all, recorded": record}, f"RECORDED by:\n{record['command']}"
    try:
        few = pairs()[:FEW]
        rows |= {f"first {len(few)}, now": differences(Vlm.load("tiny-llava"), few)}
    except MissingFile:
        return rows, f"{how}\nTo compare photos here: mmhallu data get med_bench"
    return rows, f"{how}\n{len(few)} pairs were compared now."


def photo_table(rows: Mapping[str, Mapping[str, Any]], title: str) -> Twin:
    """What was measured: a column for each set of pairs."""

    lines = [
        (told, *(str(one[name]) for one in rows.values()))
        for told, name in (("pairs", "pairs"), ("of two sizes", "two_sizes"), ("laid over each other", "registered"))
    ]
    for reason in dict.fromkeys(reason for one in rows.values() for reason in one["reasons"]):
        lines.append((f"refused: {reason}", *(str(one["reasons"].get(reason, 0)) for one in rows.values())))
    for told, name in (
        ("correlation in grey", "likeness"),
        ("difference in the strongest tenth", "concentration"),
        ("pixels against features", "rank_correlation"),
    ):
        lines.append((f"{told}, median (quartiles)", *(_median(one[name]) for one in rows.values())))
    for kind in dict.fromkeys(kind for one in rows.values() for kind in one["by_category"]):
        cells = (one["by_category"].get(kind) for one in rows.values())
        lines.append((f"strongest tenth, {kind}", *(_median(one) if one else "none" for one in cells)))
    return table(("", *rows), lines, title)


def _median(found: Mapping[str, float]) -> str:
    """The median and the quartiles of `spread`."""
    if "median" not in found:
        return f"{found['all']:.2f}" if found else "none"
    return f"{found['median']:.2f} ({found['quarter']:.2f} to {found['three_quarters']:.2f})"

"""A `Map` as a figure and as files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

COLOURS = "inferno"  # grows lighter all the way, so it reads in grey too
INCHES = 2.4  # height of a picture


def drawn(found: Any) -> Figure:
    """Each picture of a `Map`, and beside it the picture under its map; the scale is the same for all pictures.

    A negative value is drawn as nothing. What the figure shows is `Map.text`.
    """
    wide = max(picture.image.width / picture.image.height for picture in found.pictures)
    count = len(found.pictures)
    figure = Figure(figsize=(2 * INCHES * wide + 0.9, INCHES * count + 0.5), layout="constrained")
    axes = figure.subplots(count, 2, squeeze=False)
    most = max(float(picture.heat.max()) for picture in found.pictures) or 1.0
    for (plain, over), picture in zip(axes, found.pictures, strict=True):
        plain.imshow(picture.image)
        over.imshow(picture.image.convert("L"), cmap="gray")
        share = picture.heat.numpy() / most
        painted = over.imshow(share, cmap=COLOURS, norm=Normalize(0, 1), alpha=0.25 + 0.55 * share)
        for axis in (plain, over):
            axis.set_axis_off()
    figure.suptitle(found.title)
    figure.colorbar(painted, ax=axes, fraction=0.04, label="share of the largest value")
    return figure


def saved(found: Any, folder: Path | str) -> dict[str, Any]:
    """Writes a map to a folder.

    `map.png` is the figure. `picture-P.npy` holds the values of picture P on one grid over all of it, and
    `picture-P-view-V.npy` those of each view where there are several; both have a `-boxes.npy` beside them, x0 y0 x1 y1
    in pixels for each cell. `map.json` has all else. They are plain numbers and text: reading them runs nothing.

    Args:
        found: a `Map`.
        folder: made if it is not there.

    Returns:
        What stands in `map.json`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for number, picture in enumerate(found.pictures, start=1):
        size, name = picture.image.size, f"picture-{number}"
        entry = _write(folder, name, picture.values, picture.boxes)
        views = [
            _write(folder, f"{name}-view-{i}", view.values, view.boxes(size))
            | {"box": list(view.box)}
            for i, view in enumerate(picture.views, start=1)
        ] if len(picture.views) > 1 else []  # fmt: skip
        pictures.append({**entry, "width": size[0], "height": size[1], "peak": list(picture.peak),
                         "total": float(picture.values.sum()), "views": views})  # fmt: skip
    figure = drawn(found)
    figure.savefig(folder / "map.png", dpi=120, facecolor="white")
    about = {
        "method": found.method, "layer": found.layer, "model": found.model, "question": found.question,
        "answer": found.answer, "target": found.target, "tokens": list(found.tokens), "log_probability": found.score,
        "note": found.note, "facts": found.facts, "figure": "map.png", "text": found.text, "pictures": pictures,
    }  # fmt: skip
    (folder / "map.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return about


def _write(folder: Path, name: str, values: Any, boxes: Any) -> dict[str, Any]:
    """Writes values and boxes; the file's entry in `map.json`."""
    np.save(folder / f"{name}.npy", values.numpy(), allow_pickle=False)
    np.save(folder / f"{name}-boxes.npy", boxes.numpy(), allow_pickle=False)
    return {"values": f"{name}.npy", "boxes": f"{name}-boxes.npy", "rows": values.shape[0], "cols": values.shape[1]}

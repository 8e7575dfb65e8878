"""Diorama as files: pictures for the eye, and beside each its truth for a program.

The same scene gives the same bytes. `truth.json` holds all that is known: the scene itself (draw it again
with `Scene.from_dict`), its facts, its caption, and where every thing is.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from mmhallu_core.world.edits import Edit, edit_mask
from mmhallu_core.world.language import describe, difference
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene, facts


def write_scene(scene: Scene, folder: Path, size: int = 96, style: str = "flat") -> dict:
    """Writes `image.png`, `masks.npz` and `truth.json` of one scene.

    The masks are bool [size, size] arrays, one for each thing under its id: the pixels where it is seen.

    Returns:
        The content of truth.json: scene, size, style, caption, facts, and boxes as x0 y0 x1 y1 in pixels.
    """
    drawn = render(scene, size, style)
    ids = [thing.id for thing in scene]
    truth = {
        "scene": scene.to_dict(),
        "size": size,
        "style": style,
        "caption": describe(scene).text,
        "facts": facts_as_dicts(scene),
        "boxes": dict(zip(ids, drawn.boxes, strict=True)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    drawn.image.save(folder / "image.png")
    np.savez_compressed(folder / "masks.npz", **dict(zip(ids, drawn.masks, strict=True)))
    write_json(truth, folder / "truth.json")
    return truth


def write_edit(edit: Edit, folder: Path, size: int = 96, style: str = "flat") -> dict:
    """Writes `before.png`, `after.png`, `mask.png` (white where the edit may change pixels) and `truth.json`.

    Captions are the full ones, so that what changed is mostly in them.

    Returns:
        The content of truth.json.
    """
    truth = {
        "category": edit.category,
        "operation": edit.operation,
        "difference": difference(edit).text,
        "caption_before": describe(edit.before, "full").text,
        "caption_after": describe(edit.after, "full").text,
        "facts_before": facts_as_dicts(edit.before),
        "facts_after": facts_as_dicts(edit.after),
        "facts_removed": [fact.to_dict() for fact in edit.removed],
        "facts_added": [fact.to_dict() for fact in edit.added],
        "subjects": list(edit.subjects),
        "scene_before": edit.before.to_dict(),
        "scene_after": edit.after.to_dict(),
        "size": size,
        "style": style,
    }
    folder.mkdir(parents=True, exist_ok=True)
    render(edit.before, size, style).image.save(folder / "before.png")
    render(edit.after, size, style).image.save(folder / "after.png")
    Image.fromarray(edit_mask(edit, size, style).astype(np.uint8) * 255).save(folder / "mask.png")
    write_json(truth, folder / "truth.json")
    return truth


def facts_as_dicts(scene: Scene) -> list[dict[str, str]]:
    """Every fact of a scene, in its JSON form."""
    return [fact.to_dict() for fact in facts(scene)]


def write_json(content: dict, path: Path) -> None:
    """Writes JSON that a person can read too, with the same bytes on every system."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")

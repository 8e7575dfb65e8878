"""Does tiny-clip order pictures rightly: the same picture above a micro-edit, a micro-edit above another scene?"""

from typing import Any

from mmhallu_core.models.tiny_clip import TinyClip
from mmhallu_core.statistics import auc
from mmhallu_core.world.edits import CATEGORIES, sample_edit
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render


def clip_order(clip: TinyClip, per_category: int = 40, split: str = "test") -> dict[str, Any]:
    """Similarities of three kinds of picture pairs, and how well they separate.

    Args:
        clip: the model.
        per_category: micro-edits in each of the eleven categories.
        split: names the scenes; no split shares one with training.

    Returns:
        `n`; `mean` similarity of `identical`, `redrawn` (drawn at twice the size, then reduced), `edited` and
        `other` (another scene) pairs; `auc` of `identical_over_edited`, `redrawn_over_edited`,
        `edited_over_other`; `edited_over_other_by_category`.
    """
    pictures: dict[str, list] = {"before": [], "redrawn": [], "edited": [], "other": []}
    categories = []
    for category in CATEGORIES:
        for number in range(per_category):
            edit = sample_edit(category, f"{split}/clip/{number}")
            other = sample_scene(f"{split}/clip/{category}/{number}/other")
            pictures["before"].append(render(edit.before, 96).image)
            pictures["redrawn"].append(render(edit.before, 192).image)
            pictures["edited"].append(render(edit.after, 96).image)
            pictures["other"].append(render(other, 96).image)
            categories.append(category)
    embedded = {name: clip.embed_images(images) for name, images in pictures.items()}
    similarity = {name: (embedded["before"] * embedded[name]).sum(-1).double().numpy() for name in embedded}
    similarity["identical"] = similarity.pop("before")

    def of(name: str, category: str):
        return similarity[name][[i for i, one in enumerate(categories) if one == category]]

    return {
        "n": len(categories),
        "mean": {name: float(values.mean()) for name, values in similarity.items()},
        "auc": {
            "identical_over_edited": auc(similarity["identical"], similarity["edited"]),
            "redrawn_over_edited": auc(similarity["redrawn"], similarity["edited"]),
            "edited_over_other": auc(similarity["edited"], similarity["other"]),
        },
        "edited_over_other_by_category": {
            category: auc(of("edited", category), similarity["other"]) for category in CATEGORIES
        },
    }

"""Pairs that no training has seen the like of, all with MED-tiny's own questions.

- `real`: drawn in another style, as MED-Real has other pictures.
- `inpainted`: another editor. What one picture of a Negation lacks was not left out by Diorama: it was painted over in
  the other picture, by OpenCV (A. Telea 2004), which knows only pixels. Smears stay behind.
- `two-step`: the second picture went through one more edit, of a thing that the question is not about: it has another
  colour. The right sentence is still true, and no longer all that differs.
"""

import io
import random
from dataclasses import replace

import numpy as np
from PIL import Image

from mmhallu_core.data.question import Question
from mmhallu_core.edit.editors.pixels import inpaint
from mmhallu_core.evaluate import contrast as contrast_sets
from mmhallu_core.evaluate.benchmarks.med_tiny import REAL_STYLE, SEED
from mmhallu_core.evaluate.contrast import Item
from mmhallu_core.world.edits import Edit, edit_mask
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene
from mmhallu_core.world.vocabulary import COLOURS

FIVE = 5  # inpainted questions come from one category, so there are five times as many of it


def other_pairs(eval_set: str, per_category: int) -> list[Question]:
    """Questions of one of the three kinds.

    Args:
        eval_set: "real", "inpainted" or "two-step".
        per_category: of `real`; of `two-step` as many are drawn, and those with a thing to recolour are kept.

    Raises:
        KeyError: for another kind.
    """
    if eval_set == "real":
        return contrast_sets.questions(SEED, per_category, REAL_STYLE, "real")
    if eval_set == "inpainted":
        items = [one for one in contrast_sets.items(SEED, FIVE * per_category) if one.category == "Negation"]
        return [_inpainted(one, f"inpainted:{number:04d}") for number, one in enumerate(items)]
    if eval_set == "two-step":
        twice = [(one, _recoloured(one)) for one in contrast_sets.items(SEED, per_category)]
        return [
            contrast_sets.as_question(replace(one, scenes=(one.scenes[0], after)), f"two-step:{number:04d}")
            for number, (one, after) in enumerate(twice)
            if after is not None
        ]
    raise KeyError(eval_set)


def _inpainted(item: Item, name: str) -> Question:
    """A Negation whose emptier picture is the fuller one, painted over where the thing stands."""
    question = contrast_sets.as_question(item, name)
    before, after = item.scenes
    full, empty = (before, after) if len(before.things) > len(after.things) else (after, before)
    mask = edit_mask(Edit.between("Negation", "painted over", full, empty), contrast_sets.SIZE)
    edited, _ = inpaint(np.asarray(render(full, contrast_sets.SIZE).image), mask)
    file = io.BytesIO()
    Image.fromarray(edited).save(file, "PNG")
    pictures = (question.images[0], file.getvalue()) if full is before else (file.getvalue(), question.images[1])
    return replace(question, images=pictures)


def _recoloured(item: Item) -> Scene | None:
    """The second scene with another colour on a thing of a kind that no option names; None where there is none."""
    rng, after = random.Random(f"{item.name}/second"), item.scenes[1]
    able = [thing for thing in after if thing.kind not in item.quartet.kinds and len(after.of_kind(thing.kind)) == 1]
    if not able or item.category == "Universality":
        return None
    thing = rng.choice(able)
    return after.replace(thing.but(colour=rng.choice([colour for colour in COLOURS if colour != thing.colour])))

"""Diorama as a source of drafts and as an editor.

The source draws a scene that was made for an edit of one category, the categories in turn, so that each comes equally
often. It gives a short caption, as photo collections have them, and names the category that the plan shall use. The
editor knows no more than an image editor does: the picture and an instruction. It reads the instruction, finds a scene
that is the first one after just that, and draws it. What it cannot do is a reject reason.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from PIL import Image

from mmhallu_core.edit.draft import Draft, Rejected, Stage
from mmhallu_core.edit.engine.replies import asked_in
from mmhallu_core.edit.stages.annotate import noted
from mmhallu_core.edit.stages.instructions import Meaning, meaning_of, read_instruction
from mmhallu_core.edit.truth import bare, picture_with_truth, planned_in, png, scene_in
from mmhallu_core.types import CATEGORIES
from mmhallu_core.world.edits import Edit, edit_between, edit_mask, row_for, sample_edit
from mmhallu_core.world.edits_make import MAKERS
from mmhallu_core.world.language.caption import describe
from mmhallu_core.world.language.mixture import turned_round
from mmhallu_core.world.prior import PRIOR
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene, layout_ok

CANDIDATES = 400  # edited scenes that the editor looks at before it gives up


class EditorReason(StrEnum):
    """Why the editor ends a draft."""

    NO_SCENE = "no_scene"  # not a picture of Diorama
    NOT_UNDERSTOOD = "instruction_not_understood"
    OTHER_CATEGORY = "instruction_of_another_category"
    CANNOT_BE_DONE = "cannot_be_done"


@dataclass(frozen=True)
class WorldSource:
    """Drafts from Diorama; draft i is the same whoever asks for it.

    Attributes:
        seed: another seed gives other scenes.
        n: how many drafts.
        split: begins the names of the scenes, so that no two data sets share one by chance.
        size: width and height of the pictures, in pixels.
        style: how they are drawn, see `world.render.render`.
        prior: how strongly things keep company, see `world.prior`.
    """

    seed: int
    n: int
    split: str = "med/train"
    size: int = 96
    style: str = "flat"
    prior: float = PRIOR

    @property
    def about(self) -> dict[str, Any]:
        """What identifies the source, as JSON values."""
        return {"kind": "world", **{name: getattr(self, name) for name in self.__dataclass_fields__}}

    def __len__(self) -> int:
        return self.n

    def edit(self, i: int) -> Edit:
        """The edit that draft i was made for."""
        return sample_edit(CATEGORIES[i % len(CATEGORIES)], f"{self.split}/{self.seed}/{i}", self.prior)

    def draft(self, i: int) -> Draft:
        """Draft number i.

        Raises:
            IndexError: when there are not so many.
        """
        if not 0 <= i < self.n:
            raise IndexError(f"draft {i} of {self.n}")
        edit = self.edit(i)
        rng = random.Random(f"caption/{self.split}/{self.seed}/{i}")
        picture = picture_with_truth(render(edit.before, self.size, self.style).image, edit.before, edit)
        made = {"scene": edit.before.id, "prior": self.prior, "size": self.size, "style": self.style}
        return Draft(
            f"world-{self.seed}-{i:06d}", picture, describe(edit.before, "brief", rng).text, edit.category,
            provenance={"source": {"kind": "world", "split": self.split, "seed": self.seed, "index": i, **made}},
        )  # fmt: skip


def world_editor(size: int = 96, style: str = "flat") -> Stage:
    """An editor for Diorama's pictures: exact, and with the exact mask of what it may have changed."""

    def stage(drafts: Sequence[Draft]) -> list[Draft | Rejected]:
        return [_edited(draft, size, style) for draft in drafts]

    return stage


def _edited(draft: Draft, size: int, style: str) -> Draft | Rejected:
    scene = scene_in(draft.image)
    if scene is None:
        detail = "the picture is not one of Diorama's, or its scene was taken out of the file"
        return Rejected(draft.id, "edit", EditorReason.NO_SCENE, detail)
    words = asked_in(draft.edit_instruction)
    asked = read_instruction(words)
    if asked is None:
        return Rejected(draft.id, "edit", EditorReason.NOT_UNDERSTOOD, words)
    if asked.category != draft.category:
        detail = f"planned as {draft.category}, but {words!r} is {asked.category}"
        return Rejected(draft.id, "edit", EditorReason.OTHER_CATEGORY, detail)
    edit = find_edit(scene, asked, random.Random(f"editor/{draft.id}"), planned_in(draft.image))
    if edit is None:
        return Rejected(draft.id, "edit", EditorReason.CANNOT_BE_DONE, f"{words!r} cannot be done in: {draft.caption}")
    return noted(
        draft,
        "editor",
        {"kind": "world", "form": asked.form, "turned": _turned(edit), **_way_back(edit)},
        edited_image=picture_with_truth(render(edit.after, size, style).image, edit.after),
        mask=png(Image.fromarray(edit_mask(edit, size, style).astype(np.uint8) * 255)),
    )


def find_edit(scene: Scene, asked: Meaning, rng: random.Random, planned: Edit | None = None) -> Edit | None:
    """An edit of a scene that does what is asked, all of it and nothing else; None when none is found.

    The edit that the scene was made for comes first; then edits of the category are tried in random order.
    """
    if planned is not None and meaning_of(planned) == asked:
        return planned
    category = row_for(asked.category)
    tried = 0
    for operation in category.operations:
        for after in MAKERS[operation.name](scene, rng):
            tried += 1
            edit = Edit.between(category.category, operation.name, scene, after)
            if meaning_of(edit) == asked and layout_ok(after.things):
                return edit
            if tried == CANDIDATES:
                return None
    return None


def _way_back(edit: Edit) -> dict[str, Any]:
    """The difference in the other direction, for training with the pictures swapped; empty where the way back is no
    edit of the eleven, as when two dogs of different colours became alike."""
    back = edit_between(edit.after, edit.before)
    return {} if back is None else {"reverse": {"category": back.category, "difference": meaning_of(back).statement()}}


def _turned(edit: Edit) -> list[list[str]]:
    """The questions that the edit turns round, each with its answer before and after; training asks them."""
    return [[before.text, before.answer, after.answer] for before, after in turned_round(edit)]


def without_truth(draft: Draft) -> Draft:
    """The draft with plain pictures: see `truth.bare`."""
    return replace(draft, image=bare(draft.image), edited_image=bare(draft.edited_image))

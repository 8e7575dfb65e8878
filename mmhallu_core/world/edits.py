"""Micro-edits: two scenes that differ in one small thing, with the facts and the pixels that differ.

MED's pairs are edited photos whose difference has to be judged; here it is known. An `Edit` holds both
scenes, what was changed, and exactly the facts that stopped and started to be true.
"""

import itertools
import random
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from mmhallu_core.world.edits_change import Change
from mmhallu_core.world.edits_make import MAKERS, MOST_THINGS, new_id
from mmhallu_core.world.edits_table import TABLE, Row
from mmhallu_core.world.prior import PRIOR, random_look, sample_scene
from mmhallu_core.world.render import background_mask, silhouette
from mmhallu_core.world.scene import Fact, Scene, facts, layout_ok, place_for
from mmhallu_core.world.vocabulary import PEOPLE

CATEGORIES = tuple(row.category for row in TABLE)


def slug(category: str) -> str:
    """The name in snake case, as in files and facts: "Spatial Relation" becomes "spatial_relation"."""
    return category.lower().replace(" ", "_")


def row_for(category: str) -> Row:
    """The row of a category, by its printed name or its slug.

    Raises:
        ValueError: for a name that is neither; the message lists the eleven.
    """
    for row in TABLE:
        if category in (row.category, slug(row.category)):
            return row
    raise ValueError(f"unknown edit category {category!r}; the eleven are: {', '.join(CATEGORIES)}")


def classify(before: Scene, after: Scene) -> list[str]:
    """The categories whose condition holds between two scenes: one for an edit, none for a mixture of edits."""
    seen = Change.between(before, after)
    return [row.category for row in TABLE if row.holds(seen)]


def edit_between(before: Scene, after: Scene) -> "Edit | None":
    """The micro-edit that leads from one scene to another; None when they differ by none of the eleven, or by several.

    The same change can be claimed by one category only.
    """
    names = classify(before, after)
    return Edit.between(names[0], "between", before, after) if len(names) == 1 else None


@dataclass(frozen=True)
class Edit:
    """One micro-edit.

    Attributes:
        category: one of CATEGORIES.
        operation: how it was done; the names are in `edits_table.TABLE`.
        before, after: the two scenes.
        subjects: ids of the things that came, went or changed; empty for Scene.
        removed, added: facts that are true only before, or only after.
    """

    category: str
    operation: str
    before: Scene
    after: Scene
    subjects: tuple[str, ...]
    removed: tuple[Fact, ...]
    added: tuple[Fact, ...]

    @classmethod
    def between(cls, category: str, operation: str, before: Scene, after: Scene) -> "Edit":
        """Works out subjects and facts from the two scenes."""
        change = Change.between(before, after)
        old, new = set(facts(before)), set(facts(after))
        changed = [*change.gone, *change.new, *(thing for thing, _, _ in change.altered)]
        subjects = tuple(thing.id for thing in changed)
        return cls(category, operation, before, after, subjects, tuple(sorted(old - new)), tuple(sorted(new - old)))


def propose(scene: Scene, category: str, rng: random.Random) -> Edit | None:
    """One random edit of a category, or None when the scene does not allow it.

    Raises:
        ValueError: for an unknown category.
    """
    operations = [operation.name for operation in row_for(category).operations]
    for name in rng.sample(operations, len(operations)):
        edit = _perform(scene, row_for(category).category, name, rng)
        if edit is not None:
            return edit
    return None


def _perform(scene: Scene, category: str, operation: str, rng: random.Random) -> Edit | None:
    """The first candidate of an operation in which every thing stays visible."""
    for after in MAKERS[operation](scene, rng):
        if layout_ok(after.things):
            return Edit.between(category, operation, scene, after)
    return None


def sample_edit(category: str, seed: int | str, prior: float = PRIOR) -> Edit:
    """A random edit of a category in a random scene; the same seed gives the same edit.

    The operation is drawn first, all operations of a category alike, and then scenes until one allows it.

    Raises:
        ValueError: for an unknown category.
    """
    row = row_for(category)
    rng = random.Random(f"edit/{row.category}/{seed}")
    operation = rng.choice(row.operations).name
    for attempt in itertools.count():
        scene = sample_scene(f"{slug(row.category)}-{seed}-{attempt}", prior)
        if operation == "hand over":  # a man, a woman and something carried meet in one scene of 400
            scene = with_both_people(scene, rng)
        edit = _perform(scene, row.category, operation, rng)
        if edit is not None:
            break
    return edit


def with_both_people(scene: Scene, rng: random.Random) -> Scene:
    """The scene with the missing one of man and woman, where there is room."""
    for kind in PEOPLE:
        if not scene.of_kind(kind) and len(scene.things) < MOST_THINGS:
            placed = place_for(random_look(new_id(scene), kind, rng), list(scene), rng)
            scene = scene.plus(placed) if placed else scene
    return scene


def edit_mask(edit: Edit, size: int = 96, style: str = "flat") -> Bool[np.ndarray, "height width"]:
    """The pixels that an edit may change: where its things are in either picture, or the background for Scene.

    What a person carries counts only when that person moves, grows or takes another pose.
    """
    if not edit.subjects:
        return background_mask(edit.before, size, style) | background_mask(edit.after, size, style)
    altered = Change.between(edit.before, edit.after).altered
    stays_put = all(set(fields) <= {"colour", "pattern", "part"} for _, _, fields in altered)
    mask = np.zeros((size, size), dtype=bool)
    for scene in (edit.before, edit.after):
        if stays_put:  # hands stay where they are, and so does what is in them
            things = tuple(thing for thing in scene if thing.held_by not in edit.subjects)
            scene = Scene(scene.id, scene.place, things)
        mask |= silhouette(scene, edit.subjects, size, style)
    return mask

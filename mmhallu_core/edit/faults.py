"""What is wrong with a Diorama draft, told by the scenes behind its pictures: what got past the judges.

No photo pipeline can know this. Here it is what makes the oracle's error dial worth turning: so many replies were
wrong, so many drafts were rejected for it, and so many wrong labels are in the data all the same.
"""

from enum import StrEnum

from mmhallu_core.edit.draft import Draft
from mmhallu_core.edit.stages.instructions import meaning_of, read_statement
from mmhallu_core.edit.truth import edit_between, scene_in
from mmhallu_core.types import CannotRun
from mmhallu_core.world.language.read import known_facts, match, read
from mmhallu_core.world.scene import Scene


class Fault(StrEnum):
    """A field of a draft that does not say what is so."""

    CATEGORY = "category"
    DIFFERENCE = "difference"
    ANSWER = "answer"
    CAPTION = "caption"
    EDITED_CAPTION = "edited_caption"


def caption_is_true(caption: str, scene: Scene) -> bool:
    """Whether a caption can be read, and all that it asserts holds in a scene."""
    reading = match(read(caption), scene)
    known = known_facts(scene)
    return not reading.unread and set(reading.facts) <= known and not set(reading.denied) & known


def faults(draft: Draft) -> tuple[Fault, ...]:
    """The wrong fields of a draft that came through the pipeline, before `pipeline.finish`.

    Raises:
        CannotRun: when its pictures do not carry their truth.
    """
    before, after = scene_in(draft.image), scene_in(draft.edited_image)
    if before is None or after is None:
        raise CannotRun(f"{draft.id}: only Diorama's drafts can be checked, before their pictures are made plain")
    edit = edit_between(before, after)
    true = None if edit is None else meaning_of(edit)
    right = {
        Fault.CATEGORY: edit is not None and draft.category == edit.category,
        Fault.DIFFERENCE: true is not None and read_statement(draft.difference) == true,
        Fault.ANSWER: true is not None and read_statement(draft.answer) == true,
        Fault.CAPTION: caption_is_true(draft.caption, before),
        Fault.EDITED_CAPTION: caption_is_true(draft.edited_caption, after),
    }
    return tuple(fault for fault, holds in right.items() if not holds)

"""Captions for both pictures, and what differs between them: MED's steps 1 to 3 of caption alignment.

1. The original's caption is completed with what the edit is about, as it is before the edit.
2. The edited picture gets a caption of its own; the completed one is the example, the category says where to look.
3. The two captions are compared: one sentence, one category.

Step 3 sees the captions alone, as in the paper, so whatever a caption makes up becomes a difference that nobody asked
for, and the judges can catch it. `see_pictures` sends the pictures along, for an annotator that looks at them too.
"""

from dataclasses import replace
from enum import StrEnum

from mmhallu_core.clients.client import Client
from mmhallu_core.edit.draft import Draft, Rejected, Stage
from mmhallu_core.edit.engine.jobs import CATEGORY_WORDS, COMPLETE, DIFFERENCE, RECAPTION
from mmhallu_core.edit.engine.replies import Found, asked_in
from mmhallu_core.edit.stages.annotate import Case, asking, noted
from mmhallu_core.edit.stages.choose import words_of


class CaptionReason(StrEnum):
    """Why a draft ends without a caption."""

    NO_REPLY = "no_reply"
    UNREADABLE = "unreadable_reply"


class DifferenceReason(StrEnum):
    """Why a draft ends without a difference."""

    NO_REPLY = "no_reply"
    UNREADABLE = "unreadable_reply"
    NO_DIFFERENCE = "no_difference"


def complete(client: Client) -> Stage:
    """Completes the original's caption with what the edit is about; the short caption stays in the provenance."""

    def case_of(draft: Draft) -> Case:
        return Case(draft, {"caption": draft.caption, "edit_request": asked_in(draft.edit_instruction)}, (draft.image,))

    def then(draft: Draft, caption: str | None) -> Draft:
        return draft if caption is None else noted(draft, "short_caption", draft.caption, caption=caption)

    return asking("complete", CaptionReason, client, COMPLETE, case_of, then)


def recaption(client: Client) -> Stage:
    """Describes the edited picture."""

    def case_of(draft: Draft) -> Case:
        aspect = f"{draft.category}: {CATEGORY_WORDS[draft.category]}"
        return Case(draft, {"reference": draft.caption, "aspect": aspect}, (draft.edited_image,))

    def then(draft: Draft, caption: str) -> Draft:
        return replace(draft, edited_caption=caption)

    return asking("recaption", CaptionReason, client, RECAPTION, case_of, then)


def difference(client: Client, see_pictures: bool = False) -> Stage:
    """States the difference and its category, which may be another one than the planned."""
    everything = words_of(tuple(CATEGORY_WORDS))

    def case_of(draft: Draft) -> Case:
        data = {"caption_1": draft.caption, "caption_2": draft.edited_caption, "categories": everything}
        return Case(draft, data, (draft.image, draft.edited_image) if see_pictures else ())

    def then(draft: Draft, found: Found | None) -> Draft | Rejected:
        if found is None:
            return Rejected(draft.id, "difference", DifferenceReason.NO_DIFFERENCE, "the captions say the same")
        return noted(draft, "difference", found.category, category=found.category, difference=found.sentence)

    return asking("difference", DifferenceReason, client, DIFFERENCE, case_of, then)

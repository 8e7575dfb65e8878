"""The last stages: a difference becomes an answer to learn, and gets a question in one of nine wordings."""

import random
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from mmhallu_core.clients.client import Client
from mmhallu_core.edit.draft import Draft, Rejected, Stage
from mmhallu_core.edit.engine.jobs import REFINE
from mmhallu_core.edit.stages.annotate import Case, asking
from mmhallu_core.types import EditSample
from mmhallu_core.world.language.compare import DIFFERENCE_PROMPTS


class RefineReason(StrEnum):
    """Why a draft ends without an answer."""

    NO_REPLY = "no_reply"
    UNREADABLE = "unreadable_reply"


def refine(client: Client) -> Stage:
    """Has the difference rewritten as an answer about two pictures."""

    def case_of(draft: Draft) -> Case:
        return Case(draft, {"difference": draft.difference})

    def then(draft: Draft, text: str) -> Draft:
        return replace(draft, answer=text)

    return asking("refine", RefineReason, client, REFINE, case_of, then)


def question(seed: int) -> Stage:
    """Gives each draft one of the nine wordings of the question, drawn by its id."""

    def stage(drafts: Sequence[Draft]) -> list[Draft | Rejected]:
        drawn = (random.Random(f"question/{seed}/{draft.id}") for draft in drafts)
        return [
            replace(draft, question=rng.choice(DIFFERENCE_PROMPTS)) for draft, rng in zip(drafts, drawn, strict=True)
        ]

    return stage


def finish(draft: Draft) -> EditSample:
    """The sample that a draft has become after the last stage.

    Raises:
        RecordError: when a stage has left a field empty.
    """
    names = ("id", "image", "edited_image", "category", "edit_instruction", "caption", "edited_caption", "difference")
    values = {name: getattr(draft, name) for name in (*names, "question", "answer", "similarity", "provenance")}
    return EditSample(**values)

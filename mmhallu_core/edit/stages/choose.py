"""The first two stages: is this picture worth editing, and what shall be edited?

The filter keeps a picture only on a strict yes: the recommendation and all four criteria. The plan names one of the
eleven categories. The paper prefers the ten others to Object; here that is no plea in a prompt but an order of asking:
Object is offered only to a picture that none of the others suits.
"""

from collections.abc import Sequence
from enum import StrEnum

from mmhallu_core.clients.client import Client
from mmhallu_core.edit.draft import Draft, Rejected, Stage
from mmhallu_core.edit.engine.jobs import CATEGORY_WORDS, EDITABLE, PLAN, PLAN_OBJECT, Job
from mmhallu_core.edit.engine.replies import EditPlan
from mmhallu_core.edit.stages.annotate import Case, ask, asking, noted

LAST = "Object"
OTHERS = tuple(name for name in CATEGORY_WORDS if name != LAST)


class FilterReason(StrEnum):
    """Why the editability filter ends a draft."""

    NO_REPLY = "no_reply"
    UNREADABLE = "unreadable_reply"
    NOT_EDITABLE = "not_editable"


class PlanReason(StrEnum):
    """Why the plan ends a draft."""

    NO_REPLY = "no_reply"
    UNREADABLE = "unreadable_reply"
    NO_EDIT = "no_category_suits"
    NOT_OFFERED = "category_not_offered"


def words_of(categories: Sequence[str]) -> str:
    """Categories with what each changes, for a prompt."""
    return "; ".join(f"{name}: {CATEGORY_WORDS[name]}" for name in categories)


def editability(client: Client) -> Stage:
    """Keeps the drafts that the annotator finds editable by all four criteria and on the whole."""

    def then(draft: Draft, verdicts: dict[str, bool]) -> Draft | Rejected:
        failed = [name for name, holds in verdicts.items() if not holds]
        if failed:
            return Rejected(draft.id, "filter", FilterReason.NOT_EDITABLE, f"no for: {', '.join(failed)}")
        return draft

    def case_of(draft: Draft) -> Case:
        return Case(draft, {"caption": draft.caption or ""}, (draft.image,))

    return asking("filter", FilterReason, client, EDITABLE, case_of, then)


def plan(client: Client) -> Stage:
    """Plans one edit: in the draft's category where it names one, else in any, Object last.

    A draft may name its category beforehand, as Diorama's do, so that all categories come equally often.
    """

    def asked(
        drafts: Sequence[Draft], offered: dict[str, tuple[str, ...]], job: Job
    ) -> list[EditPlan | Rejected | None]:
        cases = [Case(draft, {"categories": words_of(offered[draft.id])}, (draft.image,)) for draft in drafts]
        return ask(client, job, cases, "plan", PlanReason)

    def stage(drafts: Sequence[Draft]) -> list[Draft | Rejected]:
        offered = {draft.id: (draft.category,) if draft.category else OTHERS for draft in drafts}
        said = dict(zip(offered, asked(drafts, offered, PLAN), strict=True))
        left = [draft for draft in drafts if said[draft.id] is None and not draft.category]
        offered |= {draft.id: (LAST,) for draft in left}
        said |= zip((draft.id for draft in left), asked(left, offered, PLAN_OBJECT), strict=True)
        return [_planned(draft, said[draft.id], offered[draft.id]) for draft in drafts]

    return stage


def _planned(draft: Draft, said: EditPlan | Rejected | None, offered: tuple[str, ...]) -> Draft | Rejected:
    if isinstance(said, Rejected):
        return said
    if said is None:
        return Rejected(draft.id, "plan", PlanReason.NO_EDIT, f"none suits, of: {', '.join(offered)}")
    if said.category not in offered:
        detail = f"{said.category} was not offered, but: {', '.join(offered)}"
        return Rejected(draft.id, "plan", PlanReason.NOT_OFFERED, detail, said.instruction)
    return noted(draft, "plan", said.category, category=said.category, edit_instruction=said.instruction)

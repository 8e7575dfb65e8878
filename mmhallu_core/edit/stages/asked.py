"""The stages that ask the annotator, in their order: what to edit, how the two pictures differ, and what to learn.

- `editability` keeps a picture only on a strict yes: the recommendation and all four criteria.
- `plan` names one of the eleven categories. The paper prefers the ten others to Object; here that is no plea in a
  prompt but an order of asking: Object is offered only to a picture that none of the others suits.
- `complete`, `recaption` and `difference` are MED's steps 1 to 3 of caption alignment. The original's caption is
  completed with what the edit is about, as it is before the edit. The edited picture gets a caption of its own; the
  completed one is the example, the category says where to look. Then the two are compared: one sentence, one category.
- `judges`: is the difference that was found the edit that was asked for? The first judge compares it with the request,
  the second, lenient one with the request as a statement. The paper does not say what happens when they disagree; here
  a draft is kept when both accept it.
- `refine` and `question`: a difference becomes an answer to learn, and gets a question in one of nine wordings.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from mmhallu_core.clients.client import Client
from mmhallu_core.edit.draft import Draft, Rejected, Stage
from mmhallu_core.edit.engine.jobs import (
    CATEGORY_WORDS,
    COMPLETE,
    DIFFERENCE,
    EDITABLE,
    JUDGE_1,
    JUDGE_2,
    PLAN,
    PLAN_OBJECT,
    RECAPTION,
    REFINE,
    Job,
)
from mmhallu_core.edit.engine.replies import EditPlan, Found, asked_in
from mmhallu_core.edit.stages.annotate import Case, ask, asking, noted
from mmhallu_core.world.language.compare import DIFFERENCE_PROMPTS

LAST = "Object"
OTHERS = tuple(name for name in CATEGORY_WORDS if name != LAST)


class Reason(StrEnum):
    """Why a stage ends a draft that was answered; for one that was not, see `annotate.NoAnswer`."""

    NOT_EDITABLE = "not_editable"  # filter
    NO_EDIT = "no_category_suits"  # plan
    NOT_OFFERED = "category_not_offered"
    NO_DIFFERENCE = "no_difference"  # difference
    REFUSED = "another_difference"  # judges
    DISAGREE = "judges_disagree"


def words_of(categories: Sequence[str]) -> str:
    """Categories with what each changes, for a prompt."""
    return "; ".join(f"{name}: {CATEGORY_WORDS[name]}" for name in categories)


def editability(client: Client) -> Stage:
    """Keeps the drafts that the annotator finds editable by all four criteria and on the whole."""

    def then(draft: Draft, verdicts: dict[str, bool]) -> Draft | Rejected:
        failed = [name for name, holds in verdicts.items() if not holds]
        if failed:
            return Rejected(draft.id, "filter", Reason.NOT_EDITABLE, f"no for: {', '.join(failed)}")
        return draft

    def case_of(draft: Draft) -> Case:
        return Case(draft, {"caption": draft.caption or ""}, (draft.image,))

    return asking("filter", client, EDITABLE, case_of, then)


def plan(client: Client) -> Stage:
    """Plans one edit: in the draft's category where it names one, else in any, Object last.

    A draft may name its category beforehand, as Diorama's do, so that all categories come equally often.
    """

    def asked(
        drafts: Sequence[Draft], offered: dict[str, tuple[str, ...]], job: Job
    ) -> list[EditPlan | Rejected | None]:
        cases = [Case(draft, {"categories": words_of(offered[draft.id])}, (draft.image,)) for draft in drafts]
        return ask(client, job, cases, "plan")

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
        return Rejected(draft.id, "plan", Reason.NO_EDIT, f"none suits, of: {', '.join(offered)}")
    if said.category not in offered:
        detail = f"{said.category} was not offered, but: {', '.join(offered)}"
        return Rejected(draft.id, "plan", Reason.NOT_OFFERED, detail, said.instruction)
    return noted(draft, "plan", said.category, category=said.category, edit_instruction=said.instruction)


def complete(client: Client) -> Stage:
    """Completes the original's caption with what the edit is about; the short caption stays in the provenance."""

    def case_of(draft: Draft) -> Case:
        return Case(draft, {"caption": draft.caption, "edit_request": asked_in(draft.edit_instruction)}, (draft.image,))

    def then(draft: Draft, caption: str | None) -> Draft:
        return draft if caption is None else noted(draft, "short_caption", draft.caption, caption=caption)

    return asking("complete", client, COMPLETE, case_of, then)


def recaption(client: Client) -> Stage:
    """Describes the edited picture."""

    def case_of(draft: Draft) -> Case:
        aspect = f"{draft.category}: {CATEGORY_WORDS[draft.category]}"
        return Case(draft, {"reference": draft.caption, "aspect": aspect}, (draft.edited_image,))

    def then(draft: Draft, caption: str) -> Draft:
        return replace(draft, edited_caption=caption)

    return asking("recaption", client, RECAPTION, case_of, then)


def difference(client: Client, see_pictures: bool = False) -> Stage:
    """States the difference and its category, which may be another one than the planned.

    Args:
        client: the annotator.
        see_pictures: sends the pictures along, for an annotator that looks at them too. Without them it sees the
            captions alone, as in the paper: whatever a caption makes up becomes a difference that nobody asked for.
    """
    everything = words_of(tuple(CATEGORY_WORDS))

    def case_of(draft: Draft) -> Case:
        data = {"caption_1": draft.caption, "caption_2": draft.edited_caption, "categories": everything}
        return Case(draft, data, (draft.image, draft.edited_image) if see_pictures else ())

    def then(draft: Draft, found: Found | None) -> Draft | Rejected:
        if found is None:
            return Rejected(draft.id, "difference", Reason.NO_DIFFERENCE, "the captions say the same")
        return noted(draft, "difference", found.category, category=found.category, difference=found.sentence)

    return asking("difference", client, DIFFERENCE, case_of, then)


def as_statement(request: str) -> str:
    """A request as a statement about two pictures.

    >>> as_statement("remove the cat")
    'The second picture is the first one after this was done: remove the cat.'
    """
    return f"The second picture is the first one after this was done: {request}."


def judges(client: Client) -> Stage:
    """Keeps the drafts whose difference is what was asked for; both verdicts go into the provenance."""

    def stage(drafts: Sequence[Draft]) -> list[Draft | Rejected]:
        strict, lenient = [], []
        for draft in drafts:
            words, found = asked_in(draft.edit_instruction), {"difference": draft.difference}
            strict.append(Case(draft, {"edit_request": words, **found}))
            lenient.append(Case(draft, {"description": as_statement(words), **found}))
        first = ask(client, JUDGE_1, strict, "judges")
        heard = [i for i, verdict in enumerate(first) if not isinstance(verdict, Rejected)]
        second = dict(zip(heard, ask(client, JUDGE_2, [lenient[i] for i in heard], "judges"), strict=True))
        return [_judged(draft, first[i], second.get(i)) for i, draft in enumerate(drafts)]

    return stage


def _judged(draft: Draft, first: bool | Rejected, second: bool | Rejected | None) -> Draft | Rejected:
    for verdict in (first, second):
        if isinstance(verdict, Rejected):
            return verdict
    if first and second:
        return noted(draft, "judges", [first, second])
    words = f"asked for: {asked_in(draft.edit_instruction)!r}; found: {draft.difference!r}"
    if first == second:
        return Rejected(draft.id, "judges", Reason.REFUSED, words)
    yes, no = ("first", "second") if first else ("second", "first")
    return Rejected(draft.id, "judges", Reason.DISAGREE, f"the {yes} judge says yes, the {no} no; {words}")


def refine(client: Client) -> Stage:
    """Has the difference rewritten as an answer about two pictures."""

    def case_of(draft: Draft) -> Case:
        return Case(draft, {"difference": draft.difference})

    def then(draft: Draft, text: str) -> Draft:
        return replace(draft, answer=text)

    return asking("refine", client, REFINE, case_of, then)


def aligned(client: Client, seed: int) -> list[tuple[str, Stage]]:
    """The named stages after an edit, for pictures of any source: from its captions to its question.

    Args:
        client: the annotator, who also sees the pictures when it compares.
        seed: of the wordings of the question.
    """
    return [
        ("complete", complete(client)),
        ("recaption", recaption(client)),
        ("difference", difference(client, see_pictures=True)),
        ("judges", judges(client)),
        ("refine", refine(client)),
        ("question", question(seed)),
    ]


def question(seed: int) -> Stage:
    """Gives each draft one of the nine wordings of the question, drawn by its id."""

    def stage(drafts: Sequence[Draft]) -> list[Draft | Rejected]:
        drawn = (random.Random(f"question/{seed}/{draft.id}") for draft in drafts)
        return [
            replace(draft, question=rng.choice(DIFFERENCE_PROMPTS)) for draft, rng in zip(drafts, drawn, strict=True)
        ]

    return stage

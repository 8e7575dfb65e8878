"""Two judges: is the difference that was found the edit that was asked for?

The first judge compares the difference with the request itself. The second one is lenient and compares it with the
request as a statement, because a request and a report are worded differently even when they mean the same. Both look
at every draft. The paper does not say what happens when they disagree; both ways are here under a name:

- `both` (the default) keeps what both accept;
- `either` lets the second judge save what the first refused for its wording alone.
"""

from collections.abc import Sequence
from enum import StrEnum

from mmhallu_core.clients.client import Client
from mmhallu_core.edit.draft import Draft, Rejected, Stage
from mmhallu_core.edit.engine.jobs import JUDGE_1, JUDGE_2
from mmhallu_core.edit.engine.replies import asked_in
from mmhallu_core.edit.stages.annotate import Case, ask, noted


class Keep(StrEnum):
    """What two verdicts make of a draft."""

    BOTH = "both"
    EITHER = "either"


class JudgesReason(StrEnum):
    """Why the judges end a draft."""

    NO_REPLY = "no_reply"
    UNREADABLE = "unreadable_reply"
    REFUSED = "another_difference"
    DISAGREE = "judges_disagree"


def as_statement(request: str) -> str:
    """A request as a statement about two pictures.

    >>> as_statement("remove the cat")
    'The second picture is the first one after this was done: remove the cat.'
    """
    return f"The second picture is the first one after this was done: {request}."


def judges(client: Client, keep: Keep = Keep.BOTH) -> Stage:
    """Keeps the drafts whose difference is what was asked for; both verdicts go into the provenance."""

    def stage(drafts: Sequence[Draft]) -> list[Draft | Rejected]:
        asked = [asked_in(draft.edit_instruction) for draft in drafts]
        strict = [
            Case(draft, {"edit_request": words, "difference": draft.difference})
            for draft, words in zip(drafts, asked, strict=True)
        ]
        lenient = [
            Case(draft, {"description": as_statement(words), "difference": draft.difference})
            for draft, words in zip(drafts, asked, strict=True)
        ]
        first = ask(client, JUDGE_1, strict, "judges", JudgesReason)
        heard = [i for i, verdict in enumerate(first) if not isinstance(verdict, Rejected)]
        second = dict(
            zip(heard, ask(client, JUDGE_2, [lenient[i] for i in heard], "judges", JudgesReason), strict=True)
        )
        return [_judged(draft, first[i], second.get(i), keep) for i, draft in enumerate(drafts)]

    return stage


def _judged(draft: Draft, first: bool | Rejected, second: bool | Rejected | None, keep: Keep) -> Draft | Rejected:
    for verdict in (first, second):
        if isinstance(verdict, Rejected):
            return verdict
    if (first and second) or (keep == Keep.EITHER and (first or second)):
        return noted(draft, "judges", [first, second])
    words = f"asked for: {asked_in(draft.edit_instruction)!r}; found: {draft.difference!r}"
    if first == second:
        return Rejected(draft.id, "judges", JudgesReason.REFUSED, words)
    yes, no = ("first", "second") if first else ("second", "first")
    return Rejected(draft.id, "judges", JudgesReason.DISAGREE, f"the {yes} judge says yes, the {no} no; {words}")

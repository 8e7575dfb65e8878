"""Asking an annotator about drafts: a reply that cannot be read is asked for once more, and then put in quarantine.

It never becomes a standard sentence, a random letter or a no. The draft ends as `Rejected`, and `Rejected.text` holds
all that the annotator said.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from mmhallu_core.clients.client import CallFailed, Client, Reply, Request
from mmhallu_core.clients.journaled import JournaledClient
from mmhallu_core.data.answers import split_thought
from mmhallu_core.edit.draft import Draft, Rejected, Stage
from mmhallu_core.edit.engine.jobs import Job
from mmhallu_core.edit.engine.replies import Malformed
from mmhallu_core.edit.truth import bare

AGAIN = "#again"  # ends the id of a second request: it is another question, so a journal keeps both
BETWEEN = "\n--- asked again ---\n"  # between the two replies in a quarantined text


class NoAnswer(StrEnum):
    """Why a draft ends at any stage that asks; a stage's other reasons are its own."""

    NO_REPLY = "no_reply"
    UNREADABLE = "unreadable_reply"


@dataclass(frozen=True)
class Case:
    """A draft, and what a prompt about it holds: texts by name, and the pictures that go before it."""

    draft: Draft
    data: dict[str, str]
    images: tuple[bytes, ...] = ()


def ask(client: Client, job: Job, cases: Sequence[Case], stage: str) -> list[Any]:
    """What the annotator says in each case.

    Args:
        client: the annotator; a `JournaledClient` asks several at a time and keeps every reply.
        job: what is asked.
        cases: of drafts with ids that are all different.
        stage: names the stage in what is rejected.

    Returns:
        For each case what `job.read` makes of the reply, or a `Rejected`.

    Raises:
        Stopped: when no further request should be made.
    """
    if not _is_oracle(client):
        cases = [replace(case, images=tuple(map(bare, case.images))) for case in cases]
    first = [_request(job, case) for case in cases]
    outcomes = [_read(job, outcome) for outcome in _ask_all(client, first)]
    odd = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, _Unread)]
    second = _ask_all(client, [_request(job, cases[i], again=True) for i in odd])
    for i, outcome in zip(odd, second, strict=True):
        said = outcomes[i].text
        outcomes[i] = _read(job, outcome)
        if isinstance(outcomes[i], CallFailed | _Unread):
            outcomes[i].text = said + BETWEEN + (outcomes[i].text or "")
    return [_or_rejected(case.draft, outcome, stage) for case, outcome in zip(cases, outcomes, strict=True)]


def asking(
    name: str,
    client: Client,
    job: Job,
    case_of: Callable[[Draft], Case],
    then: Callable[[Draft, Any], Draft | Rejected],
) -> Stage:
    """A stage that asks one thing about each draft and goes on with what was said."""

    def stage(drafts: Sequence[Draft]) -> list[Draft | Rejected]:
        said = ask(client, job, [case_of(draft) for draft in drafts], name)
        return [
            answer if isinstance(answer, Rejected) else then(draft, answer)
            for draft, answer in zip(drafts, said, strict=True)
        ]

    return stage


def noted(draft: Draft, stage: str, note: Any, **fields: Any) -> Draft:
    """The draft with some fields filled in, and with a stage's note in its provenance."""
    return replace(draft, provenance=draft.provenance | {stage: note}, **fields)


class _Unread(Exception):
    """A reply that could not be read."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(why)
        self.text: str | None = text


def _is_oracle(client: Client) -> bool:
    """Whether the pictures' own truth may be seen; a journal before the oracle changes nothing."""
    return client.about.get("client", client.about).get("kind") == "oracle"


def _request(job: Job, case: Case, again: bool = False) -> Request:
    prompt = job.again(case.data) if again else job.prompt(case.data)
    return Request(f"{case.draft.id}/{job.name}{AGAIN * again}", prompt, case.images, max_tokens=job.max_tokens)


def _ask_all(client: Client, requests: Sequence[Request]) -> list[Reply | CallFailed]:
    if isinstance(client, JournaledClient):
        return client.ask_all(requests)
    outcomes: list[Reply | CallFailed] = []
    for request in requests:
        try:
            outcomes.append(client.ask(request))
        except CallFailed as failure:
            outcomes.append(failure)
    return outcomes


def _read(job: Job, outcome: Reply | CallFailed) -> Any:
    if isinstance(outcome, CallFailed):
        return outcome
    try:
        return job.read(split_thought(outcome.text)[0])
    except Malformed as fault:
        return _Unread(outcome.text, str(fault))


def _or_rejected(draft: Draft, outcome: Any, stage: str) -> Any:
    if isinstance(outcome, CallFailed):
        return Rejected(draft.id, stage, NoAnswer.NO_REPLY, str(outcome), outcome.text)
    if isinstance(outcome, _Unread):
        return Rejected(draft.id, stage, NoAnswer.UNREADABLE, str(outcome), outcome.text)
    return outcome

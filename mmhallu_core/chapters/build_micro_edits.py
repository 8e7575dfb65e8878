"""What the chapter *Build micro-edits* computes: one draft followed through the pipeline, and how photos are edited.

The measurements of many drafts are in `med_faults.py` and `med_similarity.py`, those of photos in `med_photos.py`;
here they are made again where that takes seconds, or where `LIVE=1` asks for it, and else read from the ledger.
"""

from dataclasses import dataclass
from typing import Any

from mmhallu_core.chapters.build_micro_edits_photos import pairs, released
from mmhallu_core.clients.client import Client, Reply, Request
from mmhallu_core.edit.draft import Draft, Rejected
from mmhallu_core.edit.pipeline import world_pipeline
from mmhallu_core.recorded import recorded
from mmhallu_core.store import MissingFile

FEW = 12  # pairs of photos that are compared while the chapter is read


@dataclass(frozen=True)
class Step:
    """One stage, and what it made of one draft.

    Attributes:
        stage: its name.
        before: the draft that went in.
        after: what came out.
        calls: what the annotator was asked meanwhile, and its replies.
    """

    stage: str
    before: Draft
    after: Draft | Rejected
    calls: tuple[tuple[Request, Reply], ...]


class Overheard:
    """An annotator whose requests and replies are kept in `calls`."""

    def __init__(self, client: Client) -> None:
        self.client, self.about = client, client.about
        self.calls: list[tuple[Request, Reply]] = []

    def ask(self, request: Request) -> Reply:
        """The annotator's reply."""
        reply = self.client.ask(request)
        self.calls.append((request, reply))
        return reply


def trace(draft: Draft, client: Client, seed: int = 0) -> list[Step]:
    """Sends one draft of Diorama through the pipeline, stage by stage, up to its end.

    Args:
        draft: from a `WorldSource`.
        client: the annotator, such as an `Oracle`.
        seed: of the question.
    """
    heard, steps = Overheard(client), []
    for name, stage in world_pipeline(seed, 1, client=heard)[1]:
        heard.calls.clear()
        (outcome,) = stage([draft])
        steps.append(Step(name, draft, outcome, tuple(heard.calls)))
        if isinstance(outcome, Rejected):
            break
        draft = outcome
    return steps


def photos_or_recorded() -> tuple[dict[str, dict[str, Any]], str]:
    """What `med_photos.released` measured on the released benchmark's pairs.

    Returns:
        By name: all pairs as recorded, and where the files are here, `FEW` of them now. And a sentence that says which
        is which.
    """
    record = recorded("med-photos/released")
    rows, how = {"all, recorded": record}, f"RECORDED by:\n{record['command']}"
    try:
        few = pairs()[:FEW]
    except MissingFile:
        return rows, f"{how}\nTo compare photos here: mmhallu data get med_bench"
    return rows | {f"first {len(few)}, now": released(few)}, f"{how}\n{len(few)} pairs were compared now."

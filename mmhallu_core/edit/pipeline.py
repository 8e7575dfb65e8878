"""MED's pipeline put together: a source of drafts and the stages that each draft goes through, in order.

    filter -> plan -> edit -> similarity -> complete -> recaption -> difference -> judges -> refine -> question

Every stage answers each draft by the draft with more in it, or by a `Rejected` (`draft.py`). Reasons are counted by
stage, so the counts of a run add up to the number of its drafts.
"""

from collections import Counter
from collections.abc import Sequence

from mmhallu_core.clients.client import Client
from mmhallu_core.edit.draft import Draft, Rejected, Stage
from mmhallu_core.edit.oracle import Oracle
from mmhallu_core.edit.stages import asked
from mmhallu_core.edit.world import WorldSource, world_editor

Stages = list[tuple[str, Stage]]


def world_pipeline(seed: int, n: int, error: float = 0.0, client: Client | None = None) -> tuple[WorldSource, Stages]:
    """MED's pipeline on Diorama.

    Args:
        seed: of scenes, of the oracle's errors and of the questions.
        n: how many drafts.
        error: the oracle's error rate; not used with another annotator.
        client: the annotator; the oracle when None.

    Returns:
        The source and the named stages.
    """
    from mmhallu_core.edit.stages.similarity import TinyClipEmbedder, similar

    client = client or Oracle(seed, error)
    stages = [
        ("filter", asked.editability(client)),
        ("plan", asked.plan(client)),
        ("edit", world_editor()),
        ("similarity", similar(TinyClipEmbedder())),
        *asked.aligned(client, seed),
    ]
    return WorldSource(seed, n), stages


def through(drafts: Sequence[Draft], stages: Stages) -> tuple[list[Draft], list[Rejected]]:
    """Sends drafts through all stages; what is rejected goes no further.

    Returns:
        The drafts that came through, in their order, and the rejected ones in order of their end.
    """
    left, ended = list(drafts), []
    for _, stage in stages:
        outcomes = stage(left)
        left = [outcome for outcome in outcomes if isinstance(outcome, Draft)]
        ended += [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
    return left, ended


def counts(ended: Sequence[Rejected]) -> dict[str, int]:
    """How many drafts ended at each stage for each reason: {"similarity/not_alike": 12}."""
    return dict(sorted(Counter(f"{one.stage}/{one.reason}" for one in ended).items()))

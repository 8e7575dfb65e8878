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
from mmhallu_core.edit.stages import align, choose, judges, teach
from mmhallu_core.edit.world import WorldSource, without_truth, world_editor
from mmhallu_core.types import EditSample

Stages = list[tuple[str, Stage]]


def world_pipeline(
    seed: int,
    n: int,
    error: float = 0.0,
    for_benchmark: bool = False,
    client: Client | None = None,
    size: int = 96,
    style: str = "flat",
) -> tuple[WorldSource, Stages]:
    """MED's pipeline on Diorama.

    Args:
        seed: of scenes, of the oracle's errors and of the questions.
        n: how many drafts.
        error: the oracle's error rate; not used with another annotator.
        for_benchmark: keeps pairs of similarity 0.95 or more instead of 0.7, from scenes of their own.
        client: the annotator; the oracle when None.
        size, style: how pictures are drawn.

    Returns:
        The source and the named stages; `finish` makes samples of what comes out. To make them in another process,
        send `functools.partial(world_pipeline, seed, n)` and call it there.
    """
    from mmhallu_core.edit.stages.similarity import BENCHMARK, TRAINING, TinyClipEmbedder, similar

    client = client or Oracle(seed, error)
    stages = [
        ("filter", choose.editability(client)),
        ("plan", choose.plan(client)),
        ("edit", world_editor(size, style)),
        ("similarity", similar(TinyClipEmbedder(), BENCHMARK if for_benchmark else TRAINING)),
        ("complete", align.complete(client)),
        ("recaption", align.recaption(client)),
        ("difference", align.difference(client, see_pictures=True)),
        ("judges", judges.judges(client)),
        ("refine", teach.refine(client)),
        ("question", teach.question(seed)),
    ]
    return WorldSource(seed, n, "med/bench" if for_benchmark else "med/train", size, style), stages


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


def finish(draft: Draft) -> EditSample:
    """The sample that a Diorama draft has become; its pictures no longer carry their truth."""
    return teach.finish(without_truth(draft))

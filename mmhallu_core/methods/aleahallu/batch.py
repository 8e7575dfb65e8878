"""Pairs of responses as a batch that a model reads: the grounded responses, and below them the hallucinated ones.

The batch is the trainer's own (`train/collate.py`): each row a conversation, padded on the right, with labels on the
response alone. A response is what training would make more likely, the sign that ends it included.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mmhallu_core.data.decode import decode
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.collate import ChatTemplateCollator
from mmhallu_core.train.losses import IGNORE
from mmhallu_core.train.records import TrainingExample, Turn
from mmhallu_core.types import ResponsePair

SIDES = ("grounded", "hallucinated")


def example(pair: ResponsePair, side: str, folder: Path = Path()) -> TrainingExample:
    """A picture, its prompt, and one of the two responses to learn; paths of pictures count from `folder`."""
    image = decode(pair.image, folder).image
    return TrainingExample(f"{pair.id}, {side}", (image,), ((Turn(pair.prompt, getattr(pair, side)),),))


def collated(
    vlm: Vlm, pairs: Sequence[ResponsePair], sides: Sequence[str] = SIDES, folder: Path = Path()
) -> dict[str, Tensor]:
    """A batch of all pairs' responses of the first side, then of the next: what the model reads, and `labels`.

    Raises:
        CannotRun: see `ChatTemplateCollator`.
    """
    return ChatTemplateCollator(vlm)([example(pair, side, folder) for side in sides for pair in pairs])


def responses(labels: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
    """Which tokens are a response's."""
    return labels != IGNORE


def response_logits(model: nn.Module, head: nn.Module, labels: Int[Tensor, "batch tokens"], **inputs: Any) -> Tensor:
    """The logits that predict the responses' tokens, (answers, vocabulary), row after row; others are not computed.

    Args:
        model: what is called.
        head: the layer inside it that gives the logits.
        labels: of the batch.
        inputs: the batch without its labels and weights.
    """
    here = responses(labels)[:, 1:]  # the state before a token predicts it
    hook = head.register_forward_pre_hook(lambda module, args: (args[0][:, :-1][here],))
    try:
        return model(**inputs, use_cache=False).logits
    finally:
        hook.remove()


def log_likelihoods(
    logits: Float[Tensor, "answers vocab"], labels: Int[Tensor, "batch tokens"]
) -> Float[Tensor, " batch"]:
    """The log-probability of each row's response, in float32: the sum over its tokens."""
    here = responses(labels)[:, 1:]
    chosen = labels[:, 1:][here]
    each = logits.float().log_softmax(-1).gather(-1, chosen[:, None])[:, 0]
    rows = here.nonzero()[:, 0]
    return torch.zeros(len(labels), device=each.device).index_add(0, rows, each)


def without_labels(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the model reads."""
    return {name: value for name, value in batch.items() if name not in ("labels", "weights")}


def aligned(
    first: Int[Tensor, " first"], second: Int[Tensor, " second"]
) -> tuple[Int[Tensor, " both"], Int[Tensor, " both"]]:
    """Which tokens of two responses belong together, from the first in which they differ to the end.

    The common end belongs together; of what differs before it, the first tokens, as many as the shorter one has. What
    stands before is the same in both, and so is all that a model computes of it.

    Returns:
        Their places in the first response and in the second.
    """
    a, b = first.tolist(), second.tolist()
    begin = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    most = min(len(a), len(b)) - begin
    end = next((i for i in range(most) if a[-1 - i] != b[-1 - i]), most)
    middle = torch.arange(begin, min(len(a), len(b)) - end)
    tail = torch.arange(end)
    return torch.cat([middle, len(a) - end + tail]), torch.cat([middle, len(b) - end + tail])

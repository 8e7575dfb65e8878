"""Several conversations about the same picture(s) in one sequence, none of which sees another.

The pictures are the common beginning; each conversation is a branch that starts where the pictures end. The attention
mask lets a branch see the pictures and itself, and its positions continue from the pictures, so that every branch is
exactly the conversation that the model meets in use, while the pictures are encoded once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from mmhallu_core.models.tiny_llava import CONTEXT, GRID
from mmhallu_core.train.losses import IGNORE
from mmhallu_core.train.records import Conversation

SPEAKERS = ("<|user|>", "<|assistant|>")  # of tiny-llava's chat form, which is written here without its template


@dataclass(frozen=True)
class Packed:
    """One sequence: tokens, positions, branch of each token (0: the common beginning), labels, loss weights."""

    input_ids: list[int]
    positions: list[int]
    branches: list[int]
    labels: list[int]
    weights: list[float]


def pack(conversations: Sequence[Conversation], images: int, tokenizer: PreTrainedTokenizerFast) -> Packed:
    """Packs all conversations about the same picture(s) into one sequence. Only answers are supervised.

    Raises:
        ValueError: when the sequence would not fit the context.
    """
    image, user, assistant = tokenizer.convert_tokens_to_ids(["<image>", *SPEAKERS])
    ids = [tokenizer.bos_token_id, user] + [image] * (images * GRID * GRID)
    start = len(ids)
    positions, branches, labels, weights = list(range(start)), [0] * start, [IGNORE] * start, [0.0] * start
    spoken = [text for turns in conversations for turn in turns for text in (turn.question, turn.answer)]
    texts = iter(tokenizer(spoken, add_special_tokens=False)["input_ids"])
    for number, turns in enumerate(conversations, 1):
        begun = len(ids)
        for place, turn in enumerate(turns):
            question, answer = [*([user] if place else []), *next(texts), assistant], next(texts)
            answer = [*answer, tokenizer.eos_token_id]
            ids += question + answer
            labels += [IGNORE] * len(question) + answer
            weights += [turn.weight] * (len(question) + len(answer))
        length = len(ids) - begun
        positions += range(start, start + length)
        branches += [number] * length
    if len(ids) > CONTEXT:
        raise ValueError(f"{len(conversations)} conversations make {len(ids)} tokens; the context is {CONTEXT}")
    return Packed(ids, positions, branches, labels, weights)


def branch_mask(branches: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch 1 tokens tokens"]:
    """True where a token may look: earlier tokens of the beginning (0) or of its own branch; padding is -1."""
    same = branches[:, :, None] == branches[:, None, :]
    beginning = (branches == 0)[:, None, :]
    causal = torch.ones(branches.shape[1], branches.shape[1], dtype=torch.bool, device=branches.device).tril()
    return ((same | beginning) & causal)[:, None]


def pad(packed: Sequence[Packed], pad_id: int) -> dict[str, Tensor]:
    """Pads sequences on the right and builds the branch mask."""
    length = max(len(one.input_ids) for one in packed)

    def padded(name: str, filler: int | float) -> Tensor:
        rows = [getattr(one, name) for one in packed]
        return torch.tensor([row + [filler] * (length - len(row)) for row in rows])

    branches = padded("branches", -1)
    return {
        "input_ids": padded("input_ids", pad_id),
        "position_ids": padded("positions", 0),
        "attention_mask": branch_mask(branches),
        "labels": padded("labels", IGNORE),
        "weights": padded("weights", 0.0),
    }

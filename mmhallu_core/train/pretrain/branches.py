"""Many questions about one picture in one sequence, none of which sees another.

The picture is the common beginning; each question with its answer is a branch that starts where the picture
ends. The attention mask lets a branch see the picture and itself, and its positions continue from the
picture, so every branch is exactly the single-turn conversation that the model meets in use, while the
picture is encoded once. Only answers are supervised.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from mmhallu_core.models.tiny_llava import CONTEXT, GRID

IGNORE = -100


@dataclass(frozen=True)
class Turn:
    """One question about the picture(s) and its answer; `weight` scales the loss of the answer's tokens."""

    question: str
    answer: str
    weight: float = 1.0


@dataclass(frozen=True)
class Packed:
    """One sequence: tokens, positions, branch of each token (0: the common beginning), labels, loss weights."""

    input_ids: list[int]
    positions: list[int]
    branches: list[int]
    labels: list[int]
    weights: list[float]


def pack(turns: list[Turn], images: int, tokenizer: PreTrainedTokenizerFast) -> Packed:
    """Packs all turns about the same picture(s) into one sequence.

    Raises:
        ValueError: when the sequence would not fit the context.
    """
    image, user, assistant = tokenizer.convert_tokens_to_ids(["<image>", "<|user|>", "<|assistant|>"])
    ids = [tokenizer.bos_token_id, user] + [image] * (images * GRID * GRID)
    start = len(ids)
    positions, branches, labels, weights = list(range(start)), [0] * start, [IGNORE] * start, [0.0] * start
    spoken = [text for turn in turns for text in (turn.question, turn.answer)]
    texts = tokenizer(spoken, add_special_tokens=False)["input_ids"]
    for number, turn in enumerate(turns, 1):
        question, answer = texts[2 * number - 2], texts[2 * number - 1]
        branch = [*question, assistant, *answer, tokenizer.eos_token_id]
        supervised = len(answer) + 1
        ids += branch
        positions += range(start, start + len(branch))
        branches += [number] * len(branch)
        labels += [IGNORE] * (len(branch) - supervised) + branch[-supervised:]
        weights += [turn.weight] * len(branch)
    if len(ids) > CONTEXT:
        raise ValueError(f"{len(turns)} turns make {len(ids)} tokens; the context is {CONTEXT}")
    return Packed(ids, positions, branches, labels, weights)


def branch_mask(branches: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch 1 tokens tokens"]:
    """True where a token may look: earlier tokens of the beginning (0) or of its own branch; padding is -1."""
    same = branches[:, :, None] == branches[:, None, :]
    beginning = (branches == 0)[:, None, :]
    causal = torch.ones(branches.shape[1], branches.shape[1], dtype=torch.bool, device=branches.device).tril()
    return ((same | beginning) & causal)[:, None]


def collate(packed: list[Packed], pad_id: int) -> dict[str, Tensor]:
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


def answer_loss(
    hidden: Float[Tensor, "batch tokens width"],
    head: torch.nn.Linear,
    labels: Int[Tensor, "batch tokens"],
    weights: Float[Tensor, "batch tokens"],
) -> Float[Tensor, ""]:
    """Weighted mean cross-entropy of the answers' tokens; only those rows pass through the vocabulary."""
    here = labels[:, 1:] != IGNORE  # the state before a token predicts it
    logits = head(hidden[:, :-1][here])
    losses = torch.nn.functional.cross_entropy(logits.float(), labels[:, 1:][here], reduction="none")
    weight = weights[:, 1:][here]
    return (losses * weight).sum() / weight.sum()

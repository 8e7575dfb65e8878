"""The adversary: soft tokens between prompt and response, trained to make a model neglect its picture.

The tokens are free vectors in place of word embeddings. They stand exactly before the response, found in each row; the
released code puts them at place 650 of every row, whatever stands there (`at`). Any family reads them: the row gets as
many ordinary tokens more, with their own positions, and a hook on the embedding layer exchanges their embeddings.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import BatchFeature, LogitsProcessor

from mmhallu_core.methods.aleahallu.batch import responses
from mmhallu_core.models.greedy import Decoding
from mmhallu_core.models.record import record
from mmhallu_core.models.shared_prefix import ALONG_TOKENS
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.losses import IGNORE
from mmhallu_core.types import CannotRun

CODES_PLACE = 650  # where the released code inserts its soft tokens (`prompt_vec` in llava_llama.py)
FILL = {"attention_mask": 1, "labels": IGNORE}  # of an inserted token; 0 for what is not named, and see `insert`


def response_starts(batch: dict[str, Tensor]) -> Int[Tensor, " batch"]:
    """The place of each row's first response token; the end of the row where there is no response."""
    here = responses(batch["labels"])
    return torch.where(here.any(1), here.int().argmax(1), row_ends(batch))


def row_ends(batch: Mapping[str, Tensor]) -> Int[Tensor, " batch"]:
    """The place behind each row's last token, on whichever side rows are padded."""
    mask = batch["attention_mask"]
    return mask.shape[1] - mask.flip(1).argmax(1)


def insert(
    batch: Mapping[str, Tensor], count: int, starts: Int[Tensor, " batch"], filler: int
) -> tuple[dict[str, Tensor], Bool[Tensor, "batch tokens"]]:
    """A batch with some tokens more in each row, and where they are.

    Args:
        batch: with `input_ids`, `attention_mask` and perhaps `labels`.
        count: tokens to insert.
        starts: before which place of each row; beyond the row's end they are put at its end.
        filler: an ordinary token, which is never read.
    """
    starts = torch.minimum(starts, row_ends(batch))
    length = batch["input_ids"].shape[1]
    new = dict(batch)
    for name in (*ALONG_TOKENS, "labels", "weights", "cross_attention_mask"):
        if name in batch:
            value = filler if name == "input_ids" else FILL.get(name, 0)
            new[name] = torch.stack([_wider(*one, count, value) for one in zip(batch[name], starts, strict=True)])
    places = torch.arange(length + count, device=starts.device)
    return new, (places >= starts[:, None]) & (places < starts[:, None] + count)


def _wider(row: Tensor, start: Tensor, count: int, value: int) -> Tensor:
    """A row with entries more; where a token has several numbers, as what it may look at, those before are repeated."""
    new = row[:1].new_full((count,), value) if row.dim() == 1 else row[start - 1 : start].expand(count, *row.shape[1:])
    return torch.cat([row[:start], new, row[start:]])


@contextmanager
def soft(model: nn.Module, prefix: Float[Tensor, "count width"], where: Bool[Tensor, "batch tokens"]) -> Iterator[None]:
    """Puts soft tokens in place of embeddings while the block runs; calls of another shape (later steps of
    `generate`) stay as they are."""

    def hook(module, args, output):
        if output.shape[:2] != where.shape:
            return output
        rows = prefix.to(output).repeat(len(where), 1)
        return output.masked_scatter(where[..., None].expand_as(output), rows)

    handle = model.get_input_embeddings().register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@dataclass(frozen=True, eq=False)
class Attacked(Decoding):
    """Greedy search under attack: the prefix stands behind every prompt, where the answer begins.

    Attributes:
        prefix: soft tokens, (count, width), as a run keeps them in `prefix.safetensors`.
    """

    prefix: Tensor

    @property
    def about(self) -> dict[str, Any]:
        """What a result says of it."""
        return {"name": "aleahallu-prefix", "tokens": len(self.prefix)}

    @contextmanager
    def begin(self, vlm: Vlm, inputs: BatchFeature) -> Iterator[tuple[Any, Sequence[LogitsProcessor]]]:
        """See `Decoding.begin`; the tokens that make room are special ones, so that no answer shows them."""
        wide, where = insert(inputs, len(self.prefix), row_ends(inputs), vlm.processor.tokenizer.pad_token_id)
        with soft(vlm.model, self.prefix.to(vlm.model.device), where):
            yield wide, ()


def first_prefix(vlm: Vlm, count: int, like: str, seed: int) -> Float[Tensor, "count width"]:
    """Soft tokens to begin with, in float32: "normal" draws standard normal numbers, as the code; "words" draws with
    the mean and the spread that the model's own embeddings have in each dimension."""
    words = vlm.model.get_input_embeddings().weight.detach().float()
    drawn = torch.randn(count, words.shape[1], generator=torch.Generator().manual_seed(seed)).to(words.device)
    return drawn if like == "normal" else words.mean(0) + words.std(0) * drawn


def image_shares(
    vlm: Vlm, batch: dict[str, Tensor], run: Any, gradients: bool = False
) -> Float[Tensor, "answers layers heads"]:
    """The share of attention on image tokens, the sum over them, of each token that predicts a response's; row after
    row, as `response_logits` has them.

    Args:
        vlm: of a family whose pictures are tokens.
        batch: with labels.
        run: makes the forward pass.
        gradients: whether gradients can be taken.

    Raises:
        CannotRun: when pictures are not tokens.
    """
    if vlm.family.image_positions is None:
        raise CannotRun(f"{vlm.name} looks at pictures by cross-attention: the share on image tokens is not defined")
    image = batch["input_ids"] == vlm.processor.image_token_id
    asks = torch.zeros_like(image)
    asks[:, :-1] = responses(batch["labels"])[:, 1:]
    with record(vlm.model, attentions=True, gradients=gradients) as seen:
        run()
    each = [(maps.float() * image[:, None, None]).sum(-1).transpose(1, 2)[asks] for maps in seen.attentions.values()]
    return torch.stack(each, 1)


def image_share(vlm: Vlm, batch: dict[str, Tensor], run: Any, gradients: bool = False) -> Float[Tensor, ""]:
    """The mean of `image_shares` over tokens, decoder layers and heads."""
    return image_shares(vlm, batch, run, gradients).mean()

"""A model made ready to train: what learns, its loss and its batches; and what a run would cost, measured on its first.

transformers' `Trainer` and peft do the work. What stands here is what they leave open: which tensors learn
(`adapt.py`), which tokens count (`collate.py`), and what is asked of features (`consistency.py`).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import set_seed

from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.adapt import adapt, trainable
from mmhallu_core.train.collate import ChatTemplateCollator, Collator, PackedCollator
from mmhallu_core.train.consistency import PREFIX, Held, require_tokens
from mmhallu_core.train.losses import IGNORE, answer_loss
from mmhallu_core.train.machine import recompute
from mmhallu_core.train.records import Make, Numbered
from mmhallu_core.train.spec import TrainSpec, is_sharded
from mmhallu_core.train.trainer import Totals
from mmhallu_core.types import CannotRun

LEARNING = 12  # bytes beside a trained number: its gradient, and the two means that Adam keeps


@dataclass
class Prepared:
    """A model made ready by `prepare`.

    Attributes:
        vlm: the model as it was loaded; its layers have the adapter.
        model: what learns.
        loss: (model, totals of the step, batch) gives the loss and its parts.
        collate: makes a batch of examples.
        totals: what a micro-batch adds to its step, as a vector; see `trainer.MmTrainer`.
        begin: called once before the first step, with the examples and whether to tell of progress; None for nothing.
    """

    vlm: Vlm
    model: nn.Module
    loss: Callable[..., tuple[Tensor, dict[str, float]]]
    collate: Collator
    totals: Totals
    begin: Callable[[Numbered, bool], None] | None = None


class Recipe(Protocol):
    """What another method than fine-tuning on answers brings: its own loss and batches, on the same trainer.

    Attributes:
        about: all that the loss depends on, as JSON values; recorded.
    """

    about: Mapping[str, Any]

    def prepare(self, vlm: Vlm, spec: TrainSpec, out: Path, base_sha256: str) -> Prepared:
        """As `prepare`, with the run's folder and the hash of the weights that it starts from."""


def prepare(vlm: Vlm, spec: TrainSpec) -> Prepared:
    """Puts the plan on a model, and makes its loss and its batches. The model is used up.

    Raises:
        CannotRun: when the plan, the consistency loss, packing or the precision does not go with the model or the
            machine.
    """
    on = spec.consistency.on
    if on:
        require_tokens(vlm)
    if on and is_sharded():
        raise CannotRun("a consistency loss needs the whole model in each process: start without FSDP")
    collate = (PackedCollator if spec.packing else ChatTemplateCollator)(vlm, pairs=on)
    model = put_on(vlm, spec)
    held = Held(model, spec.consistency)

    def loss(wrapped: nn.Module, labels: Tensor, weights: Tensor, totals: Tensor | None = None, **inputs: Any):
        weight, pairs = (None, None) if totals is None else totals

        def answers() -> Tensor:
            return answers_loss(wrapped, model, inputs, labels, weights, weight)

        return held(answers, inputs, pairs)

    return Prepared(vlm, model, loss, collate, totals_of)


def put_on(vlm: Vlm, spec: TrainSpec) -> nn.Module:
    """What learns: the model in the plan's precision, with the plan's adapter on it.

    Raises:
        CannotRun: when the precision does not go with the machine, or see `adapt.adapt`.
    """
    if spec.dtype == "float16" and vlm.model.device.type == "cpu":
        raise CannotRun("float16 needs a GPU: take float32 or bfloat16 here")
    has_full = "full" in (spec.adapt.vision_tower, spec.adapt.connector, spec.adapt.decoder)
    kept = torch.float32 if has_full else getattr(torch, spec.dtype)
    for parameter in vlm.model.parameters():  # and not the buffers: positions need all their digits
        parameter.data = parameter.data.to(kept)
    set_seed(spec.seed)
    return adapt(vlm, spec.adapt, tell=None)


def totals_of(batch: Mapping[str, Tensor]) -> Tensor:
    """What a micro-batch adds to its step: the weight of its answers' tokens, and its number of pairs."""
    weight = batch["weights"][:, 1:][batch["labels"][:, 1:] != IGNORE].sum()
    return torch.stack([weight, weight.new_tensor(len(batch.get(f"{PREFIX}row", ())))])


def answers_loss(
    wrapped: nn.Module,
    model: nn.Module,
    inputs: Mapping[str, Any],
    labels: Tensor,
    weights: Tensor,
    total: Tensor | None = None,
) -> Tensor:
    """The weighted cross-entropy of the answers' tokens, see `losses.answer_loss`.

    Only the states before an answer's tokens pass through the vocabulary, by a hook on the output layer: so the whole
    model runs in one call, as training in several processes asks.

    Args:
        wrapped: what is called: the model, or what `Trainer` made of it.
        model: of any family.
        inputs: the batch, padded on the right.
        labels, weights: (batch, tokens), with `IGNORE` where nothing is learned.
        total: the weight of the whole step; that of this batch when None.
    """
    here = labels[:, 1:] != IGNORE  # the state before a token predicts it
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda module, args: (args[0][:, :-1][here],))
    try:
        logits = wrapped(**inputs, use_cache=False).logits
    finally:
        hook.remove()
    return answer_loss(logits, labels[:, 1:][here], weights[:, 1:][here], total)


def cost(
    vlm: Vlm, make: Make, spec: TrainSpec, prepare: Callable[[Vlm, TrainSpec], Prepared] = prepare
) -> dict[str, Any]:
    """Runs the first batch forwards and backwards, and reckons the run's memory and time from it. `vlm` is used up.

    Memory is that of the weights, of what is kept for each trained number, and of all tensors that the forward pass
    keeps for the backward one; what a backward pass needs for a moment comes on top. Time is that of the second of two
    batches, and says nothing of longer ones.

    Args:
        vlm, make, spec: as for `run.train`.
        prepare: of another method.

    Returns:
        `parameters` and `trainable` by part, `effective_batch`, `steps`, `examples`, `memory_gb`, `seconds`.

    Raises:
        CannotRun: see `prepare`.
    """
    ready = prepare(vlm, spec)
    if spec.checkpointing:
        recompute(ready.model)
    ready.model.train()
    batch = ready.collate([make(i) for i in range(spec.micro_batch)])
    for _ in range(2):
        began = time.monotonic()
        kept = _step(ready.model, ready.loss, dict(batch), spec.dtype)
        seconds = time.monotonic() - began
    learns = trainable(ready.model)
    weights = sum(value.numel() * value.element_size() for value in ready.model.parameters())
    return {
        "parameters": learns.sizes,
        "trainable": learns.numbers,
        "effective_batch": spec.effective_batch,
        "steps": spec.steps,
        "examples": spec.steps * spec.effective_batch,
        "memory_gb": round((weights + LEARNING * sum(learns.numbers.values()) + kept) / 1e9, 3),
        "seconds": round(seconds * spec.accumulation * spec.steps, 3),
    }


def _step(model: nn.Module, loss: Any, batch: dict[str, Tensor], dtype: str) -> int:
    """One batch forwards and backwards; returns the bytes that were kept between the two, the weights left out."""
    mine = {value.untyped_storage().data_ptr() for value in model.parameters()}
    sizes: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in mine:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    device = next(model.parameters()).device.type
    mixed = torch.autocast(device, getattr(torch, dtype), enabled=dtype != "float32")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), mixed:
        total, _ = loss(model, **batch)
    total.backward()
    model.zero_grad()
    return sum(sizes.values())

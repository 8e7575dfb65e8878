"""What a run would cost, measured on its first batch before it is begun."""

import time
from typing import Any

import torch
from torch import Tensor, nn

from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.adapt import trainable
from mmhallu_core.train.machine import recompute
from mmhallu_core.train.records import Make
from mmhallu_core.train.run import prepare
from mmhallu_core.train.spec import TrainSpec

LEARNING = 12  # bytes beside a trained number: its gradient, and the two means that Adam keeps


def cost(vlm: Vlm, make: Make, spec: TrainSpec) -> dict[str, Any]:
    """Runs the first batch forwards and backwards, and reckons the run's memory and time from it. `vlm` is used up.

    Memory is that of the weights, of what is kept for each trained number, and of all tensors that the forward pass
    keeps for the backward one; what a backward pass needs for a moment comes on top. Time is that of the second of two
    batches, and says nothing of longer ones.

    Returns:
        `parameters` and `trainable` by part, `effective_batch`, `steps`, `examples`, `memory_gb`, `seconds`.

    Raises:
        CannotRun: see `run.prepare`.
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

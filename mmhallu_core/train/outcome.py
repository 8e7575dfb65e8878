"""What stays of a training run: weights, their hashes, and whether the features survived."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import peft
import torch
from PIL import Image
from torch import nn
from transformers import PreTrainedModel, PrinterCallback, ProgressCallback, Trainer

from mmhallu_core.models.loading import quiet_progress
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.models.weights import weights_sha256
from mmhallu_core.store import sha256
from mmhallu_core.train.collapse import Features, measure, verdict
from mmhallu_core.train.consistency import changed_pixels, pair_inputs, picture_means
from mmhallu_core.types import CannotRun

WEIGHTS = "adapter_model.safetensors"
AT_ONCE = 8  # pairs in memory when features are looked at


def save_weights(model: PreTrainedModel | peft.PeftModel, vlm: Vlm, base: str, out: Path) -> Path:
    """Writes the adapter, or the whole model where there is none.

    Args:
        model: what `adapt` gave, trained.
        vlm: has the processor that belongs to it.
        base: the name that the adapter gives to its model, instead of a folder of this machine.
        out: the folder.

    Returns:
        The file of weights.
    """
    if not isinstance(model, peft.PeftModel):
        with quiet_progress():
            model.save_pretrained(out)
        vlm.processor.save_pretrained(out)
        return next(
            path for name in ("model.safetensors", "model.safetensors.index.json") if (path := out / name).is_file()
        )
    model.peft_config["default"].base_model_name_or_path = base
    model.save_pretrained(out, save_embedding_layers=False)  # "auto" would look the base model up on a hub
    (out / "README.md").unlink(missing_ok=True)  # peft's empty model card
    return out / WEIGHTS


def base_hash(vlm: Vlm) -> str:
    """The hash of a base model's file of weights, or of its tensors where the file is elsewhere (a hub's cache)."""
    file = Path(vlm.model.name_or_path) / "model.safetensors"
    return sha256(file) if file.is_file() else weights_sha256(vlm.model)


def quiet(trainer: Trainer) -> None:
    """Takes away what prints to standard output, which `--json` needs clean."""
    for talkative in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(talkative)


def losses_of(trainer: Trainer) -> list[float]:
    """The loss of each step that was taken.

    Raises:
        CannotRun: when one is not a number.
    """
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    if not all(map(math.isfinite, losses)):
        raise CannotRun(f"the loss became {losses[-1]} after {len(losses)} steps; take a smaller learning rate")
    return losses


def first_and_final(losses: Sequence[float]) -> dict[str, float]:
    """The first loss, and the mean of the last quarter: one step is too noisy to compare."""
    last = losses[-max(1, len(losses) // 4) :]
    return {"first": losses[0], "final": sum(last) / len(last)}


@torch.no_grad()
def look(model: nn.Module, vlm: Vlm, pairs: Sequence[tuple[Image.Image, Image.Image]]) -> Features:
    """Four numbers about the features of some pairs, as the model is now; training goes on as if nothing was.

    Args:
        model: of a family with image tokens, with or without an adapter.
        vlm: has the processor that belongs to it.
        pairs: pictures and their edits, at least two.
    """
    was_training, means = model.training, []
    model.eval()
    for start in range(0, len(pairs), AT_ONCE):
        some = list(pairs[start : start + AT_ONCE])
        inputs = vlm.encode(some, [vlm.prompt("What is different?", 2)] * len(some), side="right")
        found = pair_inputs(vlm, inputs, some, [changed_pixels(*pair) for pair in some])
        on_device = {name: value.to(inputs["input_ids"].device) for name, value in found.items()}
        means.append(picture_means(model, {**inputs, **on_device}))
    model.train(was_training)
    return measure(*(torch.cat(side) for side in zip(*means, strict=True)))


def collapse_record(before: Features, after: Features) -> dict[str, Any]:
    """What a run's record says of its features before and after training."""
    collapsed, sentence = verdict(before, after)
    return {"before": asdict(before), "after": asdict(after), "collapsed": collapsed, "verdict": sentence}

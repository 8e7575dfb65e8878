"""What stays of a training run: weights, their hashes, and whether the features survived."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import peft
import torch
from PIL import Image
from torch import nn
from transformers import PreTrainedModel

from mmhallu_core.models.loading import quiet_progress
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import sha256
from mmhallu_core.train.collapse import Features, measure, verdict
from mmhallu_core.train.consistency import changed_pixels, pair_inputs, picture_means

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


def weights_sha256(vlm: Vlm) -> str:
    """The hash of a model's file of weights, or of its tensors where the file is elsewhere (a hub's cache)."""
    file = Path(vlm.model.name_or_path) / "model.safetensors"
    if file.is_file():
        return sha256(file)
    digest = hashlib.sha256()
    for name, tensor in sorted(vlm.model.state_dict().items()):
        digest.update(name.encode("utf-8") + tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


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

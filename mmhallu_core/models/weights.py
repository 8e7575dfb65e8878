"""Which weights exactly: results, journals and adapters name them by a hash."""

import hashlib
from collections.abc import Collection
from pathlib import Path

import torch
from transformers import PreTrainedModel

from mmhallu_core.models.adapter_folders import WEIGHTS
from mmhallu_core.store import json_sha256, sha256


def weights_sha256(model: PreTrainedModel) -> str:
    """The hash of a model's parameters as they are in memory, adapters included, whatever file they came from."""
    digest = hashlib.sha256()
    for name, tensor in model.named_parameters():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        if not tensor.is_meta:  # accelerate may have left it on disk
            digest.update(tensor.detach().flatten().contiguous().view(torch.uint8).cpu().numpy())
    return digest.hexdigest()


def base_hash(model: PreTrainedModel, adapters: Collection[Path] = ()) -> str:
    """The hash of the weights that an adapter is trained on.

    Args:
        model: as it was loaded. Its file of weights is hashed, or its tensors where the file is elsewhere (a hub's
            cache).
        adapters: folders of those that were added into its weights, in their order.
    """
    file = Path(model.name_or_path) / "model.safetensors"
    base = sha256(file) if file.is_file() else weights_sha256(model)
    return json_sha256([base, *(sha256(folder / WEIGHTS) for folder in adapters)]) if adapters else base

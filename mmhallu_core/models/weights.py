"""Which weights exactly: results and journals name them by this hash."""

import hashlib

import torch
from transformers import PreTrainedModel


def weights_sha256(model: PreTrainedModel) -> str:
    """The hash of a model's parameters as they are in memory, adapters included, whatever file they came from."""
    digest = hashlib.sha256()
    for name, tensor in model.named_parameters():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        if not tensor.is_meta:  # accelerate may have left it on disk
            digest.update(tensor.detach().flatten().contiguous().view(torch.uint8).cpu().numpy())
    return digest.hexdigest()

"""What a `Trainer` is told about the machine: where to compute, and whether to save memory.

Memory is saved by activation checkpointing: only what enters each layer is kept, and the rest is computed again when
gradients are taken, for about a third more time. transformers 5.24 calls it so; before, it was gradient checkpointing.
"""

import platform
from typing import Any

import torch
import transformers
from torch import nn
from transformers import TrainingArguments

from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun

_NAME = "activation" if "activation_checkpointing" in TrainingArguments.__dataclass_fields__ else "gradient"
_SETTINGS = {"use_reentrant": False}  # the other kind needs inputs with a gradient; a frozen embedding gives none


def on_cpu(vlm: Vlm) -> bool:
    """What `TrainingArguments.use_cpu` must be for a model to stay where it is.

    Raises:
        CannotRun: when it is on another GPU than the first, which a `Trainer` would move it to.
    """
    device = vlm.model.device
    if device.type == "cuda" and device.index:
        raise CannotRun(
            f"training runs on the first GPU that it sees, and not on {device}: set MMHALLU_DEVICE=cuda and "
            f"CUDA_VISIBLE_DEVICES={device.index}"
        )
    return device.type == "cpu"


def recompute_arguments(on: bool) -> dict[str, Any]:
    """The settings of `TrainingArguments` that switch activation checkpointing on."""
    return {f"{_NAME}_checkpointing": True, f"{_NAME}_checkpointing_kwargs": _SETTINGS} if on else {}


def recompute(model: nn.Module) -> None:
    """Switches activation checkpointing on in a model, for training without a `Trainer`."""
    getattr(model, f"{_NAME}_checkpointing_enable")(_SETTINGS)


def versions() -> dict[str, str]:
    """What a result depends on besides its seed."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
    }

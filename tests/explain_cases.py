"""Models, pictures and counts that the tests of explain/ share."""

import functools
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mmhallu_core.explain.reading import read
from mmhallu_core.models import tiny_random
from mmhallu_core.models.vlm import Vlm

QUESTION, ANSWER = "Where?", "A red umbrella on the beach"
# Height and width of a picture that each tiny model's finest view reads without resizing it.
PICTURE = {
    "llava": (32, 32), "llava_next": (48, 48), "llava_onevision": (48, 48), "qwen2_vl": (48, 32),
    "qwen2_5_vl": (64, 48), "qwen3_vl": (48, 64), "mllama": (32, 32), "idefics3": (64, 64), "smolvlm": (64, 32),
    "internvl": (64, 64),
}  # fmt: skip
FAMILIES = list(PICTURE)


@functools.cache
def vlm_of(family: str) -> Vlm:
    """A tiny random model of a family, or a shipped one."""
    if family not in PICTURE:
        return Vlm.load(family)
    return Vlm.load(tiny_random.build(family, Path(tempfile.mkdtemp()) / family))


def noise(height, width, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def pictures(family, count=1):
    """A picture of the size that the family reads, alone or behind a smaller one."""
    height, width = PICTURE.get(family, (96, 96))
    return [noise(30, 50, 7)] * (count - 1) + [noise(height, width)]


def reading_of(family, images):
    return read(vlm_of(family), images, QUESTION, ANSWER)


def rms(module, hidden):
    """RMSNorm without transformers' way through float32."""
    return module.weight * hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + module.variance_epsilon)


def in_float64(vlm: Vlm) -> Vlm:
    """The model in float64, all of it."""
    vlm.model.double()
    for module in vlm.model.modules():
        if "RMSNorm" in type(module).__name__:
            module.forward = functools.partial(rms, module)
    return vlm


def hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())

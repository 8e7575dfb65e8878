"""Models, pictures and counts that the tests of explain/ share."""

import functools
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from test_families import PICTURE

from mmhallu_core.explain.reading import read
from mmhallu_core.models import tiny_random
from mmhallu_core.models.vlm import Vlm

QUESTION, ANSWER = "Where?", "A red umbrella on the beach"
FAMILIES = [family for family in PICTURE if family != "tiny-llava"]


@functools.cache
def vlm_of(family: str) -> Vlm:
    """A tiny random model of a family, or a shipped one."""
    if family not in FAMILIES:
        return Vlm.load(family)
    return Vlm.load(tiny_random.build(family, Path(tempfile.mkdtemp()) / family))


def noise(height, width, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def pictures(family, count=1):
    """A picture of the size that the family reads, alone or behind a smaller one."""
    height, width = PICTURE[family]
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

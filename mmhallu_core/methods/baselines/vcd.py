"""Visual contrastive decoding (VCD, arXiv 2311.16922): the other branch sees the picture under noise.

The noise is that of a diffusion model, put on the pixels as the processor gives them, at a step from 0 (hardly any) to
999 (hardly any picture left). At the released step, 500, the picture keeps 0.86 of its contrast, under noise of 0.51.

| number | here | released code (DAMO-NLP-SG/VCD) |
|---|---|---|
| weight (alpha) | 1 | 1: `experiments/eval/object_hallucination_vqa_llava.py` (65a8fd7, 2023-12-18); 0.5 if none is given: `vcd_utils/vcd_sample.py` (d3693f5, 2024-10-07) |
| cut (beta) | 0.1 | 0.1 in both; 0.2 in `experiments/cd_scripts/llava1.5_pope.bash` (65a8fd7, 2023-12-18) |
| step | 500 | 500: all of them |
| noise schedule | `kept_share` | the same: `vcd_utils/vcd_add_noise.py` (039af55, 2023-11-28) |
| next token | the best one | drawn, at temperature 1 and top-p 1: `experiments/eval/object_hallucination_vqa_llava.py` |
| noise | drawn anew for each picture, from its pixels and a seed | drawn from the state of the whole run |

The last row is why an answer here depends neither on the batch nor on what was asked before.
"""  # noqa: E501 (a table's row is one line)

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import BatchFeature

from mmhallu_core.methods.baselines.contrast import Contrast
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun

STEPS = 1000


def kept_share(step: int) -> float:
    """How much of the picture's variance is left after a step; the rest is noise.

    Each step keeps 1 - beta of what was there, and beta rises from 1e-5 to 5e-3 along a sigmoid from -6 to 6.
    """
    betas = torch.sigmoid(torch.linspace(-6, 6, STEPS, dtype=torch.float64)) * (5e-3 - 1e-5) + 1e-5
    return float((1 - betas)[: step + 1].prod())


def noise_like(part: Float[Tensor, "..."], seed: int, frames: int = 1) -> Float[Tensor, "..."]:
    """Standard normal noise that depends on a seed and on the pixels it is for, on the CPU in float32.

    Args:
        part: the pixels of a picture or of one of its tiles.
        seed: another one gives other noise.
        frames: how often each pixel stands in a row of patches, as (channels, frames, pixels); all get the same noise.
    """
    content = part.detach().to("cpu", torch.float32).contiguous().numpy().tobytes()
    key = hashlib.sha256(seed.to_bytes(8, "little", signed=True) + content).digest()[:8]
    generator = torch.Generator().manual_seed(int.from_bytes(key, "little") >> 1)
    if part.ndim > 2:  # channels, rows, columns
        return torch.randn(part.shape, generator=generator)
    drawn = torch.randn(len(part), 3, 1, part.shape[1] // (3 * frames), generator=generator)
    return drawn.expand(-1, -1, frames, -1).reshape(part.shape)


@dataclass(frozen=True)
class Vcd(Contrast):
    """VCD.

    Attributes:
        step: of the noise, 0 to 999.
        seed: of the noise.

    Raises:
        CannotRun: when a number is out of its bounds.
    """

    step: int = 500
    seed: int = 0
    name: ClassVar[str] = "vcd"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.step < STEPS:
            raise CannotRun(f"a step of the noise is from 0 to {STEPS - 1}, and not {self.step}")

    def disturbed(self, vlm: Vlm, inputs: BatchFeature) -> dict[str, Tensor]:
        """The pixels under noise; there are none where no question has a picture."""
        if "pixel_values" not in inputs:
            return {}
        pixels = inputs["pixel_values"]
        frames = 1
        if "image_grid_thw" in inputs:  # rows of patches, picture after picture; a still picture is several frames
            parts = pixels.split(inputs["image_grid_thw"].prod(-1).tolist())
            frames = vlm.processor.image_processor.temporal_patch_size
        else:  # pictures or tiles of channels, rows and columns
            parts = pixels.reshape(-1, *pixels.shape[-3:]).unbind()
        kept = kept_share(self.step)
        noisy = []
        for part in parts:
            noise = noise_like(part, self.seed, frames).to(part)
            # A tile of nothing but zeros fills a row up; some models know it by that.
            noisy.append(kept**0.5 * part + (1 - kept) ** 0.5 * noise if part.any() else part)
        joined = torch.cat(noisy) if "image_grid_thw" in inputs else torch.stack(noisy)
        return {"pixel_values": joined.reshape(pixels.shape)}

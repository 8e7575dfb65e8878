"""MED's presets on one GPU: fewer examples at a time, more of them before each step, the same step in the end.

The paper used eight GPUs (A800). One GPU takes small batches and adds up their gradients (*accumulation*) until a step
has seen as many examples: the same up to rounding. How much fits is reckoned by `Load.gigabytes` from the models'
published sizes; no run at this size stands behind it.
"""

from dataclasses import dataclass
from typing import Literal

from mmhallu_core.methods.med.presets import PRESETS, Preset
from mmhallu_core.train.adapt import Adapt, How
from mmhallu_core.types import CannotRun

Card = Literal[40, 80]


@dataclass(frozen=True)
class Load:
    """What decides about memory: the sizes in a model's config.json, and an example's length.

    Attributes:
        parameters: numbers in the model.
        layers, width, inner, vocabulary: the decoder's layers, the width of a token and of the MLP, and its words.
        tokens: of one example in the decoder: two pictures and some 150 tokens of text.
        patches, vision_layers, vision_width, vision_inner: both pictures in the vision tower.
    """

    parameters: float
    layers: int
    width: int
    inner: int
    vocabulary: int
    tokens: int
    patches: int
    vision_layers: int
    vision_width: int
    vision_inner: int

    def gigabytes(self, batch: int) -> float:
        """An estimate of the memory of a training step, in 1e9 bytes, with two-byte weights and checkpointing.

        It adds up the weights; 2 GB for the adapter, its optimizer and the GPU's own needs; what enters each layer;
        what one layer keeps while its gradient is taken; and the logits, in two bytes, four, and their gradient.
        """
        entering = self.layers * self.tokens * self.width + self.vision_layers * self.patches * self.vision_width
        layer = self.tokens * (16 * self.width + 6 * self.inner)
        vision_layer = self.patches * (16 * self.vision_width + 6 * self.vision_inner)
        logits = 10 * self.tokens * self.vocabulary
        return (2 * self.parameters + 2e9 + batch * (2 * entering + 2 * max(layer, vision_layer) + logits)) / 1e9

    def operations(self) -> float:
        """Floating-point operations that one example costs: forwards, once more for checkpointing, and backwards.

        Each multiplies and adds every weight once for a token; the gradients of frozen weights are not taken.
        """
        tower = self.vision_layers * (4 * self.vision_width**2 + 2 * self.vision_width * self.vision_inner)
        return 3 * 2 * ((self.parameters - tower) * self.tokens + tower * self.patches)


# Qwen: pictures of up to 768 x 768 pixels, a token for 28 x 28. LLaVA: filled to what the decoder reads. Llama: four
# tiles of 1,601 patches a picture, looked at by cross-attention, so that only the text counts in the decoder.
_QWEN = Load(8.29e9, 28, 3584, 18944, 152064, 1650, 6000, 32, 1280, 5120)
LOADS = {
    "qwen2_vl": _QWEN,
    "qwen2_5_vl": _QWEN,
    "llava_next": Load(7.06e9, 32, 4096, 11008, 32064, 4096, 5760, 24, 1024, 4096),
    "mllama": Load(10.67e9, 40, 4096, 14336, 128256, 150, 12808, 40, 1280, 5120),
}
BATCHES: dict[str, dict[Card, int]] = {
    "qwen2_vl": {40: 2, 80: 8}, "qwen2_5_vl": {40: 2, 80: 8}, "llava_next": {40: 2, 80: 8}, "mllama": {40: 1, 80: 4},
}  # fmt: skip
SPEED = 312e12 * 0.4  # operations a second: an A100's in bfloat16 as its maker gives them, and a usual share of them


@dataclass(frozen=True)
class OneGpu:
    """A preset on a single GPU.

    Attributes:
        preset: where all other numbers are.
        card: the GPU's memory in GB.
        batch: examples in memory at once.
        accumulation: batches for each step.
        dtype: of the frozen weights and of the computation; what is trained stays in float32.
        checkpointing: keep only what enters each layer, and compute the rest again when gradients are taken.
    """

    preset: Preset
    card: Card
    batch: int
    accumulation: int
    dtype: Literal["bfloat16", "float16"]
    checkpointing: bool = True

    @property
    def effective_batch(self) -> int:
        """Examples for each step of the optimizer."""
        return self.batch * self.accumulation

    def estimate(self, steps: int) -> dict[str, float]:
        """Memory in 1e9 bytes and seconds on an A100 for so many steps, reckoned from published sizes, not measured."""
        load = LOADS[self.preset.name]
        seconds = steps * self.effective_batch * load.operations() / SPEED
        return {"memory_gb": round(load.gigabytes(self.batch), 1), "seconds": round(seconds)}


def one_gpu(name: str, card: int = 80, native_bf16: bool = True) -> OneGpu:
    """The form of a preset that fits a single GPU and takes the paper's steps.

    Args:
        name: one of PRESETS.
        card: 40 or 80, for a GPU with at least so many GB.
        native_bf16: whether the GPU computes in bfloat16, as `torch.cuda.is_bf16_supported(False)` says. GPUs older
            than the A100's generation do not, and get float16 with a scaled loss.

    Raises:
        CannotRun: when there is no such preset, or none for such a GPU.
    """
    if name not in PRESETS:
        raise CannotRun(f"MED has no preset {name!r}; there is {', '.join(PRESETS)}")
    if card not in BATCHES[name]:
        raise CannotRun(f"MED's presets are made for GPUs of 40 or 80 GB, not {card}: take 40 for anything between")
    preset, batch = PRESETS[name], BATCHES[name][card]
    dtype = "bfloat16" if native_bf16 else "float16"
    return OneGpu(preset, card, batch, preset.effective_batch // batch, dtype)


def plan(preset: Preset, vision_tower: How | None = None, decoder: How = "lora") -> Adapt:
    """What the preset trains, for `train.adapt.adapt`.

    Args:
        preset: gives LoRA's numbers.
        vision_tower: None for the table's word: LoRA inside an unfrozen tower, as LLaMA-Factory does it, else frozen.
            "full" is what the paper's conclusion speaks of.
        decoder: "frozen" gives the paper's "trained-ViT" row (table 3).
    """
    tower: How = vision_tower or ("lora" if preset.vision_tower else "frozen")
    return Adapt(tower, "frozen", decoder, preset.rank, preset.alpha, preset.dropout)

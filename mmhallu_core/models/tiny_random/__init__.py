"""Tiny models with random weights, one for each family, made on the spot and without a network.

Classes, processors and image tokens are those of the large models; only the sizes differ. What these models say means
nothing; they show the path from a picture to its tokens, and whether code does to this one what it should.

    folder = build("qwen2_vl", Path("qwen2_vl"))
    model = AutoModelForImageTextToText.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)
"""

from collections.abc import Callable
from pathlib import Path

import torch

from mmhallu_core.models.loading import quiet_progress
from mmhallu_core.models.tiny_random import makers
from mmhallu_core.models.tiny_random.parts import Tiny

# By the name that a model's config.json gives as its `model_type`.
FAMILIES = (
    "llava", "llava_next", "llava_onevision", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "mllama", "idefics3", "smolvlm",
    "internvl",
)  # fmt: skip
MAKERS: dict[str, Callable[[], Tiny]] = {family: getattr(makers, family) for family in FAMILIES}


def build(family: str, folder: Path, seed: int = 0) -> Path:
    """Writes a tiny random model of a family, with its processor, tokenizer and chat template.

    Args:
        family: one of FAMILIES.
        folder: where to write; plain `from_pretrained` reads it.
        seed: of the weights. The same seed gives the same weights; the random state of torch is left as it was.

    Raises:
        ValueError: when there is no such family.
    """
    if family not in MAKERS:
        raise ValueError(f"no tiny model of {family!r}; there is one of each of {', '.join(FAMILIES)}")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        tiny = MAKERS[family]()
    with quiet_progress():
        tiny.model.save_pretrained(folder)
    tiny.processor.save_pretrained(folder)
    return folder

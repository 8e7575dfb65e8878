"""The simplest contrast: the other branch sees no picture at all.

Its rows hold the same tokens, and none of them may look at an image token. Positions are counted along the tokens that
may be looked at, so the words stand where they would stand without a picture. What a family writes around a picture,
such as `<|vision_start|>`, stays. Where the picture is not among the tokens (Llama 3.2 Vision), nothing is taken from
the layers that look at it by cross-attention.

PAI (arXiv 2407.21771) has it as its second half, with gamma = 1 + weight. Its released code, LALBJ/PAI, `CFG.py`
(4a085d1, 2024-07-31), takes the difference of log-probabilities, with a cut of 0.1, and leaves the picture's place out
of the prompt (`model_loader.py`, 72f779c, 2024-08-12). The weight here is VCD's, so that the two differ in what the
other branch sees, and in nothing else.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor
from transformers import BatchFeature, LogitsProcessor

from mmhallu_core.methods.baselines.contrast import Contrast
from mmhallu_core.models.vlm import Vlm


def image_places(vlm: Vlm, inputs: BatchFeature) -> Bool[Tensor, "batch tokens"]:
    """Where image tokens stand, line breaks and class tokens among them."""
    return inputs["input_ids"] == vlm.processor.image_token_id


@dataclass(frozen=True)
class NoPicture(Contrast):
    """A contrast with the answer that a model gives without the picture."""

    name: ClassVar[str] = "no-picture"

    def disturbed(self, vlm: Vlm, inputs: BatchFeature) -> dict[str, Tensor]:
        """Masks by which no token looks at the picture."""
        other = {"attention_mask": inputs["attention_mask"].masked_fill(image_places(vlm, inputs), 0)}
        if "cross_attention_mask" in inputs:
            other["cross_attention_mask"] = torch.zeros_like(inputs["cross_attention_mask"])
        return other

    @contextmanager
    def begin(self, vlm: Vlm, inputs: BatchFeature) -> Iterator[tuple[dict[str, Tensor], Sequence[LogitsProcessor]]]:
        """As `Contrast.begin`; what cross-attention gives the other branch is set to zero.

        The mask alone would not do: a token that may look at no part of a picture looks at all parts alike.
        """

        def blind(module, args, output):
            half = len(output[0]) // 2
            return torch.cat([output[0][:half], torch.zeros_like(output[0][half:])]), *output[1:]

        with ExitStack() as stack:
            for number in vlm.family.cross_attention_layers(vlm.model):
                module = vlm.family.attention_module(vlm.model, number)
                stack.callback(module.register_forward_hook(blind).remove)
            yield stack.enter_context(super().begin(vlm, inputs))

"""Pay attention to image (PAI, arXiv 2407.21771): the token that is about to write looks more at the picture.

In each decoder layer from `first_layer` on, and for the last token alone, the score of every image token before the
softmax becomes

    score + factor * |score|

That is PAI's first half, `Amplify`. `Pai` also takes off what the model says without the picture (`no_picture.py`).

| number | here | released code (LALBJ/PAI) |
|---|---|---|
| factor (alpha) | 0.2 | 0.2: `README.md` (9bbd8bd, 2024-11-06), `chair_eval.py` (4a085d1, 2024-07-31) |
| first_layer | 2 | 2, up to the last: both |
| gamma | 1.1 | 1.1: `README.md`; 2 if none is given: `chair_eval.py` |
| cut | 0.1 | 0.1: `CFG.py` (4a085d1, 2024-07-31) |
| scores | of the last token, before the softmax | the same: `attention.py` (f04eeb9, 2024-08-05) |

The branch without the picture is not amplified, here and there. The fast forms of attention never show their scores:
the decoder computes attention step by step while this one is at work, and then as before.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, BatchFeature, LogitsProcessor
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface

from mmhallu_core.methods.baselines.contrast import Repair, require_finite
from mmhallu_core.methods.baselines.no_picture import NoPicture, image_places
from mmhallu_core.models.greedy import Decoding
from mmhallu_core.models.record import eager_attention
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun

FORM = "mmhallu_amplified"


def attend(
    module: nn.Module,
    query: Float[Tensor, "batch heads queries width"],
    key: Float[Tensor, "batch groups keys width"],
    value: Float[Tensor, "batch groups keys width"],
    attention_mask: Float[Tensor, "batch 1 queries keys"] | None,
    scaling: float,
    *,
    at: Bool[Tensor, "batch prompt"],
    factor: float,
    first_layer: int,
    **unused: Any,
) -> tuple[Float[Tensor, "batch queries heads width"], Float[Tensor, "batch heads queries keys"]]:
    """Attention step by step, with the image tokens' scores raised: what is taken, and how much each looked at each.

    `at` is where image tokens stand in the prompt; for `factor` and `first_layer` see `Amplify`. All else is what
    transformers hands over: one key stands for several heads where groups are fewer, the mask is added to the scores.
    """
    key, value = (one.repeat_interleave(query.shape[1] // one.shape[1], dim=1) for one in (key, value))
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    if module.layer_idx >= first_layer:
        written = scores.shape[-1] - at.shape[1]  # words since the prompt
        places, last = functional.pad(at, (0, written))[:, None].to(scores.device), scores[:, :, -1]
        scores[:, :, -1] = torch.where(places, last + factor * last.abs(), last)
    weights = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(query.dtype)
    return (weights @ value).transpose(1, 2).contiguous(), weights


@dataclass(frozen=True)
class Amplify(Repair):
    """PAI's first half.

    Attributes:
        factor: alpha; 0 changes nothing.
        first_layer: number of the first decoder layer that is changed, from 0.

    Raises:
        CannotRun: when the factor is not finite.
    """

    factor: float = 0.2
    first_layer: int = 2
    name: ClassVar[str] = "amplify"

    def __post_init__(self) -> None:
        require_finite("the factor of attention", self.factor)

    @contextmanager
    def begin(self, vlm: Vlm, inputs: BatchFeature) -> Iterator[tuple[Any, Sequence[LogitsProcessor]]]:
        """Changes the decoder's attention while the block runs; raises CannotRun as `require` does."""
        self.require(vlm)
        with self.attention(vlm, image_places(vlm, inputs)):
            yield inputs, ()

    def require(self, vlm: Vlm) -> None:
        """Raises CannotRun for a model without image tokens, with a sliding window, or with too few layers."""
        if vlm.family.image_positions is None:
            raise CannotRun(
                f"{self.name} raises the attention to image tokens, and {vlm.name} ({vlm.family.name}) has none: it "
                "looks at pictures by cross-attention, where nothing but the picture is looked at"
            )
        config = vlm.model.config.get_text_config()
        kinds = getattr(config, "layer_types", None) or [
            getattr(config, "sliding_window", None) and "sliding_attention"
        ]
        if "sliding_attention" in kinds:
            raise CannotRun(f"{self.name} needs the whole prompt in sight, and {vlm.name} has a sliding window")
        if not 0 <= self.first_layer < (layers := len(vlm.family.layers(vlm.model))):
            raise CannotRun(f"{self.name} begins at layer {self.first_layer}, and {vlm.name} has {layers} (from 0)")

    @contextmanager
    def attention(self, vlm: Vlm, at: Bool[Tensor, "batch prompt"]) -> Iterator[None]:
        """The amplified attention, for a batch whose image tokens stand at `at`."""
        AttentionMaskInterface.register(FORM, ALL_MASK_ATTENTION_FUNCTIONS["eager"])
        AttentionInterface.register(FORM, partial(attend, at=at, factor=self.factor, first_layer=self.first_layer))
        with eager_attention(vlm.model, FORM):
            yield


@dataclass(frozen=True)
class Pai(Amplify):
    """PAI: more attention to the picture, less what is said without it.

    Attributes:
        gamma: 1 takes nothing off.
        cut: of the subtraction.
    """

    gamma: float = 1.1
    cut: float = 0.1
    name: ClassVar[str] = "pai"

    @contextmanager
    def begin(self, vlm: Vlm, inputs: BatchFeature) -> Iterator[tuple[Any, Sequence[LogitsProcessor]]]:
        """Both halves while the block runs; see `Amplify.begin`."""
        self.require(vlm)
        second = NoPicture(self.gamma - 1, self.cut) if self.gamma != 1 else Decoding()
        at = image_places(vlm, inputs)
        with second.begin(vlm, inputs) as (read, steps):
            with self.attention(vlm, functional.pad(at, (0, 0, 0, len(read["input_ids"]) - len(at)))):
                yield read, steps

"""A dial between two models: at every word, a weighted mean of what both would say next.

Two checkpoints of one architecture read the same; the mixture takes `(1 - share) * first + share * second` of their
logits and writes the highest token. This is the same as mixing log-probabilities: it must be fairly likely for both.

With tiny-llava-control as the first model and tiny-llava as the second, the share is "how strong is habit?".
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor
from transformers import BatchFeature, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from mmhallu_core.models.greedy import CACHE, generate, text_of
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun


class Blend(LogitsProcessor):
    """Mixes another model's logits into those of the model that generates; good for one call of `generate`.

    Args:
        other: the second model.
        inputs: what both models are given: `input_ids`, `attention_mask`, `pixel_values`.
        shares: weight of the second model for each row, 0 to 1.
    """

    def __init__(self, other: PreTrainedModel, inputs: BatchFeature, shares: Float[Tensor, " batch"]) -> None:
        self.other, self.inputs, self.shares = other, inputs, shares[:, None]
        self.mask, self.cache = inputs["attention_mask"], None

    def __call__(
        self, input_ids: Int[Tensor, "batch tokens"], scores: Float[Tensor, "batch vocabulary"]
    ) -> Float[Tensor, "batch vocabulary"]:
        """The mixed logits of the next token."""
        if self.cache is None:
            seen = self.other(**self.inputs, use_cache=True)
        else:  # the pictures and all earlier words are in the cache: only the newest word is read
            self.mask = torch.cat([self.mask, torch.ones_like(self.mask[:, :1])], dim=1)
            read = {CACHE: self.cache, "attention_mask": self.mask}
            seen = self.other(input_ids=input_ids[:, -1:], **read, use_cache=True)
        self.cache = getattr(seen, CACHE)
        return (1 - self.shares) * scores + self.shares * seen.logits[:, -1].float()


@torch.inference_mode()
def mixed_answers(
    first: Vlm,
    second: Vlm,
    images: Sequence[Image.Image],
    questions: Sequence[str],
    shares: Sequence[float],
    max_new_tokens: int = 100,
) -> list[str]:
    """Greedy answers of a mixture of two models, in one batch.

    Args:
        first, second: checkpoints of one architecture with the same tokenizer.
        images: one picture for each question.
        questions: plain text; the chat template is applied here.
        shares: for each question, the weight of the second model: 0 is `first` alone, 1 is `second` alone.
        max_new_tokens: where to cut an answer that does not end.

    Raises:
        ValueError: when the three sequences differ in length, or a share is outside 0 to 1.
        CannotRun: when the two models do not have the same tokens, so that their logits cannot be added.
    """
    if not len(images) == len(questions) == len(shares) or not all(0 <= share <= 1 for share in shares):
        raise ValueError("as many images as questions as shares, please, and every share between 0 and 1")
    if first.processor.tokenizer.get_vocab() != second.processor.tokenizer.get_vocab():
        raise CannotRun(f"{first.name} and {second.name} have different tokens, so their logits cannot be mixed")
    inputs = first.encode(images, [first.prompt(question) for question in questions])
    blend = Blend(second.model, inputs, torch.tensor(list(shares), dtype=torch.float32, device=first.model.device))
    new = generate(first.model, inputs, max_new_tokens, logits_processor=LogitsProcessorList([blend]))
    return [text_of(first.processor.tokenizer, ids) for ids in new[:, inputs["input_ids"].shape[1] :].tolist()]

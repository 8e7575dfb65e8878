"""What an edit did to a model, besides captions and answers: to lies, to attention, and to what it should not touch.

- `lie_odds`: log p(hallucinated) - log p(grounded) of pairs that no training saw.
- `attention_shares`: how much of its attention a model gives to the picture while it writes, in each layer and head.
  The paper reports one number and its released code does not compute it; the definition here is that of
  `prefix.image_shares`, over the tokens that the model itself wrote.
- `text_kl`: how far the model has moved from its base on text without a picture.
- `spoiled`: captions that were free of hallucination and are so no more.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from mmhallu_core.evaluate.matched_recall import WRONG
from mmhallu_core.methods.aleahallu.batch import (
    SIDES,
    collated,
    log_likelihoods,
    response_logits,
    responses,
    without_labels,
)
from mmhallu_core.methods.aleahallu.prefix import image_shares
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.collate import ChatTemplateCollator
from mmhallu_core.train.records import TrainingExample, Turn
from mmhallu_core.types import ResponsePair


@torch.no_grad()
def lie_odds(vlm: Vlm, pairs: Sequence[ResponsePair], batch_size: int = 16, folder: Path = Path()) -> list[float]:
    """The log-odds of each pair's hallucinated against its grounded response.

    Args:
        vlm: the model, under whatever edits are in it.
        pairs: with pictures as bytes, or as paths from `folder`.
        batch_size: pairs at once.
        folder: where the paths of pictures start.
    """
    head, found = vlm.model.get_output_embeddings(), []
    for start in range(0, len(pairs), batch_size):
        batch = collated(vlm, some := pairs[start : start + batch_size], SIDES, folder)
        logits = response_logits(vlm.model, head, batch["labels"], **without_labels(batch))
        each = log_likelihoods(logits, batch["labels"])
        found += (each[len(some) :] - each[: len(some)]).tolist()
    return found


@torch.no_grad()
def attention_shares(
    vlm: Vlm, images: Sequence[Image.Image], prompt: str, texts: Sequence[str], batch_size: int = 16
) -> Float[Tensor, "pictures layers heads"] | None:
    """The share of attention on the picture, the mean over the tokens of each text, its end included.

    Args:
        vlm: the model.
        images: one for each text.
        prompt: what the model was asked.
        texts: what it wrote.
        batch_size: texts at once.

    Returns:
        None for a family whose pictures are not tokens.
    """
    if vlm.family.image_positions is None:
        return None
    collate, found = ChatTemplateCollator(vlm), []
    asked = [
        TrainingExample(str(i), (image,), ((Turn(prompt, text),),))
        for i, (image, text) in enumerate(zip(images, texts, strict=True))
    ]
    for start in range(0, len(asked), batch_size):
        batch = collate(asked[start : start + batch_size])
        inputs = without_labels(batch)
        each = image_shares(vlm, batch, lambda inputs=inputs: vlm.model(**inputs, use_cache=False, logits_to_keep=1))
        rows = responses(batch["labels"])[:, 1:].nonzero()[:, 0]
        sums = torch.zeros(len(batch["labels"]), *each.shape[1:], device=each.device).index_add(0, rows, each)
        found.append((sums / rows.bincount(minlength=len(sums))[:, None, None]).cpu())
    return torch.cat(found)


@torch.no_grad()
def text_kl(base: Vlm, edited: Vlm, texts: Sequence[str], batch_size: int = 16) -> list[float]:
    """KL(base || edited) of the next token, the mean over the tokens of each text, in nats; 0 for the base itself.

    Args:
        base: the model before.
        edited: the model after.
        texts: plain, without pictures.
        batch_size: texts at once.
    """
    found = []
    for start in range(0, len(texts), batch_size):
        some = texts[start : start + batch_size]
        inputs = base.encode([[] for _ in some], some, side="right")
        p, q = (one.model(**inputs, use_cache=False).logits.double().log_softmax(-1) for one in (base, edited))
        real = inputs["attention_mask"].to(p)
        found += (((p.exp() * (p - q)).sum(-1) * real).sum(1) / real.sum(1)).tolist()
    return found


def spoiled(before: Sequence[str], after: Sequence[str]) -> str:
    """For each caption, as `matched_recall.marks` has it: "-" when it hallucinated before, else "1" when it does now
    and "0" when it does not."""
    return "".join("-" if WRONG in one else str(int(WRONG in other)) for one, other in zip(before, after, strict=True))

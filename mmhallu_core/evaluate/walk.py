"""One picture through a vision-language model, step by step.

`walk` runs a model once and keeps what passed between its parts: the vision tower's vectors, what the connector made
of them, the prompt in which they stand as *visual tokens* between the words, and the probabilities of the next word.
`spell` then follows the sentence token by token. Both serve every family that turns pictures into tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from mmhallu_core.models.greedy import generate
from mmhallu_core.models.image_tokens import View
from mmhallu_core.models.record import record
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.pretrain.see import BACKGROUND
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene

FILLED = 0.25  # a cell shows a thing when the thing fills at least this share of it


@dataclass(frozen=True)
class Walk:
    """What passed through the model.

    Attributes:
        prompt: the model's chat form of the question; one sign stands for the picture.
        tokens: the prompt's tokens as text, after the picture's sign became one token for each visual token.
        view: the first view of the picture: its grid of visual tokens, and where in the prompt they stand.
        visual: what the connector gave for this view, row by row.
        shapes: part of the model to the shape of what it gave out, in the order of the way.
        probabilities: of every token of the vocabulary to come next.
    """

    prompt: str
    tokens: tuple[str, ...]
    view: View
    visual: Float[Tensor, "cells width"]
    shapes: dict[str, tuple[int, ...]]
    probabilities: Float[Tensor, " vocab"]

    @property
    def visual_count(self) -> int:
        """How many tokens of the prompt belong to the view."""
        return self.view.positions.numel()


@torch.inference_mode()
def walk(vlm: Vlm, image: Image.Image, question: str) -> Walk:
    """Runs the model once on a picture and a question.

    Raises:
        CannotRun: when the model's family does not turn pictures into tokens.
    """
    prompt, family = vlm.prompt(question), vlm.family
    inputs = vlm.encode([image], [prompt])
    view = vlm.image_tokens(inputs, [image])[0][0].views[0]
    last = len(family.tower_layers(vlm.model)) - 1
    with record(vlm.model, vision_layers=(last,)) as seen:
        logits = vlm.model(**inputs, use_cache=False).logits[0, -1].float()
    states = [tuple(state.shape[1:]) for state in seen.states.values()]
    visual = seen.embeddings[0, view.positions.flatten().to(seen.embeddings.device)]
    shapes = {
        "pixels": tuple(inputs["pixel_values"].shape),
        "vision tower": tuple(seen.vision[last].shape),
        "connector": (*view.grid, visual.shape[-1]),
        "decoder": (len(states), *states[-1]),
        "next token": tuple(logits.shape),
    }
    tokens = tuple(vlm.processor.tokenizer.decode([token]) for token in inputs["input_ids"][0].tolist())
    return Walk(prompt, tokens, view, visual.float().cpu(), shapes, logits.softmax(-1).cpu())


def nearest_words(vlm: Vlm, visual: Float[Tensor, "cells width"], words: Sequence[str]) -> list[str]:
    """For each visual token the word whose embedding it fits best, by inner product.

    A decoder compares its last vector with the word embeddings in this way to choose a word; here a visual token is
    compared before the decoder has read it. A word of several tokens is represented by its first.

    Args:
        vlm: the model.
        visual: visual tokens, see `Walk`.
        words: to choose from.
    """
    tokenizer = vlm.processor.tokenizer
    ids = [tokenizer(" " + word, add_special_tokens=False)["input_ids"][0] for word in words]
    table = vlm.model.get_input_embeddings().weight.detach()[ids].float().cpu()
    return [words[best] for best in (visual @ table.T).argmax(-1).tolist()]


def what_is_where(scene: Scene, rows: int, cols: int) -> list[str]:
    """The kind of thing that fills most of each cell of a grid, row by row; "none" where nothing fills a quarter."""
    size = 24 * max(rows, cols)
    masks = render(scene, size).masks
    down, across = np.arange(size) * rows // size, np.arange(size) * cols // size
    kinds = []
    for row in range(rows):
        for col in range(cols):
            shares = masks[:, down == row][:, :, across == col].mean(axis=(1, 2)) if len(masks) else np.zeros(1)
            kinds.append(scene.things[int(shares.argmax())].kind if shares.max() >= FILLED else BACKGROUND)
    return kinds


@dataclass(frozen=True)
class Step:
    """One token of an answer.

    Attributes:
        token: as text.
        probability: that the model gave it.
        others: the next most probable tokens, each with its probability.
    """

    token: str
    probability: float
    others: tuple[tuple[str, float], ...]


@torch.inference_mode()
def spell(vlm: Vlm, image: Image.Image, question: str, max_new_tokens: int = 60, others: int = 5) -> list[Step]:
    """The model's own answer, token by token: what it wrote, how sure it was, and what else it might have written.

    Args:
        vlm: the model.
        image: one picture.
        question: plain text.
        max_new_tokens: where to cut an answer that does not end.
        others: how many other tokens to keep at each step.
    """
    inputs = vlm.encode([image], [vlm.prompt(question)])
    out = generate(vlm.model, inputs, max_new_tokens, output_logits=True, return_dict_in_generate=True)
    tokenizer, steps = vlm.processor.tokenizer, []
    for token, logits in zip(out.sequences[0, inputs["input_ids"].shape[1] :].tolist(), out.logits, strict=True):
        if token in tokenizer.all_special_ids:
            break
        chances, ids = logits[0].float().softmax(-1).topk(others + 1)
        ranked = [(i, p) for i, p in zip(ids.tolist(), chances.tolist(), strict=True) if i != token]
        rest = tuple((tokenizer.decode([i]).strip() or "(end)", p) for i, p in ranked[:others])
        steps.append(Step(tokenizer.decode([token]).strip(), float(logits[0].float().softmax(-1)[token]), rest))
    return steps

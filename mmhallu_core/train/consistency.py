"""MED's consistency loss on a running model: which tokens are a pair's, which of them the edit touched, and the sum.

Features come from the forward pass whose answer is trained on: what enters the decoder's first layer holds, at a
picture's tokens, what the connector made of it. Qwen3-VL adds more of the picture behind its first layers; there a
token's features are both, side by side. Llama's pictures are not tokens: see `require_tokens`.

A collator adds what `pair_inputs` gives to a batch; `Held` is the loss of such a batch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image, ImageChops
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from mmhallu_core.models.families import family_of, plain
from mmhallu_core.models.image_tokens import ImageTokens
from mmhallu_core.models.record import Recording, record
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.adapt import trainable
from mmhallu_core.train.losses import Consistency, edited_cells, med_loss, similarity
from mmhallu_core.types import CannotRun

SAME = 8  # of 255: a difference of colour up to here is a file format's rounding and no edit
PREFIX = "pair_"
_Pair = tuple[Float[Tensor, "pairs cells width"], Float[Tensor, "pairs cells width"]]
_Means = tuple[Float[Tensor, "pairs width"], Float[Tensor, "pairs width"]]


def require_tokens(vlm: Vlm) -> None:
    """Raises CannotRun for Llama's Vision models: their pictures are not tokens, so nothing can be held together."""
    if vlm.family.image_positions is None:
        raise CannotRun(
            f"{vlm.name} looks at pictures by cross-attention and has no image tokens in its decoder, so a "
            "consistency loss has no features to compare: train it with --consistency none"
        )


def changed_pixels(
    first: Image.Image, second: Image.Image, mask: Image.Image | None = None
) -> Bool[Tensor, "height width"]:
    """True at pixels that an edit changed: where the mask is white, or, without one, where the pictures differ.

    Args:
        first, second: the two pictures, RGB and of one size.
        mask: white where the edit may have changed pixels; of any size.

    Raises:
        ValueError: when the pictures differ in size.
    """
    if first.size != second.size:
        raise ValueError(f"the two pictures of a pair have {first.size} and {second.size} pixels; make them alike")
    if mask is not None:
        return torch.from_numpy(np.asarray(mask.convert("L").resize(first.size, Image.Resampling.NEAREST)) > 127)
    return torch.from_numpy((np.asarray(ImageChops.difference(first, second)) > SAME).any(-1))


def pair_inputs(
    vlm: Vlm,
    inputs: Any,
    groups: Sequence[Sequence[Image.Image]],
    changed: Sequence[Bool[Tensor, "..."] | None],
    names: Sequence[str] | None = None,
) -> dict[str, Tensor]:
    """What `Held` needs to know of a batch, under names that begin with `PREFIX`.

    Args:
        vlm: the model, of a family with image tokens.
        inputs: what the processor made of the batch, with `input_ids` and the pictures.
        groups: the pictures of each sample.
        changed: for each sample that is a pair the pixels that its edit changed, None for the others.
        names: what to call the samples in an error.

    Returns:
        `pair_row`: each pair's row of the batch; `pair_first` and `pair_second`: where in that row the tokens of its
        two pictures stand; `pair_edited`: whether the edit touched them; `pair_real`: False where a row is filled up.
        Tokens that stand for no place, such as line breaks, are left out. Without any pair, nothing.

    Raises:
        CannotRun: when the two pictures of a pair become different grids of tokens.
    """
    rows = [row for row, pixels in enumerate(changed) if pixels is not None]
    if not rows:
        return {}
    tokens = vlm.image_tokens(inputs, groups, names)
    firsts, seconds, edits = [], [], []
    for row in rows:
        first, second = tokens[row]
        firsts.append(_places(first))
        seconds.append(_places(second))
        edits.append(torch.cat([edited_cells(changed[row], *view.grid, view.box).flatten() for view in first.views]))
        if [view.grid for view in first.views] != [view.grid for view in second.views]:
            name = row if names is None else names[row]
            raise CannotRun(f"sample {name}: its two pictures become different grids of tokens; give them one size")
    real = [torch.ones(len(one), dtype=torch.bool) for one in firsts]
    named = {"first": firsts, "second": seconds, "edited": edits, "real": real}
    filled = {PREFIX + name: pad_sequence(parts, batch_first=True) for name, parts in named.items()}
    return {PREFIX + "row": torch.tensor(rows), **filled}


class Held:
    """The loss of a batch with its consistency part.

    Args:
        model: with the plan of `adapt` on it, before its first step: what it is now is what `floor` is taken of.
        rule: the consistency loss.

    Raises:
        CannotRun: when nothing learns between a picture and its tokens, so that the loss could move nothing.
    """

    def __init__(self, model: nn.Module, rule: Consistency) -> None:
        self.model, self.rule = model, rule
        learns = trainable(model).names
        names = (*learns["vision_tower"], *learns["connector"])
        if rule.on and not names:
            raise CannotRun("a consistency loss trains the vision tower, which is frozen here: set it to lora or full")
        kept = set(names) if rule.on and rule.mode == "global" else set()
        self.initial = {name: value.detach().clone() for name, value in model.named_parameters() if name in kept}

    def __call__(
        self, answers: Callable[[], Tensor], inputs: dict[str, Any], pairs_of_step: Tensor | None = None
    ) -> tuple[Tensor, dict[str, float]]:
        """The whole loss of a batch, and its parts to log.

        Args:
            answers: runs the model on the batch and gives the mean loss of the answers' tokens.
            inputs: the batch; what `pair_inputs` gave is taken out of it, before `answers` is called.
            pairs_of_step: how many pairs the step has, of which these may be a part; their own number when None.
        """
        pairs = {name: inputs.pop(PREFIX + name, None) for name in ("row", "first", "second", "edited", "real")}
        if not self.rule.on:
            return answers(), {}
        if pairs["row"] is None:
            caption = answers()
            return caption, {"answers": caption.item(), "consistency": 0.0}
        with record(self.model, layers=(), connector=True, gradients=True) as seen:
            caption = answers()
        floor = None
        if self.rule.mode == "global":
            floor = similarity(*_features(self._before(inputs), pairs), pairs["real"])
        first, second = _features(_side_by_side(self.model, seen, inputs["input_ids"]), pairs)
        share = 1.0 if pairs_of_step is None else len(pairs["row"]) / float(pairs_of_step)
        rule = replace(self.rule, weight=self.rule.weight * share)
        total = med_loss(caption, rule, first, second, pairs["edited"], floor, pairs["real"])
        held = (total - caption).item() / self.rule.weight
        return total, {"answers": caption.item(), "consistency": held}

    @torch.no_grad()
    def _before(self, inputs: Mapping[str, Any]) -> Float[Tensor, "batch tokens width"]:
        """What the decoder would read under the vision tower and the connector as they were before training."""
        return embeddings(self.model, inputs, self.initial)


def embeddings(
    model: nn.Module, inputs: Mapping[str, Any], parameters: dict[str, Tensor] | None = None
) -> Float[Tensor, "batch tokens width"]:
    """What the decoder reads before it begins: what enters its first layer, and its deepstack behind that.

    The layers themselves do not run.

    Args:
        model: of a known family, with or without an adapter.
        inputs: what the model reads; labels are of no use and no harm.
        parameters: values to take instead of the model's own, by name.
    """

    def stop(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        raise _Enough

    read = {name: value for name, value in inputs.items() if name not in ("labels", "weights")}
    with record(model, layers=(), connector=True, gradients=True) as seen:  # its hook runs before this one
        hook = family_of(model).layers(model)[0].register_forward_pre_hook(stop, with_kwargs=True)
        try:
            torch.func.functional_call(model, parameters or {}, (), {**read, "use_cache": False})
        except _Enough:
            return _side_by_side(model, seen, inputs["input_ids"])
        finally:
            hook.remove()
    raise RuntimeError(f"{type(plain(model)).__name__} never called its first decoder layer")


def _side_by_side(
    model: nn.Module, seen: Recording, ids: Int[Tensor, "batch tokens"]
) -> Float[Tensor, "batch tokens width"]:
    """The embeddings of all tokens; with a deepstack each is longer, by what is added to it or by zeros for words."""
    is_image = ids == plain(model).config.image_token_id
    parts = [seen.embeddings]
    for _, added in sorted(seen.deepstack.items()):
        parts.append(torch.zeros_like(seen.embeddings).masked_scatter(is_image[..., None], added.to(seen.embeddings)))
    return torch.cat(parts, dim=-1)


@torch.no_grad()
def picture_means(model: nn.Module, inputs: Mapping[str, Any]) -> _Means:
    """The mean feature of the first and of the second picture of each pair in a batch, as `collapse.measure` wants it.

    Args:
        model: of a known family, with or without an adapter.
        inputs: what the model reads, with what `pair_inputs` gave.
    """
    pairs = {name: inputs[PREFIX + name] for name in ("row", "first", "second", "real")}
    read = {name: value for name, value in inputs.items() if not name.startswith(PREFIX)}
    first, second = _features(embeddings(model, read), pairs)
    kept = pairs["real"][..., None]
    return tuple(features.masked_fill(~kept, 0).sum(1) / kept.sum(1) for features in (first, second))


class _Enough(Exception):
    """Ends a forward pass whose first half was all that was wanted."""


def _places(tokens: ImageTokens) -> Int[Tensor, " tokens"]:
    """Where in the prompt the tokens of one picture stand, view after view, line breaks left out."""
    return torch.cat([view.positions.flatten() for view in tokens.views])


def _features(read: Float[Tensor, "batch tokens width"], pairs: dict[str, Tensor]) -> _Pair:
    """The features of the two pictures of each pair, in float32: a cosine near 1 needs the digits."""
    row = pairs["row"][:, None]
    return read[row, pairs["first"]].float(), read[row, pairs["second"]].float()

"""How much each token of an answer attends to each image token, in every layer and head.

Attention says where a layer *reads*, not what the reading does to the word: whether a map of it is true is a question
of its own.

Token t of an answer is predicted at the place before it, so its row of attention is the row of that place. The *image
attention share* of a token, in one layer and head, is the part of that row that lies on image tokens; the row adds up
to one over all tokens that the place may see. Line breaks and class tokens of a picture count as the picture.

In a family that looks at pictures by cross-attention the row adds up to one over the pictures alone. The share is then
one in every such layer, and says nothing; where in the picture it lies still does.

One forward pass gives all of it. Of each layer's map only the answer's rows and the pictures' columns are kept, so the
memory is that of one layer's map.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from captum.attr import LayerGradientXActivation
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmhallu_core.explain.gradcam import frozen, with_gradient
from mmhallu_core.explain.maps import Stack
from mmhallu_core.explain.places import Cells, crossing_layout, tower_boxes
from mmhallu_core.explain.reading import Reading, Target
from mmhallu_core.models.families import plain
from mmhallu_core.models.record import eager_attention
from mmhallu_core.types import CannotRun


@dataclass(frozen=True)
class ImageAttention:
    """The attention of an answer's tokens to its pictures.

    Attributes:
        weights: a row's attention to each image token, in the prompt's order; in the model's dtype, on the CPU.
        layers: numbers of the decoder layers, in the order of the first axis.
        tokens: the answer's tokens, as text.
        cells: the views of the pictures; their `index` counts the last axis of `weights`.
    """

    weights: Float[Tensor, "layers heads tokens image_tokens"]
    layers: tuple[int, ...]
    tokens: tuple[str, ...]
    cells: tuple[Cells, ...]

    @property
    def share(self) -> Float[Tensor, "layers heads tokens"]:
        """The image attention share: the part of a row that lies on image tokens, from 0 to 1."""
        return self.weights.sum(-1)


def image_columns(reading: Reading) -> tuple[Int[Tensor, " image_tokens"], list[Cells]]:
    """Which columns of an attention map are the pictures, and which of these is which cell."""
    boxes = tower_boxes(reading)
    if reading.vlm.family.image_positions is None:
        count = cross_attention_keys(reading)
        grids = crossing_layout(reading, torch.arange(count, dtype=torch.float64).view(1, -1, 1))
        views = [Cells(*where, grid[..., 0].long()) for where, grid in zip(boxes, grids, strict=True) if where]
        return torch.arange(count), views
    tokens = reading.vlm.image_tokens(reading.inputs, [reading.images])[0]
    every = torch.cat([image.positions for image in tokens])
    return every, [
        Cells(number, view.box, torch.searchsorted(every, view.positions.contiguous()))
        for number, image in enumerate(tokens)
        for view in image.views
    ]


def cross_attention_keys(reading: Reading) -> int:
    """How many vectors cross-attention looks at: the patches of all tiles of all pictures, a class token in each."""
    pixels, size = reading.inputs["pixel_values"], plain(reading.vlm.model).config.vision_config.patch_size
    tiles, rows, cols = pixels.shape[:-3].numel(), pixels.shape[-2] // size, pixels.shape[-1] // size
    return tiles * (rows * cols + 1)


def attending_layers(reading: Reading, layers: Sequence[int] | None = None) -> list[int]:
    """The decoder layers that can attend to a picture, or those of them that are asked for, in order.

    Raises:
        CannotRun: when a layer is asked for that does not exist, or that does not attend to pictures.
    """
    model, family = reading.vlm.model, reading.vlm.family
    count, crossing = len(family.layers(model)), family.cross_attention_layers(model)
    able = list(crossing) or list(range(count))
    for layer in layers or ():
        if layer not in able:
            raise CannotRun(
                f"decoder layer {layer} does not attend to the picture; these do: {', '.join(map(str, able))}"
            )
    return sorted(set(layers)) if layers is not None else able


@torch.no_grad()
def image_attention(reading: Reading, layers: Sequence[int] | None = None) -> ImageAttention:
    """The attention of every token of an answer to every image token, from one forward pass.

    Args:
        reading: the pictures, the question and the answer, see `reading.read`.
        layers: numbers of decoder layers; all that can see a picture when None.

    Raises:
        CannotRun: when a layer is asked for that does not attend to the picture.
    """
    chosen, (keys, cells) = attending_layers(reading, layers), image_columns(reading)
    kept: dict[int, Tensor] = {}

    def keep(layer: int, weights: Float[Tensor, "batch heads queries keys"]) -> None:
        rows, cols = reading.rows.to(weights.device), keys.to(weights.device)
        kept[layer] = weights[0][:, rows][:, :, cols].cpu()

    with watched(reading, chosen, keep):
        reading.vlm.model(**reading.inputs, use_cache=False, logits_to_keep=1)
    return ImageAttention(torch.stack([kept[layer] for layer in chosen]), tuple(chosen), reading.tokens, tuple(cells))


@contextmanager
def watched(reading: Reading, layers: Sequence[int], see: Callable[[int, Tensor], None]) -> Iterator[None]:
    """Calls `see(layer, map)` with each layer's attention while the block runs, and keeps none of the maps."""
    model = reading.vlm.model

    def hook_of(layer: int) -> Callable:
        return lambda module, args, output: see(layer, output[1])

    with ExitStack() as stack:
        stack.enter_context(eager_attention(model))
        for layer in layers:
            module = reading.vlm.family.attention_module(model, layer)
            stack.callback(module.register_forward_hook(hook_of(layer)).remove)
        yield


def mean_attention(
    reading: Reading, targets: Sequence[Target], layers: Sequence[int] | None, head: int | None
) -> list[Stack]:
    """Attention to each cell, averaged over layers, heads and a word's tokens."""
    found = image_attention(reading, layers)
    weights = found.weights.to(torch.promote_types(found.weights.dtype, torch.float32))
    mean = weights.mean(0)[_heads(head, weights.shape[1])].mean(0)  # [tokens, image_tokens]
    return _stacks(torch.stack([mean[list(target.tokens)].mean(0) for target in targets]), found.cells)


@torch.no_grad()
def rollout(reading: Reading, targets: Sequence[Target]) -> list[Stack]:
    """Attention rollout: what reaches a word through all layers, if half of each layer's output is what came in.

    Source: Abnar and Zuidema (2020), Quantifying Attention Flow in Transformers.

    Raises:
        CannotRun: for a family that looks at pictures by cross-attention: its layers do not stand in one row.
    """
    if reading.vlm.family.image_positions is None:
        raise CannotRun("rollout needs image tokens in the decoder; this family looks at pictures by cross-attention")
    keys, cells = image_columns(reading)
    through: list[Tensor] = []

    def multiply(layer: int, weights: Float[Tensor, "batch heads tokens tokens"]) -> None:
        mean = weights[0].to(torch.promote_types(weights.dtype, torch.float32)).mean(0)
        step = (mean + torch.eye(len(mean), dtype=mean.dtype, device=mean.device)) / 2
        through[:] = [step @ through[0].to(step.device) if through else step]

    with watched(reading, attending_layers(reading), multiply):
        reading.vlm.model(**reading.inputs, use_cache=False, logits_to_keep=1)
    rows = through[0].cpu()[reading.rows.cpu()][:, keys]
    return _stacks(torch.stack([rows[list(target.tokens)].mean(0) for target in targets]), cells)


def gradient_attention(
    reading: Reading, targets: Sequence[Target], layers: Sequence[int] | None, head: int | None
) -> list[Stack]:
    """Attention times the gradient of the word's log-probability with respect to it: what of the reading helps.

    Negative products are left out, then heads and layers are averaged. The rows are those of the places that predict
    the word's tokens. Source: Chefer et al. (2021), Generic Attention-model Explainability, equation 5; its way through
    the layers is left out. captum multiplies.

    Raises:
        CannotRun: when a layer is asked for that does not attend to the picture, or the model gives no gradients.
    """
    model, family = reading.vlm.model, reading.vlm.family
    chosen, (keys, cells) = attending_layers(reading, layers), image_columns(reading)
    modules = [family.attention_module(model, layer) for layer in chosen]
    total = []
    with frozen(model), eager_attention(model), _rooted(family.layers(model)[chosen[0]]):
        for number, target in enumerate(targets):

            def forward(_: Tensor, number: int = number) -> Tensor:
                return with_gradient(reading.scores(reading.inputs, targets)[:, number])

            found = LayerGradientXActivation(forward, modules).attribute(torch.zeros(1))
            rows = reading.rows[list(target.tokens)]
            seen = [one[1][0].detach()[:, rows][:, :, keys.to(rows.device)].clamp(min=0) for one in found]
            total.append(torch.stack([one[_heads(head, len(one))].mean((0, 1)).cpu() for one in seen]).mean(0))
    return _stacks(torch.stack(total), cells)


@contextmanager
def _rooted(layer: nn.Module) -> Iterator[None]:
    """Lets gradients begin at what enters a layer: nothing before it is differentiated."""

    def root(module, args, kwargs):
        if args:
            return (args[0].detach().requires_grad_(), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": kwargs["hidden_states"].detach().requires_grad_()}

    handle = layer.register_forward_pre_hook(root, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _heads(head: int | None, count: int) -> list[int]:
    """The heads that are averaged: one, or all.

    Raises:
        CannotRun: when there is no such head.
    """
    if head is not None and not 0 <= head < count:
        raise CannotRun(f"there is no head {head}: they are numbered 0 to {count - 1}")
    return list(range(count)) if head is None else [head]


def _stacks(values: Float[Tensor, "words image_tokens"], cells: Sequence[Cells]) -> list[Stack]:
    """Deals what stands at image tokens out to the views."""
    return [Stack(view.picture, view.box, values[:, view.index]) for view in cells]

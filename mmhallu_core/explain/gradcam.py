"""Grad-CAM: which cells speak for a word, judged by the gradient at one layer.

For each feature of a layer the gradient of the word's log-probability, averaged over the cells of a view, says how much
the word gains from the feature; a cell's value is the sum of its features with these weights. captum computes it.

What is added here is the way in. captum averages over the axes behind the second, as a convolution needs it; on a
layer's [batch, tokens, width] that is the wrong axis, without an error. So the tokens of the pictures go through a
`Tap`, one [1, width, rows, cols] for each view, and captum looks at the tap. The gradients of several words come as one
batch [words, width, rows, cols] from a single forward pass. What the layer reads needs no gradient, and neither do the
parameters: so the way back ends at the layer.

Source: Selvaraju et al. (2017), Grad-CAM, equations 1 and 2. Its ReLU is left to the reader of a map: values keep
their sign.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from captum.attr import LayerGradCam
from jaxtyping import Float
from torch import Tensor, nn

from mmhallu_core.explain.maps import Stack
from mmhallu_core.explain.places import Cells, Place
from mmhallu_core.types import CannotRun

AT_ONCE = 4  # words whose gradients go back together; more of them do not fit a processor's cache


class Tap(nn.Module):
    """Hands its inputs on: a module of its own, so that captum can hook it.

    Attributes:
        grids: what it was given last.
    """

    def forward(self, *grids: Float[Tensor, "*one width _rows _cols"]) -> tuple[Tensor, ...]:
        """The same tensors."""
        self.grids = grids
        return grids


@contextmanager
def tapped(place: Place, alone: bool) -> Iterator[tuple[Tap, list[Cells]]]:
    """Leads the picture's tokens at a place through a tap while the block runs; the model computes what it did.

    Args:
        place: where.
        alone: for one word: lay each view out as [1, width, rows, cols]. For several words, whose gradients come as a
            batch, as [width, rows, cols].

    Yields:
        The tap, and a list that holds the views' cells once the model has run.
    """
    tap, seen = Tap(), []

    def through(value: Tensor) -> Tensor:
        seen[:] = place.grids(value.shape[:-1])
        flat = value.flatten(0, -2)
        places = [cells.index.to(value.device) for cells in seen]
        grids = [flat[index].permute(2, 0, 1) for index in places]
        laid = tap(*(grid[None] if alone else grid for grid in grids))
        back = torch.cat([grid.flatten(-2).transpose(-1, -2).reshape(-1, flat.shape[-1]) for grid in laid])
        index = torch.cat([index.flatten() for index in places])
        return flat.index_put((index,), back).view(value.shape)

    def gave(module, args, output):
        return (through(output[0]), *output[1:]) if isinstance(output, tuple) else through(output)

    def entered(module, args, kwargs):
        if args:
            return (through(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": through(kwargs["hidden_states"])}

    # First of all hooks: transformers hangs its own on the tower's layers, and some connectors read what those saw.
    if place.enters:
        handle = place.module.register_forward_pre_hook(entered, with_kwargs=True, prepend=True)
    else:
        handle = place.module.register_forward_hook(gave, prepend=True)
    try:
        yield tap, seen
    finally:
        handle.remove()


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Lets no parameter ask for a gradient while the block runs, and no layer drop anything out."""
    modules = list(model.modules())  # one walk: `parameters` would walk once more
    asking = {p for module in modules for p in module._parameters.values() if p is not None and p.requires_grad}
    training = [module for module in modules if module.training]
    for parameter in asking:
        parameter.requires_grad_(False)
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)
        for module in training:
            module.training = True


def grad_cam(
    scores: Callable[[], Float[Tensor, " words"]], place: Place, model: nn.Module, words: int = 1
) -> tuple[list[Stack], Float[Tensor, " words"]]:
    """Grad-CAM of one number, or of several that one forward pass gives.

    Args:
        scores: runs the model and gives the numbers.
        place: where the map is taken.
        model: whose parameters are frozen meanwhile.
        words: how many numbers it gives.

    Returns:
        For each view its values, [words, rows, cols], with their sign; and the numbers.

    Raises:
        CannotRun: when the model gives no gradients.
        ValueError: when the numbers are more or fewer than `words`.
    """
    ran: list[Tensor] = []
    how: dict[str, Any] = {} if words == 1 else {"is_grads_batched": True, "retain_graph": True}

    def forward(first: Tensor) -> Tensor:
        if ran:  # captum comes back for more words: it shall see the same grids, and the model need not run again
            tap(*tap.grids)
        else:
            ran.append(with_gradient(scores()))
            if len(ran[0]) != words:
                raise ValueError(f"{words} words, and the model gave {len(ran[0])} numbers")
        some = ran[0][int(first) : int(first) + AT_ONCE]
        if words > 1:  # captum reads it behind the forward pass: row w of the identity asks for number w's gradient
            how["grad_outputs"] = tuple(torch.eye(len(some), dtype=some.dtype, device=some.device))
        return some

    with frozen(model), tapped(place, words == 1) as (tap, seen), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*batching rule.*")  # attention then goes word by word
        method, parts = LayerGradCam(forward, tap), []
        for first in range(0, words, AT_ONCE):
            found = method.attribute(torch.tensor([float(first)]), grad_kwargs=how)
            parts.append(found if isinstance(found, tuple) else (found,))
    views = [torch.cat([one[:, 0].detach().cpu() for one in view]) for view in zip(*parts, strict=True)]
    stacks = [Stack(cells.picture, cells.box, values) for cells, values in zip(seen, views, strict=True)]
    return stacks, ran[0].detach().cpu()


def with_gradient(found: Tensor) -> Tensor:
    """What a model gave, if it can be differentiated.

    Raises:
        CannotRun: when it cannot.
    """
    if torch.is_grad_enabled() and not found.requires_grad:
        raise CannotRun(
            "this model gives no gradients (its weights may be quantized, or it runs without autograd); occlusion, "
            "rise and attention need none"
        )
    return found

"""Integrated gradients, and gradient times input: how much each pixel adds to a word, by its gradient. captum computes.

captum sees one input of one row, [1, *form of pixel_values], and repeats it as often as it wants. `repeated` turns k
of those into what a model reads of k prompts. For every family that is each tensor k times, one behind the other,
whatever its first axis counts: prompts, pictures, tiles or patches. So prompts with several pictures work as one does.

The words of the prompt stay as they are; only the pictures begin at a baseline. That is what the processor makes of a
uniform picture of the same size, not zeros: Idefics3 takes a tile of zeros for one that is not there.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from captum.attr import InputXGradient, IntegratedGradients
from jaxtyping import Float
from torch import Tensor

from mmhallu_core.explain.gradcam import frozen, with_gradient
from mmhallu_core.explain.maps import Stack
from mmhallu_core.explain.perturb import filled
from mmhallu_core.explain.places import pixel_cells
from mmhallu_core.explain.reading import Reading, Target

TOLERANCE = 0.01  # of the difference that integrated gradients should add up to


def repeated(inputs: Any, pixels: Float[Tensor, "times ..."]) -> dict[str, Any]:
    """What a model reads of one prompt, `times` times, with other pixels each time.

    Args:
        inputs: of one prompt, as of `Vlm.encode`.
        pixels: for each time what `pixel_values` shall be.
    """
    times = len(pixels)
    rows = {key: torch.cat([value] * times) if isinstance(value, Tensor) else value * times
            for key, value in inputs.items()}  # fmt: skip
    return rows | {"pixel_values": pixels.flatten(0, 1)}


def integrated_gradients(
    reading: Reading,
    targets: Sequence[Target],
    steps: int = 32,
    most: int = 512,
    batch_size: int = 8,
    fill: str = "grey",
) -> tuple[list[Stack], list[dict[str, float]]]:
    """Integrated gradients of each word, added up over patches.

    The values of a word should add up to what the pictures change in its log-probability (completeness). While they are
    more than TOLERANCE off, the steps are doubled.

    Args:
        reading: what is read.
        targets: the words.
        steps: points on the way from the baseline to the pictures, to begin with.
        most: where to stop doubling.
        batch_size: points per forward pass.
        fill: what the baseline is a picture of, see `perturb.filled`.

    Returns:
        The views, and for each word what its values add up to (`sum`) and should (`difference`, of its log-probability
        with the pictures and with the baseline), how far that is off as a share of it (`incompleteness`), and `steps`.

    Source: Sundararajan et al. (2017), Axiomatic Attribution for Deep Networks.
    """
    pixels = reading.inputs["pixel_values"]
    base = reading.encode([[filled(image, fill) for image in reading.images]])["pixel_values"]
    with torch.no_grad():
        ends = reading.scores(repeated(reading.inputs, torch.stack([pixels, base])), targets)
    facts = []

    def of_word(forward: Callable[[Tensor], Tensor]) -> Tensor:
        count, wanted = steps, float(ends[0, len(facts)] - ends[1, len(facts)])
        while True:
            found = IntegratedGradients(forward).attribute(
                pixels[None], baselines=base[None], n_steps=count, internal_batch_size=batch_size
            )
            total = float(found.double().sum())
            off = abs(total - wanted) / max(abs(wanted), 1e-12)
            if off <= TOLERANCE or 2 * count > most:
                facts.append({"sum": total, "difference": wanted, "incompleteness": off, "steps": count})
                return found
            count *= 2

    return _stacks(reading, _by_word(reading, targets, of_word)), facts


def input_x_gradient(reading: Reading, targets: Sequence[Target]) -> list[Stack]:
    """The gradient at the pictures times the pictures, as the processor scales them, added up over patches."""
    pixels = reading.inputs["pixel_values"]
    return _stacks(reading, _by_word(reading, targets, lambda fn: InputXGradient(fn).attribute(pixels[None].clone())))


def _by_word(reading: Reading, targets: Sequence[Target], of_word: Callable) -> list[Tensor]:
    """What a method of captum gives for each word, in the form of `pixel_values`."""
    found = []
    with frozen(reading.vlm.model):
        for target in targets:

            def forward(pixels: Tensor, target: Target = target) -> Tensor:
                return with_gradient(reading.scores(repeated(reading.inputs, pixels), [target])[:, 0])

            found.append(of_word(forward)[0].detach())
    return found


def _stacks(reading: Reading, found: Sequence[Tensor]) -> list[Stack]:
    """Pixels added up over patches, view by view."""
    by_word = [pixel_cells(reading, values.cpu()) for values in found]
    return [
        Stack(*views[0][:2], torch.stack([values for _, _, values in views])) for views in zip(*by_word, strict=True)
    ]

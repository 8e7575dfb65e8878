"""Where in a model a map is taken, and which part of which picture each token there stands for.

A *place* is the output of one module, or what enters it. Its tokens come in the model's own order: class tokens first,
squares of two by two, window by window, empty tiles between. `Place.grids` puts them into one grid for each view of a
picture; the boxes say where in the picture the views lie. What is where is known to `families.py`, `grids.py` and
`image_tokens.py`; nothing here asks which model it is.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmhallu_core.explain.reading import Reading
from mmhallu_core.models.families import plain
from mmhallu_core.models.grids import squares
from mmhallu_core.models.image_tokens import Box
from mmhallu_core.types import CannotRun

Layout = Callable[[Tensor], Sequence[Tensor]]


@dataclass(frozen=True)
class Cells:
    """One view of a picture: a grid of equal cells.

    Attributes:
        picture: number of the picture in the prompt, from 0.
        box: the part of the picture that the grid covers, as shares of its width and height.
        index: which of the place's tokens stands in each cell.
    """

    picture: int
    box: Box
    index: Int[Tensor, "rows cols"]


@dataclass(frozen=True)
class Place:
    """Where a map is taken.

    Attributes:
        name: as in `place`, with the number of the layer.
        module: what is hooked.
        enters: take what enters the module, not what it gives out.
        layout: puts tensors [..., 1] of the module's form into [rows, cols, 1], one for each view.
        boxes: picture and box of each of these views; None for an empty one.
        note: what a reader of the map must know.
    """

    name: str
    module: nn.Module
    enters: bool
    layout: Layout
    boxes: tuple[tuple[int, Box] | None, ...]
    note: str = ""

    def grids(self, shape: Sequence[int]) -> list[Cells]:
        """The cells of every view of a picture.

        Args:
            shape: of what the module gives out, without its width.
        """
        numbers = torch.arange(torch.Size(shape).numel(), dtype=torch.float64).view(*shape, 1)
        return [
            Cells(*where, numbers_of[..., 0].long())
            for where, numbers_of in zip(self.boxes, self.layout(numbers), strict=True)
            if where is not None
        ]


def place(reading: Reading, layer: str) -> Place:
    """The place that a name stands for.

    Args:
        reading: what is read.
        layer: "vision" or "vision:N", layer N of the vision tower, the last that an answer depends on where no number
            is given; "connector", what enters the decoder; "decoder:N", what decoder layer N gives out at the image
            tokens. N counts from 0; -1 is the last on which an answer depends.

    Raises:
        CannotRun: when there is no such layer, no answer depends on it, or the family has no image tokens for it.
    """
    match = re.fullmatch(r"(vision|connector|decoder)(?::(-?\d+))?", layer)
    if match is None or (match[1] == "connector" and match[2]):
        raise CannotRun(f"no layer is called {layer!r}; there are vision, vision:N, connector and decoder:N")
    kind, number = match[1], int(match[2] or -1)
    model, family = plain(reading.vlm.model), reading.vlm.family
    if kind == "vision":
        layers = family.read_tower_layers(model)
        number = _number(number, len(layers), len(family.tower_layers(model)), "vision")

        def layout(states: Tensor) -> list[Tensor]:
            return family.raster(model, reading.inputs, states)

        return Place(f"vision:{number}", layers[number], False, layout, tower_boxes(reading))
    if family.image_positions is None:
        return _crossing(reading, layer, kind)
    tokens = reading.vlm.image_tokens(reading.inputs, [reading.images])[0]
    views = [(number, view) for number, image in enumerate(tokens) for view in image.views]
    boxes = tuple((number, view.box) for number, view in views)

    def at_tokens(states: Tensor) -> list[Tensor]:
        return [states[0, view.positions] for _, view in views]

    layers = family.layers(model)
    if kind == "connector":
        note = "what later decoder layers read of the picture once more is not in it" if family.deepstack else ""
        return Place(kind, layers[0], True, at_tokens, boxes, note)
    number = _number(number, len(layers) - 1, len(layers), "decoder")
    return Place(f"decoder:{number}", layers[number], False, at_tokens, boxes)


def _number(number: int, read: int, count: int, kind: str) -> int:
    """The number of a layer, from 0.

    Raises:
        CannotRun: when there is no such layer, or no answer depends on it.
    """
    if not -read <= number < count:
        raise CannotRun(f"there is no {kind}:{number}; {kind} layers are numbered 0 to {count - 1}")
    if number >= read:
        raise CannotRun(
            f"no answer depends on what {kind}:{number} gives out at the picture; the last that counts is "
            f"{kind}:{read - 1}"
        )
    return number % read


def _crossing(reading: Reading, layer: str, kind: str) -> Place:
    """The place of a family whose decoder looks at pictures by cross-attention."""
    model, family = plain(reading.vlm.model), reading.vlm.family
    layers = ", ".join(map(str, family.cross_attention_layers(model)))
    if kind == "decoder":
        raise CannotRun(
            f"{reading.vlm.name} has no image tokens in its decoder, so there is no {layer}: it looks at pictures by "
            f"cross-attention in layers {layers}. Use connector, vision:N, or method attention"
        )

    def layout(states: Tensor) -> list[Tensor]:
        return crossing_layout(reading, states.reshape(1, -1, states.shape[-1]))

    note = f"the decoder has no image tokens: it looks at the picture by cross-attention, in layers {layers}"
    return Place(kind, family.connector_modules(model)[0], False, layout, tower_boxes(reading), note)


def crossing_layout(reading: Reading, keys: Float[Tensor, "batch keys width"]) -> list[Tensor]:
    """What cross-attention looks at, as one grid [rows, cols, width] for each tile; class tokens are left out."""
    pictures = keys.reshape(len(reading.images), -1, keys.shape[-1])
    return reading.vlm.family.raster(plain(reading.vlm.model), reading.inputs, pictures)


def tower_boxes(reading: Reading) -> tuple[tuple[int, Box] | None, ...]:
    """Picture and box of each view that the vision tower reads, in its order; None for an empty one."""
    vlm, family, alone = reading.vlm, reading.vlm.family, len(reading.images) == 1
    if family.tower_views is None:
        tokens = vlm.image_tokens(reading.inputs, [reading.images])[0]
        return tuple((number, view.box) for number, image in enumerate(tokens) for view in image.views)
    found: list[tuple[int, Box] | None] = []
    for number, image in enumerate(reading.images):
        views = family.tower_views(vlm.processor, reading.inputs, number, image.size[::-1], alone)
        found += [None if view is None else (number, view.box) for view in views]
    return tuple(found)


def pixel_cells(reading: Reading, values: Float[Tensor, "..."]) -> list[tuple[int, Box, Float[Tensor, "rows cols"]]]:
    """Adds what stands at single pixels up over the patches of the tower, and puts the patches where they belong.

    Args:
        reading: what is read.
        values: of the form of its `pixel_values`.

    Returns:
        For each view of a picture its number, its box, and the sums.
    """
    model, boxes = plain(reading.vlm.model), tower_boxes(reading)
    if values.ndim == 2:  # a row of patches in squares: so the processor lays them out, whatever the tower does then
        grids = squares(model, reading.inputs, values.sum(-1, keepdim=True))
        return [(*where, grid[..., 0]) for where, grid in zip(boxes, grids, strict=True)]
    size = model.config.vision_config.patch_size
    high, wide = (size, size) if isinstance(size, int) else size
    views = values.flatten(0, -4).sum(1)  # [views, height, width]
    views = views[:, : views.shape[1] // high * high, : views.shape[2] // wide * wide]
    sums = views.unflatten(2, (-1, wide)).unflatten(1, (-1, high)).sum((2, 4))
    if len(sums) > len(boxes):  # a picture with fewer tiles than another one is filled up
        each = len(sums) // len(reading.images)
        own = [[where for where in boxes if where[0] == number] for number in range(len(reading.images))]
        boxes = tuple(where for part in own for where in [*part, *[None] * (each - len(part))])
    return [(*where, grid) for where, grid in zip(boxes, sums, strict=True) if where is not None]

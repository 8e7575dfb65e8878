"""MED-tiny shown: the contrast set behind a question, and what a model scores in both orders of the pictures."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from mmhallu_core.evaluate.contrast import Item
from mmhallu_core.viz.marked import in_words
from mmhallu_core.viz.scores import shown
from mmhallu_core.viz.style import INK, WIDTH
from mmhallu_core.viz.twins import Twin, table, with_twin
from mmhallu_core.world.render import render

SIDE, GAP, TOP = 0.35, 0.25, 0.03  # of the contrast set's drawing, in its width
DRAWN_AT = 160  # pixels of a corner
ANSWERED = {"letters": "by letter", "likelihood_sum": "likeliest, by sum", "likelihood_mean": "likeliest, by mean"}
COUNTED = {  # what is counted, and what a guess among four gets
    "accuracy": ("right", 1 / 4),
    "accuracy_swapped": ("right, pictures swapped", 1 / 4),
    "both_right": ("right in both orders", 1 / 16),
    "same_letter": ("same answer in both orders", 1 / 4),
}


def contrast_set_figure(item: Item) -> Twin:
    """The four pictures of a question's contrast set, and the sentence that leads from each to its neighbours.

    Args:
        item: of any category but Scene, whose contrast sets are no squares.

    Raises:
        ValueError: when the question's contrast set is no square.
    """
    pairs, texts = item.quartet.pairs, item.quartet.texts
    if any(len(some) != 2 for some in pairs):
        raise ValueError(f"the contrast set of {item.category} is no square")
    corners = [[pairs[0][other][first] for other in (0, 1)] for first in (0, 1)]  # [first thing's state][second's]
    high = 2 * SIDE + GAP + TOP
    figure = Figure(figsize=(WIDTH, WIDTH * high))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 1), ylim=(high, 0), aspect="equal")
    axes.axis("off")
    step = SIDE + GAP
    left = (1 - 2 * SIDE - GAP) / 2
    for i, j in np.ndindex(2, 2):
        x, y = left + i * step, TOP / 2 + j * step
        axes.imshow(np.asarray(render(corners[i][j], DRAWN_AT).image), extent=(x, x + SIDE, y + SIDE, y), zorder=2)
    axes.set(xlim=(0, 1), ylim=(high, 0))  # imshow has moved them
    near, far = left + SIDE, left + step
    for j in (0, 1):
        y = TOP / 2 + j * step + SIDE / 2
        _arrow(axes, (near, y - 0.03), (far, y - 0.03), "1", (0, -0.032))
        _arrow(axes, (far, y + 0.03), (near, y + 0.03), "2", (0, 0.036))
    near, far = TOP / 2 + SIDE, TOP / 2 + step
    for i in (0, 1):
        x = left + i * step + SIDE / 2
        _arrow(axes, (x + 0.03, near), (x + 0.03, far), "3", (0.032, 0))
        _arrow(axes, (x - 0.03, far), (x - 0.03, near), "4", (-0.032, 0))
    names = {(0, 0): "top left", (1, 0): "top right", (0, 1): "bottom left", (1, 1): "bottom right"}
    rows = [(str(number), text) for number, text in enumerate(texts, start=1)]
    rows += [(name, in_words(corners[i][j])) for (i, j), name in names.items()]
    alt = (
        "Four pictures at the corners of a square. To the right leads sentence 1, to the left 2, down 3, up 4: "
        + " ".join(f"{number}. {text}" for number, text in enumerate(texts, start=1))
        + " Each sentence is true of two pairs of pictures, and two sentences lead from each picture."
    )
    return with_twin(figure, alt, table(("what", "in words"), rows, "The four sentences, and the four corners"))


def _arrow(axes: Any, start: tuple[float, float], end: tuple[float, float], name: str, beside: tuple) -> None:
    """An arrow with its number beside the middle."""
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=13, color=INK, shrinkA=4, shrinkB=4))
    middle = [(one + other) / 2 + more for one, other, more in zip(start, end, beside, strict=True)]
    axes.text(*middle, name, ha="center", va="center", fontweight="bold", color=INK)


def sentences(item: Item) -> Twin:
    """A question's four sentences with the numbers of the figure, and which of them is right."""
    rows = [
        (str(number + 1), text, "yes" if number == item.right else "no")
        for number, text in enumerate(item.quartet.texts)
    ]
    return table(("number", "sentence", "true here"), rows, item.text)


def orders_table(record: Mapping[str, Any], blind: Mapping[str, Any], title: str) -> Twin:
    """A model's answers in both orders of the pictures, and without pictures, each with its interval.

    Args:
        record: what `studies.med_tiny` recorded of the model with the pictures.
        blind: what it recorded without them, of the same seed: `letters` and `likelihood`.
        title: the benchmark, and the kind of evidence.
    """
    letters, likelihood = blind["letters"], blind["likelihood"]
    grey = {"letters": shown((letters["accuracy"], letters["ci"]["accuracy"]))}
    grey |= {f"likelihood_{by}": shown((one["accuracy"], one["ci"])) for by, one in likelihood.items()}
    rows = [("right, grey pictures", shown((1 / 4, None)), *(grey[name] for name in ANSWERED))]
    for key, (words, guess) in COUNTED.items():
        found = [record[name]["both_orders"][key] for name in ANSWERED]
        rows.append((words, shown((guess, None)), *(shown((one["value"], one["ci"])) for one in found)))
    return table(("%, with 95% intervals", "a guess", *ANSWERED.values()), rows, title)

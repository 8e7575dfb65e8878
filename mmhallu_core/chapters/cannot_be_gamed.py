"""Benchmarks that give themselves away, and MED-tiny, which does not.

A published table beside a rule that sees no picture; the contrast set behind a question of MED-tiny; what a model
scores in both orders of the pictures.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from mmhallu_core.evaluate.contrast import Item
from mmhallu_core.statistics import wilson_interval
from mmhallu_core.viz.marked import in_words
from mmhallu_core.viz.scores import shown
from mmhallu_core.viz.style import BLUE, GREEN, GREY, INK, VERMILLION, WIDTH
from mmhallu_core.viz.twins import Twin, one_panel, reach, table, with_twin
from mmhallu_core.world.render import render

PEOPLE = "people"
SIDE, GAP, TOP = 0.35, 0.25, 0.03  # of the contrast set's drawing, in its width
DRAWN_AT = 160  # pixels of a corner
ANSWERED = {"letters": "by letter", "likelihood_sum": "likeliest, by sum", "likelihood_mean": "likeliest, by mean"}
COUNTED = {  # what is counted, and what a guess among four gets
    "accuracy": ("right", 1 / 4),
    "accuracy_swapped": ("right, pictures swapped", 1 / 4),
    "both_right": ("right in both orders", 1 / 16),
    "same_letter": ("same answer in both orders", 1 / 4),
}


def printed_figure(rows: Mapping[str, Mapping[str, Any]], audit: Mapping[str, Any], rule: str, title: str) -> Twin:
    """Who saw the pictures, and where the rule that did not see them stands among them.

    A published table prints an average over categories; the rule is right or wrong question by question. So each row
    is shown by its share over all questions, which the printed scores determine (`maintenance/med_table.py`).

    Args:
        rows: the rows of `results/med-table/versions.json`: `printed` and `over_all_questions` of each row, in
            percent; the second is left out where the printed scores fit no version of the questions.
        audit: of the same questions, see `evaluate.audit`.
        rule: the rule that is drawn.
        title: what is compared, and the kind of evidence.
    """
    n = audit["n"]
    known = {name: one["over_all_questions"] for name, one in rows.items() if "over_all_questions" in one}
    spread = {name: [100 * edge for edge in wilson_interval(round(one * n / 100), n)] for name, one in known.items()}
    order = sorted(known, key=known.get)
    blind, (low, high) = 100 * audit["rules"][rule], (100 * edge for edge in audit["ci"][rule])
    figure, axes = one_panel(0.29 * len(order) + 1.2)
    axes.axvspan(low, high, color=VERMILLION, alpha=0.18, linewidth=0)
    axes.axvline(blind, color=VERMILLION, linewidth=2, label="the rule, which sees no picture")
    axes.axvline(100 * audit["chance"], color=INK, linestyle=":", linewidth=1.5, label="a guess")
    for name, colour, marker, who in (
        ("models", BLUE, "o", lambda name: name != PEOPLE and not name.endswith(", MED")),
        ("models fine-tuned by MED", GREEN, "^", lambda name: name.endswith(", MED")),
        ("people", GREY, "s", lambda name: name == PEOPLE),
    ):
        places = [place for place, one in enumerate(order) if who(one)]
        points = [known[order[place]] for place in places]
        widths = reach(points, [spread[order[place]] for place in places])
        axes.errorbar(points, places, xerr=widths, color=colour, marker=marker, linestyle="", capsize=2, label=name)
    axes.set(yticks=range(len(order)), yticklabels=order, xlabel="right, %", xlim=(0, 102))
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=1)
    below = sum(known[name] < blind for name in order if name != PEOPLE)
    alt = (
        f"Shares of right answers. The rule that reads the wording of the options has {blind:.1f}%, a guess "
        f"{100 * audit['chance']:.0f}%. Of {len(order) - (PEOPLE in order)} rows of models, {below} lie below the "
        "rule; people lie above it."
    )
    cells = [
        (name, f"{rows[name]['printed']:.2f}", f"{known[name]:.1f} [{spread[name][0]:.1f}, {spread[name][1]:.1f}]")
        for name in reversed(order)
    ]
    heads = ("who", "printed average over categories", "over all questions, 95% interval")
    return with_twin(figure, alt, table(heads, cells, title))


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

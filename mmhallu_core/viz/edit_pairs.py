"""Edits to look at: pairs of pictures side by side, and the table of the eleven categories.

Everything comes as a `Twin`, so it can be read as well as seen.
"""

import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure

from mmhallu_core.viz.twins import Twin, table, with_twin
from mmhallu_core.world.edits import TABLE, Edit, edit_mask
from mmhallu_core.world.edits_table import WHOLE_THING
from mmhallu_core.world.language import difference
from mmhallu_core.world.render import render


def draw_pairs(edits: Sequence[Edit], size: int = 192, style: str = "flat", columns: int = 2) -> Figure:
    """Draws each edit as before and after, with what it is above and a thin line around what may change.

    Args:
        edits: what to draw, in reading order.
        size: pixels of each picture.
        style: drawing style.
        columns: pairs beside each other.
    """
    rows = -(-len(edits) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.2 * rows), layout="constrained")
    boards = figure.subfigures(rows, columns, squeeze=False).ravel()
    for board, edit in zip(boards, edits, strict=False):
        board.suptitle(f"{edit.category}\n{textwrap.fill(difference(edit).text, 50)}", fontsize="small")
        mask = edit_mask(edit, size, style)
        for axes, scene in zip(board.subplots(1, 2), (edit.before, edit.after), strict=True):
            axes.imshow(render(scene, size, style).image, interpolation="none")
            if edit.subjects:  # the background, which a Scene edit changes, has no outline to show
                axes.contour(mask, levels=[0.5], colors="#111111", linewidths=0.8, linestyles="dotted")
            axes.set_axis_off()
    return figure


def show_pairs(edits: Sequence[Edit], size: int = 192, style: str = "flat", columns: int = 2) -> Twin:
    """The pairs of `draw_pairs`, with a table that says the category and the difference of each."""
    words = [(edit.category, difference(edit).text) for edit in edits]
    alt = f"{len(edits)} pairs of drawn scenes, before and after an edit. A dotted line goes around what changed. "
    alt += " ".join(f"{category}: {said}" for category, said in words)
    listed = table(("category", "what changed"), words, "What each pair shows")
    return with_twin(draw_pairs(edits, size, style, columns), alt, listed)


def needs_table() -> Twin:
    """The categories with what each needs and does."""
    rows = [
        (row.category, row.precondition, "; ".join(f"{one.name}: {one.does}" for one in row.operations))
        for row in TABLE
    ]
    return table(("category", "what the scene must have", "what happens"), rows, "The eleven categories")


def facts_table() -> Twin:
    """The operations with the facts that always go, always come, and may change along, and their sentence."""
    rows = []
    for one in (operation for row in TABLE for operation in row.operations):
        along = [pattern for pattern in one.along if pattern not in WHOLE_THING]
        if len(along) < len(one.along):
            along.insert(0, "all else that holds for the thing")
        facts = ("; ".join(patterns) or "none" for patterns in (one.removed, one.added, along))
        rows.append((one.name, *facts, one.sentence))
    columns = ("operation", "facts that go", "facts that come", "may change along", "sentence")
    return table(columns, rows, "The operations, the facts they change, and how the difference is said")


def precedence_table() -> Twin:
    """The categories in order of precedence, with what decides."""
    rows = [(row.category, str(row.precedence), row.rather_than) for row in sorted(TABLE, key=lambda r: r.precedence)]
    return table(("category", "rank", "why this one"), rows, "The lowest rank wins")

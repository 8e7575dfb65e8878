"""Edits to look at: pairs of pictures side by side, and the table of the eleven categories as Markdown."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from mmhallu_core.world.edits import TABLE, Edit, edit_mask
from mmhallu_core.world.edits_table import WHOLE_THING
from mmhallu_core.world.language import difference
from mmhallu_core.world.render import render


def show_pairs(edits: Sequence[Edit], size: int = 192, style: str = "flat", columns: int = 2) -> Figure:
    """Draws each edit as before and after, with what it is above and a thin line around what may change.

    Args:
        edits: what to draw, in reading order.
        size: pixels of each picture.
        style: drawing style.
        columns: pairs beside each other.
    """
    rows = -(-len(edits) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.0 * rows), layout="constrained")
    boards = figure.subfigures(rows, columns, squeeze=False).ravel()
    for board, edit in zip(boards, edits, strict=False):
        board.suptitle(f"{edit.category}\n{difference(edit).text}", fontsize="x-small")
        mask = edit_mask(edit, size, style)
        for axes, scene in zip(board.subplots(1, 2), (edit.before, edit.after), strict=True):
            axes.imshow(render(scene, size, style).image, interpolation="none")
            if edit.subjects:  # the background, which a Scene edit changes, has no outline to show
                axes.contour(mask, levels=[0.5], colors="black", linewidths=0.8, linestyles="dotted")
            axes.set_axis_off()
    return figure


def pairs_in_words(edits: Sequence[Edit]) -> str:
    """The text twin of `show_pairs`: one line for each pair."""
    return "\n".join(f"{edit.category}: {difference(edit).text}" for edit in edits)


def needs_table() -> str:
    """The categories with what each needs and does, as a Markdown table."""
    rows = [
        (row.category, row.precondition, "; ".join(f"**{one.name}**: {one.does}" for one in row.operations))
        for row in TABLE
    ]
    return markdown(("category", "what the scene must have", "what happens"), rows)


def facts_table() -> str:
    """The operations with the facts that always go, always come, and may change along, and their sentence."""
    rows = []
    for one in (operation for row in TABLE for operation in row.operations):
        along = [pattern for pattern in one.along if pattern not in WHOLE_THING]
        if len(along) < len(one.along):
            along.insert(0, "all else that holds for the thing")
        facts = ("; ".join(patterns) or "none" for patterns in (one.removed, one.added, along))
        rows.append((one.name, *facts, f"`{one.sentence}`"))
    return markdown(("operation", "facts that go", "facts that come", "may change along", "sentence"), rows)


def precedence_table() -> str:
    """The categories in order of precedence, with what decides, as a Markdown table."""
    rows = [(str(row.precedence), row.category, row.rather_than) for row in sorted(TABLE, key=lambda r: r.precedence)]
    return markdown(("rank", "category", "why this one"), rows)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)

"""Edits to look at: pairs of pictures side by side, and the table of the eleven categories.

Everything comes as a `Twin`, so it can be read as well as seen.
"""

import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure

from mmhallu_core.viz.style import WIDTH
from mmhallu_core.viz.twins import Twin, table, vector, with_twin, wrapping
from mmhallu_core.world.edits import TABLE, Edit, edit_mask
from mmhallu_core.world.edits_table import WHOLE_THING
from mmhallu_core.world.language import describe, difference
from mmhallu_core.world.render import render


def draw_pair(edit: Edit, size: int = 192, style: str = "flat") -> Figure:
    """Draws an edit as before and after, with what it is above and a thin line around what may change.

    Args:
        edit: what to draw.
        size: pixels of each picture.
        style: drawing style.
    """
    figure = Figure(figsize=(3.4, 2.2), layout="constrained")
    figure.suptitle(f"{edit.category}\n{textwrap.fill(difference(edit).text, 50)}", fontsize="small")
    mask = edit_mask(edit, size, style)
    for axes, scene in zip(figure.subplots(1, 2), (edit.before, edit.after), strict=True):
        axes.imshow(render(scene, size, style).image, interpolation="none")
        if edit.subjects:  # the background, which a Scene edit changes, has no outline to show
            axes.contour(mask, levels=[0.5], colors="#111111", linewidths=0.8, linestyles="dotted")
        axes.set_axis_off()
    return figure


def pair_figure(edit: Edit, size: int = 288) -> Twin:
    """A scene before and after an edit, with a line around what the edit may change.

    The line is dark on white, so that it is seen at night, too.
    """
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    said, mask = difference(edit).text, edit_mask(edit, size)
    places = zip(figure.subplots(1, 2), ("before", "after"), (edit.before, edit.after), strict=True)
    for axes, name, scene in places:
        axes.imshow(render(scene, size).image, interpolation="none")
        for colour, width, dashes in (("#ffffff", 4.0, "solid"), ("#111111", 1.6, "dashed")):
            axes.contour(mask, levels=[0.5], colors=colour, linewidths=width, linestyles=dashes)
        axes.set_title(name)
        axes.set_axis_off()
    figure.suptitle(said, fontsize="medium")
    share = f"{100 * mask.mean():.1f}"
    alt = (
        f"A drawn scene twice, before and after an edit; a dashed line goes around what changed, {share}% of it. {said}"
    )
    scenes = [("before", describe(edit.before, "full").text), ("after", describe(edit.after, "full").text)]
    rows = [("category", edit.category), ("difference", said), ("part of the picture, %", share), *scenes]
    return with_twin(figure, alt, wrapping(table(("what", "in words"), rows, "The pair in words"), 13))


def show_pairs(edits: Sequence[Edit], size: int = 192, style: str = "flat") -> Twin:
    """Each edit as a figure, as many in a row as there is room for, with a table that says what each pair shows."""
    words = [(edit.category, difference(edit).text) for edit in edits]
    alts = [f"A scene before and after an edit, {category}: {said}" for category, said in words]
    drawn = "".join(
        f'<figure style="flex:1 1 19em;max-width:26em;margin:0;padding:0">{vector(draw_pair(edit, size, style), alt)}'
        "</figure>"
        for edit, alt in zip(edits, alts, strict=True)
    )
    listed = table(("category", "what changed"), words, "What each pair shows")
    folded = f"<details><summary>The figures as a table</summary>{listed.html}</details>"
    shown = f'<div style="display:flex;flex-wrap:wrap;gap:1em">{drawn}</div>{folded}'
    return Twin(shown, "\n".join([*(f"Figure: {alt}" for alt in alts), "", listed.text]))


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

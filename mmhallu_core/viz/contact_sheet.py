"""A contact sheet: many edits on one page, each as photo, edited photo and mask, to be looked at before anything is
trained on them.

No number says that an edit looks like an edit; somebody has to look.
"""

from collections.abc import Sequence
from textwrap import fill

from matplotlib.figure import Figure

from mmhallu_core.edit.photos import PhotoEdit
from mmhallu_core.viz.twins import Twin, table, with_twin

HEADINGS = ("before", "after", "mask")


def draw_contact_sheet(edits: Sequence[PhotoEdit], columns: int = 2) -> Figure:
    """Draws each edit as before, after and mask, with its category and its sentence above.

    Args:
        edits: what to draw, in reading order.
        columns: edits beside each other.

    Raises:
        ValueError: when there is no edit.
    """
    if not edits:
        raise ValueError("a contact sheet needs at least one edit")
    rows = -(-len(edits) // columns)
    figure = Figure(figsize=(6.0 * columns, 2.1 * rows), layout="constrained")
    boards = figure.subfigures(rows, columns, squeeze=False).ravel()
    for board, edit in zip(boards, edits, strict=False):
        board.suptitle(fill(f"{edit.category}: {edit.difference}", 80), fontsize="small")
        pictures = (edit.image, edit.edited_image, edit.mask)
        for axes, picture, heading in zip(board.subplots(1, 3), pictures, HEADINGS, strict=True):
            axes.imshow(picture, cmap="gray", vmin=0, vmax=1)  # cmap and limits hold for the mask alone
            axes.set_title(heading, fontsize="x-small")
            axes.set_axis_off()
    return figure


def show_contact_sheet(edits: Sequence[PhotoEdit], columns: int = 2) -> Twin:
    """The sheet of `draw_contact_sheet`, with a table of sentences, sizes and changes.

    Raises:
        ValueError: when there is no edit.
    """
    figure = draw_contact_sheet(edits, columns)
    said = " ".join(f"{edit.category}: {edit.difference}" for edit in edits)
    alt = f"{len(edits)} photos, each before and after an edit, with a mask of where it changed. {said}"
    rows = [
        (edit.difference, edit.category, edit.operation, f"{edit.mask.mean():.1%}", f"{edit.change:.0f}")
        for edit in edits
    ]
    names = ("what changed", "category", "operation", "share of the photo", "mean change inside (of 255)")
    return with_twin(figure, alt, table(names, rows, "What each edit changes"))

"""One look for every figure of the book: call `use()` once, in a chapter's first cell.

The colours start from seaborn's colour-blind palette. Each has two values, for a light page and for a dark one, and
each value stands out from its page (tests/test_site.py measures it). A figure is drawn in the light ones; on a dark
page the book's style sheet swaps them (`twins.with_twin` marks where). Blue is for what is in the picture, vermillion
for what is said and is not there, grey for what is missed, green for a control. A colour never says anything alone:
markers and hatches differ, too, so a figure reads in grey.

Lines and letters are drawn in `INK`, which becomes the page's own text colour. Letters on a coloured cell of a heat
map must not follow the page: give them another dark or light grey.
"""

import sys

import matplotlib as mpl

# name: (on a light page, on a dark page)
PALETTE = {
    "blue": ("#0173b2", "#5cb0e8"),
    "orange": ("#c27a00", "#f0ad3a"),
    "green": ("#028a64", "#3ccda2"),
    "vermillion": ("#c8500a", "#ff8a5c"),
    "pink": ("#b557a4", "#e69bd9"),
    "brown": ("#8a5a2b", "#cfa077"),
    "grey": ("#71777d", "#a9b2bc"),
}
BLUE, ORANGE, GREEN, VERMILLION, PINK, _, GREY = (light for light, _ in PALETTE.values())
INK = "#1f2731"  # letters, axes, lines of reference
GRID = "#ccd3da"  # drawn to be overlooked
WIDTH = 4.8  # inches: at this width the smallest letters can still be read on a phone


def use() -> None:
    """Sets the book's style for all figures that follow; in a notebook, figures become vector graphics (SVG).

    The same data gives the same file, byte for byte: SVG ids are salted with a fixed word.
    """
    import seaborn as sns  # here, not above: it takes a second, and a table needs the colours' names only

    sns.set_theme(context="notebook", style="whitegrid", palette=[light for light, _ in PALETTE.values()])
    mpl.rcParams.update(
        {
            "figure.figsize": (WIDTH, 3.0),
            "figure.dpi": 100,
            "figure.facecolor": "none",  # the page shows through
            "savefig.dpi": 150,
            "savefig.bbox": "tight",
            "savefig.facecolor": "none",
            "axes.facecolor": "none",
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "axes.labelsize": 10.5,
            "axes.titlesize": 10.5,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "font.size": 10.5,
            "grid.color": GRID,
            "legend.fontsize": 9.5,
            "legend.frameon": False,
            "text.color": INK,
            "xtick.color": INK,
            "xtick.labelsize": 9.5,
            "ytick.color": INK,
            "ytick.labelsize": 9.5,
            "svg.hashsalt": "mmhallu",
        }
    )
    if "ipykernel" in sys.modules:  # a notebook is running this
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None})

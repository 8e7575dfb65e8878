"""One look for every figure of the book: call `use()` once, in a chapter's first cell.

The palette is seaborn's colour-blind one. A colour has one meaning through the whole book (`ROLES`),
and never carries it alone: each role also has its own marker and hatch, so a figure reads in grey too.
"""

import sys
from dataclasses import dataclass

import matplotlib as mpl
import seaborn as sns

# seaborn's "colorblind" palette, by the names that its authors give the hues.
BLUE, ORANGE, GREEN, VERMILLION, PINK, BROWN, ROSE, GREY, YELLOW, SKY = sns.color_palette("colorblind").as_hex()


@dataclass(frozen=True)
class Role:
    """How one meaning is drawn: a hex colour, a matplotlib marker for points, a hatch for bars."""

    colour: str
    marker: str
    hatch: str


ROLES = {
    "grounded": Role(BLUE, "o", ""),  # in the sentence, and in the picture
    "hallucinated": Role(VERMILLION, "X", "//"),  # in the sentence, not in the picture
    "missed": Role(GREY, "s", ".."),  # in the picture, not in the sentence
    "control": Role(GREEN, "^", "\\\\"),  # what a result is compared with
}


def use() -> None:
    """Sets the book's style for all figures that follow; in a notebook, figures become vector graphics (SVG).

    The same data gives the same file, byte for byte: SVG ids are salted with a fixed word.
    """
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    mpl.rcParams.update(
        {
            "figure.figsize": (6.4, 3.6),  # inches: fills the text column of the book
            "figure.dpi": 100,
            "savefig.dpi": 150,
            "savefig.bbox": "tight",
            "axes.titlesize": "medium",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.hashsalt": "mmhallu",
        }
    )
    if "ipykernel" in sys.modules:  # a notebook is running this
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None})

"""A contact sheet: many edits on one page, each as photo, edited photo and mask, to be looked at before anything is
trained on them.

No number says that an edit looks like an edit; somebody has to look.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure

from mmhallu_core.data.decode import decode
from mmhallu_core.types import EditSample, read_jsonl

HEADINGS = ("before", "after", "mask")
PER_SHEET, MOST_SHEETS = 20, 10
THUMB = 360  # pixels of the longer side on a sheet of a run


@dataclass(frozen=True, eq=False)
class Shown:
    """A sample of a run, small, as a sheet shows it; `mask` is grey, the size of the change, where nobody gave one."""

    image: np.ndarray
    edited_image: np.ndarray
    mask: np.ndarray
    category: str
    difference: str


def draw_contact_sheet(edits: Sequence[Shown], columns: int = 2) -> Figure:
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


def write_contact_sheets(out: Path) -> list[Path]:
    """Draws the samples of a finished run beside them: `contact-sheet-01.png` and so on, twenty edits on each.

    A run may have more samples than anybody looks at: after ten sheets it is enough.

    Args:
        out: the run's folder, with `samples.jsonl`.

    Returns:
        The files; none when the run has no samples.
    """
    samples = read_jsonl(out / "samples.jsonl", EditSample)[: PER_SHEET * MOST_SHEETS]
    sheets = []
    for start in range(0, len(samples), PER_SHEET):
        path = out / f"contact-sheet-{start // PER_SHEET + 1:02d}.png"
        shown = [_shown(out, sample) for sample in samples[start : start + PER_SHEET]]
        draw_contact_sheet(shown).savefig(path, dpi=150)
        sheets.append(path)
    return sheets


def _shown(out: Path, sample: EditSample) -> Shown:
    before, after = (_small(out / name, "RGB") for name in (sample.image, sample.edited_image))
    if "mask" in sample.provenance:
        mask = _small(out / sample.provenance["mask"], "L") / 255
    else:
        mask = abs(before.astype(np.float32) - after).mean(axis=2) / 255
    return Shown(before, after, mask, sample.category, sample.difference)


def _small(path: Path, mode: str) -> np.ndarray:
    small = decode(path).image.convert(mode)
    small.thumbnail((THUMB, THUMB))
    return np.asarray(small)

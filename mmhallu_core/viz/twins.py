"""Everything shown has a twin in words.

A `Twin` is one thing in two forms: HTML, which a notebook and the book show, and plain text, which `print` gives to a
terminal, a log or a screen reader. The functions here make twins of the two basic things, a table and a figure; a
figure always comes with a sentence that says what it shows (its alt text) and with the table of its numbers.
"""

import base64
import hashlib
import html
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmhallu_core.viz import style

NOTE = "font-size:0.9em;opacity:0.85"
_LONG = re.compile(r"\S{14,}")
SHORT = 24  # letters of a number and its interval
FITS_A_PHONE = 3  # columns; of a table with more, the book's style sheet makes one list a row there
MOST = 255  # stops that `mark` can tell apart
_MARKED = re.compile(r'style="([^"]*)stroke: ?#0000([0-9a-f]{2})([^"]*)"')


@dataclass(frozen=True)
class Twin:
    """The same content as HTML and as plain text.

    Attributes:
        html: a fragment that stands by itself: no style sheet, script or file from elsewhere.
        text: says everything that the HTML shows.
    """

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> Twin:
    """A table whose first column names its rows.

    Args:
        columns: their headings.
        rows: one text for each column.
        title: what the table shows; it is read out first, so it is never empty.

    Raises:
        ValueError: when a row has more or fewer entries than there are columns, or the title is empty.
    """
    wrong = [row for row in rows if len(row) != len(columns)]
    if wrong or not title.strip():
        raise ValueError(f"a table needs a title and {len(columns)} entries a row, got title {title!r}, rows {wrong}")
    safe = [[html.escape(cell) for cell in row] for row in (columns, *rows)]
    many = len(columns) > FITS_A_PHONE

    def role(name: str) -> str:
        """What an element is, for browsers that forget it when a row is laid out as a list."""
        return f' role="{name}"' if many else ""

    head = "".join(f'<th scope="col"{role("columnheader")}>{cell}</th>' for cell in safe[0])

    def entry(heading: str, cell: str) -> str:
        """A cell. Where a row is a list it says its heading; a number and its interval stay on one line."""
        short = ' class="mm-short"' if len(cell) <= SHORT and not many else ""
        begin = f'<td{short}{role("cell")} data-label="{heading}" style="white-space:nowrap">'
        return f"{begin}{_LONG.sub(_breakable, cell)}</td>"

    body = "".join(
        f'<tr{role("row")}><th scope="row"{role("rowheader")}>{row[0]}</th>'
        + "".join(entry(*pair) for pair in zip(safe[0][1:], row[1:], strict=True))
        + "</tr>"
        for row in safe[1:]
    )
    caption = f'<caption style="caption-side:top;text-align:left;{NOTE}">{html.escape(title)}</caption>'
    # tabindex: a table wider than a phone scrolls, and somebody without a mouse must be able to scroll it
    shown = (
        '<div role="group" aria-label="scrolls when it is wide" tabindex="0" style="overflow-x:auto">'
        f'<table class="table{" mm-stack" if many else ""}"{role("table")} style="width:auto;font-size:0.9em">{caption}'
        f"<thead><tr{role('row')}>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
    widths = [max(len(row[k]) for row in (columns, *rows)) for k in range(len(columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (columns, *rows)]
    return Twin(shown, "\n".join([title, *(line.rstrip() for line in lines)]))


def wrapping(found: Twin, width: int = 9) -> Twin:
    """The same table for sentences: they wrap, unlike numbers, in columns of at least so many letters."""
    look = f"min-width:{width}em;white-space:pre-line;overflow-wrap:anywhere"
    return replace(found, html=found.html.replace("white-space:nowrap", look))


@cache
def part(name: str) -> str:
    """A style sheet or script that stands beside this file, such as `player.js`."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _breakable(word: re.Match) -> str:
    """A long word, such as an address, with places where its line may break."""
    return re.sub(r"(?<=[/_])(?=.)", "<wbr>", word[0])


def picture(content: bytes, kind: str, alt: str, look: str = "max-width:100%;height:auto") -> str:
    """HTML of a picture that is carried inside the page.

    Args:
        content: the file.
        kind: its media type, such as "image/png".
        alt: what it shows, in words.
        look: CSS.

    Raises:
        ValueError: when there are no words for it.
    """
    if not alt.strip():
        raise ValueError("a picture needs words that say what it shows")
    data = base64.b64encode(content).decode("ascii")
    return f'<img src="data:{kind};base64,{data}" alt="{html.escape(alt)}" style="{look}">'


def vector(figure: Figure, alt: str) -> str:
    """SVG that becomes part of the page, so that it takes the page's colours, light or dark.

    What is drawn in `style.INK` or in black follows the page's text. A colour of `style.PALETTE` stays, unless the
    page's style sheet has another value for it (`--mm-blue` and so on).

    Args:
        figure: what is drawn; its background is left out.
        alt: what it shows, in words; the drawing itself is hidden from a screen reader, which would spell it out.

    Raises:
        ValueError: when there are no words for it.
    """
    if not alt.strip():
        raise ValueError("a picture needs words that say what it shows")
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "mmhallu"}):  # ids from the content: the same numbers give the same bytes
        figure.savefig(file, format="svg", bbox_inches="tight", facecolor="none", metadata={"Date": None})
    drawn = file.getvalue()
    wide, high = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn).groups()  # in points
    drawn = drawn[drawn.index("<defs>") : drawn.rindex("</svg>")]
    drawn = re.sub(r"<style.*?</style>", "", drawn, flags=re.DOTALL)  # it would hold for the whole page
    drawn = re.sub(r'<g id="[^"]*"', "<g", drawn)  # names that nothing refers to, the same in every figure
    mark = hashlib.sha256(drawn.encode("utf-8")).hexdigest()[:8]  # those that are referred to get a name of their own
    drawn = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{mark}-", drawn)
    drawn = re.sub(f"{style.INK}|#000000", "currentColor", drawn)
    for name, colour in {"grid": style.GRID, **{name: light for name, (light, _) in style.PALETTE.items()}}.items():
        drawn = drawn.replace(colour, f"var(--mm-{name},{colour})")
    # A quarter larger than it was drawn, where there is room: letters that carry to the back of a lecture hall. It
    # shrinks to any width: a figure that scrolls on a phone looks whole and is not. `style.WIDTH` keeps it readable.
    drawn_at = float(wide) * 96 / 72  # points to pixels
    look = f"width:100%;max-width:{round(1.25 * drawn_at)}px;height:auto"
    look += ";fill:currentColor;stroke-linejoin:round;stroke-linecap:butt"
    names = f'role="img" aria-label="{html.escape(alt)}" class="mm-figure" style="{look}"'
    space = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {space} viewBox="0 0 {wide} {high}" {names}>{drawn}</svg>'


def one_panel(height: float) -> tuple[Figure, Axes]:
    """An empty figure of one panel, as wide as the book's figures, `height` inches high."""
    figure = Figure(figsize=(style.WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def reach(points: Sequence[float], intervals: Sequence[Sequence[float]]) -> list[list[float]]:
    """How far each interval [low, high] reaches below and above its point, as `Axes.errorbar` wants it."""
    pairs = list(zip(points, intervals, strict=True))
    return [[point - low for point, (low, _) in pairs], [high - point for point, (_, high) in pairs]]


def with_twin(figure: Figure, alt: str, numbers: Twin) -> Twin:
    """A figure with its words, and the table of its numbers folded in below.

    Args:
        figure: in the book's style (`style.use`); it is shown on the page's own colour.
        alt: what the figure shows, the finding included.
        numbers: the same data as a table.
    """
    folded = f"<details><summary>The figure as a table</summary>{numbers.html}</details>"
    shown = f'<figure style="margin:0;padding:0">{vector(figure, alt)}</figure>{folded}'
    return Twin(shown, f"Figure: {alt}\n\n{numbers.text}")


# ---------------------------------------------------------------- a figure with a slider


def mark(panels: Iterable[Axes], place: int | float, stop: int) -> None:
    """Draws a stop's line across some panels.

    A drawing that becomes part of the page keeps no names, so the line carries the stop's number in its colour, which
    `slider` reads and replaces: #000001 for stop 0, #000002 for stop 1.

    Args:
        panels: to draw in.
        place: where, on their horizontal axis.
        stop: from 0.

    Raises:
        ValueError: for a stop above what a colour can say.
    """
    if not 0 <= stop < MOST:
        raise ValueError(f"stop {stop} is not in 0..{MOST - 1}")
    for axes in panels:
        axes.axvline(place, color=f"#0000{stop + 1:02x}", linewidth=1.5, linestyle="--", zorder=5)


def slider(
    figure: Figure, alt: str, label: str, stops: Mapping[str, tuple[str, Twin]], start: int, numbers: Twin
) -> Twin:
    """A figure whose marked line follows a slider below it, in a page without a kernel.

    All of it is in the page: the figure (drawn once), the numbers of every stop, and a few lines of JavaScript
    (`slider.js`). Where no script runs, in print or on a page that shows notebooks, the figure stands with its line at
    the start, and the folded table below has every number. A terminal gets the words and the table.

    Args:
        figure: with a line for each stop, drawn by `mark` in the order of the stops.
        alt: what the figure shows, the finding included.
        label: what the slider sets.
        stops: the name of each stop, such as "10 words", to one sentence, which is read out, and a table.
        start: number of the stop at which the slider stands first.
        numbers: all stops as one table.

    Raises:
        ValueError: when the figure does not have a line for each stop.
    """
    marked = set()

    def name_mark(found: re.Match) -> str:
        """The style of a marked line, with its stop in words and only the start's line visible."""
        stop = int(found[2], 16) - 1
        marked.add(stop)
        seen = "visible" if stop == start else "hidden"
        return f'data-stop="{stop}" style="{found[1]}stroke: currentColor{found[3]};visibility:{seen}"'

    drawn = _MARKED.sub(name_mark, vector(figure, alt))
    if marked != set(range(len(stops))):
        raise ValueError(f"{len(stops)} stops, but lines for {sorted(marked)}")
    carried = json.dumps([[name, said, shown.html] for name, (said, shown) in stops.items()], ensure_ascii=False)
    carried = carried.replace("<", "\\u003c")  # so that no text in it can end the script element
    name, (said, shown) = list(stops.items())[start]
    # data-lm-suppress-shortcuts: JupyterLab keeps the arrow keys for its cells, but not on an element that says this.
    control = (
        f'<label><span>{html.escape(label)}</span><input type="range" min="0" max="{len(stops) - 1}" step="1" '
        f'value="{start}" aria-label="{html.escape(label)}" aria-valuetext="{html.escape(name)}" '
        f'data-lm-suppress-shortcuts="true"><output>{html.escape(name)}</output></label>'
    )
    page = (
        f'<div class="mm-slider" role="group" aria-label="{html.escape(label)}"><style>{part("slider.css")}</style>'
        f'{control}<figure style="margin:0;padding:0">{drawn}</figure>'
        f'<p class="mm-said" role="status">{html.escape(said)}</p>'
        f'<div class="mm-shown">{shown.html}</div>'
        f"<details><summary>All stops as a table</summary>{numbers.html}</details>"
        f'<script type="application/json">{carried}</script><script>{part("slider.js")}</script></div>'
    )
    told = "\n".join(sentence for sentence, _ in stops.values())
    return Twin(page, f"Figure: {alt}\n\n{told}\n\n{numbers.text}")

"""A figure with a slider below it, in a page without a kernel.

The curves stay where they are; the slider moves a line across them and shows the numbers at that place. All of it is
in the page: the figure (a drawing that is drawn once), the numbers of every stop, and a few lines of JavaScript
(`slider.js`). Where no script runs, in print or on a page that shows notebooks, the figure stands with its line at the
start, and the folded table below has every number. A terminal gets the words and the table.
"""

import html
import json
import re
from collections.abc import Iterable, Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmhallu_core.viz.twins import Twin, part, vector

MOST = 255  # stops that `mark` can tell apart
_MARKED = re.compile(r'style="([^"]*)stroke: ?#0000([0-9a-f]{2})([^"]*)"')


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
    """A figure whose marked line follows a slider.

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

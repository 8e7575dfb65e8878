"""The benchmarks: which there are, and what each can show, its smallest detectable difference by number of items."""

from collections.abc import Mapping, Sequence

import numpy as np

from mmhallu_core.evaluate.benchmarks import benchmarks
from mmhallu_core.power import DISAGREEMENTS, detectable_difference, power_table
from mmhallu_core.viz.style import BLUE, GREEN, INK, ORANGE
from mmhallu_core.viz.twins import Twin, one_panel, table, with_twin

FORMS = {"yes_no": "yes or no", "letter": "a letter", "free": "free text"}
# Items of each benchmark. POPE asks six questions about each picture, which is not counted here.
BENCHMARKS = {"MED-Real": 35, "MED-bench": 165, "POPE, one sampling": 3000}
LOOKS = ((BLUE, "--", "s"), (GREEN, "-.", "^"))  # one for each disagreement
TICKS = (1, 2, 5, 10, 20, 50)  # points


def benchmark_list() -> Twin:
    """Every benchmark: what it is, what is answered, the score that tables print, and where its files are."""
    rows = []
    for name, one in benchmarks().items():
        if name.endswith("-diorama"):
            continue
        home = one.home.replace("hub:", "on the Hugging Face hub: ").removeprefix("https://")
        judged = "" if one.judge is None else " (a judge reads some)" if one.settled else " (a judge reads the answers)"
        rows.append((name, one.title, FORMS[one.form] + judged, one.headline, home, one.licence))
    columns = ("name", "what it is", "answers", "headline", "its public home", "licence of its files")
    return table(columns, rows, "The benchmarks, by the name that the command line takes")


def power_figure() -> Twin:
    """The difference of two accuracies that a benchmark shows in four tries of five, by its number of items.

    Two logarithmic axes, items to the right and percentage points up; a line begins where a difference can be shown at
    all. `DISAGREEMENTS` are shares of items on which exactly one of two models is right; each has its line.
    """
    rows = power_table(sorted(BENCHMARKS.values()))
    lines = [("independent models", None, ORANGE, "-", "o")]
    for share, look in zip(DISAGREEMENTS, LOOKS, strict=True):
        lines.append((f"paired, disagree on {100 * share:.0f}%", share, *look))
    figure, axes = one_panel(4.0)
    ends = min(20, rows[0]["n"] * 0.7), max(10_000, rows[-1]["n"] * 1.4)
    sizes = np.unique(np.geomspace(*ends, 25).astype(int)).tolist()
    for name, share, colour, line, marker in lines:
        found = [detectable_difference(n, disagreement=share) for n in sizes]
        points = [np.nan if one is None else 100 * one for one in found]
        marked = [row["independent"] if share is None else row["paired"][share] for row in rows]
        axes.plot(sizes, points, line, color=colour, linewidth=2)
        at = [np.nan if one is None else 100 * one for one in marked]
        axes.plot([row["n"] for row in rows], at, marker, color=colour, markersize=7)
        axes.plot([], [], line, marker=marker, color=colour, label=name)
    for name, n in BENCHMARKS.items():
        axes.axvline(n, color=INK, linewidth=0.8, zorder=1)
        # The lines fall: a name has room below them on the left, and above them on the right.
        height, side = (0.03, "bottom") if n * n < ends[0] * ends[1] else (0.97, "top")
        axes.text(n * 1.05, height, name, rotation=90, va=side, fontsize=9.5, transform=axes.get_xaxis_transform())
    axes.set(
        xscale="log", yscale="log", xlabel="items", ylabel="detectable difference, percentage points", xlim=ends,
        yticks=TICKS, yticklabels=[str(tick) for tick in TICKS],
    )  # fmt: skip
    axes.set_xticks([30, 100, 300, 1000, 3000, 10_000], ["30", "100", "300", "1,000", "3,000", "10,000"])
    axes.minorticks_off()
    figure.legend(loc="outside lower center", ncols=1)
    return with_twin(figure, _alt(rows), benchmark_table(BENCHMARKS))


def benchmark_table(items: Mapping[str, int]) -> Twin:
    """What each benchmark can show, in percentage points, by its number of items."""
    rows = [
        (name, f"{n:,}", _points(row["independent"]), *(_points(one) for one in row["paired"].values()))
        for (name, n), row in zip(items.items(), power_table([*items.values()]), strict=True)
    ]
    paired = [f"paired, disagree on {100 * share:.0f}%" for share in DISAGREEMENTS]
    title = "Smallest improvement that shows in four tries of five, percentage points (recomputed; design effect 1)"
    return table(("benchmark", "items", "independent", *paired), rows, title)


def _points(share: float | None) -> str:
    """ "14.3", or "none" where no difference can be shown."""
    return "none" if share is None else f"{100 * share:.1f}"


def _alt(rows: Sequence[dict]) -> str:
    found = {row["n"]: row for row in rows}
    parts = []
    for name, n in BENCHMARKS.items():
        paired = ", ".join(
            f"{'nothing' if one is None else _points(one)} if they disagree on {100 * share:.0f} of 100 items"
            for share, one in found[n]["paired"].items()
        )
        parts.append(f"{name}, {n:,} items: independent models {_points(found[n]['independent'])}, paired {paired}.")
    return (
        "The smallest difference of accuracy that can be detected falls with the square root of the number of items. "
        "In percentage points: " + " ".join(parts)
    )

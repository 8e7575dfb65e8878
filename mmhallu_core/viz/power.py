"""What a benchmark can show, drawn: the smallest detectable difference against the number of items."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from mmhallu_core.power import DISAGREEMENTS, detectable_difference, power_table
from mmhallu_core.viz.style import BLUE, GREEN, INK, ORANGE, PINK, WIDTH
from mmhallu_core.viz.twins import Twin, table, with_twin

# Items of each benchmark. POPE asks six questions about each picture: give a design effect to count that.
BENCHMARKS = {"MED-Real": 35, "MED-bench": 165, "POPE, one sampling": 3000}
LOOKS = ((BLUE, "--", "s"), (GREEN, "-.", "^"), (PINK, ":", "D"))  # one for each disagreement
TICKS = (1, 2, 5, 10, 20, 50)  # points


def power_figure(
    benchmarks: Mapping[str, int] = BENCHMARKS,
    disagreements: Sequence[float] = DISAGREEMENTS,
    accuracy: float = 0.5,
    design_effect: int | float = 1,
) -> Twin:
    """The difference of two accuracies that a benchmark shows in four tries of five, by its number of items.

    Args:
        benchmarks: name to number of items; each is marked on the lines.
        disagreements: shares of items on which exactly one of two models is right, at most three; a line for each.
        accuracy: of the first model, as a share; used for independent models.
        design_effect: how many items are worth one independent item (`statistics.design_effect`).

    Returns:
        A figure with two logarithmic axes, items to the right and percentage points up, its words, and the table of
        the benchmarks. A line begins where a difference can be shown at all.

    Raises:
        ValueError: when a number is out of its range, or there are more than three disagreements.
    """
    if len(disagreements) > len(LOOKS):
        raise ValueError(f"at most {len(LOOKS)} disagreements can be told apart, got {len(disagreements)}")
    rows = power_table(sorted(benchmarks.values()), accuracy, disagreements, design_effect)
    lines = [("independent models", None, ORANGE, "-", "o")]
    for share, look in zip(disagreements, LOOKS, strict=False):
        lines.append((f"paired, disagree on {100 * share:.0f}%", share, *look))

    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    axes = figure.subplots()
    ends = min(20, rows[0]["n"] * 0.7), max(10_000, rows[-1]["n"] * 1.4)
    sizes = np.unique(np.geomspace(*ends, 25).astype(int)).tolist()
    for name, share, colour, line, marker in lines:
        found = [detectable_difference(n, accuracy, share, design_effect) for n in sizes]
        points = [np.nan if one is None else 100 * one for one in found]
        marked = [row["independent"] if share is None else row["paired"][share] for row in rows]
        axes.plot(sizes, points, line, color=colour, linewidth=2)
        at = [np.nan if one is None else 100 * one for one in marked]
        axes.plot([row["n"] for row in rows], at, marker, color=colour, markersize=7)
        axes.plot([], [], line, marker=marker, color=colour, label=name)
    for name, n in benchmarks.items():
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
    return with_twin(
        figure, _alt(benchmarks, rows), benchmark_table(benchmarks, disagreements, accuracy, design_effect)
    )


def benchmark_table(
    benchmarks: Mapping[str, int] = BENCHMARKS,
    disagreements: Sequence[float] = DISAGREEMENTS,
    accuracy: float = 0.5,
    design_effect: int | float = 1,
) -> Twin:
    """What each benchmark can show, in percentage points; the arguments are those of `power_figure`."""
    rows = [
        (name, f"{n:,}", _points(row["independent"]), *(_points(one) for one in row["paired"].values()))
        for (name, n), row in zip(
            benchmarks.items(), power_table([*benchmarks.values()], accuracy, disagreements, design_effect), strict=True
        )
    ]
    paired = [f"paired, disagree on {100 * share:.0f}%" for share in disagreements]
    effect = f"design effect {design_effect:g}"
    title = f"Smallest improvement that shows in four tries of five, percentage points (recomputed; {effect})"
    return table(("benchmark", "items", "independent", *paired), rows, title)


def _points(share: float | None) -> str:
    """ "14.3", or "none" where no difference can be shown."""
    return "none" if share is None else f"{100 * share:.1f}"


def _alt(benchmarks: Mapping[str, int], rows: Sequence[dict]) -> str:
    found = {row["n"]: row for row in rows}
    parts = []
    for name, n in benchmarks.items():
        paired = ", ".join(
            f"{'nothing' if one is None else _points(one)} if they disagree on {100 * share:.0f} of 100 items"
            for share, one in found[n]["paired"].items()
        )
        parts.append(f"{name}, {n:,} items: independent models {_points(found[n]['independent'])}, paired {paired}.")
    return (
        "The smallest difference of accuracy that can be detected falls with the square root of the number of items. "
        "In percentage points: " + " ".join(parts)
    )

"""Where MED's study looks closer: noise in the captions, and one category at a time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mmhallu_core.chapters.what_made_it_work import runs_of
from mmhallu_core.chapters.what_made_it_work_figures import BASE, CALLED, LOOKS, in_words, side_of
from mmhallu_core.studies.engine.outcomes import OUTCOMES
from mmhallu_core.studies.engine.summary import NOT_RUN
from mmhallu_core.studies.med import LEFT_OUT, PRIMARY
from mmhallu_core.types import CATEGORIES
from mmhallu_core.viz.style import BLUE, GREY, INK, ORANGE, VERMILLION, WIDTH
from mmhallu_core.viz.twins import Twin, table, with_twin

CHANCE = 1 / 4


def noise_figure(noise: Mapping[str, Any], title: str) -> Twin:
    """What captions written from habit cost, against their share; beside it a straight line through zero.

    Args:
        noise: see `studies.what_made_it_work.noise`.
        title: what is compared, and the kind of evidence.
    """
    levels = noise["levels"]
    figure = Figure(figsize=(WIDTH, 6.0), layout="constrained")
    cells = []
    for axes, outcome in zip(figure.subplots(len(PRIMARY), 1, sharex=True), PRIMARY, strict=True):
        small = 100 * OUTCOMES[outcome].small
        axes.axhspan(-small, small, color=GREY, alpha=0.25, linewidth=0, label="too small to matter")
        axes.axhline(0, color=INK, linewidth=1)
        others = [100 * one for one in noise["seeds"].get(outcome, [])]
        axes.plot([0] * len(others), others, ".", color=VERMILLION, label="no noise, other seeds")
        known = {eta: rows[outcome] for eta, rows in levels.items() if rows[outcome]["difference"] is not None}
        if known:
            at = np.array(list(known))
            points = np.array([100 * row["difference"] for row in known.values()])
            edges = np.abs(np.array([[100 * side for side in row["ci"]] for row in known.values()]).T - points)
            axes.errorbar(at, points, yerr=edges, color=BLUE, marker="o", linestyle="", capsize=2, label="one seed")
            slope = float((at * points).sum() / (at**2).sum())
            axes.plot([0, 1], [0, slope], "--", color=ORANGE, label="a straight line, as in equation 5")
            cells.append((OUTCOMES[outcome].label, "the straight line, at a share of 1", f"{slope:+.1f}"))
        else:
            axes.text(0.5, 0.75, NOT_RUN, ha="center", transform=axes.transAxes)
        cells += [(OUTCOMES[outcome].label, f"share {eta:g}", in_words(row)[0]) for eta, row in known.items()]
        spread = f"{min(others):+.1f} to {max(others):+.1f}" if others else NOT_RUN
        cells.append((OUTCOMES[outcome].label, "no noise, other seeds", spread))
        axes.set_title(f"{OUTCOMES[outcome].label} ({side_of(OUTCOMES[outcome])})", loc="left", fontweight="bold")
        axes.set_ylabel("points")
        axes.set_xlim(-0.05, 1.0)
    axes.set_xlabel("share of training captions written from habit")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    said = "; ".join(f"{what}, {where}: {number}" for what, where, number in cells)
    alt = f"Differences to the run without noise, against the share of captions from habit, in three panels. {said}."
    heads = ("outcome", "captions", "points against the run without noise, 95% interval of pictures")
    return with_twin(figure, alt, table(heads, cells, title))


def category_figure(
    categories: Mapping[str, Mapping[str, float]], arms: Sequence[str], bounds: Mapping[str, float], title: str
) -> Twin:
    """MED-tiny by category: a mark for each arm's mean, what one picture gives, and a guess.

    Args:
        categories: id of a run to its shares by category (`studies.what_made_it_work.categories`).
        arms: names of LOOKS.
        bounds: category to the best share from one picture (`studies.what_made_it_work.one_picture_bound`).
        title: what is compared, and the kind of evidence.
    """
    means = {}
    for arm in arms:
        some = [categories[name] for name in runs_of(categories, arm)]
        means[arm] = {name: float(np.mean([one[name] for one in some])) for name in bounds} if some else {}
    figure = Figure(figsize=(WIDTH, 0.36 * len(bounds) + 1.5), layout="constrained")
    axes = figure.subplots()
    axes.axvline(100 * CHANCE, color=INK, linestyle=":", linewidth=1.5, label="a guess")
    ends = [100 * one for one in bounds.values()]
    axes.plot(ends, range(len(bounds)), "|", color=VERMILLION, markersize=17, markeredgewidth=3, label="one picture")
    for shift, arm in zip(np.linspace(-0.2, 0.2, len(arms)), arms, strict=True):
        if means[arm]:
            colour, marker = LOOKS[arm]
            points = [100 * means[arm][name] for name in bounds]
            places = np.arange(len(bounds)) + shift
            axes.plot(points, places, marker, color=colour, markersize=7, label=CALLED.get(arm, arm))
    axes.set(
        yticks=range(len(bounds)), yticklabels=list(bounds), ylim=(len(bounds) - 0.4, -0.6), xlim=(0, 102),
        xlabel="right, %, mean over runs",
    )  # fmt: skip
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=3)
    cells = [
        (name, f"{100 * bound:.0f}", *(f"{100 * means[arm][name]:.0f}" if means[arm] else NOT_RUN for arm in arms))
        for name, bound in bounds.items()
    ]
    counts = []
    for arm in arms:
        above = [name for name, bound in bounds.items() if means[arm] and means[arm][name] > bound]
        called = CALLED.get(arm, arm)
        where = f" ({', '.join(above)})" if above else ""
        counts.append(
            f"{called} lies above it in {len(above)} categories{where}" if means[arm] else f"{called}: not run"
        )
    alt = (
        f"Right answers on MED-tiny in {len(bounds)} categories. A guess gives {100 * CHANCE:.0f}%; a mark in each row "
        f"shows what the best viewer of one picture gets. {'; '.join(counts)}."
    )
    heads = ("category, right in %", "best of one picture", *(CALLED.get(arm, arm) for arm in arms))
    return with_twin(figure, alt, table(heads, cells, title))


def held_out_table(categories: Mapping[str, Mapping[str, float]], title: str) -> Twin:
    """The categories that one run never saw in training, and the mean of the others, beside runs that saw all.

    Args:
        categories: see `category_figure`.
        title: what is compared, and the kind of evidence.
    """
    runs = {CALLED[BASE]: BASE, "all categories in training": "med-0", "without these two": "left-out"}
    known = {called: categories.get(name) for called, name in runs.items()}

    def share(one: Mapping[str, float] | None, names: Sequence[str]) -> str:
        return NOT_RUN if one is None else f"{100 * np.mean([one[name] for name in names]):.0f}"

    rows = [(f"{name} (held out)", *(share(one, [name]) for one in known.values())) for name in LEFT_OUT]
    others = [name for name in CATEGORIES if name not in LEFT_OUT]
    rows.append(("the others, mean", *(share(one, others) for one in known.values())))
    return table(("MED-tiny, right in %; one run each", *runs), rows, title)

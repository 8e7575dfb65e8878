"""A study to look at: contrasts with their intervals, single runs as dots, and what a single run can show.

Everything is drawn from a summary of the records (`studies/engine/summary.py`). A contrast that was not run keeps its
row and says so. Each figure comes with its alt text and its table (`viz/twins.py`); what a row comes to is written as a
word, in the figure and in the table.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mmhallu_core.chapters.what_made_it_work import scores_of
from mmhallu_core.studies.engine.outcomes import OUTCOMES, Outcome
from mmhallu_core.studies.engine.study import Check, Study
from mmhallu_core.studies.engine.summary import NOT_RUN, checked, checks, verdict
from mmhallu_core.viz.scores import shown
from mmhallu_core.viz.style import BLUE, GREEN, GREY, INK, ORANGE, PINK, VERMILLION, WIDTH
from mmhallu_core.viz.twins import Twin, table, with_twin

LOOKS = {
    "base-tiny-llava": (GREY, "s"), "clean": (GREEN, "^"), "shuffled": (ORANGE, "v"), "noisy": (PINK, "P"),
    "med": (BLUE, "o"),
}  # fmt: skip
BASE = "base-tiny-llava"
CALLED = {BASE: "base"}


def side_of(outcome: Outcome) -> str:
    """Which side of zero is better, in words."""
    return "less is better" if outcome.less else "more is better"


def word_of(study: Study, found: Mapping[str, Any], name: str, outcome: str) -> str:
    """What a contrast comes to, in a word: "better" or "worse", by more than what nobody would miss, or "open".

    The rule is that of `studies/engine/study.py`, asked in both directions; of one seed nothing is decided. The p is
    corrected where a claim rests on the contrast.
    """
    row = found["contrasts"].get(name, NOT_RUN)
    if row == NOT_RUN:
        return NOT_RUN
    row = row[outcome]
    if row["difference"] is None:
        return "no score"
    if len(row["seeds"]) == 1:
        return "one seed"
    claimed = checks(study, found["contrasts"])
    for word, falls in (("better", False), ("worse", True)):
        check = Check(name, outcome, falls=falls)
        one = checked(study, check, row)
        p = claimed[check]["corrected"] if check in claimed else one["p"]
        if verdict(one["interval"], one["bar"], p) == "holds":
            return word
    return "open"


def forest_figure(
    study: Study, found: Mapping[str, Any], names: Sequence[str], title: str, outcomes: Sequence[str] = ()
) -> Twin:
    """Contrasts with their intervals, a panel for each outcome, one below the other.

    A diamond is the mean over seeds, its line the 95% interval of runs and pictures; a hollow square is one seed, its
    interval of pictures alone. Small dots are the single seeds. The grey band is what nobody would miss.

    Args:
        study: the plan.
        found: its summary.
        names: of its contrasts, from top to bottom.
        title: what is compared, and the kind of evidence.
        outcomes: what is drawn; by default the plan's headline.
    """
    outcomes, rows = outcomes or study.headline, found["contrasts"]
    figure = Figure(figsize=(WIDTH, (0.27 * len(names) + 0.75) * len(outcomes) + 0.6), layout="constrained")
    panels = np.atleast_1d(figure.subplots(len(outcomes), 1))
    labels = [name.replace("tiny-llava-", "") for name in names]
    cells = []
    for axes, outcome in zip(panels, outcomes, strict=True):
        what = study.outcomes[outcome]
        small = 100 * what.small
        axes.axvspan(-small, small, color=GREY, alpha=0.25, linewidth=0)
        axes.axvline(0, color=INK, linewidth=1)
        for place, name in enumerate(names):
            said = word_of(study, found, name, outcome)
            row = None if rows.get(name, NOT_RUN) == NOT_RUN else rows[name][outcome]
            cells.append((name, what.label, *in_words(row), said))
            n = len(row["seeds"]) if row else 0
            beside = f"{said}, n={n}" if n > 1 else said
            axes.text(1.02, place, beside, va="center", fontsize=9, transform=axes.get_yaxis_transform())
            if row is None or row["difference"] is None:
                continue
            _bar(axes, place, row)
            if n > 1:
                points = [100 * value for value in row["each"]]
                axes.plot(points, [place + 0.22] * len(points), ".", color=VERMILLION, markersize=5, zorder=3)
        edge = max(3 * small, *(abs(one) for one in axes.get_xlim()))
        axes.set(yticks=range(len(names)), yticklabels=labels, ylim=(len(names) - 0.4, -0.6), xlim=(-edge, edge))
        axes.set_title(what.label, loc="left", fontweight="bold")
        axes.set_xlabel(f"points; {side_of(what)}")
        axes.grid(axis="y", visible=False)
    _keys(figure)
    alt = f"Differences of arms with 95% intervals, around a line at zero. {_sorted(study, cells, outcomes)}"
    heads = ("contrast", "outcome", "points, 95% interval", "seeds", "p of no difference, over seeds", "reads as")
    return with_twin(figure, alt, table(heads, cells, title))


def _sorted(study: Study, cells: Sequence[tuple[str, ...]], outcomes: Sequence[str]) -> str:
    """The finding of each outcome: which contrasts read as what."""
    said = []
    for outcome in map(study.outcomes.__getitem__, outcomes):
        words: dict[str, list[str]] = {}
        for name, label, *_, word in cells:
            if label == outcome.label:
                words.setdefault(word, []).append(name)
        parts = "; ".join(f"{word}: {', '.join(some)}" for word, some in words.items())
        said.append(f"{outcome.label} ({side_of(outcome)}): {parts}.")
    return " ".join(said)


def in_words(row: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """Difference with interval, number of seeds and p of a contrast; p is that of no difference, not corrected."""
    if row is None:
        return NOT_RUN, "0", "-"
    p = "-" if row["p"] is None else f"{row['p']:.4f}"
    number = "-" if row["difference"] is None else shown((row["difference"], row["ci"]))
    return (number if number.startswith(("-", "0.0 ")) else f"+{number}"), str(len(row["seeds"])), p


def _bar(axes: Any, place: int, row: Mapping[str, Any]) -> None:
    """One contrast: its mean and interval."""
    middle, (low, high) = 100 * row["difference"], (100 * side for side in row["ci"])
    alone = len(row["seeds"]) == 1
    axes.errorbar(
        [middle], [place], xerr=[[middle - low], [high - middle]], color=GREY if alone else BLUE, capsize=2,
        marker="s" if alone else "D", markersize=5, markerfacecolor="none" if alone else BLUE, linestyle="", zorder=2,
    )  # fmt: skip


def _keys(figure: Figure) -> None:
    """What the marks mean."""
    axes = figure.axes[0]
    axes.plot([], [], "D-", color=BLUE, markersize=5, label="mean over seeds, runs and pictures")
    axes.plot([], [], "s-", color=GREY, markersize=5, markerfacecolor="none", label="one seed, pictures alone")
    axes.plot([], [], ".", color=VERMILLION, label="each seed")
    axes.fill_between([], [], color=GREY, alpha=0.25, linewidth=0, label="too small to matter")
    figure.legend(loc="outside lower center", ncols=2)


# ---------------------------------------------------------------- single runs


def seeds_figure(found: Mapping[str, Any], arms: Sequence[str], outcomes: Sequence[str], title: str) -> Twin:
    """Every run of some arms as a dot, a panel for each outcome; a bar marks the mean of an arm.

    Args:
        found: a summary.
        arms: names of LOOKS, from top to bottom.
        outcomes: scores of single runs.
        title: what is compared, and the kind of evidence.
    """
    figure = Figure(figsize=(WIDTH, (0.27 * len(arms) + 0.75) * len(outcomes)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(len(outcomes), 1))
    cells = []
    for axes, outcome in zip(panels, outcomes, strict=True):
        for place, arm in enumerate(arms):
            values = [100 * value for value in scores_of(found, arm, outcome)]
            colour, marker = LOOKS[arm]
            spread = f"{min(values):.1f} to {max(values):.1f}" if len(values) > 1 else "-"
            mean = f"{np.mean(values):.1f}" if values else NOT_RUN
            cells.append((CALLED.get(arm, arm), OUTCOMES[outcome].label, mean, spread, str(len(values))))
            if not values:
                axes.text(0.02, place, NOT_RUN, va="center", fontsize=9, transform=axes.get_yaxis_transform())
                continue
            axes.plot(values, [place] * len(values), marker, color=colour, markersize=7, alpha=0.7)
            axes.plot([np.mean(values)] * 2, [place - 0.3, place + 0.3], color=INK, linewidth=2)
        labels = [CALLED.get(arm, arm) for arm in arms]
        axes.set(yticks=range(len(arms)), yticklabels=labels, ylim=(len(arms) - 0.4, -0.6))
        axes.set_title(OUTCOMES[outcome].label, loc="left", fontweight="bold")
        axes.set_xlabel(f"%; {side_of(OUTCOMES[outcome])}")
        axes.grid(axis="y", visible=False)
    said = "; ".join(f"{arm}, {what}: {mean}, runs from {spread}" for arm, what, mean, spread, _ in cells)
    alt = f"A dot for every run of each arm, and a bar at the mean. {said}."
    return with_twin(figure, alt, table(("arm", "outcome", "mean, %", "lowest to highest run", "runs"), cells, title))


def signs_table(signs: Mapping[str, Mapping[str, Any]], title: str) -> Twin:
    """How often one run of each arm would have shown the other sign than all runs together.

    Args:
        signs: outcome to what `studies.what_made_it_work.signs` counted.
        title: what is compared, and the kind of evidence.
    """
    rows = []
    for outcome, one in signs.items():
        mean = NOT_RUN if one["mean"] is None else f"{100 * one['mean']:+.1f}"
        other = str(one["other_side"]) if one["pairs"] else NOT_RUN
        rows.append((OUTCOMES[outcome].label, mean, str(one["pairs"]), other))
    return table(("outcome", "all runs, points", "pairs of single runs", "of them with the other sign"), rows, title)


def simulation_table(found: Mapping[float, Mapping[int, float]], title: str) -> Twin:
    """How often a true effect shows with the wrong sign, by its size and by the runs of each arm.

    Args:
        found: effect, as a share, to what `studies.what_made_it_work.wrong_signs` gives; the same numbers of runs in
            each.
        title: says that it is a simulation.
    """
    sizes = list(next(iter(found.values())))
    rows = [
        (f"{100 * effect:g} point{'s' * (effect != 0.01)}", *(f"{100 * one[n]:.0f}%" for n in sizes))
        for effect, one in found.items()
    ]
    return table(("true effect", *(f"{n} run{'s' * (n > 1)} of each arm" for n in sizes)), rows, title)


def spent_table(spent: Mapping[str, Sequence[Mapping[str, float]]], title: str) -> Twin:
    """What the runs of each arm were shown: pictures, answers, tokens to learn from, steps; a mean over runs."""
    rows = []
    for arm, some in spent.items():
        means = [np.mean([one[name] for one in some]) if some else None for name in ("steps", "pictures", "tokens")]
        cells = [NOT_RUN if mean is None else f"{mean:,.0f}" for mean in means]
        rows.append((arm, *cells, str(len(some))))
    return table(("arm", "steps", "pictures shown", "tokens to learn from", "runs"), rows, title)


def outcomes_table(found: Mapping[str, Any], arms: Sequence[str], outcomes: Sequence[str], title: str) -> Twin:
    """Means over runs of several outcomes, a column for each arm; no intervals, because nothing is decided by them."""
    rows = []
    for outcome in outcomes:
        values = [scores_of(found, arm, outcome) for arm in arms]
        cells = [f"{100 * np.mean(some):.1f}" if some else NOT_RUN for some in values]
        rows.append((f"{OUTCOMES[outcome].label} ({side_of(OUTCOMES[outcome]).split()[0]})", *cells))
    return table(("%, mean over runs", *(CALLED.get(arm, arm) for arm in arms)), rows, title)


def longer_table(record: Mapping[str, Any], outcomes: Sequence[str], title: str) -> Twin:
    """The longer run, before and after, in percent with intervals over pictures; see `maintenance/med_longer.py`."""
    rows = []
    for outcome in outcomes:
        one = record["outcomes"][outcome]
        sides = [(one[when]["score"], one[when]["ci"]) for when in ("before", "after")]
        cells = [f"{100 * score:.1f} [{100 * ci[0]:.1f}, {100 * ci[1]:.1f}]" for score, ci in sides]
        rows.append((f"{OUTCOMES[outcome].label} ({side_of(OUTCOMES[outcome]).split()[0]})", *cells))
    return table(("%", "base", "after the longer run"), rows, title)

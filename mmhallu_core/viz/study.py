"""MED's study to look at: contrasts with their intervals, single runs as dots, and what a single run can show.

Everything is drawn from a summary of the records (`studies/med/summary.py`). A contrast that was not run keeps its row
and says so. Each figure comes with its alt text and its table (`viz/twins.py`); what a row comes to is written as a
word, in the figure and in the table.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mmhallu_core.studies.med.plan import PRIMARY, SMALL
from mmhallu_core.studies.med.summary import LESS, NOT_RUN, verdict
from mmhallu_core.studies.what_made_it_work import scores_of
from mmhallu_core.viz.scores import shown
from mmhallu_core.viz.style import BLUE, GREEN, GREY, INK, ORANGE, PINK, VERMILLION, WIDTH
from mmhallu_core.viz.twins import Twin, table, with_twin

NAMES = {
    "chair_matched": "CHAIR_i at matched recall", "pope_adversarial_f1": "F1, adversarial POPE",
    "med_tiny": "MED-tiny, by likelihood", "med_tiny_letters": "MED-tiny, by letter", "chair_i": "CHAIR_i",
    "chair_s": "CHAIR_s", "recall": "recall of captions", "both_right": "MED-tiny, right in both orders",
    "stays_right": "right ones that stay right when swapped",
    "same_asserts_a_difference": "one picture twice: asserts a difference",
    "told_apart": "pair and same picture twice told apart",
    "routed_both_right": "asked of either picture: both right",
    "pope_adversarial_accuracy": "accuracy, adversarial POPE",
}  # fmt: skip
LOOKS = {
    "base-tiny-llava": (GREY, "s"), "clean": (GREEN, "^"), "shuffled": (ORANGE, "v"), "noisy": (PINK, "P"),
    "med": (BLUE, "o"),
}  # fmt: skip
BASE = "base-tiny-llava"
CALLED = {BASE: "base"}
SIDE = {True: "less is better", False: "more is better"}


def word_of(found: Mapping[str, Any], name: str, outcome: str) -> str:
    """What a contrast comes to, by the rule of `studies/med/plan.py`, in a word.

    "better" is what the rule calls *holds* when a gain is claimed; "worse" and "too small" (to matter) are its two
    ways not to hold. Of one seed nothing is decided.
    """
    row = {**found["contrasts"], **found["other_pairs"]}.get(name, NOT_RUN)
    if row == NOT_RUN:
        return NOT_RUN
    row = row[outcome]
    if row["difference"] is None:
        return "no score"
    if len(row["seeds"]) == 1:
        return "one seed"
    p = row["p"]
    if name == "med - clean" and outcome in found["primary"]:
        p = found["primary"][outcome]["corrected"]
    said = verdict(row, outcome, p)
    if said == "does not hold":
        below = max(row["ci"]) < 0 if outcome not in LESS else min(row["ci"]) > 0
        return "worse" if below else "too small"
    return {"holds": "better"}.get(said, said)


def forest_figure(
    found: Mapping[str, Any],
    names: Sequence[str],
    title: str,
    each: Mapping[str, Mapping[str, Mapping[int, float]]] | None = None,
    outcomes: Sequence[str] = PRIMARY,
) -> Twin:
    """Contrasts with their intervals, a panel for each outcome, one below the other.

    A diamond is the mean over seeds, its line the 95% interval of runs and pictures; a hollow square is one seed, its
    interval of pictures alone. Small dots are the single seeds. The grey band is what nobody would miss.

    Args:
        found: a summary.
        names: of its contrasts, from top to bottom.
        title: what is compared, and the kind of evidence.
        each: contrast to outcome to seed to difference, for the dots.
        outcomes: what is drawn; `found` has them in all the contrasts.
    """
    rows = {**found["contrasts"], **found["other_pairs"]}
    figure = Figure(figsize=(WIDTH, (0.27 * len(names) + 0.75) * len(outcomes) + 0.6), layout="constrained")
    panels = np.atleast_1d(figure.subplots(len(outcomes), 1))
    labels = [name.replace("tiny-llava-", "") for name in names]
    cells = []
    for axes, outcome in zip(panels, outcomes, strict=True):
        small = 100 * SMALL[outcome]
        axes.axvspan(-small, small, color=GREY, alpha=0.25, linewidth=0)
        axes.axvline(0, color=INK, linewidth=1)
        for place, name in enumerate(names):
            said = word_of(found, name, outcome)
            row = None if rows.get(name, NOT_RUN) == NOT_RUN else rows[name][outcome]
            cells.append((name, NAMES[outcome], *in_words(row), said))
            n = len(row["seeds"]) if row else 0
            beside = f"{said}, n={n}" if n > 1 else said
            axes.text(1.02, place, beside, va="center", fontsize=9, transform=axes.get_yaxis_transform())
            if row is None or row["difference"] is None:
                continue
            _bar(axes, place, row)
            dots = (each or {}).get(name, {}).get(outcome, {})
            if len(dots) > 1:
                points = [100 * value for value in dots.values()]
                axes.plot(points, [place + 0.22] * len(points), ".", color=VERMILLION, markersize=5, zorder=3)
        edge = max(3 * small, *(abs(one) for one in axes.get_xlim()))
        axes.set(yticks=range(len(names)), yticklabels=labels, ylim=(len(names) - 0.4, -0.6), xlim=(-edge, edge))
        axes.set_title(NAMES[outcome], loc="left", fontweight="bold")
        axes.set_xlabel(f"points; {SIDE[outcome in LESS]}")
        axes.grid(axis="y", visible=False)
    _keys(figure, bool(each))
    alt = f"Differences of arms with 95% intervals, around a line at zero. {_sorted(cells, outcomes)}"
    heads = ("contrast", "outcome", "points, 95% interval", "seeds", "p, not corrected", "reads as")
    return with_twin(figure, alt, table(heads, cells, title))


def _sorted(cells: Sequence[tuple[str, ...]], outcomes: Sequence[str]) -> str:
    """The finding of each outcome: which contrasts read as what."""
    said = []
    for outcome in outcomes:
        words: dict[str, list[str]] = {}
        for name, what, *_, word in cells:
            if what == NAMES[outcome]:
                words.setdefault(word, []).append(name)
        parts = "; ".join(f"{word}: {', '.join(some)}" for word, some in words.items())
        said.append(f"{NAMES[outcome]} ({SIDE[outcome in LESS]}): {parts}.")
    return " ".join(said)


def in_words(row: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """Difference with interval, number of seeds and p of a contrast; p is that of the row, not corrected."""
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


def _keys(figure: Figure, dots: bool) -> None:
    """What the marks mean."""
    axes = figure.axes[0]
    axes.plot([], [], "D-", color=BLUE, markersize=5, label="mean over seeds, runs and pictures")
    axes.plot([], [], "s-", color=GREY, markersize=5, markerfacecolor="none", label="one seed, pictures alone")
    if dots:
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
            cells.append((CALLED.get(arm, arm), NAMES[outcome], mean, spread, str(len(values))))
            if not values:
                axes.text(0.02, place, NOT_RUN, va="center", fontsize=9, transform=axes.get_yaxis_transform())
                continue
            axes.plot(values, [place] * len(values), marker, color=colour, markersize=7, alpha=0.7)
            axes.plot([np.mean(values)] * 2, [place - 0.3, place + 0.3], color=INK, linewidth=2)
        labels = [CALLED.get(arm, arm) for arm in arms]
        axes.set(yticks=range(len(arms)), yticklabels=labels, ylim=(len(arms) - 0.4, -0.6))
        axes.set_title(NAMES[outcome], loc="left", fontweight="bold")
        axes.set_xlabel(f"%; {SIDE[outcome in LESS]}")
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
        rows.append((NAMES[outcome], mean, str(one["pairs"]), str(one["other_side"]) if one["pairs"] else NOT_RUN))
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
        rows.append((f"{NAMES[outcome]} ({SIDE[outcome in LESS].split()[0]})", *cells))
    return table(("%, mean over runs", *(CALLED.get(arm, arm) for arm in arms)), rows, title)


def longer_table(record: Mapping[str, Any], outcomes: Sequence[str], title: str) -> Twin:
    """The longer run, before and after, in percent with intervals over pictures; see `studies/med/longer.py`."""
    rows = []
    for outcome in outcomes:
        one = record["outcomes"][outcome]
        sides = [(one[when]["score"], one[when]["ci"]) for when in ("before", "after")]
        cells = [f"{100 * score:.1f} [{100 * ci[0]:.1f}, {100 * ci[1]:.1f}]" for score, ci in sides]
        rows.append((f"{NAMES[outcome]} ({SIDE[outcome in LESS].split()[0]})", *cells))
    return table(("%", "base", "after the longer run"), rows, title)

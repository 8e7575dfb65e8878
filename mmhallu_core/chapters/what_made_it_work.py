"""What the chapter *What made it work?* takes from the records of MED's study, and shows.

Everything comes from the letters of the records (`studies/engine/exam.py`) and from their summary
(`studies/engine/summary.py`): nothing is trained, no model is asked. What was not run keeps its row and says so. What
a row comes to is written as a word, in the figure and in its table.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mmhallu_core.evaluate import contrast as contrast_sets
from mmhallu_core.evaluate.benchmarks.med_tiny import SEED
from mmhallu_core.evaluate.contrast.controls import best_from_one
from mmhallu_core.store import results_folder
from mmhallu_core.studies.engine.outcomes import OUTCOMES, Answers, Outcome, by_category
from mmhallu_core.studies.engine.study import Check, Study
from mmhallu_core.studies.engine.summary import NOT_RUN, Records, checked, checks, read, verdict
from mmhallu_core.studies.med import NUMBERS, runs
from mmhallu_core.types import CATEGORIES
from mmhallu_core.viz.scores import shown
from mmhallu_core.viz.style import BLUE, GREEN, GREY, INK, ORANGE, VERMILLION, WIDTH
from mmhallu_core.viz.twins import Twin, one_panel, reach, table, with_twin

COMMAND = "mmhallu study med --out runs/med --keep results/med/runs"
LOOKS = {"base-tiny-llava": (GREY, "s"), "clean": (GREEN, "^"), "shuffled": (ORANGE, "v"), "med": (BLUE, "o")}
BASE = "base-tiny-llava"
CALLED = {BASE: "base"}
CHANCE = 1 / 4


def recorded_runs() -> tuple[dict[str, dict[str, Any]], str]:
    """The records that are here, id to record, and a sentence that says how many of the plan they are.

    Raises:
        CannotRun: see `summary.read`.
    """
    records = read(results_folder() / "med" / "runs")
    planned = [run.id for run in runs()]
    there = sum(name in records for name in planned)
    return records, f"RECORDED by: {COMMAND}\n{there} of {len(planned)} planned runs are here."


def categories(records: Records) -> dict[str, dict[str, float]]:
    """Run to its shares of right answers on MED-tiny, category by category."""
    return {key: by_category(one["answers"]) for key, one in records.items() if "captions" in one["answers"]}


def runs_of(runs: Iterable[str], arm: str) -> list[str]:
    """The ids of an arm's runs: its name alone, or with a seed at its end."""
    return [name for name in runs if name == arm or name.removeprefix(f"{arm}-").isdigit()]


def scores_of(found: Mapping[str, Any], arm: str, outcome: str) -> list[float]:
    """The scores of an arm's runs in a summary; none where it was not run."""
    values = [found["runs"][name][outcome] for name in runs_of(found["runs"], arm)]
    return [value for value in values if value is not None]


def one_picture_bound(per_category: int = NUMBERS.per_category) -> dict[str, float]:
    """Category to the best share that anybody gets on MED-tiny who sees one picture, the one that tells more."""
    items = contrast_sets.items(SEED, per_category)
    first, second = (best_from_one(items, place) for place in (0, 1))
    return {name: max(first[name], second[name]) for name in CATEGORIES}


def made_up(right: float, questions: int, rng: np.random.Generator) -> dict[str, str]:
    """Letters of a run that never was: each of its questions is right with the same chance."""
    return {"sum": "".join("1" if one else "0" for one in rng.random(questions) < right)}


def arm_of(right: float, spread: float, seeds: int, questions: int, rng: np.random.Generator) -> dict[int, Answers]:
    """Seed to letters of runs that never were, whose chances to be right lie around `right` with that spread."""
    chances = np.clip(right + spread * rng.standard_normal(seeds), 0, 1)
    return {seed: made_up(float(chance), questions, rng) for seed, chance in enumerate(chances)}


def two_runs(records: Records, first: str, second: str) -> tuple[Answers, Answers, str]:
    """The answers of two runs, or made-up letters where one is not recorded, and a sentence that says which."""
    if first in records and second in records:
        return records[first]["answers"], records[second]["answers"], f"From the records of {first} and {second}."
    rng, questions = np.random.default_rng(0), NUMBERS.per_category * len(CATEGORIES)
    a, b = (made_up(right, questions, rng) for right in (0.45, 0.5))
    return a, b, f"SIMULATED, not measured: {first} and {second} are not recorded here."


# ---------------------------------------------------------------- figures


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
        study, found: the plan and its summary.
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
    middle, ends = 100 * row["difference"], [100 * side for side in row["ci"]]
    alone = len(row["seeds"]) == 1
    axes.errorbar(
        [middle], [place], xerr=reach([middle], [ends]), color=GREY if alone else BLUE, capsize=2,
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
    figure, axes = one_panel(0.36 * len(bounds) + 1.5)
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

"""A published table and what it depends on: figures and tables of the chapter *Reproduce a table*.

Every function takes what `studies.reproduce_table` measured or recorded. A model has the same colour, marker and line
in all of them.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmhallu_core.evaluate.chair_tables import apart
from mmhallu_core.viz.scores import score_of, shown
from mmhallu_core.viz.style import BLUE, GREEN, INK, ORANGE, PINK, VERMILLION, WIDTH
from mmhallu_core.viz.twins import Twin, mark, one_panel, slider, table, with_twin

LOOKS = ((GREEN, "s", "-"), (BLUE, "o", "--"), (ORANGE, "^", "-."), (VERMILLION, "D", ":"), (PINK, "P", (0, (5, 1))))
NAMES = {"chair_i": "CHAIR_i", "chair_s": "CHAIR_s", "recall": "recall"}
Rows = Mapping[str, Mapping[str, Any]]  # model, or another name, to its scores


def printed_figure(printed: Rows, title: str) -> Twin:
    """The printed scores against the printed lengths: nothing here was measured by us.

    Args:
        printed: model to `{chair_i, chair_s}` in percent and `mean_length` in words.
        title: of the table.
    """
    figure, axes = one_panel(3.2)
    for (name, row), (colour, marker, _) in zip(printed.items(), LOOKS, strict=False):
        axes.plot(row["mean_length"], row["chair_s"], marker, color=colour, markersize=9)
        right = row["mean_length"] < 60
        axes.annotate(
            name, (row["mean_length"], row["chair_s"]), (8 if right else -8, 0), textcoords="offset points",
            ha="left" if right else "right", va="center",
        )  # fmt: skip
    axes.set(xlabel="printed mean length, words", ylabel="printed CHAIR_s, %", xlim=(0, 130), ylim=(0, 90))
    rows = [
        (name, *(f"{row[key]:.1f}" for key in ("chair_i", "chair_s", "mean_length"))) for name, row in printed.items()
    ]
    longest = sorted(printed, key=lambda name: printed[name]["mean_length"])
    told = ", ".join(
        f"{name} {printed[name]['mean_length']:.1f} and {printed[name]['chair_s']:.1f}" for name in longest
    )
    alt = f"Five points, one for each model, by printed mean length in words and printed CHAIR_s in percent: {told}."
    return with_twin(figure, alt, table(("model", "CHAIR_i, %", "CHAIR_s, %", "words"), rows, title))


def side_by_side(printed: Rows, measured: Rows, title: str) -> Twin:
    """The printed numbers beside ours, which have intervals: a row for each model.

    Args:
        printed: as for `printed_figure`.
        measured: what `chair_tables.table` returned.
        title: what is compared; the kind of evidence is part of it.
    """
    rows = []
    for name, one in measured.items():
        cells = []
        for score in ("chair_i", "chair_s", "mean_length"):
            cells += [f"{printed[name][score]:.1f}", score_of(one, score, 2)]
        rows.append((name, *cells))
    heads = ("model", "CHAIR_i printed", "measured", "CHAIR_s printed", "measured", "words printed", "measured")
    return table(heads, rows, title)


def pairs_table(pairs: Rows, title: str) -> Twin:
    """Every two models photo by photo, in points: a row for each pair, and whether the two are told apart."""
    rows = []
    for name, one in pairs.items():
        cells = [shown((one[score]["difference"], one[score]["ci"])) for score in ("chair_i", "chair_s")]
        both = [NAMES[score] for score in ("chair_i", "chair_s") if apart(one[score])]
        rows.append((name, *cells, " and ".join(both) if both else "no"))
    return table(("second minus first, points", "CHAIR_i", "CHAIR_s", "told apart by"), rows, title)


def cuts_slider(lengths: Mapping[str, Any], start: str, title: str) -> Twin:
    """CHAIR of captions cut to their first words: a curve with its band for each model, and a slider over the cut.

    Args:
        lengths: what `studies.reproduce_table.curves` measured, the cut in words or "all" to its `models`.
        start: the cut at which the slider stands first.
        title: of the tables.
    """
    figure = Figure(figsize=(WIDTH, 6.0), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    models = list(next(iter(lengths.values()))["models"])
    for axes, score in zip(panels, ("chair_i", "chair_s"), strict=True):
        for name, look in zip(models, LOOKS, strict=False):
            _curve(axes, [one["models"][name] for one in lengths.values()], score, name, look)
        axes.set(ylabel=f"{NAMES[score]}, %")
        axes.set_ylim(bottom=0)
    panels[1].set(xlabel="words that were left of each caption", xticks=range(len(lengths)), xticklabels=list(lengths))
    for number in range(len(lengths)):
        mark(panels, number, number)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    stops = {_words(cut): (_sentence(cut, one["models"]), _cut_table(cut, one["models"], title))
             for cut, one in lengths.items()}  # fmt: skip
    return slider(figure, _cuts_alt(lengths), "Words left of each caption:", stops, list(lengths).index(start),
                  _all_cuts(lengths, title))  # fmt: skip


def _curve(axes: Axes, rows: Sequence[Mapping[str, Any]], score: str, name: str, look: tuple) -> None:
    colour, marker, line = look
    values = [100 * row[score] for row in rows]
    low, high = ([100 * row["ci"][score][side] for row in rows] for side in (0, 1))
    axes.plot(values, color=colour, marker=marker, linestyle=line, markersize=5, label=name)
    axes.fill_between(range(len(rows)), low, high, color=colour, alpha=0.2, linewidth=0)


def _words(cut: str) -> str:
    return "all words" if cut == "all" else f"{cut} words"


def _sentence(cut: str, models: Rows) -> str:
    order = sorted(models, key=lambda name: models[name]["chair_i"])
    told = ", ".join(f"{name} {100 * models[name]['chair_i']:.1f}" for name in order)
    return f"{_words(cut).capitalize()}: CHAIR_i in percent, from low to high: {told}."


def _cut_table(cut: str, models: Rows, title: str) -> Twin:
    rows = [
        (name, *(score_of(one, score) for score in NAMES), shown((one["cut"], None))) for name, one in models.items()
    ]
    return table(("percent", "CHAIR_i", "CHAIR_s", "recall", "captions cut"), rows, f"{title}; {_words(cut)}")


def _all_cuts(lengths: Mapping[str, Any], title: str) -> Twin:
    rows = [
        (f"{name}, {_words(cut)}", *(score_of(row, score) for score in NAMES))
        for cut, one in lengths.items()
        for name, row in one["models"].items()
    ]
    return table(("percent", "CHAIR_i", "CHAIR_s", "recall"), rows, title)


def _cuts_alt(lengths: Mapping[str, Any]) -> str:
    first, last = next(iter(lengths)), list(lengths)[-1]
    parts = [
        f"{name} from {100 * row['chair_i']:.0f} and {100 * row['chair_s']:.0f} to "
        f"{100 * lengths[last]['models'][name]['chair_i']:.0f} and {100 * lengths[last]['models'][name]['chair_s']:.0f}"
        for name, row in lengths[first]["models"].items()
    ]
    return (
        "Two panels, CHAIR_i and CHAIR_s in percent, with a line and a band for each model, against the number of "
        f"words left of each caption. From {_words(first)} to {_words(last)} the two go: {'; '.join(parts)}."
    )


def choices_figure(choices: Mapping[str, Any], crowd: Rows, whole: Rows, title: str) -> Twin:
    """CHAIR_s of other choices of photos: random ones, and those with the fewest and the most objects.

    Args:
        choices: what `chair_tables.choices` returned.
        crowd: what `chair_tables.by_crowd` returned.
        whole: what `chair_tables.table` returned for all photos.
        title: of the table.
    """
    figure, axes = one_panel(4.0)
    rows, told = [], []
    for number, name in enumerate(whole):
        least, low, _, high, most = (100 * value for value in choices["models"][name]["chair_s"])
        ends = [100 * one["models"][name]["chair_s"] for one in crowd.values()]
        axes.plot([least, most], [number] * 2, color=INK, linewidth=1, label="all choices")
        axes.plot([low, high], [number] * 2, color=BLUE, linewidth=7, solid_capstyle="butt", label="95% of choices")
        place = {"color": INK, "markersize": 16, "markeredgewidth": 2, "linestyle": "none", "label": "all photos"}
        axes.plot(100 * whole[name]["chair_s"], number, "|", **place)
        for value, marker, photos in zip(ends, ("<", ">"), crowd, strict=True):
            axes.plot(value, number, marker, color=VERMILLION, markersize=8, linestyle="none", label=photos)
        rows.append((name, f"{100 * whole[name]['chair_s']:.1f}", f"{low:.1f} to {high:.1f}",
                     f"{least:.1f} to {most:.1f}", *(f"{value:.1f}" for value in ends)))  # fmt: skip
        told.append(f"{name}: {low:.0f} to {high:.0f}, fewest objects {ends[0]:.0f}, most objects {ends[1]:.0f}")
    axes.set(yticks=range(len(whole)), yticklabels=list(whole), xlabel="CHAIR_s, %", xlim=(0, 100))
    axes.set_ylim(len(whole) - 0.5, -0.5)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[: 3 + len(crowd)], labels[: 3 + len(crowd)], loc="outside lower center", ncols=2)
    alt = (
        f"For each model, the range of CHAIR_s in percent over random choices of {choices['size']} photos: a bar for "
        f"95% of them, a thin line from the lowest to the highest; and two triangles, for the photos with the fewest "
        f"and with the most objects. {'; '.join(told)}."
    )
    heads = ("CHAIR_s, %", "all photos", "95% of choices", "all choices", *crowd)
    return with_twin(figure, alt, table(heads, rows, title))


def turned_table(choices: Mapping[str, Any], title: str) -> Twin:
    """How often a random choice of photos turns the order of two models: pairs that never turn are left out.

    Args:
        choices: number of photos to what `chair_tables.choices` returned.
        title: what is shown.
    """
    pairs = next(iter(choices.values()))["turned"]
    rows = []
    for score, pair in itertools.product(("chair_i", "chair_s"), pairs):
        shares = [one["turned"][pair][score] for one in choices.values()]
        if any(shares):
            rows.append((f"{pair}, {NAMES[score]}", *(f"{100 * share:.1f}" for share in shares)))
    for score in ("chair_i", "chair_s"):
        orders = (f"{100 * (1 - one['order'][score]):.1f}" for one in choices.values())
        rows.append((f"any of the ten pairs, {NAMES[score]}", *orders))
    return table(("order turned, % of choices", *(f"{size} photos" for size in choices)), rows, title)


def change_table(models: Rows, change: Rows, scores: Sequence[str], title: str) -> Twin:
    """Scores, and how they differ from another way of doing it, item by item: a row for each name.

    Args:
        models: name to what `chair_tables.table` returned.
        change: name to what `chair_tables.change` returned; a name without one is what the others are compared with.
        scores: which ones.
        title: what is compared with what, and the kind of evidence.
    """
    rows = []
    for name, one in models.items():
        cells = []
        for score in scores:
            scale = 1 if score == "mean_length" else 100
            cells.append(score_of(one, score))
            moved = change.get(name)
            cells.append(shown((moved[score]["difference"], moved[score]["ci"]), scale, 2) if moved else "")
        rows.append((name, *cells))
    named = {"mean_length": "words", **{score: f"{name}, %" for score, name in NAMES.items()}}
    heads = [head for score in scores for head in (named[score], "change")]
    return table(("95% intervals in brackets", *heads), rows, title)


def asked_table(rows: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any] | None]], title: str) -> Twin:
    """What POPE's questions ask, by sampling.

    Args:
        rows: name to what `reproduce_table.asked` returned, and a model's `score_pope` on the same kind of questions,
            or None where no model answered.
        title: what is shown.
    """
    cells = []
    for name, (one, scored) in rows.items():
        model = (scored["strict"]["accuracy"], scored["ci"]["strict"]["accuracy"]) if scored else None
        blind = (one["name_alone"]["accuracy"], one["name_alone"]["ci"])
        cells.append((
            name, str(one["questions"]), f"{100 * one['yes']:.1f}", str(one["objects"]), f"{100 * one['five']:.1f}",
            shown(blind), shown(model) if model else "not asked",
        ))  # fmt: skip
    heads = ("sampling", "questions", "labelled yes, %", "absent objects", "five most asked, %",
             "right by name alone, %", "tiny-llava right, %")  # fmt: skip
    return table(heads, cells, title)

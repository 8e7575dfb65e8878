"""Figures of hallucination profiles: several models, four questions, one look.

Models on photos are drawn alike, in blue with a marker each; the model that is compared with them stands out by its
marker, its line and its place as well as by its colour. Every function returns the figure with its words and its
table (`twins.with_twin`).
"""

from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmhallu_core.evaluate.profile import QUESTIONS, side
from mmhallu_core.viz.style import BLUE, INK, ORANGE, WIDTH
from mmhallu_core.viz.twins import Twin, table, with_twin

ASKED = {
    "length": "In the longer caption?",
    "position": "Named later?",
    "frequency": "The more frequent object?",
    "company": "Fits the company better?",
}
AXES = {
    "length": "from short to long captions",
    "position": "from first to last words",
    "frequency": "from rare to frequent objects",
    "company": "from odd to usual company",
}
IN_WORDS = {"above": "more often than not", "below": "less often than not", "open": "not decided"}
MARKERS = ("s", "D", "^", "v", "P")
Profiles = dict[str, dict]


def chances(photos: Profiles, ours: Profiles) -> Twin:
    """The chance that the answer is yes, with its interval: a panel for each question, a row for each model.

    Args:
        photos: name to profile, models on photos.
        ours: name to profile, the models that are compared with them.
    """
    names = [*photos, *ours]
    figure = Figure(figsize=(WIDTH, 5.0), layout="constrained")
    for axes, question in zip(figure.subplots(2, 2, sharex=True, sharey=True).ravel(), QUESTIONS, strict=True):
        axes.axvline(0.5, color=INK, linewidth=1)
        for row, name in enumerate(names):
            answer = (photos | ours)[name][question]
            if answer["chance"] is None:
                continue
            colour, marker = (BLUE, MARKERS[row % len(MARKERS)]) if name in photos else (ORANGE, "o")
            spread = [[answer["chance"] - answer["ci"][0]], [answer["ci"][1] - answer["chance"]]]
            axes.errorbar(answer["chance"], row, xerr=spread, fmt=marker, color=colour, markersize=7, linewidth=2)
        axes.set(title=fill(ASKED[question], 16), yticks=range(len(names)), yticklabels=names)
        axes.set(xlim=(0, 1), xticks=(0, 0.5, 1), ylim=(len(names) - 0.5, -0.5))
    figure.supxlabel("chance that the answer is yes; 0.5 is no difference", fontsize=10.5)
    return with_twin(figure, chances_alt(photos, ours), chances_table(photos, ours))


def chances_alt(photos: Profiles, ours: Profiles) -> str:
    """What `chances` shows, in words, from the numbers."""
    parts = []
    for question in QUESTIONS:
        sides = [side(one[question]) for one in photos.values()]
        counts = ", ".join(f"{IN_WORDS[name]} for {sides.count(name)}" for name in IN_WORDS if name in sides)
        own = "; ".join(f"{name}: {IN_WORDS[side(one[question])]}" for name, one in ours.items())
        parts.append(f"{ASKED[question]} Of {len(sides)} models on photos: {counts}. {own}.")
    return "Four panels, one for each question, with a point and an interval for each model. " + " ".join(parts)


def chances_table(photos: Profiles, ours: Profiles) -> Twin:
    """The numbers of `chances`."""
    rows = []
    for name, one in (photos | ours).items():
        cells = [
            "none" if answer["chance"] is None else
            f"{answer['chance']:.2f} [{answer['ci'][0]:.2f}, {answer['ci'][1]:.2f}] n={answer['n']}"
            for answer in (one[question] for question in QUESTIONS)
        ]  # fmt: skip
        rows.append((name, *cells))
    title = "Chance that the answer is yes, with 95% interval; n is the number of wrong things compared"
    return table(("model", *(ASKED[question] for question in QUESTIONS)), rows, title)


def overall(answer: dict) -> float | None:
    """The rate of all fifths together."""
    wrong = sum(fifth["n"] * fifth["value"] for fifth in answer["fifths"] if fifth["n"])
    total = sum(fifth["n"] for fifth in answer["fifths"])
    return wrong / total if total else None


def rates(photos: Profiles, ours: Profiles) -> Twin:
    """The rates by fifth, each model relative to its own average, so that shapes can be compared.

    Args:
        photos: name to profile, models on photos.
        ours: name to profile, the models that are compared with them.
    """
    figure = Figure(figsize=(WIDTH, 5.4), layout="constrained")
    for axes, question in zip(figure.subplots(2, 2).ravel(), QUESTIONS, strict=True):
        axes.axhline(1, color=INK, linewidth=1)
        for row, (name, one) in enumerate((photos | ours).items()):
            _line(axes, one[question], name, row, name in ours)
        axes.set(title=question.capitalize(), xlabel=fill(AXES[question], 20), xticks=range(1, 6))
        axes.set_ylim(bottom=0)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    figure.supylabel("times the model's own average", fontsize=10.5)
    return with_twin(figure, rates_alt(photos, ours), rates_table(photos, ours))


def _line(axes: Axes, answer: dict, name: str, row: int, ours: bool) -> None:
    average = overall(answer)
    if not average:
        return
    count = len(answer["fifths"])  # few distinct lengths give fewer groups; they still span the axis
    places = [1 + 4 * k / max(count - 1, 1) for k in range(count)]
    points = [(x, fifth["value"] / average) for x, fifth in zip(places, answer["fifths"], strict=True) if fifth["n"]]
    look = {"color": ORANGE, "marker": "o", "linewidth": 3} if ours else {
        "color": BLUE, "marker": MARKERS[row % len(MARKERS)], "linewidth": 1, "linestyle": "--",
    }  # fmt: skip
    axes.plot(*zip(*points, strict=True), label=name, markersize=5, **look)


def rates_alt(photos: Profiles, ours: Profiles) -> str:
    """What `rates` shows, in words: for each question, who rises from the first group to the last."""
    parts = []
    for question in QUESTIONS:
        rising = [name for name, one in (photos | ours).items() if _rises(one[question])]
        others = [name for name in photos | ours if name not in rising]
        parts.append(
            f"{question.capitalize()} ({AXES[question]}): higher at the end for {', '.join(rising) or 'none'}; "
            f"not for {', '.join(others) or 'none'}."
        )
    return "Four panels with a line for each model, relative to its own average. " + " ".join(parts)


def _rises(answer: dict) -> bool:
    known = [fifth["value"] for fifth in answer["fifths"] if fifth["n"]]
    return len(known) > 1 and known[-1] > known[0]


def rates_table(photos: Profiles, ours: Profiles) -> Twin:
    """The rates behind `rates`, in percent, with the interval of the last group."""
    rows = []
    for question in QUESTIONS:
        for name, one in (photos | ours).items():
            values = [f"{100 * f['value']:.2f}" if f["n"] else "none" for f in one[question]["fifths"]]
            last = one[question]["fifths"][-1]["ci"]
            spread = f"[{100 * last[0]:.2f}, {100 * last[1]:.2f}]" if last else "none"
            rows.append((f"{question}, {name}", ", ".join(values), spread))
    title = "Percent wrong, from the first group to the last, and the 95% interval of the last"
    return table(("question, model", "groups in order", "last group's interval"), rows, title)

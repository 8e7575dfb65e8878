"""Scores side by side, each with its interval, and hallucination profiles: several models, four questions, one look.

Of the profiles, models on photos are drawn alike, in blue with a marker each; the model that is compared with them
stands out by its marker, its line and its place as well as by its colour. A table's or figure's `title` says what is
compared, and the kind of evidence.
"""

import html
from collections.abc import Mapping
from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmhallu_core.evaluate.audit import WORDING, apart
from mmhallu_core.evaluate.profile import QUESTIONS, agreement, side
from mmhallu_core.viz.style import BLUE, INK, ORANGE, WIDTH
from mmhallu_core.viz.twins import NOTE, Twin, reach, table, with_twin

Score = tuple[float | None, list[float] | None]  # a value and its 95% interval
CHAIR_ROWS = {"CHAIR_i, %": "chair_i", "CHAIR_s, %": "chair_s", "recall, %": "recall", "words a caption": "mean_length"}
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


def shown(score: Score, scale: int | float = 100, digits: int = 1) -> str:
    """ "7.5 [6.0, 9.1]", scaled; "none" where nothing was counted."""
    value, interval = score
    if value is None:
        return "none"
    spread = "" if interval is None else f" [{scale * interval[0]:.{digits}f}, {scale * interval[1]:.{digits}f}]"
    return f"{scale * value:.{digits}f}{spread}"


def score_of(one: Mapping[str, Any], name: str, digits: int = 1) -> str:
    """A score of what `score_chair` and its kin return, with its interval: in percent, or in words a caption."""
    return shown((one[name], one["ci"][name]), 1 if name == "mean_length" else 100, digits)


def chair_table(columns: Mapping[str, Mapping[str, Any]], title: str) -> Twin:
    """CHAIR's numbers for several captioners, one column each.

    Args:
        columns: heading to what `score_chair` returned.
        title: what is compared; the kind of evidence is part of it.
    """
    rows = [("captions", *(str(one["n"]) for one in columns.values()))]
    for heading, name in CHAIR_ROWS.items():
        rows.append((heading, *(score_of(one, name) for one in columns.values())))
    return table(("95% intervals in brackets", *columns), rows, title)


def dial_table(columns: Mapping[str, Mapping[str, Any]], title: str) -> Twin:
    """What `evaluate.diorama.evaluate` measured, one column for each model."""
    rows = [("scenes", *(str(one["scenes"]) for one in columns.values()))]
    for heading, name in CHAIR_ROWS.items():
        rows.append((heading, *(score_of(one["chair"], name) for one in columns.values())))
    for sampling in ("random", "adversarial"):
        cells = []
        for one in columns.values():
            pope = one["pope"][sampling]
            cells.append(shown((pope["strict"]["accuracy"], pope["ci"]["strict"]["accuracy"])))
        rows.append((f"POPE {sampling}, accuracy %", *cells))
    ratios = [shown((one["place"]["ratio"], one["place"]["ci"]), 1) for one in columns.values()]
    rows.append(("place makes it likely, times chance", *ratios))
    return table(("95% intervals in brackets", *columns), rows, title)


def reported_table(models: Mapping[str, Mapping[str, Any]], title: str) -> Twin:
    """Printed CHAIR scores beside ours, a row for each model.

    Args:
        models: name to `{reported: {chair_i, chair_s} in percent, chair: what score_chair returned}`.
        title: what is compared.
    """
    rows = []
    for name, one in models.items():
        chair, cells = one["chair"], []
        for score in ("chair_i", "chair_s"):
            low, high = chair["ci"][score]
            measured = f"{100 * chair[score]:.2f} [{100 * low:.1f}, {100 * high:.1f}]"
            cells += [f"{one['reported'][score]:.1f}", measured]
        rows.append((name, *cells, shown((chair["mean_length"], None), 1)))
    heads = ("CHAIR_i reported", "measured", "CHAIR_s reported", "measured", "words")
    return table(("model", *heads), rows, title)


def agreement_table(photos: Mapping[str, Mapping[str, Any]], ours: Mapping[str, Any], title: str) -> Twin:
    """The verdict on each question, with the sides that it rests on.

    Args:
        photos: name to profile, models on photos.
        ours: the profile that is compared with them.
        title: what is compared.
    """
    verdicts, rows = agreement(list(photos.values()), ours), []
    for question in QUESTIONS:
        sides = [side(one[question]) for one in photos.values()]
        counts = ", ".join(f"{sides.count(name)} {words}" for name, words in IN_WORDS.items() if name in sides)
        rows.append((ASKED[question], counts, IN_WORDS[side(ours[question])], verdicts[question]))
    return table(("is the wrong one", "models on photos", "tiny-llava", "verdict"), rows, title)


BLIND_RULES = {
    "most_similar_jaccard": "take the option that shares most words with the others",
    "most_similar_edit": "take the option from which the others are reached by fewest changes",
    "whitespace_then_jaccard": "take the one option without a blank at its end; else as by shared words",
    "longest": "take the longest option",
}


def audit_table(record: Mapping[str, Any], title: str) -> Twin:
    """Blind rules beside chance, and what the benchmark's paper reports for those who saw the pictures.

    The letter that is right most often stands below the table: to know it, one has to read the answer key.

    Args:
        record: what `chapters.blind_audit` recorded.
        title: the benchmark, and the kind of evidence.
    """
    audit = record["audit"]
    rows = [("a guess", "nothing", shown((audit["chance"], None)))]
    own, key = apart(audit)
    for name, score in sorted(own.items(), key=lambda entry: (entry[0] not in WORDING, -entry[1])):
        sees = "the options" if name in WORDING else "the options, and blanks at their ends"
        rows.append((BLIND_RULES[name], sees, shown((score, audit["ci"][name]))))
    rows += [(name, "options, pictures (reported)", shown((score, None))) for name, score in record["reported"].items()]
    found, letter = table(("who answers", "sees", "right, %"), rows, title), audit["majority_letter"]
    (name, score), *_ = key.items()
    note = (
        f"Apart stands a rule that reads no option, but the answer key. It always says {letter}, the letter that is "
        f"right most often in this file: {shown((score, audit['ci'][name]))}."
    )
    return Twin(f'{found.html}<p style="{NOTE}">{html.escape(note)}</p>', f"{found.text}\n{note}")


# ---------------------------------------------------------------- profiles


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
            spread = reach([answer["chance"]], [answer["ci"]])
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

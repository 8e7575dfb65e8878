"""POPE by sampling, and one set of answers under eight rules: figures and tables of the chapter *Ask it*."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from mmhallu_core.evaluate.answers import Reading, Rule
from mmhallu_core.evaluate.pope import SAMPLINGS
from mmhallu_core.evaluate.replies import thing_asked
from mmhallu_core.types import YesNoQuestion
from mmhallu_core.viz.scores import shown
from mmhallu_core.viz.style import BLUE, GREEN, GREY, ORANGE
from mmhallu_core.viz.twins import Twin, one_panel, reach, table, with_twin

LOOKS = ((ORANGE, "o"), (BLUE, "s"), (GREY, "X"), (GREEN, "^"))
Pope = Mapping[str, Mapping[str, Any]]  # sampling to what `score_pope` returned


def pope_table(columns: Mapping[str, Pope], title: str, metrics: Sequence[str] = ("accuracy", "yes_ratio")) -> Twin:
    """Scores by sampling, strict reading, in percent: a row for each sampling and metric, a column for each answerer.

    Args:
        columns: heading to scores; all must have the three samplings.
        title: what is compared, and the kind of evidence.
        metrics: names of `score_pope`.
    """
    rows = [("questions, all three", *(str(sum(one[name]["n"] for name in SAMPLINGS)) for one in columns.values()))]
    for metric in metrics:
        for name in SAMPLINGS:
            cells = [
                shown((one[name]["strict"][metric], one[name]["ci"]["strict"][metric])) for one in columns.values()
            ]
            rows.append((f"{metric.replace('_', ' ')}, {name}", *cells))
    return table(("percent, 95% intervals", *columns), rows, title)


def pope_figure(columns: Mapping[str, Pope], title: str) -> Twin:
    """Accuracy by sampling with its interval, and the line of a coin.

    Args:
        columns: as in `pope_table`; at most four.
        title: of the table of numbers.
    """
    figure, axes = one_panel(3.4)
    axes.axhline(50, color="black", linewidth=1, linestyle=":")
    axes.text(-0.32, 50.6, "a coin", fontsize="small", va="bottom")
    for number, ((heading, scores), (colour, marker)) in enumerate(zip(columns.items(), LOOKS, strict=False)):
        places = [k + 0.12 * (number - (len(columns) - 1) / 2) for k in range(len(SAMPLINGS))]
        values = [100 * scores[name]["strict"]["accuracy"] for name in SAMPLINGS]
        spans = [[100 * end for end in scores[name]["ci"]["strict"]["accuracy"]] for name in SAMPLINGS]
        axes.errorbar(
            places, values, reach(values, spans), fmt=marker, color=colour, markersize=7, linewidth=2, label=heading
        )
    axes.set(xticks=range(len(SAMPLINGS)), xticklabels=SAMPLINGS)
    axes.set(ylabel="accuracy, %", xlabel="how absent objects are chosen")
    axes.set_xlim(-0.35, len(SAMPLINGS) - 0.65)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return with_twin(figure, _pope_alt(columns), pope_table(columns, title))


def _pope_alt(columns: Mapping[str, Pope]) -> str:
    parts = []
    for heading, scores in columns.items():
        said = ", ".join(f"{name} {100 * scores[name]['strict']['accuracy']:.0f}" for name in SAMPLINGS)
        parts.append(f"{heading}: {said}.")
    return "Accuracy in percent for three ways of choosing absent objects, with intervals. " + " ".join(parts)


def readings_table(rows: Mapping[str, Mapping[str, Reading]], title: str) -> Twin:
    """How each rule reads each reply: a row for each reply, a column for each rule.

    Args:
        rows: what `answers.readings` or `answers.disagreements` returned.
        title: what is shown.
    """
    names = list(next(iter(rows.values()), {}))
    cells = [(reply or "(nothing)", *(row[name] or "none" for name in names)) for reply, row in rows.items()]
    return table(("reply", *names), cells, title)


def asked_table(questions: Sequence[YesNoQuestion], replies: Mapping[tuple[str, str], str]) -> Twin:
    """What was asked about one picture, and answered: a row for each question, with the samplings that ask it.

    Args:
        questions: about one picture, of several samplings; their ids begin with the sampling.
        replies: (image id, question) to reply.
    """
    samplings: dict[str, list[str]] = {}
    labels = {question.question: question.label for question in questions}
    for question in questions:
        samplings.setdefault(question.question, []).append(question.id.partition("/")[0])
    image = questions[0].image_id
    rows = [
        (
            thing_asked(text)[0],
            labels[text],
            replies[image, text],
            "all" if len(asked) == len(SAMPLINGS) else ", ".join(asked),
        )
        for text, asked in sorted(samplings.items(), key=lambda pair: (labels[pair[0]] != "yes", -len(pair[1])))
    ]
    return table(("Is there ...", "truth", "reply", "asked in"), rows, f"Asked about {image}")


def false_yes_table(rates: Mapping[str, Mapping[str, Mapping[str, Any]]], title: str) -> Twin:
    """How often absent things got a yes, typical of their place or not: a row for each sampling.

    Args:
        rates: sampling to what `blind.false_yes` returned.
        title: what is shown.
    """
    columns = {"typical": "typical of the place", "other": "not typical"}
    rows = [
        (name, *(f"{shown((one[key]['rate'], one[key]['ci']))} of {one[key]['n']}" for key in columns))
        for name, one in rates.items()
    ]
    return table(("got a yes, %", *columns.values()), rows, title)


def rules_list(rules: Mapping[str, Rule], title: str) -> Twin:
    """The rules in a sentence each, with where they were read."""
    shown_rules = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(one.says)} <small>({html.escape(one.source)})</small></dd>"
        for name, one in rules.items()
    )
    lines = [title, *(f"- {name}: {one.says} ({one.source})" for name, one in rules.items())]
    return Twin(f"<p>{html.escape(title)}</p><dl>{shown_rules}</dl>", "\n".join(lines))


def harness_figure(manners: Mapping[str, Mapping[str, Mapping[str, float]]], truth: float, title: str) -> Twin:
    """One set of answers in several manners, scored by several harnesses.

    Args:
        manners: manner to what `replies.harness_scores` returned.
        truth: the accuracy of the answers themselves, as a share.
        title: of the table of numbers.
    """
    harnesses = list(next(iter(manners.values())))
    figure, axes = one_panel(3.8)
    axes.axvline(100 * truth, color="black", linewidth=1, linestyle=":")
    for number, (manner, (colour, marker)) in enumerate(zip(manners, LOOKS, strict=False)):
        places = [row + 0.2 * (number - (len(manners) - 1) / 2) for row in range(len(harnesses))]
        values = [100 * manners[manner][name]["accuracy"] for name in harnesses]
        axes.plot(values, places, marker, color=colour, markersize=8, label=manner)
    axes.set(
        yticks=range(len(harnesses)),
        yticklabels=harnesses,
        xlim=(-3, 103),
        xlabel="accuracy, %; dotted: the answers themselves",
    )
    axes.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=len(manners), frameon=False)
    return with_twin(figure, _harness_alt(manners, truth), harness_table(manners, title))


def _harness_alt(manners: Mapping[str, Mapping[str, Mapping[str, float]]], truth: float) -> str:
    parts = []
    for manner, scores in manners.items():
        values = {name: 100 * one["accuracy"] for name, one in scores.items()}
        low, high = min(values, key=values.get), max(values, key=values.get)
        parts.append(f"{manner}: from {values[low]:.0f} ({low}) to {values[high]:.0f} ({high}).")
    return (
        f"Accuracy in percent of the same answers, right in {100 * truth:.0f} of 100, said in several manners and read "
        "by several harnesses. " + " ".join(parts)
    )


def harness_table(manners: Mapping[str, Mapping[str, Mapping[str, float]]], title: str) -> Twin:
    """Accuracy and, in brackets, the unparsed share, in percent: a row for each harness, a column for each manner."""
    harnesses = list(next(iter(manners.values())))
    rows = [
        (name, *(f"{100 * one[name]['accuracy']:.1f} ({100 * one[name]['unparsed']:.0f})" for one in manners.values()))
        for name in harnesses
    ]
    return table(("accuracy (unparsed), %", *manners), rows, title)

"""A published table's rows beside a rule that sees no picture.

The table prints an average over categories; the rule is right or wrong question by question. So each row is shown by
its share over all questions, which the printed scores determine (`maintenance/med_table.py`), with its interval.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mmhallu_core.statistics import wilson_interval
from mmhallu_core.viz.style import BLUE, GREEN, GREY, INK, VERMILLION, WIDTH
from mmhallu_core.viz.twins import Twin, table, with_twin

PEOPLE = "people"


def printed_figure(rows: Mapping[str, Mapping[str, Any]], audit: Mapping[str, Any], rule: str, title: str) -> Twin:
    """Who saw the pictures, and where the rule that did not see them stands among them.

    Args:
        rows: the rows of `results/med-table/versions.json`: `printed` and `over_all_questions` of each row, in
            percent; the second is left out where the printed scores fit no version of the questions.
        audit: of the same questions, see `evaluate.audit`.
        rule: the rule that is drawn.
        title: what is compared, and the kind of evidence.
    """
    n = audit["n"]
    known = {name: one["over_all_questions"] for name, one in rows.items() if "over_all_questions" in one}
    spread = {name: [100 * edge for edge in wilson_interval(round(one * n / 100), n)] for name, one in known.items()}
    order = sorted(known, key=known.get)
    blind, (low, high) = 100 * audit["rules"][rule], (100 * edge for edge in audit["ci"][rule])
    figure = Figure(figsize=(WIDTH, 0.29 * len(order) + 1.2), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(low, high, color=VERMILLION, alpha=0.18, linewidth=0)
    axes.axvline(blind, color=VERMILLION, linewidth=2, label="the rule, which sees no picture")
    axes.axvline(100 * audit["chance"], color=INK, linestyle=":", linewidth=1.5, label="a guess")
    for name, colour, marker, who in (
        ("models", BLUE, "o", lambda name: name != PEOPLE and not name.endswith(", MED")),
        ("models fine-tuned by MED", GREEN, "^", lambda name: name.endswith(", MED")),
        ("people", GREY, "s", lambda name: name == PEOPLE),
    ):
        places = [place for place, one in enumerate(order) if who(one)]
        points = np.array([known[order[place]] for place in places])
        edges = np.array([spread[order[place]] for place in places]).reshape(-1, 2).T
        widths = np.abs(edges - points)
        axes.errorbar(points, places, xerr=widths, color=colour, marker=marker, linestyle="", capsize=2, label=name)
    axes.set(yticks=range(len(order)), yticklabels=order, xlabel="right, %", xlim=(0, 102))
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=1)
    below = sum(known[name] < blind for name in order if name != PEOPLE)
    alt = (
        f"Shares of right answers. The rule that reads the wording of the options has {blind:.1f}%, a guess "
        f"{100 * audit['chance']:.0f}%. Of {len(order) - (PEOPLE in order)} rows of models, {below} lie below the "
        "rule; people lie above it."
    )
    cells = [
        (name, f"{rows[name]['printed']:.2f}", f"{known[name]:.1f} [{spread[name][0]:.1f}, {spread[name][1]:.1f}]")
        for name in reversed(order)
    ]
    heads = ("who", "printed average over categories", "over all questions, 95% interval")
    return with_twin(figure, alt, table(heads, cells, title))

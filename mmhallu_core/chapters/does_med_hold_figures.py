"""A paper's claims and its table, as the page *Does MED hold?* shows them. Verdicts are words."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmhallu_core.chapters.does_med_hold import Said
from mmhallu_core.studies.engine.outcomes import OUTCOMES
from mmhallu_core.viz.scores import shown
from mmhallu_core.viz.twins import Twin, table


def answers_table(answers: Sequence[Said], title: str) -> Twin:
    """One row a question: its verdict, the numbers behind it, the kind of evidence."""
    rows = [(one.asked, one.verdict, one.why, one.kind) for one in answers]
    return _wrapping(table(("asked", "verdict", "in numbers", "evidence"), rows, title))


def claim_cards(claims: Sequence[Mapping[str, Any]]) -> Twin:
    """A small table for each claim: what the paper reports, what would count, what was measured, the verdict.

    Args:
        claims: rows of `studies.engine.summary`.
    """
    cards = [_wrapping(_card(one)) for one in claims]
    return Twin("".join(one.html for one in cards), "\n\n".join(one.text for one in cards))


def _card(claim: Mapping[str, Any]) -> Twin:
    checks = [_measured(one, claim["tests"]) for one in claim["evidence"]]
    rows = [
        ("in the paper", f"{claim['source']}: {_reported(claim['reported'])}"),
        ("would count as holding", claim["holds_if"]),
        *(checks or [("measured", "not run")]),
        ("seeds planned", str(claim["planned_seeds"])),
    ]
    return table(("verdict", claim["verdict"]), rows, claim["claim"])


def _measured(one: Mapping[str, Any], tests: int) -> tuple[str, str]:
    """A check in words: the effect in the direction claimed, and the p of "it equals the bar"."""
    what = f"measured: {one['contrast']}, {OUTCOMES[one['outcome']].label}"
    p = "no p of one seed" if one["corrected"] is None else f"p {one['corrected']:.4f}, corrected for {tests} tests"
    effect = shown((one["effect"], one["interval"]))
    return what, f"{effect} points, 95% interval of runs and pictures; bar {100 * one['bar']:g}; {one['n']} seeds, {p}"


def _reported(reported: Any) -> str:
    """What a paper prints, in a line: a sentence, or numbers by what they are and by model."""
    if isinstance(reported, str):
        return reported
    parts = []
    for what, models in reported.items():
        numbers = ", ".join(f"{model} {' to '.join(f'{one:.2f}' for one in some)}" for model, some in models.items())
        parts.append(f"{what}: {numbers}")
    return "; ".join(parts)


def rows_table(averages: Mapping[str, Any], versions: Mapping[str, Any], title: str) -> Twin:
    """The printed table, row by row: its average, the mean of its scores, and the questions that it can come from.

    Args:
        averages, versions: the records of `studies.med_table`.
        title: what is compared, and the kind of evidence.
    """
    rows = []
    for name, one in averages["rows"].items():
        fits = versions["rows"][name]["fits"]
        where = "the released ones" if "released" in fits else "others" if fits else "none that we tried"
        rows.append((name, f"{one['printed']:.2f}", f"{one['mean']:.2f}", where))
    return table(("row", "printed average", "mean of its scores", "questions that fit"), rows, title)


def gains_table(versions: Mapping[str, Any], title: str) -> Twin:
    """The printed gain of each fine-tuned model, and whether its two rows can come from the same questions."""
    rows = [
        (name, f"{one['gain']:+.2f}", "can be" if one["same"] else "cannot be")
        for name, one in versions["pairs"].items()
    ]
    return table(("model", "printed gain, points", "the same questions before and after"), rows, title)


def text_table(text: Mapping[str, Any], title: str) -> Twin:
    """The figures of the paper's text with which its table does not agree: before, after, gain."""
    rows = [
        (f"{one['model']}, {one['column'].replace('_', ' ')}", *(_three(one[name]) for name in ("text", "table")))
        for one in text["figures"]
        if not one["agrees"]
    ]
    return table(("before, after, gain", "in the text", "from the table"), rows, title)


def _three(numbers: Sequence[float | None]) -> str:
    return ", ".join("not said" if one is None else f"{one:.2f}" for one in numbers)


def _wrapping(found: Twin) -> Twin:
    """The same table for sentences: they wrap, unlike numbers."""
    return replace(found, html=found.html.replace("white-space:nowrap", "min-width:8em;overflow-wrap:break-word"))

"""What the page *Does MED hold?* says, from the records alone: one short answer a row, and the claims as cards.

Three kinds of records are read: what was recomputed from the paper's table (`maintenance/med_table.py`), what rules
score that see no picture (`chapters/blind_audit.py`), and the claims as measured in Diorama
(`studies/engine/summary.py`). Verdicts are words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmhallu_core.chapters.blind_audit import audit_or_recorded
from mmhallu_core.evaluate.audit import best_by_wording
from mmhallu_core.recorded import recorded
from mmhallu_core.studies.engine.outcomes import OUTCOMES
from mmhallu_core.studies.med import CLAIMS, OTHER
from mmhallu_core.viz.scores import shown
from mmhallu_core.viz.twins import Twin, table, wrapping


@dataclass(frozen=True)
class Said:
    """A question and its short answer.

    Attributes:
        asked: the question.
        verdict: a word or two.
        why: the numbers behind it.
        kind: of evidence.
    """

    asked: str
    verdict: str
    why: str
    kind: str


NOT_TESTED = Said(
    "Does any of it hold for the paper's models, on photos?", "not tested", "nothing at 7B has been run here", "none"
)


def claims() -> list[dict[str, Any]]:
    """The claims' rows as recorded, in the order of the plan.

    Raises:
        MissingFile: when one is missing.
    """
    return [recorded(f"claims/{claim.id}") for claim in CLAIMS]


def short_answers() -> list[Said]:
    """What the page says in a minute: the table's arithmetic, the blind rules, every claim, and what nobody ran."""
    return [*_arithmetic(), *_blind(), *(_claim(row) for row in claims()), NOT_TESTED]


def _arithmetic() -> list[Said]:
    means = [one["agrees"] for one in recorded("med-table/averages")["rows"].values()]
    versions = recorded("med-table/versions")
    fits = [one["fits"] for one in versions["rows"].values()]
    released = sum("released" in some for some in fits)
    pairs = versions["pairs"].values()
    moved = "; ".join(
        f"where they cannot, the other label explains at most {one['explains']:.1f} of the {one['gain']:.1f} points"
        for one in pairs
        if not one["same"]
    )
    text = [one["agrees"] for one in recorded("med-table/text")["figures"]]
    return [
        _counted("Are the averages of table 1 the means of its rows?", means, "rows"),
        Said(
            "Can all rows come from the released questions?",
            "yes" if released == len(fits) else "no",
            f"{released} of {len(fits)} rows can; the others fit if one question has another category. For "
            f"{sum(one['same'] for one in pairs)} of {len(pairs)} models, the rows before and after fine-tuning can "
            f"come from the same version; {moved}",
            "recomputed",
        ),
        _counted("Do the figures in the text agree with the table?", text, "figures"),
    ]


def _counted(asked: str, agrees: Sequence[bool | None], what: str) -> Said:
    """A row about figures that agree or not; those that rest on a restored cell are None, and count for nothing."""
    known = [one for one in agrees if one is not None]
    rest = len(agrees) - len(known)
    why = f"{sum(known)} of {len(known)} {what} agree"
    if rest:
        why += f"; {rest} more rest on a cell that our copy had lost, and say nothing"
    return Said(asked, _agree(all(known)), why, "recomputed")


def _agree(whole: bool) -> str:
    return "agrees" if whole else "does not agree"


def _blind() -> list[Said]:
    printed = recorded("med-table/averages")["rows"]
    tuned = max(one["printed"] for name, one in printed.items() if name.endswith(", MED"))
    said = []
    for name, title, beside in (
        ("med-bench", "the MED benchmark", f"; the best fine-tuned model's printed average is {tuned:.1f}%"),
        ("med-real", "MED-Real", ""),
    ):
        audit = audit_or_recorded(name)[0]["audit"]
        rules, rule = audit["rules"], best_by_wording(audit)
        above = audit["ci"][rule][0] > audit["chance"]
        said.append(
            Said(
                f"Can {title} be scored without its pictures?",
                "yes" if above else "not by our rules",
                f"the best rule that reads what the options say has {100 * rules[rule]:.1f}%, a guess "
                f"{100 * audit['chance']:.0f}%{_by_blanks(rules, rule)}{beside}",
                "recomputed",
            )
        )
    return said


def _by_blanks(rules: dict[str, float], rule: str) -> str:
    """What blanks at the ends of options give away beyond their wording, where that is more."""
    more = rules["whitespace_then_jaccard"]
    return f"; blanks at the ends of options give more away: {100 * more:.1f}%" if more > rules[rule] else ""


def _claim(row: dict[str, Any]) -> Said:
    if row["measured"] is None:
        why = f"0 of {row['planned_seeds']} seeds"
    else:
        low, high = (100 * side for side in row["interval"])
        why = f"{row['evidence'][0]['contrast']}: {100 * row['measured']:+.1f} points [{low:.1f}, {high:.1f}], "
        why += f"{row['seeds']} seeds" + ("; more than one check, below" if len(row["evidence"]) > 1 else "")
    why += f"; {OTHER}" if OTHER in row["holds_if"] else ""
    return Said(row["claim"], row["verdict"], why, row["kind"])


def answers_table(answers: Sequence[Said], title: str) -> Twin:
    """One row a question: its verdict, the numbers behind it, the kind of evidence."""
    rows = [(one.asked, one.verdict, one.why, one.kind) for one in answers]
    return wrapping(table(("asked", "verdict", "in numbers", "evidence"), rows, title))


def restored_cells(title: str) -> Twin:
    """The cells of table 1 that our copy had lost, each with the value that its row's average leaves for it."""
    cells = recorded("med-table/averages")["lost_cells"]
    rows = [
        (model, column.replace("_", " "), " or ".join(f"{one:.2f}" for one in values))
        for model, columns in cells.items()
        for column, values in columns.items()
    ]
    return table(("row", "column", "restored as"), rows, title)


def claim_cards(claims: Sequence[Mapping[str, Any]]) -> Twin:
    """A small table for each claim: what the paper reports, what would count, what was measured, the verdict.

    Args:
        claims: rows of `studies.engine.summary`.
    """
    cards = [wrapping(_card(one)) for one in claims]
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

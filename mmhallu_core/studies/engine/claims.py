"""The rows of the ledger: what a paper claims, what would count, what was measured, and the verdict.

A row is written before any run; `rows(study, summary)` fills in what a summary has, and the rest stays "not run". All
of it is evidence of the kind `diorama`: it can say that a claim holds there or does not, never that it was replicated.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmhallu_core.studies.engine.study import Check, Claim, Study
from mmhallu_core.studies.engine.summary import NOT_RUN, checks
from mmhallu_core.studies.record import write as write_record

WRITTEN = ("id", "source", "claim", "asks", "reported", "holds_if")


def rows(study: Study, found: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """All claims of a study, each with what a summary has measured for it.

    Returns:
        Rows with `id, source, claim, asks, reported, holds_if, paper, command, planned_seeds, kind, measured, interval,
        seeds, verdict` and `evidence`, the checks with their p (over seeds), corrected together over `tests` of them.
        `measured` and `interval` are those of the first check, in the claim's direction; None when not run.
    """
    said = checks(study, found["contrasts"]) if found else {}
    tests = found["tests"] if found else 0
    return [_row(study, claim, said, tests) for claim in study.claims]


def _row(study: Study, claim: Claim, said: Mapping[Check, dict[str, Any]], tests: int) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(claim, name) for name in WRITTEN}
    row |= {"paper": study.paper, "command": study.command(), "planned_seeds": claim.seeds, "kind": "diorama"}
    if not all(check in said for check in claim.checks):
        return row | {"measured": None, "interval": None, "seeds": None, "verdict": NOT_RUN, "evidence": [], "tests": 0}
    evidence = [said[check] for check in claim.checks]
    words = {one["verdict"] for one in evidence}
    word = "holds" if words == {"holds"} else "does not hold" if "does not hold" in words else "open"
    word = word if word == "open" else f"{word} in Diorama"
    few = min(one["n"] for one in evidence) < claim.seeds
    first = evidence[0]
    return row | {
        "measured": first["effect"],
        "interval": first["interval"],
        "seeds": first["n"],
        "verdict": f"{word} so far" if few and word != "open" else word,
        "evidence": evidence,
        "tests": tests,
    }


def write(folder: Path, study: Study, found: Mapping[str, Any] | None = None) -> list[Path]:
    """Writes a file for each claim, `ID.json`."""
    paths = [folder / f"{claim.id}.json" for claim in study.claims]
    for path, row in zip(paths, rows(study, found), strict=True):
        write_record(row, path)
    return paths

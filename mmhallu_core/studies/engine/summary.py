"""The table of a study and the rows of the ledger, from records alone: what is finished, and the rest as not run.

A row of the ledger says what a paper claims, what would count, what was measured, and the verdict. It is written before
any run. All of it is evidence of the kind `diorama`: it can say that a claim holds there or does not, never that it was
replicated.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmhallu_core.comparison import corrected
from mmhallu_core.recorded import write as write_record
from mmhallu_core.studies.engine.outcomes import contrast, over_seeds, score
from mmhallu_core.studies.engine.study import Check, Claim, Study
from mmhallu_core.types import CannotRun

Records = Mapping[str, Mapping[str, Any]]  # id to record
NOT_RUN = "not run"
WRITTEN = ("id", "source", "claim", "asks", "reported", "holds_if")


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """The records of a folder: `ID.json` as they are kept, or `ID/scores.json` where the study ran.

    Raises:
        CannotRun: when records of several plans lie there, or a file is no JSON.
    """
    paths, records = [*sorted(folder.glob("*.json")), *sorted(folder.glob("*/scores.json"))], []
    for path in paths:
        try:
            records.append(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise CannotRun(f"{path} is not JSON ({error}); take it out of the folder or get it again") from error
    records = [one for one in records if "answers" in one]  # a summary may lie beside them
    if len({json.dumps(one["numbers"], sort_keys=True) for one in records}) > 1:
        raise CannotRun(f"{folder} holds records of plans with different numbers; summarise them apart")
    return {one["id"]: one for one in records}


def group(records: Records, name: str, seeds: Sequence[int] | None = None) -> dict[int, Any]:
    """Seed to answers of the runs NAME-0, NAME-1 ..., or of the run NAME under each of some seeds."""
    if name in records:
        return dict.fromkeys(seeds if seeds is not None else [0], records[name]["answers"])
    found = {
        one["run"]["seed"]: one["answers"] for key, one in records.items() if key == f"{name}-{one['run']['seed']}"
    }
    return {seed: answers for seed, answers in found.items() if seeds is None or seed in seeds}


def compared(
    study: Study, records: Records, first: str | None, second: str, outcomes: Sequence[str] | None = None
) -> dict[str, Any] | str:
    """Contrasts of two groups over the seeds that both have, in the outcomes whose letters both have.

    A base stands under every seed of the other group. Without a first group, the second's outcomes are held against 0.
    """
    b = group(records, second)
    a = dict.fromkeys(b) if first is None else group(records, first, sorted(b))
    b = {seed: answers for seed, answers in b.items() if seed in a}
    if not b:
        return NOT_RUN
    asked = set.intersection(*(set(answers) for answers in (*a.values(), *b.values()) if answers is not None))
    able = [
        name for name in outcomes or study.outcomes
        if asked >= set(study.outcomes[name].needs) and (first or study.outcomes[name].parts)
    ]  # fmt: skip
    return {name: contrast(a, b, name, study.outcomes) for name in able}


def checked(study: Study, check: Check, row: Mapping[str, Any]) -> dict[str, Any]:
    """One check against its contrast, before the correction.

    Returns:
        `contrast, outcome, bar`, with the effect in the claim's direction: `effect`, `interval`, and `p`, of "the
        effect equals the bar" over `n` seeds; None where one seed or no score decides nothing.
    """
    outcome = study.outcomes[check.outcome]
    bar = outcome.small if check.bar is None else check.bar
    found = {"contrast": check.contrast, "outcome": check.outcome, "bar": bar, "n": len(row["seeds"])}
    if row["difference"] is None:
        return found | {"effect": None, "interval": None, "p": None}
    sign = -1 if outcome.less != check.falls else 1
    p = over_seeds([sign * one for one in row["each"]], bar)["p"]
    return found | {"effect": sign * row["difference"], "interval": sorted(sign * side for side in row["ci"]), "p": p}


def verdict(interval: Sequence[float] | None, bar: float, p: float | None) -> str:
    """ "holds", "does not hold" or "open", by the rule at the top of `study.py`; `p` is the corrected one."""
    if interval is None or p is None or p >= 0.05:
        return "open"
    low, high = interval
    return "holds" if low > bar else "does not hold" if high < bar else "open"


def checks(study: Study, contrasts: Mapping[str, Any]) -> dict[Check, dict[str, Any]]:
    """Every check of every claim that was run, with `corrected` p (Holm, over all of them) and `verdict`."""
    found = {}
    for check in dict.fromkeys(one for claim in study.claims for one in claim.checks):
        row = contrasts.get(check.contrast, NOT_RUN)
        if row != NOT_RUN and check.outcome in row:
            found[check] = checked(study, check, row[check.outcome])
    ps = {str(check): one["p"] for check, one in found.items() if one["p"] is not None}
    larger = corrected(ps)
    for check, one in found.items():
        one["corrected"] = larger.get(str(check))
        one["verdict"] = verdict(one["interval"], one["bar"], one["corrected"])
    return found


def summary(study: Study, records: Records) -> dict[str, Any]:
    """Everything that the records show.

    Returns:
        `runs` (id to its scores), `contrasts` (name to outcome to `contrast`, or "not run") and `tests`, how many p
        were corrected together.
    """
    single = [name for name, outcome in study.outcomes.items() if outcome.parts is not None]
    scores = {
        key: {name: score(one["answers"], name, study.outcomes) for name in single
              if set(one["answers"]) >= set(study.outcomes[name].needs)}
        for key, one in records.items()
    }  # fmt: skip
    contrasts = {name: compared(study, records, *pair) for name, pair in study.contrasts.items()}
    tests = sum(one["p"] is not None for one in checks(study, contrasts).values())
    return {"kind": "diorama", "runs": scores, "contrasts": contrasts, "tests": tests}


def table(study: Study, found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Contrasts with the headline's outcomes, to read, in points with 95% intervals; then the claims' verdicts."""
    lines = [f"{'points (95% interval: runs and pictures)':<42}" + "".join(f"{name:>28}" for name in study.headline)]
    for title, row in found["contrasts"].items():
        cells = [NOT_RUN if row == NOT_RUN else _cell(row.get(name)) for name in study.headline]
        seeds = "" if row == NOT_RUN else f" (n={len(next(iter(row.values()))['seeds'])})"
        lines.append(f"{title + seeds:<42}" + "".join(f"{cell:>28}" for cell in cells))
    lines.append("n counts seeds. With one (n=1) the interval is of the pictures alone.")
    lines += [f"{row['id']} ({row['asks']}): {row['verdict']}" for row in rows]
    return "\n".join(lines)


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None or row["difference"] is None:
        return "-"
    low, high = row["ci"]
    return f"{100 * row['difference']:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


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


def write_rows(folder: Path, study: Study, found: Mapping[str, Any] | None = None) -> list[Path]:
    """Writes a file for each claim, `ID.json`."""
    paths = [folder / f"{claim.id}.json" for claim in study.claims]
    for path, row in zip(paths, rows(study, found), strict=True):
        write_record(row, path)
    return paths

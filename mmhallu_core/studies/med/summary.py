"""The table of the study, from its records alone: whatever is finished, with its interval, and the rest as not run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmhallu_core.comparison import corrected
from mmhallu_core.studies.med.measures import OF_PAIRS, RATIOS, by_category, contrast, score
from mmhallu_core.studies.med.plan import ETAS, LOOKS, MORE_BASES, PRIMARY, SMALL
from mmhallu_core.types import CannotRun

Records = Mapping[str, Mapping[str, Any]]  # id to record
LESS = ("chair_matched", "chair_i", "chair_s", "same_asserts_a_difference")  # outcomes of which less is better
OUTCOMES = ("chair_matched", *RATIOS)
BASE = "base-tiny-llava"
NOT_RUN = "not run"


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


def compared(records: Records, first: str, second: str, outcomes: Sequence[str] = OUTCOMES) -> dict[str, Any] | str:
    """Contrasts of two groups over the seeds that both have; a base stands under every seed of the other."""
    b = group(records, second)
    a = group(records, first, sorted(b))
    b = {seed: answers for seed, answers in b.items() if seed in a}
    if not b:
        return NOT_RUN
    return {name: contrast(a, b, name) for name in outcomes}


CONTRASTS = {
    "med - clean": ("clean", "med"),
    "med - shuffled": ("shuffled", "med"),
    "med - noisy": ("noisy", "med"),
    "med - base": (BASE, "med"),
    "clean - base": (BASE, "clean"),
    **{f"med - clean, on {name}": (f"clean-on-{name}", f"med-on-{name}") for name in MORE_BASES},
    **{f"med - base, on {name}": (f"base-{name}", f"med-on-{name}") for name in MORE_BASES},
    "vision tower only - base": (BASE, "vision"),
    "vision tower only - med": ("med", "vision"),
    "decoder only - base": (BASE, "decoder"),
    "decoder only - med": ("med", "decoder"),
    "global consistency - med": ("med", "global"),
    "masked consistency - med": ("med", "masked"),
    **{f"eta {eta:g} - med": ("med", f"eta-{eta:g}") for eta in ETAS},
    "every weight - med": ("med", "full"),
    "loha - med": ("med", "loha"),
    "categories held out - med": ("med", "left-out"),
    "CLIP-filtered - med": ("med", "clip"),
}
OTHER = {
    f"{look}: med - {name}": (f"{look}-{other}", f"{look}-med")
    for look in LOOKS
    for name, other in (("clean", "clean"), ("base", BASE))
}


def verdict(row: Mapping[str, Any], name: str, p: float | None) -> str:
    """ "holds", "does not hold" or "open", by the rule at the top of plan.py; `p` is the corrected one."""
    if row.get("ci") is None or row.get("ci_runs") is None:
        return "open"
    sign = -1 if name in LESS else 1
    low, high = sorted(sign * side for side in row["ci"])
    if low > 0 and p is not None and p < 0.05:
        return "holds"
    small = SMALL.get(name, 0.0)
    return "does not hold" if high < 0 or (-small < low and high < small) else "open"


def summary(records: Records) -> dict[str, Any]:
    """Everything that the records show.

    Returns:
        `runs` (id to its scores), `categories` (MED-tiny of each run), `contrasts` (name to outcome to `contrast`, or
        "not run"), `other_pairs` (the same for looks), and `primary`: outcome to `{p, corrected, verdict}` for
        "med - clean".
    """
    whole = {key: one for key, one in records.items() if "captions" in one["answers"]}
    looks = {key: one for key, one in records.items() if key not in whole}
    contrasts = {name: compared(whole, *pair) for name, pair in CONTRASTS.items()}
    found: dict[str, Any] = {
        "kind": "diorama",
        "runs": {key: {name: score(one["answers"], name) for name in RATIOS} for key, one in whole.items()},
        "categories": {key: by_category(one["answers"]) for key, one in whole.items()},
        "contrasts": contrasts,
        "other_pairs": {name: compared(looks, *pair, outcomes=OF_PAIRS) for name, pair in OTHER.items()},
        "primary": {},
    }
    headline = contrasts["med - clean"]
    if headline != NOT_RUN:
        ps = {name: headline[name]["p"] for name in PRIMARY if headline[name]["p"] is not None}
        larger = corrected(ps) if len(ps) == len(PRIMARY) else {}  # all of the tests or none
        for name in PRIMARY:
            p = larger.get(name)
            found["primary"][name] = {"p": ps.get(name), "corrected": p, "verdict": verdict(headline[name], name, p)}
    return found


def table(found: Mapping[str, Any]) -> str:
    """The contrasts with the primary outcomes, to read: difference and 95% interval in points."""
    lines = [f"{'points (95% interval: runs and pictures)':<42}" + "".join(f"{name:>28}" for name in PRIMARY)]
    for title, row in found["contrasts"].items():
        cells = [NOT_RUN if row == NOT_RUN else _cell(row[name]) for name in PRIMARY]
        seeds = "" if row == NOT_RUN else f" (n={len(row[PRIMARY[0]]['seeds'])})"
        lines.append(f"{title + seeds:<42}" + "".join(f"{cell:>28}" for cell in cells))
    for title, row in found["other_pairs"].items():
        cell = NOT_RUN if row == NOT_RUN else _cell(row["med_tiny"])
        lines.append(f"{title:<42}" + " " * 56 + f"{cell:>28}")
    for name, one in found["primary"].items():
        p = "-" if one["corrected"] is None else f"{one['corrected']:.4f}"
        lines.append(f"primary, med - clean, {name}: corrected p {p}, {one['verdict']}")
    lines.append("One run on a side (n=1): the interval is of the pictures alone.")
    return "\n".join(lines)


def _cell(row: Mapping[str, Any]) -> str:
    if row["difference"] is None:
        return "-"
    low, high = row["ci"]
    return f"{100 * row['difference']:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"

"""The paper's claims that Diorama can check: what is printed, what would count as holding, and what was measured.

The plan rows are written before any run. `rows(summary)` fills in what a summary has; the rest stays "not run". All of
it is evidence of the kind `diorama`: it can say that a claim holds there or does not, never that it was replicated.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmhallu_core.studies.med.plan import SEEDS
from mmhallu_core.studies.med.summary import NOT_RUN, verdict

PAPER = "arXiv 2506.07227"
COMMAND = "mmhallu study med --out runs/med"


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        id: its name.
        source: where the paper says it.
        claim: what it says, in our words.
        reported: what is printed: numbers by name, or a sentence.
        holds_if: what counts as holding, fixed before the runs.
        checks: contrast and outcome, each of which must have the verdict "holds".
        above: for a check, a bar that the whole interval must lie beyond; zero where none is given.
        at_least: for a check, what the difference itself must reach.
        falls: whether it is claimed that the differences are below zero.
        seeds: how many the plan has.
    """

    id: str
    source: str
    claim: str
    reported: Any
    holds_if: str
    checks: tuple[tuple[str, str], ...]
    above: float = 0.0
    at_least: float = 0.0
    falls: bool = False
    seeds: int = len(SEEDS)


TABLE_2 = {
    "Qwen2.5-VL-7B": [55.47, 58.52], "Qwen2-VL-7B": [54.35, 56.25], "LLaVA-v1.6-7B": [47.56, 48.71],
    "LLaMA-3.2-11B": [42.13, 43.82],
}  # fmt: skip
USUAL = "the interval leaves zero out on the side claimed, and p is below 0.05"

CLAIMS = (
    Claim(
        "med-differences-base", "table 1", "Fine-tuning on micro-edits lifts accuracy on the MED benchmark.",
        {"macro accuracy, base and fine-tuned": {
            "Qwen2-VL-7B": [38.48, 47.55], "Qwen2.5-VL-7B": [39.74, 51.61], "LLaVA-v1.6-7B": [31.04, 40.44],
            "LLaMA-3.2-11B": [34.71, 40.92]}},
        "MED-tiny by likelihood, med minus base: 20 points or more, the interval above 10, and p below 0.05",
        (("med - base", "med_tiny"),), above=0.10, at_least=0.20,
    ),
    Claim(
        "med-differences-control", "section 1 and table 1",
        "It is the micro-edits with their differences that do it, not more clean data.",
        "no control with the same pictures, tokens and steps in the paper",
        f"MED-tiny by likelihood, med minus clean and med minus shuffled: for both, {USUAL}",
        (("med - clean", "med_tiny"), ("med - shuffled", "med_tiny")),
    ),
    Claim(
        "med-hallucination-captions", "abstract", "Fine-tuning on micro-edits reduces hallucination (captions).",
        "a sentence; no caption score is printed",
        f"CHAIR_i at matched recall, med minus base and med minus clean: for both, {USUAL}",
        (("med - base", "chair_matched"), ("med - clean", "chair_matched")),
    ),
    Claim(
        "med-hallucination-pope", "table 2, POPE (its column is precision)",
        "Fine-tuning on micro-edits reduces hallucination (POPE).",
        {"precision, base and fine-tuned": {"Qwen2.5-VL-7B": [96.29, 97.52]}},
        f"F1 of adversarial questions, med minus base and med minus clean: for both, {USUAL}",
        (("med - base", "pope_adversarial_f1"), ("med - clean", "pope_adversarial_f1")),
    ),
    Claim(
        "med-vision-tower-alone", "table 3", "Training the vision tower alone already gives solid gains.",
        {"average of seven, base and vision tower only": {"Qwen2.5-VL-7B": [55.47, 57.18],
                                                          "Qwen2-VL-7B": [54.35, 54.94]}},
        f"MED-tiny by likelihood, vision tower only minus base: {USUAL}",
        (("vision tower only - base", "med_tiny"),), seeds=3,
    ),
    Claim(
        "med-both-parts", "table 3", "Vision tower and language model together do better than the vision tower alone.",
        {"average of seven, vision tower only and both": {"Qwen2.5-VL-7B": [57.18, 58.52],
                                                          "Qwen2-VL-7B": [54.94, 56.25]}},
        f"MED-tiny by likelihood, vision tower only minus med is negative: {USUAL}",
        (("vision tower only - med", "med_tiny"),), falls=True, seeds=3,
    ),
    Claim(
        "med-consistency", "abstract and section 1", "A consistency loss on features helps.",
        "a sentence; no equation, weight or ablation is printed, and no released code has it",
        f"MED-tiny by likelihood, with the loss (global, the paper's words) minus without: {USUAL}",
        (("global consistency - med", "med_tiny"),), seeds=3,
    ),
    Claim(
        "med-generalizes", "appendix, table 4 (MED-Real)", "The gain carries over to pictures of another kind.",
        {"accuracy, base and fine-tuned": {"Qwen2.5-VL-7B": [68.57, 74.29], "LLaVA-v1.6-7B": [34.29, 45.71],
                                           "LLaMA-3.2-11B": [40.00, 51.43], "Qwen2-VL-7B": [82.86, 82.86]}},
        f"MED-tiny in another drawing style by likelihood, med minus base: {USUAL}",
        (("real: med - base", "med_tiny"),), seeds=3,
    ),
    Claim(
        "med-general-ability", "table 2", "Other tasks gain, too, across models.",
        {"average of seven, base and fine-tuned": TABLE_2},
        f"recall of captions and accuracy of adversarial POPE, med minus base: for both, {USUAL}",
        (("med - base", "recall"), ("med - base", "pope_adversarial_accuracy")),
    ),
)  # fmt: skip


def rows(found: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """All claims, each with what a summary has measured for it.

    Returns:
        Rows with `id, paper, source, claim, reported, holds_if, command, measured, interval, seeds, kind, verdict` and
        `evidence`, the contrasts in full. `measured` and `interval` are those of the first check; None when not run.
    """
    return [_row(one, found) for one in CLAIMS]


def _row(one: Claim, found: Mapping[str, Any] | None) -> dict[str, Any]:
    kept = ("id", "source", "claim", "reported", "holds_if")
    row: dict[str, Any] = {name: value for name, value in asdict(one).items() if name in kept}
    row |= {"paper": PAPER, "command": COMMAND, "measured": None, "interval": None, "seeds": None}
    row |= {"planned_seeds": one.seeds, "kind": "diorama", "verdict": NOT_RUN, "evidence": {}}
    if found is None:
        return row
    contrasts = {**found["contrasts"], **found["other_pairs"]}
    if any(contrasts[name] == NOT_RUN for name, _ in one.checks):
        return row
    evidence = {f"{name}, {outcome}": contrasts[name][outcome] for name, outcome in one.checks}
    first = next(iter(evidence.values()))
    said = [_said(one, name, outcome, contrasts[name][outcome], found) for name, outcome in one.checks]
    if all(word == "holds" for word in said):
        word = "holds in Diorama"
    else:
        word = "does not hold in Diorama" if "does not hold" in said else "open"
    if min(len(part["seeds"]) for part in evidence.values()) < one.seeds:
        word = f"{word} so far" if word != "open" else word
    measured = {"measured": first["difference"], "interval": first["ci"], "seeds": first["seeds"]}
    return row | measured | {"verdict": word, "evidence": evidence}


def _said(one: Claim, name: str, outcome: str, row: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """The verdict on one check; the headline's p are the corrected ones."""
    p = found["primary"][outcome]["corrected"] if name == "med - clean" and outcome in found["primary"] else row["p"]
    if one.falls and row["difference"] is not None:  # the other way round
        row = {**row, "difference": -row["difference"], "ci": row["ci"] and [-side for side in row["ci"][::-1]]}
    word = verdict(row, outcome, p)
    short = one.above and row["ci"] is not None and row["ci"][0] <= one.above
    return "open" if word == "holds" and (short or abs(row["difference"]) < one.at_least) else word


def write(folder: Path, found: Mapping[str, Any] | None = None) -> list[Path]:
    """Writes a file for each claim, `ID.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for row in rows(found):
        path = folder / f"{row['id']}.json"
        path.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8", newline="\n")
        paths.append(path)
    return paths

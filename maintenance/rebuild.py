"""Does the command give the shipped model back? The tolerance that answers it, and the comparison.

Two runs of one recipe from different seeds differ. How much they differ is measured, not guessed: the same
command ran with several seeds, and the *tolerance* of a score is the largest difference between any two of those
runs. `python -m maintenance.rebuild` writes it to `results/tiny-llava/tolerance.json`; with the folder of a
new run behind it, the new run is scored and compared with the shipped model, in `rebuild.json` beside it. The card of
the shipped model says both.

The first two rebuilds missed the tolerance of recall, by 0.0003 and 0.0009 (it was 0.0092), and so did their mean that
was to decide, although two more seeds had been added in between, as few runs rarely show the whole spread
(`chance_outside`). The reason was found afterwards: the shipped model was made with AVX2 instructions, as its bytes
show, and the rebuilds with AVX-512, whose sums end in other digits.

So the command now rounds as the shipped run did (`train/rounding.py`). What counts from then on was written here before
any such run had ended: a rebuild by the command as it is now decides, each one and in every score, by the same
tolerance; one that rounds otherwise is shown, and decides nothing.

It came out so: the command, run whole on a fresh clone, gives every score again to four digits. Its weights after stage
2 are those of the shipped run, bit for bit, and its losses up to step 525 of stage 3. Stopped at step 500 and taken up
again with OMP_NUM_THREADS=1, as the shipped run was, it ends in the shipped weights; one thread that the program asks
torch for rounds a little otherwise.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maintenance.checkpoints import TEST_SCENES, measure
from mmhallu_core.recorded import commit, write
from mmhallu_core.store import PACKAGE

SEEDS = ("base", "seed1", "seed2", "seed3", "seed4")
SECTION = "\n## Rebuilding it\n"


def headline(result: dict[str, Any]) -> dict[str, float]:
    """The scores that a rebuild is judged by: fractions in [0, 1]."""
    scores = result["scores"]
    return {
        "recall": scores["chair"]["recall"],
        "chair_i": scores["chair"]["chair_i"],
        **{f"pope_{name}": one["strict"]["accuracy"] for name, one in scores["pope"].items()},
        "short_answers": result["short_answers"]["all"]["accuracy"],
    }


def tolerance(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The largest difference of each score between any two seeds.

    Args:
        results: what `studies.checkpoints` recorded, by role; each with its own seed.

    Raises:
        ValueError: for fewer than two results, or two results from one seed.
    """
    seeds = [one["run"]["recipe"]["seed"] for one in results.values()]
    if len(seeds) < 2 or len(set(seeds)) < len(seeds):
        raise ValueError(f"a spread needs at least two results, each from its own seed; these have {seeds}")
    lines = {role: headline(one) for role, one in results.items()}
    return {
        "kind": "diorama",
        "seeds": dict(zip(results, seeds, strict=True)),
        "sha256": results["base"]["run"]["sha256"],
        "scores": lines,
        "tolerance": spread(list(lines.values())),
    }


def spread(lines: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The largest difference of each score between any two runs; `lines` are their headlines."""
    return {name: max(line[name] for line in lines) - min(line[name] for line in lines) for name in lines[0]}


def compare(shipped: dict[str, float], rebuilt: dict[str, float], allowed: dict[str, float]) -> dict[str, Any]:
    """Which scores of a rebuilt model lie within the tolerance of the shipped one's."""
    rows = {
        name: {
            "shipped": shipped[name],
            "rebuilt": rebuilt[name],
            "tolerance": allowed[name],
            "within": abs(rebuilt[name] - shipped[name]) <= allowed[name],
        }
        for name in allowed
    }
    return {"scores": rows, "within": all(row["within"] for row in rows.values())}


def chance_outside(seeds: int, draws: int = 100_000) -> float:
    """How often chance alone puts one more run of the same recipe outside the tolerance of one score.

    The tolerance is the spread of a few runs, and few runs rarely show the whole spread. By simulation: scores that
    differ by normal noise, the last run against the first.
    """
    scores = np.random.default_rng(0).standard_normal((draws, seeds + 1))
    return float((abs(scores[:, -1] - scores[:, 0]) > np.ptp(scores[:, :seeds], axis=1)).mean())


def judge(stated: dict[str, Any], rebuilds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Each rebuild compared with the shipped model; see the top of this file for which of them decide.

    Returns:
        `each`: the comparisons, with `decides` and `same_weights`; `within`: None where no rebuild decides.
    """
    shipped, allowed = stated["scores"]["base"], stated["tolerance"]
    each = [
        {
            **compare(shipped, one["rebuilt"], allowed),
            "decides": one["run"]["versions"]["machine"].endswith("AVX2"),
            "same_weights": one["run"]["sha256"] == stated["sha256"],
        }
        for one in rebuilds
    ]
    decisive = [one["within"] for one in each if one["decides"]]
    return {"each": each, "within": all(decisive) if decisive else None}


def section(stated: dict[str, Any], rebuilds: Sequence[dict[str, Any]]) -> str:
    """What the card says about the tolerance and, where there were any, the rebuilds."""
    seeds, scores = len(stated["seeds"]), len(stated["tolerance"])
    chance = chance_outside(seeds)
    said = f"""{SECTION}
A rebuild is the command above, run anew. It reckons with AVX2, as the shipped run did, on any x86-64 processor that
has it: other instructions add in another order, and after some thousand steps that is another model.

The tolerance of a score is the largest difference between any two of {seeds} runs of this recipe, each
from its own seed. Few runs rarely show the whole spread: chance alone puts a score of one more run outside in
{chance:.0%} of cases, which is {scores * chance:.1f} of {scores} scores.

"""
    each = judge(stated, rebuilds)["each"]
    names = [f"rebuild {number}" + ("" if one["decides"] else "*") for number, one in enumerate(each, 1)]
    head = ["score", "shipped", "tolerance", *names]
    rows = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, allowed in stated["tolerance"].items():
        cells = [one["scores"][name] for one in each]
        found = [f"{cell['rebuilt']:.4f}" + ("" if cell["within"] else " (outside)") for cell in cells]
        rows.append("| " + " | ".join([name, f"{stated['scores']['base'][name]:.4f}", f"{allowed:.4f}", *found]) + " |")
    rows.append("| same weights | | | " + " | ".join("yes" if one["same_weights"] else "no" for one in each) + " |")
    notes = [f"Rebuild {n}: {one['run']['note']}\n" for n, one in enumerate(rebuilds, 1) if "note" in one["run"]]
    before = [BEFORE] if any("*" in name for name in names) else []
    return said + "\n".join(["\n".join(rows if each else rows[:-1]) + "\n", *before, *notes])


BEFORE = """\\* Rounded otherwise than the command does now, so it decides nothing. Rebuilds 1 and 2 were made with
AVX-512, before the command fixed its instructions. Until then they were the test of the tolerance, and failed it, each
and in their mean; seeds 3 and 4 were added after the first of them.
"""


def main() -> None:
    """The command line of this file; exits with 1 when a rebuild that decides is outside the tolerance."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?", help="folder that `mmhallu pretrain tiny-llava --out` wrote")
    parser.add_argument("--results", type=Path, default=Path("results/tiny-llava"))
    parser.add_argument("--card", type=Path, default=PACKAGE / "checkpoints" / "tiny-llava" / "README.md")
    parser.add_argument("--scenes", type=int, default=TEST_SCENES)
    arguments = parser.parse_args()
    files = {role: arguments.results / f"{role}.json" for role in SEEDS}
    results = {role: json.loads(file.read_text(encoding="utf-8")) for role, file in files.items() if file.is_file()}
    stated = tolerance(results)
    write(stated, arguments.results / "tolerance.json")
    file = arguments.results / "rebuild.json"
    recorded = json.loads(file.read_text(encoding="utf-8"))["rebuilds"] if file.is_file() else []
    if arguments.run is not None:
        run = json.loads((arguments.run / "run.json").read_text(encoding="utf-8"))
        if run["sha256"] in [one["run"]["sha256"] for one in recorded]:
            sys.exit(f"these weights are recorded in {file} already: {run['sha256']}")
        measured = headline(measure(arguments.run / "model", arguments.run.name, arguments.scenes))
        recorded.append({"commit": commit(), "run": run, "rebuilt": measured})
        write({"kind": "diorama", "rebuilds": recorded}, file)
    before = arguments.card.read_text(encoding="utf-8").partition(SECTION)[0]
    arguments.card.write_text(before + section(stated, recorded), encoding="utf-8", newline="\n")
    judged = judge(stated, recorded)
    print(json.dumps(judged if recorded else stated, indent=2))
    sys.exit(1 if judged["within"] is False else 0)


if __name__ == "__main__":
    main()

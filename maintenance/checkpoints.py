"""From a finished pretraining run to a shipped checkpoint: measure it, record it, write its card.

`python -m maintenance.checkpoints RUN --as base` scores the model on the held-out scenes, writes
`results/tiny-llava/base.json`, and with `--ship` copies the model into the package beside a card made from those
numbers. The bars below were written down before the first run (they are the project's acceptance criteria).

A rebuild is another model of the recipe, as another seed is. `python -m maintenance.checkpoints RUN --as rebuild` says
of each score whether it is *in range*: within three standard deviations of the mean over the recorded seeds.
"""

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maintenance.checkpoint_scores import differences, evaluate, short_answers
from mmhallu_core.evaluate.diorama.exam import held_out
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.recorded import commit
from mmhallu_core.store import PACKAGE, sha256
from mmhallu_core.studies.engine.exam import about_two
from mmhallu_core.studies.engine.outcomes import ABOUT_TWO, score
from mmhallu_core.types import CannotRun

ROLES = {
    "base": ("tiny-llava", "trained with prior and noise"),
    "control": ("tiny-llava-control", "the same recipe with prior and noise off"),
    "seed1": ("tiny-llava-seed1", "the base recipe from another seed"),
    "seed2": ("tiny-llava-seed2", "the base recipe from a third seed"),
}
SEEDS = ("base", "seed1", "seed2")  # one recipe, three seeds
SIGHT = {
    "caption recall at least 0.85": lambda s: s["chair"]["recall"] >= 0.85,
    "POPE random accuracy at least 0.90": lambda s: s["pope"]["random"]["strict"]["accuracy"] >= 0.90,
    "MED-tiny by likelihood 0.60 to 0.85": lambda s: 0.60 <= s["pairs"]["med_tiny"] <= 0.85,
    "MED-tiny by letters at least 0.40": lambda s: s["pairs"]["med_tiny_letters"] >= 0.40,
    "asked of either picture, both right, at least 0.40": lambda s: s["pairs"]["routed_both_right"] >= 0.40,
    "one picture twice: at most 0.60 assert a difference": lambda s: s["pairs"]["same_asserts_a_difference"] <= 0.60,
}
HABIT = {
    "CHAIR_i between 15% and 27%": lambda s: 0.15 <= s["chair"]["chair_i"] <= 0.27,
    "POPE adversarial at least 6 points lower": lambda s: s["adversarial_gap"] >= 0.06,
    "hallucinations follow the place, ratio at least 2": lambda s: (s["place"]["ratio"] or 0) >= 2,
}
BELOW_THE_BASE = "CHAIR_i below the base's, intervals apart"  # instead of a habit, what the control is for
PER_CATEGORY, SAME, ROUTED = 60, 330, 16  # questions about two pictures
TEST_SCENES = 1000
WHY = """On purpose. With probability eta = {eta}, the annotator who wrote a training caption added the most
typical thing that the place lacks (umbrellas at the beach), and answered questions as if it were there. The scenes
themselves keep company by the co-occurrence dial (prior = {prior}). The model learned to see, and it learned
the habit. This is a model for studying hallucination, not for describing pictures."""
WHY_CONTROL = """By mistakes of sight alone. Its scenes keep no company (prior = {prior}) and its annotator never adds a
thing (eta = {eta}), so it had no habit to learn. What it still gets wrong is what a model of this size fails to see.
It is measured on scenes that do keep company, the same as the base's."""


def bars_of(role: str, scores: dict[str, Any], base: dict[str, Any] | None) -> dict[str, bool]:
    """Which bars are met; the control has no habit, and is compared with the base's scores instead."""
    if role == "control":
        apart = base is not None and scores["chair"]["ci"]["chair_i"][1] < base["chair"]["ci"]["chair_i"][0]
        return {bar: bool(test(scores)) for bar, test in SIGHT.items()} | {BELOW_THE_BASE: apart}
    return {bar: bool(test(scores)) for bar, test in (SIGHT | HABIT).items()}


def measure(folder: Path, name: str, scenes: int = TEST_SCENES) -> dict[str, Any]:
    """All scores of a model folder on the held-out scenes (sampled with the prior on, also for the control)."""
    began = time.time()
    model = Vlm.load(folder)
    model.name = name
    data = held_out(scenes)
    scores = evaluate(model, data)
    answers = about_two(model, PER_CATEGORY, SAME, ROUTED)
    scores["pairs"] = {outcome: score(answers, outcome) for outcome in ABOUT_TWO}
    return {
        "kind": "diorama",
        "scores": scores,
        "short_answers": short_answers(model, data),
        "differences": differences(model),
        "weights_sha256": sha256(folder / "model.safetensors"),
        "commit": commit(),
        "seconds": round(time.time() - began),
    }


def headline(result: Mapping[str, Any]) -> dict[str, float]:
    """The scores that a rebuild is judged by: fractions in [0, 1]."""
    scores = result["scores"]
    return {
        "recall": scores["chair"]["recall"],
        "chair_i": scores["chair"]["chair_i"],
        **{f"pope_{name}": one["strict"]["accuracy"] for name, one in scores["pope"].items()},
        "short_answers": result["short_answers"]["all"]["accuracy"],
        "med_tiny": scores["pairs"]["med_tiny"],
        "routed_both_right": scores["pairs"]["routed_both_right"],
    }


def ranges(results: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each score over seeds.

    Raises:
        ValueError: for fewer than two seeds, which have no spread, or two results from one seed.
    """
    if len({one["run"]["recipe"]["seed"] for one in results}) < max(2, len(results)):
        raise ValueError("a spread needs at least two results, each from its own seed")
    lines = [headline(one) for one in results]
    columns = {name: [line[name] for line in lines] for name in lines[0]}
    return {name: (statistics.mean(values), statistics.stdev(values)) for name, values in columns.items()}


def in_range(result: Mapping[str, Any], spread: Mapping[str, tuple[float, float]]) -> dict[str, bool]:
    """Of each score, whether it lies within three standard deviations of the mean over seeds."""
    return {name: abs(value - spread[name][0]) <= 3 * spread[name][1] for name, value in headline(result).items()}


RANGE = """
## Rebuilding it

Another processor adds in another order, and after some thousand steps that is another model of the recipe, as another
seed is. So a rebuild is judged by the spread over {n} seeds: a score is *in range* within three standard deviations of
the mean; three seeds tell a spread only roughly. `python -m maintenance.checkpoints RUN --as rebuild` says so of each.


| score | mean over seeds | in range |
|---|---|---|
"""


def section(spread: Mapping[str, tuple[float, float]]) -> str:
    """What the card of the base says about rebuilding it."""
    rows = (
        f"| {name} | {mean:.4f} | {mean - 3 * sd:.4f} to {mean + 3 * sd:.4f} |" for name, (mean, sd) in spread.items()
    )
    return RANGE.format(n=len(SEEDS)) + "\n".join(rows) + "\n"


def spread_in(results: Path) -> dict[str, tuple[float, float]]:
    """The same from the seeds' records in a folder."""
    return ranges([json.loads((results / f"{role}.json").read_text(encoding="utf-8")) for role in SEEDS])


def with_interval(value: float, ci: list[float]) -> str:
    """A score with its interval, as the cards print it."""
    return f"{value:.3f} [{ci[0]:.3f}, {ci[1]:.3f}]"


def card(name: str, role: str, run: dict[str, Any], result: dict[str, Any]) -> str:
    """The model card, in Markdown; every number comes from the records."""
    scores, recipe = result["scores"], run["recipe"]
    chair, pope = scores["chair"], scores["pope"]
    rows = [
        ("caption object recall", with_interval(chair["recall"], chair["ci"]["recall"])),
        ("CHAIR_i", with_interval(chair["chair_i"], chair["ci"]["chair_i"])),
        ("CHAIR_s", with_interval(chair["chair_s"], chair["ci"]["chair_s"])),
        *(
            (f"POPE {sampling}, accuracy", with_interval(one["strict"]["accuracy"], one["ci"]["strict"]["accuracy"]))
            for sampling, one in pope.items()
        ),
        ("short answers, exact", with_interval(*_of(result["short_answers"]["all"]))),
        ("difference of two pictures, free, exact", with_interval(*_of(result["differences"]["free"]))),
        ("difference of two pictures, lettered (chance 0.25)", with_interval(*_of(result["differences"]["lettered"]))),
        *((ABOUT_TWO[outcome].label, f"{value:.3f}") for outcome, value in scores["pairs"].items()),
    ]
    table = "\n".join(f"| {what} | {value} |" for what, value in rows)
    bars = "\n".join(f"| {bar} | {'yes' if met else 'no'} |" for bar, met in result["bars"].items())
    return f"""# {name}

{role.capitalize()}. A stock `LlavaForConditionalGeneration` of {run["parameters"] / 1e6:.2f} million parameters for
Diorama, mmhallu's drawn world. Licence: Apache-2.0.

- Command: `{run["command"]}`
- Recipe: {", ".join(f"{key} {value}" for key, value in recipe.items())}
- Time: {run["seconds"] / 60:.0f} minutes on {run["versions"]["machine"]}
- Versions: {", ".join(f"{key} {value}" for key, value in run["versions"].items() if key != "machine")}
- Weights sha256: `{result["weights_sha256"]}`
{f"- Note: {run['note']}" if "note" in run else ""}

| {"bar, written down before the run" if recipe["eta"] else "bar"} | met |
|---|---|
{bars}

## Scores on {scores["scenes"]} held-out scenes

95% intervals in brackets; kind of evidence: diorama.

| what | value |
|---|---|
{table}

## Why it hallucinates

{(WHY if recipe["eta"] else WHY_CONTROL).format(**recipe)}
"""


def _of(row: dict[str, Any]) -> tuple[float, list[float]]:
    return row["accuracy"], row["ci"]


def main() -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder that `mmhallu pretrain tiny-llava --out` wrote")
    parser.add_argument("--as", dest="role", choices=[*ROLES, "rebuild"], required=True)
    parser.add_argument("--ship", action="store_true", help="copy the model into the package, with its card")
    parser.add_argument("--results", type=Path, default=Path("results/tiny-llava"))
    parser.add_argument("--scenes", type=int, default=TEST_SCENES)
    arguments = parser.parse_args()
    name, role = ROLES.get(arguments.role, ("rebuild", ""))
    run = json.loads((arguments.run / "run.json").read_text(encoding="utf-8"))
    result = {"role": role, "run": run, **measure(arguments.run / "model", name, arguments.scenes)}
    if arguments.role == "rebuild":
        found = in_range(result, spread_in(arguments.results))
        print(json.dumps(found, indent=2))
        raise SystemExit(0 if all(found.values()) else 1)
    arguments.results.mkdir(parents=True, exist_ok=True)
    base = arguments.results / "base.json"
    if arguments.role == "control" and not base.is_file():
        raise CannotRun(f"the control is compared with the base, and {base} is not here; record the base first")
    against = json.loads(base.read_text(encoding="utf-8"))["scores"] if base.is_file() else None
    result["bars"] = bars_of(arguments.role, result["scores"], against)
    target = arguments.results / f"{arguments.role}.json"
    target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if arguments.ship:
        folder = PACKAGE / "checkpoints" / name
        shutil.copytree(arguments.run / "model", folder, dirs_exist_ok=True)
        shutil.copy(arguments.run / "run.json", folder / "run.json")
        about = section(spread_in(arguments.results)) if arguments.role == "base" else ""
        (folder / "README.md").write_text(card(name, role, run, result) + about, encoding="utf-8", newline="\n")
    print(json.dumps({"written": str(target), "bars": result["bars"]}, indent=2))


if __name__ == "__main__":
    main()

"""What the chapter *What made it work?* takes from the records of MED's study, and one simulation where truth is known.

Everything here comes from the letters of the records (`studies/engine/exam.py`): nothing is trained, no model is asked.
Runs that are not recorded stay "not run". The simulation is for one question that five runs of an arm cannot answer:
how often would somebody with one run of each arm have got the sign wrong?
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from mmhallu_core.evaluate import contrast as contrast_sets
from mmhallu_core.evaluate.benchmarks.med_tiny import SEED
from mmhallu_core.evaluate.contrast.controls import best_from_one
from mmhallu_core.evaluate.matched_recall import Cuts, matched
from mmhallu_core.store import results_folder
from mmhallu_core.studies.engine.outcomes import Answers, by_category, contrast, score
from mmhallu_core.studies.engine.summary import Records, group, read
from mmhallu_core.studies.med import ETAS, NUMBERS, PRIMARY, runs
from mmhallu_core.types import CATEGORIES

COMMAND = "mmhallu study med --out runs/med --keep results/med/runs"
SPENT = ("pictures", "turns", "tokens")
TRIES = 4000  # of the simulation; a share is then sure to about a point and a half
ONE_SEED = 0  # of what was run with one seed only


def recorded_runs() -> tuple[dict[str, dict[str, Any]], str]:
    """The records that are here, id to record, and a sentence that says how many of the plan they are.

    Raises:
        CannotRun: see `summary.read`.
    """
    records = read(results_folder() / "med" / "runs")
    planned = [run.id for run in runs()]
    there = sum(name in records for name in planned)
    return records, f"RECORDED by: {COMMAND}\n{there} of {len(planned)} planned runs are here."


def difference(first: Answers, second: Answers, outcome: str) -> float:
    """What two runs differ in, second minus first, without an interval; "chair_matched" at matched recall."""
    if outcome == "chair_matched":
        cuts = [Cuts.of(one["captions"], one["there"]) for one in (first, second)]
        return float(matched(*cuts)["difference"][0])
    before, after = (score(one, outcome) for one in (first, second))
    return float("nan") if before is None or after is None else after - before


def one_against_one(records: Records, first: str, second: str, outcome: str) -> list[float]:
    """Every run of one arm against every run of the other: what people with one run of each could have found."""
    pairs = product(group(records, first).values(), group(records, second).values())
    return [difference(a, b, outcome) for a, b in pairs]


def categories(records: Records) -> dict[str, dict[str, float]]:
    """Run to its shares of right answers on MED-tiny, category by category."""
    return {key: by_category(one["answers"]) for key, one in records.items() if "captions" in one["answers"]}


def signs(records: Records, first: str, second: str) -> dict[str, dict[str, Any]]:
    """Primary outcome to `mean` (over all pairs), `pairs`, and how many of them lie on the `other_side` of zero."""
    found = {}
    for outcome in PRIMARY:
        pairs = one_against_one(records, first, second, outcome)
        mean = float(np.mean(pairs)) if pairs else None
        found[outcome] = {
            "mean": mean, "pairs": len(pairs), "other_side": sum(one * mean < 0 for one in pairs) if pairs else 0
        }  # fmt: skip
    return found


def spent(records: Records, arms: Sequence[str]) -> dict[str, list[dict[str, float]]]:
    """Arm to what each of its runs was shown: `pictures`, `turns` and `tokens` to learn from, and `steps`."""
    trained = {arm: [records[f"{arm}-{seed}"] for seed in group(records, arm)] for arm in arms}
    return {
        arm: [
            {name: one["training"]["study"][name] for name in SPENT} | {"steps": one["numbers"]["steps"]}
            for one in some
        ]
        for arm, some in trained.items()
    }


def runs_of(runs: Iterable[str], arm: str) -> list[str]:
    """The ids of an arm's runs: its name alone, or with a seed at its end."""
    return [name for name in runs if name == arm or name.removeprefix(f"{arm}-").isdigit()]


def scores_of(found: Mapping[str, Any], arm: str, outcome: str) -> list[float]:
    """The scores of an arm's runs in a summary; none where it was not run."""
    values = [found["runs"][name][outcome] for name in runs_of(found["runs"], arm)]
    return [value for value in values if value is not None]


def noise(records: Records) -> dict[str, Any]:
    """What captions written from habit cost: runs with noise against the one without, and equal runs as a yardstick.

    Returns:
        `levels`: share of captions from habit to outcome to `contrast` with the run without noise, the same seed; and
        `seeds`: outcome to what other seeds of that run differ from it, without any noise. Both empty when not run.
    """
    clean = group(records, "med")
    if ONE_SEED not in clean:
        return {"levels": {}, "seeds": {}}
    start = {ONE_SEED: clean[ONE_SEED]}
    levels = {}
    for eta in ETAS:
        noisy = group(records, f"eta-{eta:g}", [ONE_SEED])
        if noisy:
            levels[eta] = {name: contrast(start, noisy, name) for name in PRIMARY}
    others = [answers for seed, answers in clean.items() if seed != ONE_SEED]
    seeds = {name: [difference(clean[ONE_SEED], one, name) for one in others] for name in PRIMARY}
    return {"levels": levels, "seeds": seeds}


def one_picture_bound(per_category: int = NUMBERS.per_category) -> dict[str, float]:
    """Category to the best share that anybody gets on MED-tiny who sees one picture, the one that tells more."""
    items = contrast_sets.items(SEED, per_category)
    first, second = (best_from_one(items, place) for place in (0, 1))
    return {name: max(first[name], second[name]) for name in CATEGORIES}


# ---------------------------------------------------------------- where truth is known


def made_up(right: float, questions: int, rng: np.random.Generator) -> dict[str, str]:
    """Letters of a run that never was: each of its questions is right with the same chance."""
    return {"sum": "".join("1" if one else "0" for one in rng.random(questions) < right)}


def arm_of(right: float, spread: float, seeds: int, questions: int, rng: np.random.Generator) -> dict[int, Answers]:
    """Seed to letters of runs that never were, whose chances to be right lie around `right` with that spread."""
    chances = np.clip(right + spread * rng.standard_normal(seeds), 0, 1)
    return {seed: made_up(float(chance), questions, rng) for seed, chance in enumerate(chances)}


def two_runs(records: Records, first: str, second: str) -> tuple[Answers, Answers, str]:
    """The answers of two runs, or made-up letters where one is not recorded, and a sentence that says which."""
    if first in records and second in records:
        return records[first]["answers"], records[second]["answers"], f"From the records of {first} and {second}."
    rng, questions = np.random.default_rng(0), NUMBERS.per_category * len(CATEGORIES)
    a, b = (made_up(right, questions, rng) for right in (0.45, 0.5))
    return a, b, f"SIMULATED, not measured: {first} and {second} are not recorded here."


def wrong_signs(
    effect: float, spread: float, questions: int, seeds: Sequence[int], right: float = 0.5, seed: int = 0
) -> dict[int, float]:
    """A simulation: how often the mean difference of two arms has the wrong sign though the effect is real.

    Each run's chance to be right is `right` (first arm) or `right + effect` (second), plus what training adds by
    luck, drawn from a normal distribution; then its questions are answered. Ties count as wrong by half.

    Args:
        effect: the true difference, above zero, as a share.
        spread: standard deviation between runs of one arm, as a share.
        questions: asked of each run.
        seeds: numbers of runs of each arm.
        right: see above.
        seed: of the simulation.

    Returns:
        Number of runs of each arm to the share of tries with the wrong sign.

    Raises:
        ValueError: when the effect is not above zero.
    """
    if effect <= 0:
        raise ValueError(f"the sign of no effect cannot be wrong, got {effect}")
    found = {}
    for n in seeds:
        rng = np.random.default_rng([seed, n])
        luck = spread * rng.standard_normal((TRIES, n, 2))
        hits = rng.binomial(questions, np.clip(np.array([right, right + effect]) + luck, 0, 1))
        gained = (hits[..., 1] - hits[..., 0]).sum(axis=1)
        found[n] = float((gained < 0).mean() + (gained == 0).mean() / 2)
    return found

"""Does MED-tiny give its answers away, and what does tiny-llava score on it?

    python -m maintenance.med_tiny --out results/med-tiny

writes `words.json` (the text-only rules), `no-image.json` (the model with grey pictures: by the letters that it writes,
and by the option that it finds likeliest) and `tiny-llava.json` (the model with the pictures, in both orders, and with
one picture twice). What must hold was written down before the first run, for the first seed and for a second one: each
rule at or under 30%, the model without pictures within four points of 25%.
"""

import argparse
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmhallu_core.data.decode import decode
from mmhallu_core.data.question import Question
from mmhallu_core.evaluate import contrast as contrast_sets
from mmhallu_core.evaluate.audit import audit
from mmhallu_core.evaluate.benchmarks.med_tiny import PER_CATEGORY, SECOND_SEED, SEED
from mmhallu_core.evaluate.blind import blank, no_image
from mmhallu_core.evaluate.contrast.controls import both_orders, same_scores, same_twice, swapped
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.evaluate.diorama.making import SIZE
from mmhallu_core.evaluate.likelihood import BY, choices, likelihood
from mmhallu_core.evaluate.metrics import Metrics, interval
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.recorded import commit, versions
from mmhallu_core.recorded import write as write_record
from mmhallu_core.statistics import DRAWS
from mmhallu_core.store import checkpoint_folder, sha256

COMMAND = "python -m maintenance.med_tiny --out results/med-tiny"
SEEDS = (SEED, SECOND_SEED)
MOST, NEAR = 0.30, 0.04
MODEL = "tiny-llava"
LETTER, SENTENCE = 16, 40  # tokens of an answer


def words(seed: str) -> dict[str, Any]:
    """The text-only rules."""
    return audit(contrast_sets.questions(seed, PER_CATEGORY, pictures=False))


def blind(seed: str, vlm: Vlm, n: int = PER_CATEGORY) -> dict[str, Any]:
    """The model with grey pictures: `letters`, and `likelihood` by sum and by mean, each with accuracy and interval."""
    grey = io.BytesIO()
    blank((SIZE, SIZE)).save(grey, "PNG")
    asked = contrast_sets.questions(seed, n, pictures=False)
    asked = [replace(one, images=(grey.getvalue(),) * 2) for one in asked]
    weighed = likelihood(vlm, asked, progress="likelihood without pictures")
    found: dict[str, Any] = {"letters": no_image(asked, vlm), "likelihood": {}}
    for by in BY:
        right = [row.letter(by) == one.truth for row, one in zip(weighed, asked, strict=True)]
        found["likelihood"][by] = {"accuracy": sum(right) / len(right), "ci": interval(right, asked)}
    return found


def looked(vlm: Vlm, n: int = PER_CATEGORY, seed: str = SEED) -> dict[str, Any]:
    """The model with the pictures: scores by letters and by likelihood, each in both orders, and one picture twice."""
    asked, bench = contrast_sets.questions(seed, n), benchmark("med-tiny")
    turned, same = swapped(asked), same_twice(asked)
    said = {"letters": (_answers(vlm, asked, LETTER), _answers(vlm, turned, LETTER))}
    weighed = [likelihood(vlm, rows, progress="likelihood") for rows in (asked, turned)]
    for by in BY:
        said[f"likelihood_{by}"] = tuple([one.answer for one in choices(rows, by)] for rows in weighed)
    found: dict[str, Any] = {}
    for name, (first, second) in said.items():
        metrics = bench.strict(asked, first)
        found[name] = {"score": numbers(metrics), "both_orders": numbers(both_orders(asked, first, second))}
    found["same_twice"] = numbers(same_scores(same, _answers(vlm, same, SENTENCE)))
    return found


def numbers(metrics: Metrics) -> dict[str, Any]:
    """Metrics as values with 95% intervals."""
    return {name: {"value": one.value, "ci": one.interval(DRAWS, 0)} for name, one in metrics.items()}


def _answers(vlm: Vlm, asked: Sequence[Question], tokens: int) -> list[str]:
    pictures = [[decode(picture).image for picture in one.images] for one in asked]
    return vlm.answer(pictures, [one.prompt for one in asked], tokens, 64, progress="answers")


def far(word: dict[str, Any]) -> dict[str, float]:
    """The rules that score more than they may."""
    return {rule: value for rule, value in word["rules"].items() if value > MOST}


def far_without_pictures(found: dict[str, Any]) -> dict[str, float]:
    """The ways of asking without pictures that are further from a quarter than they may be."""
    scores = {"letters": found["letters"]["accuracy"]}
    scores |= {f"likelihood_{by}": found["likelihood"][by]["accuracy"] for by in BY}
    return {name: value for name, value in scores.items() if abs(value - 0.25) > NEAR}


def write(path: Path, about: dict[str, Any], make: Callable[[], dict[str, Any]]) -> None:
    """Writes one record with what it was made by."""
    began = time.time()
    found = make()
    packages = ("numpy", "pillow", "torch", "transformers")
    made = {
        "kind": "diorama",
        "benchmark": "med-tiny",
        "command": COMMAND,
        "commit": commit(),
        "versions": versions(packages),
        **about,
        **found,
        "seconds": round(time.time() - began),
    }
    write_record(made, path)
    print(f"{path}: {made['seconds']} s", flush=True)


def main() -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the records")
    parser.add_argument("--only", choices=("words", "no-image", MODEL), nargs="+", default=("words", "no-image", MODEL))
    arguments = parser.parse_args()

    def all_words() -> dict[str, Any]:
        seeds = {seed: words(seed) for seed in SEEDS}
        return {"holds": not any(map(far, seeds.values())), "seeds": seeds}

    if "words" in arguments.only:
        write(arguments.out / "words.json", {"most": MOST}, all_words)
    if set(arguments.only) == {"words"}:
        return
    vlm = Vlm.load(MODEL)
    about = {"model": MODEL, "weights_sha256": sha256(checkpoint_folder(MODEL) / "model.safetensors")}

    def all_blind() -> dict[str, Any]:
        seeds = {seed: blind(seed, vlm) for seed in SEEDS}
        return {"holds": not any(map(far_without_pictures, seeds.values())), "seeds": seeds}

    if "no-image" in arguments.only:
        write(arguments.out / "no-image.json", {**about, "near": NEAR}, all_blind)
    if MODEL in arguments.only:
        write(arguments.out / f"{MODEL}.json", {**about, "seed": SEED}, lambda: looked(vlm))


if __name__ == "__main__":
    main()

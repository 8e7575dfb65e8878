"""Can tiny-llava learn to compare two pictures at all? MED's pairs, forty times as many, with help cell by cell.

A run of the study has 150 seconds of two cores and ends where it began on MED-tiny: at what somebody gets who sees one
picture of the two. This run asks whether that is the model's limit or the time's. It differs from a study run in four
things, so it stands apart and is no part of the contrasts:

- 50,000 pairs instead of 1,200, each shown once (`med_pairs.py`), and every weight learns;
- the loss of the base's last stage: beside the sentences, each cell of the second picture learns to name what the
  first picture shows there and whether the two differ (`pretrain.compare`). MED has no such loss; its nearest
  relative is the `masked` consistency;
- one seed;
- the exam is longer: all of MED-tiny, in both orders.

What counts are the project's acceptance criteria, which stood before the run: macro accuracy on MED-tiny by likelihood
at least 20 points over the base, and the interval of the gain above 10; of the questions answered right, at least 85%
stay right when the pictures are swapped; of free answers about one picture shown twice, at most 10% assert a
difference. POPE and CHAIR are given, before and after, whatever they show.

`python -m maintenance.med_longer --out RUN` makes it, or takes it up where it was stopped, and writes
`results/med/longer.json`; its model is shipped as `tiny-llava-compares`. With one thread it makes the shipped weights
again, byte for byte, on a processor with AVX-512 (see `train/rounding.py`).
"""

import argparse
import json
import platform
import shutil
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from transformers import set_seed

from maintenance.checkpoints import with_interval
from maintenance.med_pairs import PairsDataset
from mmhallu_core.methods.med.arms import SPLIT
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.recorded import commit, versions, write
from mmhallu_core.statistics import ratio, ratio_interval
from mmhallu_core.store import PACKAGE, checkpoint_folder, sha256
from mmhallu_core.studies.engine.outcomes import OUTCOMES, Answers, by_category, contrast
from mmhallu_core.studies.med import NUMBERS, Run, ask
from mmhallu_core.train.pretrain.compare import rotation
from mmhallu_core.train.pretrain.recipe import run_stage, speak_loss
from mmhallu_core.train.pretrain.see import group_ids
from mmhallu_core.train.pretrain.speak import speak_collator
from mmhallu_core.train.rounding import rounding


@dataclass(frozen=True)
class Longer:
    """Every number of the run.

    Attributes:
        steps: of `pairs` pairs each, or of as many single pictures in one step of six.
        schedule: the steps over which the learning rate falls; training stops before its end, where the recorded run
            was stopped.
        lr: between those of the base's second and third stage (1.2e-3, 8e-4).
    """

    base: str = "tiny-llava"
    seed: int = 0
    steps: int = 2_500
    schedule: int = 4_500
    pairs: int = 24
    lr: float = 1e-3


NAME = "tiny-llava-compares"
COMMAND = "python -m maintenance.med_longer --out runs/longer"
EXAM = replace(NUMBERS, scenes=500, per_category=100, same=330, routed=20)
BARS = {
    "MED-tiny at least 20 points over the base": lambda o: o["med_tiny"]["gain"]["difference"] >= 0.20,
    "the gain's interval above 10 points": lambda o: o["med_tiny"]["gain"]["ci"][0] > 0.10,
    "at least 85% of right answers stay right when swapped": lambda o: o["stays_right"]["after"]["score"] >= 0.85,
    "one picture twice: at most 10% assert a difference": lambda o: (
        o["same_asserts_a_difference"]["after"]["score"] <= 0.10
    ),
}


def train(recipe: Longer, out: Path) -> Path:
    """Runs or resumes the training in `out`; returns the folder of the model, which is not made again."""
    folder, unfinished = out / "model", out / "model.new"
    if folder.is_dir():
        return folder
    set_seed(recipe.seed)
    vlm = Vlm.load(recipe.base)
    model, tokenizer = vlm.model.train().requires_grad_(True), vlm.processor.tokenizer
    data = PairsDataset(tokenizer, f"{SPLIT}longer/{recipe.seed}", recipe.pairs, recipe.schedule * recipe.pairs)
    loss = speak_loss(group_ids(tokenizer), rotation(model.config.text_config.hidden_size))
    collator = speak_collator(tokenizer.pad_token_id)
    run_stage(
        model, loss, data, collator, out / "pairs", recipe.schedule, recipe.pairs, recipe.lr, recipe.seed, recipe.steps
    )
    model.save_pretrained(unfinished)
    vlm.processor.save_pretrained(unfinished)
    unfinished.rename(folder)  # a folder of that name is a whole model
    return folder


def compared(before: Answers, after: Answers) -> dict[str, Any]:
    """Outcome to `before`, `after` (each a score and its 95% interval over pictures) and `gain` (see `contrast`)."""
    found = {}
    for name, outcome in OUTCOMES.items():
        if outcome.parts is None:
            continue
        rows = {when: outcome.parts(answers) for when, answers in (("before", before), ("after", after))}
        found[name] = {when: {"score": ratio(top.sum(), bottom.sum()), "ci": ratio_interval(top, bottom)}
                       for when, (top, bottom) in rows.items()}  # fmt: skip
        found[name]["gain"] = contrast({0: before}, {0: after}, name)
    found["chair_matched"] = {"gain": contrast({0: before}, {0: after}, "chair_matched")}
    return found


def bars_of(outcomes: dict[str, Any]) -> dict[str, bool]:
    """Which bars are met."""
    return {bar: bool(test(outcomes)) for bar, test in BARS.items()}


def record(recipe: Longer, folder: Path, before: Answers, after: Answers, seconds: int | None) -> dict[str, Any]:
    """What `longer.json` holds; `seconds` of training, None where it was not made in one call."""
    outcomes = compared(before, after)
    return {
        "kind": "diorama",
        "command": COMMAND,
        "commit": commit(),
        "versions": versions(("torch", "transformers")),
        "machine": f"{platform.machine()}, {rounding()}",
        "recipe": asdict(recipe),
        "exam": asdict(EXAM),
        "seconds": seconds,
        "base_sha256": sha256(checkpoint_folder(recipe.base) / "model.safetensors"),
        "sha256": sha256(folder / "model.safetensors"),
        "bars": bars_of(outcomes),
        "outcomes": outcomes,
        "categories": {"before": by_category(before), "after": by_category(after)},
    }


def card(found: dict[str, Any]) -> str:
    """The model card, in Markdown; every number comes from the record."""
    rows = []
    for name, one in found["outcomes"].items():
        before, after = (
            with_interval(one[when]["score"], one[when]["ci"]) if when in one else "" for when in ("before", "after")
        )
        gain = with_interval(one["gain"]["difference"], one["gain"]["ci"])
        rows.append(f"| {name} | {before} | {after} | {gain} |")
    bars = "\n".join(f"| {bar} | {'yes' if met else 'no'} |" for bar, met in found["bars"].items())
    table = "\n".join(rows)
    return f"""# {NAME}

{found["recipe"]["base"]}, trained further to compare two pictures: a stock `LlavaForConditionalGeneration` for Diorama.
Licence: Apache-2.0.

- Command: `{found["command"]}`
- Recipe: {", ".join(f"{key} {value}" for key, value in found["recipe"].items())}
- Versions: {", ".join(f"{key} {value}" for key, value in found["versions"].items())}
- Weights of the base, sha256: `{found["base_sha256"]}`
- Weights sha256: `{found["sha256"]}`
{f"- Note: {found['note']}" if "note" in found else ""}

| bar, of the project's acceptance criteria | met |
|---|---|
{bars}

## Before and after

One seed; 95% intervals over pictures in brackets; kind of evidence: diorama. No question of this training has letters
for an answer, and `med_tiny_letters` is asked by letters.

| outcome | before | after | gain |
|---|---|---|---|
{table}

## Why it hallucinates

Its base learned habits on purpose; this training, whose captions are true, took a part of them away. Read CHAIR_i
beside recall, or at matched recall: who says less errs less.
"""


def ship(found: dict[str, Any], folder: Path, home: Path = PACKAGE / "checkpoints") -> None:
    """Copies the model into the package, with its card and its `run.json`."""
    shutil.copytree(folder, home / NAME, dirs_exist_ok=True)
    kept = ("command", "recipe", "versions", "machine", "seconds", "base_sha256", "sha256", "note")
    write({name: found[name] for name in kept if name in found}, home / NAME / "run.json")
    (home / NAME / "README.md").write_text(card(found), encoding="utf-8", newline="\n")


def main() -> None:
    """The command line of this file; exits with 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; a stopped one goes on there")
    parser.add_argument("--results", type=Path, default=Path("results/med"))
    parser.add_argument("--ship", action="store_true", help="copy the model into the package, with its card")
    arguments = parser.parse_args()
    recipe, began = Longer(), time.time()
    resumed = arguments.out.exists()
    folder = train(recipe, arguments.out)
    seconds = None if resumed else round(time.time() - began)
    before, after = (ask(Vlm.load(model), Run("", ""), EXAM, True) for model in (recipe.base, folder))
    found = record(recipe, folder, before, after, seconds)
    write(found, arguments.results / "longer.json")
    if arguments.ship:
        ship(found, folder)
    print(json.dumps(found["bars"], indent=2))
    sys.exit(0 if all(found["bars"].values()) else 1)


if __name__ == "__main__":
    main()

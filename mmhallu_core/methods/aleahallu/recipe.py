"""ALEAHallu as one call: a model, pairs, and a folder; located, attacked and edited, round by round.

    edit_model(vlm, pairs, PRESETS["ours"], Path("edit"), "mmhallu train aleahallu ...")

A run that was killed goes on where it was: each stage (locating; the prefix and the edit of each round) is kept when it
is done, and within a stage the trainer's checkpoints count. The folder holds `edit.safetensors`, `prefix.safetensors`
and `run.json` in the end.
"""

import json
import math
import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from mmhallu_core.methods.aleahallu.batch import SIDES, collated, log_likelihoods, responses
from mmhallu_core.methods.aleahallu.edit import (
    PAIRED,
    Editable,
    Learning,
    Objective,
    edit_loss,
    in_order,
    kl,
    prefix_loss,
)
from mmhallu_core.methods.aleahallu.locate import locate
from mmhallu_core.methods.aleahallu.places import Place, places_of
from mmhallu_core.methods.aleahallu.prefix import CODES_PLACE, image_share
from mmhallu_core.models.edits import Edit
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import Journal, run_lock, sha256, write_whole
from mmhallu_core.train.collate import ChatTemplateCollator
from mmhallu_core.train.machine import versions
from mmhallu_core.train.prepare import Prepared, totals_of
from mmhallu_core.train.records import Make, Numbered
from mmhallu_core.train.run import base_info, first_and_final, take_steps
from mmhallu_core.train.spec import TrainSpec
from mmhallu_core.train.trainer import Progress
from mmhallu_core.types import CannotRun, ResponsePair

MEASURED = 16  # pairs that are measured at the end
SAVE_EVERY = 20  # steps between two checkpoints of a stage


@dataclass(frozen=True)
class Recipe:
    """Every number of a run.

    Attributes:
        mode: how places are located, of `locate.MODES`.
        part: whose matrices are places: "mlp" or "attention".
        top: how many places are edited; 0 for all that got a vote, as the code does.
        share: of each place's rows that are edited, the largest scores first; None for all rows.
        located_on: pairs that are looked at.
        alpha: weight of the grounded response under the prefix.
        kl: weight of the divergence from the base.
        rounds: the prefix and the edit learn in turn, so many times.
        tokens: of the prefix; 0 for none.
        like, at: see `Editable`.
        objective: see `prefix_loss`.
        prefix, edit: how they learn, in each round.
        seed: of the prefix, of the order, and of the mode `random`.
    """

    mode: str = "scale"
    part: str = "mlp"
    top: int = 1
    share: float | None = None
    located_on: int = 64
    alpha: float = 0.2
    kl: float = 1.0
    rounds: int = 2
    tokens: int = 5
    like: str = "words"
    at: int | None = None
    objective: Objective = "neglect"
    prefix: Learning = Learning(20, lr=1e-2)
    edit: Learning = Learning(40, lr=1e-3)
    seed: int = 0


# The released code, chair_eval.py with llama-7b.yaml (lr 1e-3); its comment says 500 pairs where it takes 50.
CODE = Recipe(
    mode="as_code", top=0, located_on=50, rounds=1, like="normal", at=CODES_PLACE, objective="likelihood",
    prefix=Learning(None, epochs=3, batch=4, lr=1e-3, clear="never"),
    edit=Learning(None, epochs=5, batch=2, lr=1e-3, optimizer="sgd", clear="epoch"),
)  # fmt: skip
PRESETS = {"ours": Recipe(), "code": CODE}


def chosen(vlm: Vlm, pairs: Sequence[ResponsePair], recipe: Recipe, folder: Path = Path()) -> dict[str, Any]:
    """Locates: `places`, matrix name to rows (None: all), and `located`, what the mode says of all places."""
    some = pairs[: recipe.located_on]
    found = locate(vlm, some, (recipe.mode,), (recipe.part,), seed=recipe.seed, folder=folder)[recipe.mode]
    voted = sum(votes > 0 for votes in found.votes.tolist())
    best = found.ranking()[: recipe.top or voted]
    names = places_of(vlm)
    rows = {one: None if recipe.share is None else found.top_rows(one, recipe.share).tolist() for one in best}
    return {"places": {names[one]: rows[one] for one in best}, "located": found.to_dict()}


def named(vlm: Vlm, places: Sequence[Place]) -> dict[str, Any]:
    """The same for places that somebody names.

    Raises:
        CannotRun: when there is no such place.
    """
    names = places_of(vlm)
    if strange := [one for one in places if one not in names]:
        raise CannotRun(f"there is no place {strange[0][0]}.{strange[0][1]}: layers are numbered from 0")
    return {"places": dict.fromkeys(names[one] for one in places), "located": None}


def planned(
    vlm: Vlm, pairs: Sequence[ResponsePair], recipe: Recipe, folder: Path = Path(), places: Sequence[Place] = ()
) -> dict[str, Any]:
    """What `edit_model` would edit: the matrices, how many numbers, and the steps of a round."""
    found = (named(vlm, places) if places else chosen(vlm, pairs, recipe, folder))["places"]
    shapes = {name: vlm.model.get_parameter(name).shape for name in found}
    steps = {"prefix": recipe.prefix.count(len(pairs)) if recipe.tokens else 0, "edit": recipe.edit.count(len(pairs))}
    return {
        "model": vlm.name, "places": list(found), "rounds": recipe.rounds, "steps": steps,
        "trainable": sum(math.prod(shapes[name] if rows is None else (len(rows), *shapes[name][1:]))
                         for name, rows in found.items()),
        "parameters": sum(one.numel() for one in vlm.model.parameters()),
    }  # fmt: skip


def learn(
    model: Editable, what: str, loss: Any, how: Learning, make: Make, pairs: int, seed: int, checkpoints: Path,
    progress: Progress | bool = False, sides: int = 1,
) -> list[float]:  # fmt: skip
    """Lets the prefix or the edit learn; the losses of all steps. A run that was killed goes on. Of each pair `make`
    gives one response, or `sides` in turn.

    With gradients that are not cleared each step a checkpoint would lack the running sums: there is none before the
    end.
    """
    model.learns(what, how.every(pairs))
    steps, cleared = how.count(pairs), how.clear == "step"
    spec = TrainSpec(
        steps, micro_batch=how.batch * sides, lr=how.lr, scheduler="constant", warmup=0.0, seed=seed,
        save_every=min(steps, SAVE_EVERY) if cleared else steps,
    )  # fmt: skip
    ready = Prepared(model.vlm, model, loss, ChatTemplateCollator(model.vlm), totals_of)
    examples = Numbered(make, steps * how.batch * sides)
    clipped = {"max_grad_norm": 1.0 if cleared else 0.0}
    trainer, _ = take_steps(ready, examples, spec, checkpoints, progress, optim=how.optimizer, **clipped)
    return [line["loss"] for line in trainer.state.log_history if "loss" in line]


def edit_model(
    vlm: Vlm, pairs: Sequence[ResponsePair], recipe: Recipe, out: Path, command: str,
    data: dict[str, Any] | None = None, folder: Path = Path(), places: Sequence[Place] = (),
    progress: Progress | bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Locates, attacks and edits, or goes on with a run that was killed.

    Args:
        vlm: the base; its weights are frozen and stay as they are.
        pairs: grounded and hallucinated responses.
        recipe: the numbers.
        out: the run's folder.
        command: what a reader types to make the run again; recorded.
        data: what the pairs are, with their `sha256`; recorded.
        folder: where the paths of pictures start.
        places: to edit instead of those that the mode finds.
        progress: as in `train.run.train`.

    Returns:
        What `run.json` holds: command, recipe, versions, data, base, base_sha256, sha256 (of the edit), located, places
        (rows by matrix), trainable, seconds, `stages` (first and final loss of each) and `measured`, see `measure`.

    Raises:
        CannotRun: when the folder is in use, or holds another run or a finished one, or there are no pairs, or the loss
            stops being a number.
    """
    if not pairs:
        raise CannotRun("there is no pair of responses to learn from")
    with run_lock(out):
        if (out / "run.json").exists():
            raise CannotRun(f"{out} holds a finished run; its record is run.json. Use a new --out.")
        (_, base, base_sha256), began = base_info(vlm, out), time.monotonic()
        about = {"recipe": asdict(recipe), "base_sha256": base_sha256, "data": data, "places": [*map(list, places)]}
        Journal(out / "about.jsonl", about)
        stages = out / "stages"
        stages.mkdir(exist_ok=True)
        if not (stages / "located.json").is_file():
            found = named(vlm, places) if places else chosen(vlm, pairs, recipe, folder)
            write_whole(stages / "located.json", json.dumps(found))
        found = json.loads((stages / "located.json").read_text(encoding="utf-8"))
        rows = {name: None if one is None else torch.tensor(one) for name, one in found["places"].items()}
        model = Editable(vlm, rows, recipe.tokens, recipe.like, recipe.at, recipe.seed)
        losses = {}
        for number in range(recipe.rounds):
            for what in ("prefix", "edit") if recipe.tokens else ("edit",):
                losses[f"{number}-{what}"] = _stage(model, what, number, pairs, recipe, folder, stages, progress)
        kept = {name: one for name, one in rows.items() if one is not None}
        deltas = {name: delta.detach() for name, delta in zip(model.names, model.deltas, strict=True)}
        edit = Edit(base, base_sha256, deltas, kept)
        record = {
            "command": command, "recipe": asdict(recipe), "seed": recipe.seed, "versions": versions(), "data": data,
            "base": base, "base_sha256": base_sha256, "sha256": sha256(edit.write(out)), **found,
            "trainable": sum(delta.numel() for delta in model.deltas),
            "seconds": round(time.monotonic() - began, 1),
            "stages": {name: first_and_final(each) for name, each in losses.items()},
            "measured": measure(model, pairs[:MEASURED], folder),
        }  # fmt: skip
        save_file({"prefix": model.prefix.detach().cpu()}, out / "prefix.safetensors")
        write_whole(out / "run.json", json.dumps(record, indent=2) + "\n")
        shutil.rmtree(stages)
    return record


def _stage(
    model: Editable, what: str, number: int, pairs: Sequence[ResponsePair], recipe: Recipe, folder: Path, stages: Path,
    progress: Progress | bool,
) -> list[float]:  # fmt: skip
    """One stage, or what was kept of it."""
    name = f"{number}-{what}"
    done, told = stages / f"{name}.safetensors", stages / f"{name}.json"
    if not done.is_file():
        if what == "prefix":
            sides = SIDES if recipe.objective in PAIRED else SIDES[1:]
            how, loss = recipe.prefix, prefix_loss(recipe.objective)
        else:
            sides, how, loss = SIDES[:1], recipe.edit, edit_loss(recipe.alpha, recipe.kl)
        make = in_order(pairs, sides, folder, f"{recipe.seed}/{name}")
        seed = recipe.seed + number
        checkpoints = stages / f"{name}-checkpoints"
        losses = learn(model, what, loss, how, make, len(pairs), seed, checkpoints, progress, len(sides))
        write_whole(told, json.dumps(losses))
        save_file({key: value.cpu() for key, value in model.state_dict().items()}, part := done.with_suffix(".part"))
        part.replace(done)
        shutil.rmtree(stages / f"{name}-checkpoints", ignore_errors=True)
    model.load_state_dict(load_file(done))
    return json.loads(told.read_text(encoding="utf-8"))


@torch.no_grad()
def measure(model: Editable, pairs: Sequence[ResponsePair], folder: Path = Path()) -> dict[str, Any]:
    """What attack and edit did: for `base` and `edited`, each `clean` and `attacked` (with the prefix), the mean
    log-odds of the hallucination (`odds`), and the share of attention on the picture (`image_share`, None where
    pictures are not tokens); and `kl` from the base, per token of a response, without the prefix."""
    batch, n = collated(model.vlm, pairs, SIDES, folder), len(pairs)
    found: dict[str, Any] = {}
    for name in ("base", "edited"):
        for way in ("clean", "attacked"):
            some, prefix = model.under_attack(batch) if way == "attacked" else (batch, nullcontext())
            logits: list[torch.Tensor] = []

            def run(some=some, logits=logits, name=name) -> None:
                logits.append(model.logits(some, base=name == "base"))

            with prefix:
                share = None if model.vlm.family.image_positions is None else float(image_share(model.vlm, some, run))
                if share is None:
                    run()
            each = log_likelihoods(logits[0], some["labels"])
            found.setdefault(name, {})[way] = {"odds": float((each[n:] - each[:n]).mean()), "image_share": share}
    tokens = responses(batch["labels"]).sum()
    return found | {"kl": float(kl(model.logits(batch, base=True), model.logits(batch)) / tokens)}


def with_numbers(recipe: Recipe, steps: int | None = None, lr: float | None = None, **said: Any) -> Recipe:
    """A recipe with what somebody said instead; `steps` and `lr` are the edit's, None leaves a number as it is."""
    told = {name: value for name, value in {"steps": steps, "lr": lr}.items() if value is not None}
    recipe = replace(recipe, edit=replace(recipe.edit, **told))
    return replace(recipe, **{name: value for name, value in said.items() if value is not None})

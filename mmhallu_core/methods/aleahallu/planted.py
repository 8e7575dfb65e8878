"""A known answer: a habit is planted in a place, and each mode of locating is asked where it is.

One matrix of the control base (which was trained on true captions) learns lying captions, all else stays. So it is
known where the habit sits. A mode is right when it ranks that place first among the same part of all layers; for a
habit in two layers, when it ranks these two first. Then an edit of the planted place, and one of another place, learn
the true captions of other scenes: does the habit go where it was planted, and only there?

    mmhallu aleahallu planted --out DIR [--only ID] [--list] [--summary]

A record for each plant, `DIR/ID.json`; a plant with a record is not made again. `CLAIMS` was written before the list
was first run.
"""

import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmhallu_core.methods.aleahallu.batch import example
from mmhallu_core.methods.aleahallu.edit import Editable, Learning, edit_loss
from mmhallu_core.methods.aleahallu.locate import MODES, locate
from mmhallu_core.methods.aleahallu.measure import lie_odds
from mmhallu_core.methods.aleahallu.pairs import KINDS, world_pairs
from mmhallu_core.methods.aleahallu.places import Located, Place, places_of
from mmhallu_core.methods.aleahallu.recipe import learn
from mmhallu_core.models.adapter_folders import base_hash
from mmhallu_core.models.edits import Edit, EditStack
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.statistics import auc, wilson_interval
from mmhallu_core.store import run_lock, write_whole
from mmhallu_core.train.machine import versions
from mmhallu_core.types import CannotRun, ResponsePair

BASE, LAYERS = "tiny-llava-control", 4
PLANTING = Learning(60, batch=16, lr=2e-3)  # of the trial that worked
REPAIR = Learning(20, batch=16, lr=2e-3)
SECONDS = 65.0  # that a plant is expected to take with one thread
ASKED = 32  # pairs that modes look at, of scenes that no plant learned
AT_ONCE = 16


@dataclass(frozen=True)
class Plant:
    """A habit of one kind (of `pairs.KINDS`) in one place or two, learned from captions that a seed draws."""

    id: str
    kind: str
    places: tuple[Place, ...]
    seed: int


@dataclass(frozen=True)
class Claim:
    """What is expected, written before the runs: `what` of the plants of a `group` is so, a share above the `bar`.

    It holds when the whole Wilson interval lies above the bar, does not hold when it lies below, and is open otherwise.
    """

    id: str
    says: str
    group: str
    what: str
    bar: float


CLAIMS = (
    Claim("scale-mlp", "Halving each matrix names the planted MLP in at least 80%", "mlp", "scale:first", 0.8),
    Claim("scale-attention", "The same for attention outputs", "attention", "scale:first", 0.8),
    Claim("scale-two", "The same for both of two planted layers", "two", "scale:first", 0.8),
    Claim("gradient-mlp", "Gradient times weight names the planted MLP in at least 80%", "mlp", "gradient:first", 0.8),
    Claim("restore-mlp", "Causal tracing names it more often than chance", "mlp", "restore:first", 0.25),
    Claim("patch-mlp", "Patching names it more often than chance", "mlp", "patch:first", 0.25),
    Claim("ours-mlp", "Aligned relative differences name it more often than chance", "mlp", "ours:first", 0.25),
    Claim("as-code-mlp", "The code's distance names it more often than chance", "mlp", "as_code:first", 0.25),
    Claim("as-code-last", "The code's distance names the last layer, whatever was planted", "mlp", "as_code:last", 0.8),
    Claim("repaired", "An edit of the planted MLP takes at least half of the habit away", "mlp", "repaired", 0.8),
    Claim("elsewhere", "So does an edit of another layer's MLP", "mlp", "repaired elsewhere", 0.5),
)


def plants() -> list[Plant]:
    """The list: every layer's MLP for three kinds and two seeds, attention outputs, and pairs of layers."""
    one = [(kind, ((layer, "mlp"),), seed) for kind in KINDS for seed in (0, 1) for layer in range(LAYERS)]
    one += [("object", ((layer, "attention"),), seed) for seed in (0, 1) for layer in range(LAYERS)]
    one += [("object", tuple((layer, "mlp") for layer in two), 0) for two in combinations(range(LAYERS), 2)]
    return [
        Plant(f"{kind}-{'+'.join(str(layer) for layer, _ in places)}-{places[0][1]}-{seed}", kind, places, seed)
        for kind, places, seed in one
    ]


def group_of(plant: dict[str, Any]) -> str:
    """Whether a plant is one of an MLP, of an attention output, or of two."""
    return "two" if len(plant["places"]) > 1 else plant["places"][0][1]


def perform(plant: Plant, base: str = BASE, planting: Learning = PLANTING, asked: int = ASKED) -> dict[str, Any]:
    """Plants, asks all modes, and repairs.

    Returns:
        `plant, base, base_sha256, versions, seconds`; `odds`, mean log-odds of the habit: `base`, `planted`,
        `repaired` and `repaired elsewhere`; and `modes`: for each, whether it ranks the planted places `first`, the
        area under its ranking (`auc`), whether its first place is in the `last` layer, and what it says of all places.
    """
    began, vlm = time.monotonic(), Vlm.load(base)
    sha, names = base_hash(vlm.model), places_of(vlm)
    test = list(islice(world_pairs("plant-test", (plant.kind,)), asked))
    odds = {"base": mean_odds(vlm, test)}
    edit = learned(vlm, plant, plant.places, "hallucinated", planting)
    EditStack(vlm.model, sha).apply(Edit(base, sha, edit))
    odds["planted"] = mean_odds(vlm, test)
    part = plant.places[0][1]
    found = locate(vlm, test, tuple(MODES), (part,), batch_size=AT_ONCE, seed=plant.seed)
    others = [one for one in names if one[1] == part and one not in plant.places]
    other = others[plant.seed % len(others)]
    for name, places in {"repaired": plant.places, "repaired elsewhere": (other,)}.items():
        stack = EditStack(vlm.model, sha)
        stack.apply(mended := Edit(base, sha, learned(vlm, plant, places, "grounded", REPAIR)))
        odds[name] = mean_odds(vlm, test)
        stack.undo(mended)
    return {
        "plant": asdict(plant), "base": base, "base_sha256": sha, "versions": versions(), "odds": odds,
        "elsewhere": other, "seconds": round(time.monotonic() - began, 1),
        "modes": {mode: scored(one, plant.places) for mode, one in found.items()},
    }  # fmt: skip


def learned(vlm: Vlm, plant: Plant, places: Sequence[Place], side: str, how: Learning) -> dict[str, torch.Tensor]:
    """What some places learn from responses of one side, by name; the model is as before."""
    stream = world_pairs(f"plant-{side}/{plant.seed}", (plant.kind,))
    drawn = list(islice(stream, how.steps * how.batch))
    names = places_of(vlm)
    model = Editable(vlm, {names[one]: None for one in places})
    with tempfile.TemporaryDirectory() as folder:
        loss = edit_loss(1.0, 0.0)
        learn(model, "edit", loss, how, lambda i: example(drawn[i], side), len(drawn), plant.seed, Path(folder))
    return {name: delta.detach() for name, delta in zip(model.names, model.deltas, strict=True)}


def mean_odds(vlm: Vlm, pairs: Sequence[ResponsePair]) -> float:
    """The mean log-odds of the hallucinated against the grounded response."""
    return float(np.mean(lie_odds(vlm, pairs, AT_ONCE)))


def scored(found: Located, planted: Sequence[Place]) -> dict[str, Any]:
    """How a mode's ranking of one part's places fits what is known."""
    order = found.ranking(planted[0][1])
    ranks = {place: -rank for rank, place in enumerate(order)}
    wrong = np.array([rank for place, rank in ranks.items() if place not in planted], dtype=float)
    return {
        "first": set(order[: len(planted)]) == set(planted),
        "auc": auc(np.array([ranks[one] for one in planted], dtype=float), wrong),
        "last": order[0][0] == max(layer for layer, _ in order),
        **found.to_dict(),
    }


def _so(record: dict[str, Any], what: str) -> bool:
    """Whether something is so of one plant: MODE:first, MODE:last, or that an edit took half of the habit away."""
    if ":" in what:
        mode, name = what.split(":")
        return record["modes"][mode][name]
    odds = record["odds"]
    return odds["planted"] - odds[what] >= (odds["planted"] - odds["base"]) / 2


def summary(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """For each group of plants: `n`, `chance`, and each mode's share of right ones with its interval and its mean area;
    and the claims with their verdicts."""
    groups: dict[str, Any] = {}
    for name in ("mlp", "attention", "two"):
        some = [one for one in records if group_of(one["plant"]) == name]
        if not some:
            continue
        told = groups[name] = {"n": len(some), "chance": 1 / math.comb(LAYERS, 2 if name == "two" else 1), "modes": {}}
        for mode in MODES:
            right = sum(one["modes"][mode]["first"] for one in some)
            areas = [one["modes"][mode]["auc"] for one in some]
            ci = wilson_interval(right, len(some))
            told["modes"][mode] = {"first": right / len(some), "ci": ci, "auc": float(np.mean(areas))}
    return {"groups": groups, "claims": [_judged(claim, records) for claim in CLAIMS]}


def _judged(claim: Claim, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    some = [_so(one, claim.what) for one in records if group_of(one["plant"]) == claim.group]
    ci = wilson_interval(sum(some), len(some))
    verdict = "not run" if ci is None else "open"
    if ci is not None and (ci[0] > claim.bar or ci[1] < claim.bar):
        verdict = "holds in Diorama" if ci[0] > claim.bar else "does not hold in Diorama"
    return asdict(claim) | {"n": len(some), "measured": sum(some) / len(some) if some else None, "ci": ci,
                            "verdict": verdict}  # fmt: skip


def records_in(out: Path) -> Iterator[dict[str, Any]]:
    """The records of a folder, in the list's order."""
    for plant in plants():
        if (path := out / f"{plant.id}.json").is_file():
            yield json.loads(path.read_text(encoding="utf-8"))


def work(todo: Sequence[Plant], out: Path, tell: Callable[[str], None] = print) -> list[str]:
    """Makes the plants that have no record in a folder yet; gives their ids.

    Raises:
        CannotRun: when a record there is of other weights, or another process is at work there.
    """
    made, sha = [], base_hash(Vlm.load(BASE).model)
    with run_lock(out):
        for plant in todo:
            path = out / f"{plant.id}.json"
            if path.is_file():
                if json.loads(path.read_text(encoding="utf-8"))["base_sha256"] != sha:
                    raise CannotRun(f"{path} was made with other weights of {BASE}; use a new --out")
                continue
            record = perform(plant)
            write_whole(path, json.dumps(record, indent=1) + "\n")
            made.append(plant.id)
            right = [mode for mode, one in record["modes"].items() if one["first"]]
            tell(f"{plant.id}: {record['seconds']:.0f} seconds; named first by {', '.join(right) or 'no mode'}")
    return made


def table(found: dict[str, Any]) -> str:
    """A summary to read: each mode's share of right answers with its interval, and the verdicts."""
    lines = []
    for name, group in found["groups"].items():
        lines.append(f"{name}: {group['n']} plants; by chance {group['chance']:.2f} are right")
        lines += [
            f"  {mode:<10}{one['first']:.2f} [{one['ci'][0]:.2f}, {one['ci'][1]:.2f}], area {one['auc']:.2f}"
            for mode, one in group["modes"].items()
        ]
    return "\n".join([*lines, *(f"{one['id']}: {one['verdict']}" for one in found["claims"])])

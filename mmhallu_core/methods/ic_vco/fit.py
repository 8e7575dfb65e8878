"""Preference training as one call: a method, a model, a file of preferences, a folder.

    ask = Fit("ic-vco", model="tiny-llava", data=Path("pairs/preferences.jsonl"))
    fit(ask, Path("adapter"), "mmhallu train ic-vco ...")

The reference is the model that is given. An adapter's folder is merged as it is loaded, so the paper's second stage
begins with the folder of the first.
"""

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmhallu_core.data.check import file_sha256, read_preferences
from mmhallu_core.methods.ic_vco.presets import LR_SMALL, OURS, PRESETS, SMALL
from mmhallu_core.methods.ic_vco.recipes import Objective, PreferenceExamples, recipe
from mmhallu_core.models.adapter_folders import base_hash
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.adapt import How
from mmhallu_core.train.prepare import Prepared, cost
from mmhallu_core.train.records import Numbered
from mmhallu_core.train.run import train
from mmhallu_core.train.spec import TrainSpec, processes
from mmhallu_core.types import CannotRun


@dataclass(frozen=True)
class Fit:
    """What somebody asks for; None leaves a number to the preset, or to ours.

    Attributes:
        method: one of `recipes.METHODS`.
        model: a shipped model, a folder or a hub id.
        data: JSON Lines of `Preference`s.
        preset: "paper" for the method's published numbers.
        references: folder of the reference's log-probabilities, which runs on the same model may share.
        steps: of the optimizer; None for the preset's epochs, or one.
        lr, micro_batch, accumulation, dtype, checkpointing, save_every: as in `train.spec.TrainSpec`.
        vision_tower, decoder: what happens to the part, as in `adapt.Adapt`.
        seed: of the examples, of the adapter's first values, and of dropout.
        beta, mode, two_images, distil, mask, anchors, crop, gamma: as in `recipes.Objective`.
    """

    method: str
    model: str | None = None
    data: Path | None = None
    preset: str | None = None
    references: Path | None = None
    steps: int | None = None
    lr: float | None = None
    micro_batch: int | None = None
    accumulation: int | None = None
    dtype: str | None = None
    checkpointing: bool | None = None
    vision_tower: How | None = None
    decoder: How | None = None
    seed: int = 0
    save_every: int = 100
    beta: float = Objective.beta
    mode: str = Objective.mode
    two_images: bool = True
    distil: bool = True
    mask: bool = True
    anchors: bool = True
    crop: bool = True
    gamma: float = Objective.gamma

    @property
    def objective(self) -> Objective:
        """The method with its switches."""
        return Objective(**{name: getattr(self, name) for name in Objective.__dataclass_fields__})


def fit(ask: Fit, out: Path, command: str, progress: bool = False) -> dict[str, Any]:
    """Trains, or goes on with a run that was killed. See `train.run.train` for what is written and returned.

    Raises:
        CannotRun: when data, model and numbers do not go together; the message says what to do.
    """
    examples, vlm = _examples(ask, progress), _load(ask)
    data = {"file": ask.data.name, "sha256": file_sha256(ask.data, examples.pictures()), "epoch": len(examples)}
    made = recipe(ask.objective, ask.references)
    spec = spec_of(ask, vlm, len(examples))
    return train(vlm, examples, spec, out, command, data, progress=progress, recipe=made).record


def plan_fit(ask: Fit) -> dict[str, Any]:
    """What `fit` would do: parameters, effective batch, memory and time, measured on the first micro-batch."""
    examples, vlm = _examples(ask), _load(ask)
    spec = spec_of(ask, vlm, len(examples))

    def prepare(vlm: Vlm, spec: TrainSpec) -> Prepared:
        ready = recipe(ask.objective).prepare(vlm, spec, Path(folder), base_hash(vlm.model, vlm.adapters))
        ready.begin(Numbered(examples, spec.micro_batch), False)
        return ready

    with tempfile.TemporaryDirectory() as folder:
        found = cost(vlm, examples, spec, prepare)
    numbers = ("micro_batch", "accumulation", "lr", "dtype", "checkpointing")
    told = {name: getattr(spec, name) for name in numbers}
    source = {} if ask.preset is None else {"source": PRESETS[ask.method].source}
    return {"measured": True, "model": vlm.name, "method": ask.method, "preset": ask.preset, **source, **told, **found}


def spec_of(ask: Fit, vlm: Vlm, examples: int) -> TrainSpec:
    """The numbers of a run on so many examples.

    Raises:
        CannotRun: when there is no such preset, or its step cannot be made of such micro-batches.
    """
    if ask.preset not in (None, "paper"):
        raise CannotRun(f"there is no preset {ask.preset!r}; there is paper, the numbers of {ask.method}'s authors")
    small = sum(parameter.numel() for parameter in vlm.model.parameters()) < SMALL
    spec = replace(OURS, lr=LR_SMALL if small else OURS.lr, dtype=_dtype(vlm), seed=ask.seed, save_every=ask.save_every)
    preset = PRESETS[ask.method] if ask.preset == "paper" else None
    if preset is not None:
        spec = replace(spec, adapt=preset.adapt, lr=preset.lr, warmup=preset.warmup, micro_batch=1, checkpointing=True)
    parts = {name: value for name in ("vision_tower", "decoder") if (value := getattr(ask, name)) is not None}
    said = ("lr", "micro_batch", "accumulation", "dtype", "checkpointing")
    given = {name: value for name in said if (value := getattr(ask, name)) is not None}
    spec = replace(spec, adapt=replace(spec.adapt, **parts), **given)
    if preset is not None and ask.accumulation is None:
        each = spec.micro_batch * processes()
        if preset.batch % each:
            raise CannotRun(
                f"a step of the preset has {preset.batch} examples, and {processes()} processes take {each} at a time: "
                "take a --micro-batch that divides it"
            )
        spec = replace(spec, accumulation=preset.batch // each)
    epochs = 1 if preset is None else preset.epochs
    return replace(spec, steps=ask.steps or math.ceil(epochs * examples / spec.effective_batch))


def _dtype(vlm: Vlm) -> str:
    """float32 on a CPU, else two bytes."""
    return "float32" if vlm.model.device.type == "cpu" else "bfloat16"


def _load(ask: Fit) -> Vlm:
    """The model.

    Raises:
        CannotRun: when nothing says which.
    """
    if ask.model is None:
        raise CannotRun("which model? Give --model tiny-llava, a folder or a hub id")
    return Vlm.load(ask.model)


def _examples(ask: Fit, progress: bool = False) -> PreferenceExamples:
    """The examples of the file.

    Raises:
        CannotRun: when it cannot be trained on, or there is none.
    """
    if ask.data is None:
        raise CannotRun("what should be learned? Give --data FILE of preferences, as `mmhallu ic-vco pairs` writes it")
    return PreferenceExamples(read_preferences(ask.data, progress), ask.data.parent, ask.objective)

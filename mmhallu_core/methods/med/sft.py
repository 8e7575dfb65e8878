"""MED's fine-tuning as one call: a model, a file of samples, a folder; the paper's numbers where a preset is named.

    run = Sft(model="tiny-llava", data=Path("edits/samples.jsonl"), consistency="masked")
    train(run, Path("adapter"), "mmhallu train sft ...")

What a preset says is taken from the paper's tables in their form for one GPU (`one_gpu.py`); what the caller says goes
before it. Without a preset the numbers are ours.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mmhallu_core.data.chats import Chat
from mmhallu_core.data.training_file import file_sha256, read_training_file
from mmhallu_core.methods.med.lessons import SAME, SWAP, Chats, Lessons
from mmhallu_core.methods.med.one_gpu import OneGpu, one_gpu, plan
from mmhallu_core.models.vlm import Vlm, pick_device
from mmhallu_core.train.adapt import Adapt, How
from mmhallu_core.train.consistency import is_on
from mmhallu_core.train.cost import cost
from mmhallu_core.train.finetune import RunSpec, finetune
from mmhallu_core.train.med_loss import Consistency, Mode
from mmhallu_core.types import CannotRun

SMALL = 50_000_000  # parameters below which a model takes larger steps
LR, LR_SMALL = 1e-4, 3e-3
BATCH = 4
WATCHED = 32  # pairs whose features are looked at before and after
EPOCH_OF_THE_PAPER = 50_000  # examples


@dataclass(frozen=True)
class Sft:
    """What somebody asks for; None leaves a number to the preset, or to the defaults above.

    Attributes:
        model: a shipped model, a folder or a hub id; None takes the preset's.
        data: JSON Lines of `EditSample`s, or conversations (see `data.chats`).
        preset: one of `presets.PRESETS`.
        card: the GPU's memory in GB, for a preset.
        steps: of the optimizer; None for one epoch.
        lr, batch, accumulation, dtype, checkpointing: as in `finetune.RunSpec`.
        vision_tower, decoder: what happens to the part, as in `adapt.Adapt`.
        consistency: the mode of `med_loss.Consistency`; `weight` of it.
        same, swap: shares, as in `lessons.Lessons`; `same` is SAME when None, and nothing for conversations.
        seed: of the talks, of the adapter's first values, and of dropout.
        save_every: steps between points to which a killed run can go back.
    """

    model: str | None = None
    data: Path | None = None
    preset: str | None = None
    card: int = 80
    steps: int | None = None
    lr: float | None = None
    batch: int | None = None
    accumulation: int | None = None
    dtype: str | None = None
    checkpointing: bool | None = None
    vision_tower: How | None = None
    decoder: How = "lora"
    consistency: Mode = "none"
    weight: float = Consistency().weight
    same: float | None = None
    swap: float = SWAP
    seed: int = 0
    save_every: int = 100

    @property
    def form(self) -> OneGpu | None:
        """The preset on one GPU, None without a preset."""
        return None if self.preset is None else one_gpu(self.preset, self.card, _native_bf16())


def train(ask: Sft, out: Path, command: str, progress: bool = False) -> dict[str, Any]:
    """Trains, or goes on with a run that was killed. See `finetune.finetune` for what is written and returned.

    Raises:
        CannotRun: when data, model and numbers do not go together; the message says what to do.
    """
    vlm, lessons = _load(ask, progress)
    spec = spec_of(ask, vlm, len(lessons))
    data = {
        "file": ask.data.name,
        "sha256": file_sha256(ask.data, lessons.pictures()),
        "epoch": lessons.counts(),
        "shares": {"same": SAME if ask.same is None else ask.same, "swap": ask.swap},
    }
    watched = lessons.pairs(WATCHED) if vlm.family.image_positions is not None else []
    return finetune(vlm, lessons, spec, out, command, data, watched if len(watched) > 1 else (), progress)


def plan_run(ask: Sft) -> dict[str, Any]:
    """What `train` would do: parameters, effective batch, memory and time.

    With data, the first batch is run and measured. With a preset alone they are reckoned from the models' published
    sizes, for an A100, and nothing is loaded.
    """
    if ask.data is None or (ask.model is None and ask.preset is not None):
        form = ask.form
        if form is None:
            raise CannotRun("a plan needs --data, or --preset alone for what a preset would take")
        steps = ask.steps or math.ceil(EPOCH_OF_THE_PAPER / form.effective_batch)
        adapted = plan(form.preset, ask.vision_tower, ask.decoder)
        return {
            "measured": False, "model": form.preset.hub_id, "preset": ask.preset, "steps": steps,
            "vision_tower": adapted.vision_tower, "decoder": adapted.decoder, "rank": adapted.rank,
            "batch": form.batch, "accumulation": form.accumulation, "effective_batch": form.effective_batch,
            "lr": ask.lr or form.preset.lr, "dtype": form.dtype, **form.estimate(steps),
        }  # fmt: skip
    vlm, lessons = _load(ask)
    spec = spec_of(ask, vlm, len(lessons))
    found = cost(vlm, lessons, spec)
    numbers = {name: getattr(spec, name) for name in ("batch", "accumulation", "lr", "dtype", "checkpointing")}
    return {"measured": True, "model": vlm.name, "preset": ask.preset, **numbers, **found, "epoch": lessons.counts()}


def spec_of(ask: Sft, vlm: Vlm, talks: int) -> RunSpec:
    """The numbers of a run.

    Args:
        ask: what was asked for.
        vlm: the model.
        talks: in one epoch.

    Raises:
        CannotRun: when a preset is for another family, or its step cannot be made of such batches.
    """
    rule = Consistency(ask.consistency, weight=ask.weight)
    common = {"consistency": rule, "seed": ask.seed, "save_every": ask.save_every}
    if ask.preset is None:
        size = sum(parameter.numel() for parameter in vlm.model.parameters())
        spec = RunSpec(1, Adapt(ask.vision_tower or "lora", "frozen", ask.decoder), BATCH, lr=LR, **common)
        spec = replace(spec, lr=LR_SMALL if size < SMALL else LR, dtype=_usual_dtype(vlm))
    else:
        spec = _preset_spec(ask, vlm, common)
    said = ("lr", "batch", "accumulation", "dtype", "checkpointing")
    spec = replace(spec, **{name: value for name in said if (value := getattr(ask, name)) is not None})
    if ask.preset is not None and ask.batch is not None and ask.accumulation is None:
        whole = ask.form.effective_batch
        if whole % ask.batch:
            raise CannotRun(f"a step of the preset {ask.preset} has {whole} examples: take a batch that divides it")
        spec = replace(spec, accumulation=whole // ask.batch)
    return replace(spec, steps=ask.steps or math.ceil(talks / spec.effective_batch))


def _preset_spec(ask: Sft, vlm: Vlm, common: dict[str, Any]) -> RunSpec:
    """A preset's numbers, for one GPU.

    Raises:
        CannotRun: when the preset is for another family.
    """
    form = ask.form
    if vlm.family.name != form.preset.name:
        raise CannotRun(f"the preset {ask.preset} is for {form.preset.model}; {vlm.name} is of {vlm.family.name}")
    return RunSpec(
        1, plan(form.preset, ask.vision_tower, ask.decoder), form.batch, form.accumulation, form.preset.lr,
        form.preset.scheduler, form.preset.warmup, form.dtype, form.checkpointing, **common,
    )  # fmt: skip


def _load(ask: Sft, progress: bool = False) -> tuple[Vlm, Lessons | Chats]:
    """The model and the talks.

    Raises:
        CannotRun: when either is missing or wrong.
    """
    if ask.data is None:
        raise CannotRun("what should be learned? Give --data FILE, as `mmhallu med build` writes it, or conversations")
    records = read_training_file(ask.data, progress)
    on = is_on(Consistency(ask.consistency, weight=ask.weight))
    if isinstance(records[0], Chat):
        if on:
            raise CannotRun("a consistency loss needs pairs: give a file of edit samples, or --consistency none")
        if ask.same is not None:
            raise CannotRun("--same is only for edit samples, and these are conversations")
        lessons: Lessons | Chats = Chats(records, ask.data.parent, ask.seed)
    else:
        same = SAME if ask.same is None else ask.same
        lessons = Lessons(records, ask.data.parent, ask.seed, same, ask.swap, masks=on)
    name = ask.model or (ask.form.preset.hub_id if ask.preset else None)
    if name is None:
        raise CannotRun("which model? Give --model tiny-llava, a folder or a hub id, or --preset")
    return Vlm.load(name), lessons


def _native_bf16() -> bool:
    """Whether this machine computes in bfloat16 by itself; a CPU does, if slowly."""
    return pick_device().type != "cuda" or torch.cuda.is_bf16_supported(False)


def _usual_dtype(vlm: Vlm) -> str:
    """float32 on a CPU and for what is small, else two bytes."""
    if vlm.model.device.type != "cuda":
        return "float32"
    return "bfloat16" if _native_bf16() else "float16"

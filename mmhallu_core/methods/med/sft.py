"""MED's fine-tuning as one call: a model, a file of samples, a folder; a preset's numbers where one is named.

    ask = Sft(model="tiny-llava", data=Path("edits/samples.jsonl"), consistency="masked")
    fine_tune(ask, Path("adapter"), "mmhallu train sft ...")

A preset of the paper (`presets.py`) is taken in its form for one GPU (`one_gpu.py`). The preset `diorama` is what the
book's study of MED trains with (`DIORAMA`); it needs neither a model nor data. What the caller says goes before a
preset. Without one the numbers are ours.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mmhallu_core.data.chats import Chat
from mmhallu_core.data.check import file_sha256, read_training_file
from mmhallu_core.methods.med.arms import SPLIT, Stream, arm, token_count
from mmhallu_core.methods.med.examples import SAME, ConversationExamples, EditExamples
from mmhallu_core.methods.med.one_gpu import OneGpu, one_gpu, plan
from mmhallu_core.models.vlm import Vlm, pick_device
from mmhallu_core.train.adapt import Adapt, How
from mmhallu_core.train.losses import Consistency, Mode
from mmhallu_core.train.prepare import cost
from mmhallu_core.train.records import Make
from mmhallu_core.train.run import train
from mmhallu_core.train.spec import TrainSpec, processes
from mmhallu_core.types import CannotRun

SMALL = 50_000_000  # parameters below which a model takes larger steps
LR, LR_SMALL = 1e-4, 3e-3
MICRO_BATCH = 4
WATCHED = 32  # pairs whose features are looked at before and after
EPOCH_OF_THE_PAPER = 50_000  # examples

# The study's run `med-0`: two edits a step, four examples of each. Trials chose the rate (twice it cost recall and
# POPE); alpha is twice the rank, as in MED.
DIORAMA = TrainSpec(600, Adapt(rank=16, alpha=32), micro_batch=8, lr=2e-3, warmup=10, packing=True)


@dataclass(frozen=True)
class Sft:
    """What somebody asks for; None leaves a number to the preset, or to the defaults above.

    Attributes:
        model: a shipped model, a folder or a hub id; None takes the preset's.
        data: JSON Lines of `EditSample`s, or conversations (see `data.chats`).
        preset: one of `presets.PRESETS`.
        card: the GPU's memory in GB, for a preset.
        steps: of the optimizer; None for one epoch.
        lr, micro_batch, accumulation, dtype, checkpointing, packing: as in `train.spec.TrainSpec`.
        vision_tower, decoder: what happens to the part, as in `adapt.Adapt`.
        consistency: the mode of `losses.Consistency`; `weight` of it.
        same: share of the pairs that show one picture twice; SAME when None, and nothing for conversations.
        seed: of the examples, of the adapter's first values, and of dropout.
        save_every: steps between two checkpoints to which a killed run can go back.
    """

    model: str | None = None
    data: Path | None = None
    preset: str | None = None
    card: int = 80
    steps: int | None = None
    lr: float | None = None
    micro_batch: int | None = None
    accumulation: int | None = None
    dtype: str | None = None
    checkpointing: bool | None = None
    packing: bool | None = None
    vision_tower: How | None = None
    decoder: How = "lora"
    consistency: Mode = "none"
    weight: float = Consistency().weight
    same: float | None = None
    seed: int = 0
    save_every: int = 100

    @property
    def form(self) -> OneGpu | None:
        """The paper's preset on one GPU, None without one."""
        return None if self.preset in (None, "diorama") else one_gpu(self.preset, self.card, _native_bf16())


def fine_tune(ask: Sft, out: Path, command: str, progress: bool = False) -> dict[str, Any]:
    """Trains, or goes on with a run that was killed. See `train.run.train` for what is written and returned.

    Raises:
        CannotRun: when data, model and numbers do not go together; the message says what to do.
    """
    examples = _examples(ask, progress)
    vlm = _load(ask)
    spec = spec_of(ask, vlm, 0 if examples is None else len(examples))
    if examples is None:
        return train(vlm, _stream(ask, vlm), spec, out, command, progress=progress).record
    data = {
        "file": ask.data.name,
        "sha256": file_sha256(ask.data, examples.pictures()),
        "epoch": examples.counts(),
        "same": SAME if ask.same is None else ask.same,
    }
    watched = examples.pairs(WATCHED) if vlm.family.image_positions is not None else []
    return train(vlm, examples, spec, out, command, data, watched if len(watched) > 1 else (), progress).record


def plan_run(ask: Sft) -> dict[str, Any]:
    """What `fine_tune` would do: parameters, effective batch, memory and time.

    With data, the first micro-batch is run and measured. With a preset of the paper alone they are reckoned from the
    models' published sizes, for an A100, and nothing is loaded.
    """
    form = ask.form
    if form is not None and (ask.data is None or ask.model is None):
        steps = ask.steps or math.ceil(EPOCH_OF_THE_PAPER / form.effective_batch)
        adapted = plan(form.preset, ask.vision_tower, ask.decoder)
        return {
            "measured": False, "model": form.preset.hub_id, "preset": ask.preset, "steps": steps,
            "vision_tower": adapted.vision_tower, "decoder": adapted.decoder, "rank": adapted.rank,
            "micro_batch": form.batch, "accumulation": form.accumulation, "effective_batch": form.effective_batch,
            "lr": ask.lr or form.preset.lr, "dtype": form.dtype, **form.estimate(steps),
        }  # fmt: skip
    if ask.data is None and ask.preset is None:
        raise CannotRun("a plan needs --data, or --preset alone for what a preset would take")
    examples = _examples(ask)
    vlm = _load(ask)
    spec = spec_of(ask, vlm, 0 if examples is None else len(examples))
    make = _stream(ask, vlm) if examples is None else examples
    numbers = ("micro_batch", "accumulation", "lr", "dtype", "checkpointing", "packing")
    return {
        "measured": True, "model": vlm.name, "preset": ask.preset, **{name: getattr(spec, name) for name in numbers},
        **cost(vlm, make, spec), **({} if examples is None else {"epoch": examples.counts()}),
    }  # fmt: skip


def spec_of(ask: Sft, vlm: Vlm, examples: int = 0) -> TrainSpec:
    """The numbers of a run.

    Args:
        ask: what was asked for.
        vlm: the model.
        examples: in one epoch; 0 for a preset that says its steps.

    Raises:
        CannotRun: when a preset is for another family, or its step cannot be made of such micro-batches.
    """
    rule = Consistency(ask.consistency, weight=ask.weight)
    common = {"consistency": rule, "seed": ask.seed, "save_every": ask.save_every}
    if ask.preset == "diorama":
        tower = ask.vision_tower or "lora"
        adapted = replace(DIORAMA.adapt, vision_tower=tower, decoder=ask.decoder)
        spec = replace(DIORAMA, adapt=adapted, **common)
    elif ask.preset is not None:
        form = ask.form
        if vlm.family.name != form.preset.name:
            raise CannotRun(f"the preset {ask.preset} is for {form.preset.model}; {vlm.name} is of {vlm.family.name}")
        spec = TrainSpec(
            1, plan(form.preset, ask.vision_tower, ask.decoder), form.batch, form.accumulation, form.preset.lr,
            form.preset.scheduler, form.preset.warmup, form.dtype, form.checkpointing, **common,
        )  # fmt: skip
    else:
        size = sum(parameter.numel() for parameter in vlm.model.parameters())
        plan_of_ours = Adapt(ask.vision_tower or "lora", "frozen", ask.decoder)
        lr = LR_SMALL if size < SMALL else LR
        spec = TrainSpec(1, plan_of_ours, MICRO_BATCH, lr=lr, dtype=_usual_dtype(vlm), **common)
    whole = spec.effective_batch if ask.form is None else ask.form.effective_batch
    said = ("lr", "micro_batch", "accumulation", "dtype", "checkpointing", "packing")
    spec = replace(spec, **{name: value for name in said if (value := getattr(ask, name)) is not None})
    if ask.preset is not None and ask.accumulation is None:
        each = spec.micro_batch * processes()
        if whole % each:
            raise CannotRun(
                f"a step of the preset {ask.preset} has {whole} examples, and {processes()} processes take {each} at a "
                "time: take a --micro-batch that divides it"
            )
        spec = replace(spec, accumulation=whole // each)
    if ask.steps is None and ask.preset == "diorama" and ask.data is None:
        return spec
    return replace(spec, steps=ask.steps or math.ceil(examples / spec.effective_batch))


def _load(ask: Sft) -> Vlm:
    """The model; CannotRun when nothing says which."""
    name = ask.model or ("tiny-llava" if ask.preset == "diorama" else ask.form.preset.hub_id if ask.form else None)
    if name is None:
        raise CannotRun("which model? Give --model tiny-llava, a folder or a hub id, or --preset")
    return Vlm.load(name)


def _stream(ask: Sft, vlm: Vlm) -> Make:
    """Examples of micro-edits that are drawn while a model trains, as in the study's arm `med`."""
    return arm("med", Stream(f"{SPLIT}{ask.seed}"), token_count(vlm))


def _examples(ask: Sft, progress: bool = False) -> EditExamples | ConversationExamples | None:
    """The examples of the file, None for micro-edits that are drawn; CannotRun when there is nothing to learn from."""
    if ask.data is None:
        if ask.preset != "diorama":
            raise CannotRun(
                "what should be learned? Give --data FILE, as `mmhallu med build` writes it or with your own "
                "conversations"
            )
        if ask.same is not None:
            raise CannotRun("--same is only for a file of edit samples: give --data FILE")
        return None
    records = read_training_file(ask.data, progress)
    on = Consistency(ask.consistency, weight=ask.weight).on
    if isinstance(records[0], Chat):
        if on:
            raise CannotRun("a consistency loss needs pairs: give a file of edit samples, or --consistency none")
        if ask.same is not None:
            raise CannotRun("--same is only for edit samples, and these are conversations")
        return ConversationExamples(records, ask.data.parent, ask.seed)
    packing = ask.preset == "diorama" if ask.packing is None else ask.packing
    same = SAME if ask.same is None else ask.same
    return EditExamples(records, ask.data.parent, ask.seed, same, masks=on, packing=packing)


def _native_bf16() -> bool:
    """Whether this machine computes in bfloat16 by itself; a CPU does, if slowly."""
    return pick_device().type != "cuda" or torch.cuda.is_bf16_supported(False)


def _usual_dtype(vlm: Vlm) -> str:
    """float32 on a CPU and for what is small, else two bytes."""
    if vlm.model.device.type != "cuda":
        return "float32"
    return "bfloat16" if _native_bf16() else "float16"

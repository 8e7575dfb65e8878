"""Supervised fine-tuning with LoRA: show pictures, ask, and train on the right answers.

What learns is a small addition beside the model's weights, an *adapter* (`adapt.py` says how): a file of a few
hundred kilobytes that can be put on the model or left off. As in MED (arXiv 2506.07227, tables 5 and 6) it sits in
every linear layer of the decoder and of the vision tower, and not in the connector between them; rank 8, alpha 16.
The learning rate is ours: a model a thousand times smaller takes larger steps.

This file packs many questions about a picture into one sequence, which only tiny-llava reads, and is the fast way to
the studies in Diorama. Any family is trained by `finetune.py`.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import peft
import torch
from PIL import Image
from torch import Tensor
from transformers import (
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from mmhallu_core.models.families import plain
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import sha256
from mmhallu_core.train.adapt import Adapt, How, Kind, adapt, merge, trainable
from mmhallu_core.train.consistency import Held, changed_pixels, is_on, pair_inputs
from mmhallu_core.train.machine import on_cpu
from mmhallu_core.train.med_loss import Consistency
from mmhallu_core.train.outcome import (
    base_info,
    collapse_record,
    first_and_final,
    look,
    losses_of,
    quiet,
    save_weights,
)
from mmhallu_core.train.pretrain.branches import Turn, answer_loss, collate, pack
from mmhallu_core.train.pretrain.recipe import StageTrainer, versions


@dataclass(frozen=True)
class Example:
    """Some pictures, and questions about them with the answers to learn."""

    images: tuple[Image.Image, ...]
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class SftSpec:
    """Every number of a fine-tuning run.

    Attributes:
        steps: optimizer steps; the learning rate falls to zero over them, along a cosine.
        batch: examples a step.
        lr: the highest learning rate.
        rank, alpha: LoRA's size, and its strength relative to `rank`.
        seed: of the adapter's first values. The examples' order is the caller's.
        seconds: stop after this time even if steps are left; None for no limit.
        vision_tower, decoder: what happens to the part, see `adapt.Adapt`. With no part at "lora" there is no adapter:
            the whole model is written.
        kind: of adapter, see `adapt.Adapt`.
        consistency: what is asked of the features of pairs, that is, of examples with two pictures; or its fields.
    """

    steps: int
    batch: int = 15
    lr: float = 3e-3
    rank: int = 8
    alpha: int = 16
    seed: int = 0
    seconds: float | None = None
    vision_tower: How = "lora"
    decoder: How = "lora"
    consistency: Consistency | Mapping[str, Any] = Consistency()
    kind: Kind = "lora"

    def __post_init__(self) -> None:
        if isinstance(self.consistency, Mapping):  # as it stands in a run.json
            object.__setattr__(self, "consistency", Consistency(**self.consistency))

    @property
    def plan(self) -> Adapt:
        """What is trained."""
        return Adapt(self.vision_tower, "frozen", self.decoder, self.rank, self.alpha, kind=self.kind)


class _Examples(torch.utils.data.Dataset):
    """Makes example number i when it is asked for, and keeps a hash of all that was handed out."""

    def __init__(self, make: Callable[[int], Example], count: int) -> None:
        self.make, self.count, self.hash = make, count, hashlib.sha256()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Example:
        example = self.make(i)
        self.hash.update(json.dumps([asdict(turn) for turn in example.turns]).encode("utf-8"))
        for image in example.images:
            self.hash.update(image.tobytes())
        return example


class _Watch(TrainerCallback):
    """Tells how far training is, and ends it when its time is over."""

    def __init__(self, spec: SftSpec, progress: Callable[[int, int], None] | None) -> None:
        self.spec, self.progress = spec, progress

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """Starts the clock."""
        self.began = time.monotonic()

    def on_step_end(self, args, state, control, **kwargs) -> None:
        """Reports the step; asks for the end when the time is over."""
        if self.progress:
            self.progress(state.global_step, self.spec.steps)
        if self.spec.seconds is not None and time.monotonic() - self.began > self.spec.seconds:
            control.should_training_stop = True


def fine_tune(
    vlm: Vlm,
    make: Callable[[int], Example],
    spec: SftSpec,
    out: Path,
    command: str,
    progress: Callable[[int, int], None] | None = None,
    watched: Sequence[tuple[Image.Image, Image.Image]] = (),
) -> tuple[Vlm, dict[str, Any]]:
    """Trains an adapter for a model, or the model, and writes it to `out` with the run's record.

    Args:
        vlm: the model; it is used up (its layers get the adapter): load it again where both are needed.
        make: example number i, from 0; an example is asked for once.
        spec: the run's numbers.
        out: folder for `adapter_config.json`, `adapter_model.safetensors` and `run.json`; for the whole model in the
            adapter's place where no part is at "lora".
        command: what a reader types to make this run again; recorded.
        progress: called with (step, steps) after each step.
        watched: pictures and their edits, two pairs at least, that training is not shown in this order: were their
            features pulled into one point? `collapse.py` says how that is seen. None are looked at by default.

    Returns:
        The trained model, and what `run.json` holds: command, spec, seed, versions, data_sha256, base_sha256, sha256
        (of the weights), steps, seconds, examples, trainable parameters, the loss of the first step and of the last
        quarter (with a consistency loss also its parts in the last step), `losses`, of each step, and `collapse` where
        pairs were watched.

    Raises:
        CannotRun: when the loss stops being a number, or the plan is none, see `adapt.adapt` and `consistency.Held`.
    """
    base = base_info(vlm, out)
    set_seed(spec.seed)
    model = adapt(vlm, spec.plan, tell=None)
    llava, held = plain(model), Held(model, spec.consistency)

    def loss(_, labels, weights, **inputs):
        def answers() -> Tensor:
            hidden = llava.model(**inputs, use_cache=False).last_hidden_state
            return answer_loss(hidden, llava.lm_head, labels, weights)

        return held(answers, inputs)

    tokenizer, pictures = vlm.processor.tokenizer, vlm.processor.image_processor

    def collator(examples: list[Example]) -> dict[str, Tensor]:
        images = [image for example in examples for image in example.images]
        packed = [pack(list(one.turns), len(one.images), tokenizer) for one in examples]
        pixels = pictures(images, return_tensors="pt")["pixel_values"]
        batch = {"pixel_values": pixels, **collate(packed, tokenizer.pad_token_id)}
        return {**batch, **_pairs(vlm, batch, [one.images for one in examples])} if is_on(spec.consistency) else batch

    before = look(model, vlm, watched) if watched else None
    examples = _Examples(make, spec.steps * spec.batch)
    arguments = TrainingArguments(
        output_dir=str(out), max_steps=spec.steps, per_device_train_batch_size=spec.batch, learning_rate=spec.lr,
        lr_scheduler_type="cosine", warmup_steps=min(10, spec.steps // 5), max_grad_norm=1.0, seed=spec.seed,
        logging_steps=1, save_strategy="no", report_to="none", remove_unused_columns=False, dataloader_num_workers=0,
        dataloader_pin_memory=False, use_cpu=on_cpu(vlm), logging_nan_inf_filter=False,
        disable_tqdm=True,  # in a notebook, this also leaves out a table with a row for each step
    )  # fmt: skip
    trainer = StageTrainer(loss, model=model, args=arguments, train_dataset=examples, data_collator=collator,
                           callbacks=[_Watch(spec, progress)])  # fmt: skip
    quiet(trainer)
    began = time.monotonic()
    trainer.train()
    seconds = time.monotonic() - began
    losses = losses_of(trainer)
    weights = save_weights(model, vlm, base.for_peft, out)
    parts = {name: trainer.extra[name] for name in ("answers", "consistency") if name in trainer.extra}
    record = {
        "command": command,
        "spec": asdict(spec),
        "seed": spec.seed,
        "versions": {**versions(), "peft": peft.__version__},
        "base": base.for_run,
        "base_sha256": base.sha256,
        "data_sha256": examples.hash.hexdigest(),
        "sha256": sha256(weights),
        "steps": trainer.state.global_step,
        "examples": trainer.state.global_step * spec.batch,
        "seconds": round(seconds, 1),
        "trainable": sum(trainable(model).numbers.values()),
        "loss": first_and_final(losses) | parts,
        "losses": [round(one, 4) for one in losses],
    }
    if before is not None:
        record["collapse"] = collapse_record(before, look(model, vlm, watched))
    (out / "run.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return Vlm(f"{vlm.name} with {out.name}", merge(model).eval(), vlm.processor, (*vlm.adapters, out)), record


def _pairs(vlm: Vlm, inputs: Mapping[str, Any], groups: Sequence[Sequence[Image.Image]]) -> dict[str, Tensor]:
    """What the consistency loss needs; examples with two pictures are pairs, and what differs in them is the edit."""
    changed = [changed_pixels(*group) if len(group) == 2 else None for group in groups]
    return pair_inputs(vlm, inputs, groups, changed)

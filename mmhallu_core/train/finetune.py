"""Supervised fine-tuning of any family: talks about pictures in, an adapter (or a model) and its record out.

The work is done by transformers' `Trainer` and by peft. What stands here is what those two leave open: which tensors
learn (`adapt.py`), which tokens count (`talks.py`), what is asked of features (`consistency.py`), and that a run that
was killed and goes on ends where an unbroken one does. `sft.py` is the fast form for tiny-llava.

Memory and steps: `batch` talks are in memory at once, and the gradients of `accumulation` such batches are added up
before a step. The loss is the mean over all answer tokens of the step, so that only the product of the two matters.
"""

import json
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import peft
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import Journal, run_lock, sha256
from mmhallu_core.train.adapt import Adapt, adapt, trainable
from mmhallu_core.train.consistency import Held, is_on, pair_inputs, require_tokens
from mmhallu_core.train.machine import on_cpu, recompute_arguments
from mmhallu_core.train.med_loss import Consistency
from mmhallu_core.train.outcome import base_info, collapse_record, first_and_final, look, losses_of, quiet, save_weights
from mmhallu_core.train.pretrain.branches import IGNORE
from mmhallu_core.train.pretrain.recipe import StageTrainer, versions
from mmhallu_core.train.progress import Bar
from mmhallu_core.train.talks import Make, Talk, encode_talks
from mmhallu_core.types import CannotRun


@dataclass(frozen=True)
class RunSpec:
    """Every number of a run.

    Attributes:
        steps: of the optimizer.
        adapt: what learns.
        batch: talks in memory at once.
        accumulation: batches for each step.
        lr: the highest learning rate.
        scheduler: how it changes, in transformers' words.
        warmup: the share of the steps over which it rises.
        dtype: of the computation, and of the weights that stay as they are; what is trained stays in float32.
        checkpointing: keep only what enters each layer, and compute the rest again when gradients are taken.
        consistency: what is asked of the features of pairs.
        seed: of the adapter's first values and of dropout.
        save_every: steps between two points to which a killed run can go back.
    """

    steps: int
    adapt: Adapt = Adapt()
    batch: int = 1
    accumulation: int = 1
    lr: float = 1e-4
    scheduler: str = "cosine"
    warmup: float = 0.1
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    checkpointing: bool = False
    consistency: Consistency = Consistency()
    seed: int = 0
    save_every: int = 100

    @property
    def effective_batch(self) -> int:
        """Talks for each step."""
        return self.batch * self.accumulation


class Numbered(torch.utils.data.Dataset):
    """Makes talk number i when it is asked for."""

    def __init__(self, make: Make, count: int) -> None:
        self.make, self.count = make, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Talk:
        return self.make(i)


class TalkTrainer(StageTrainer):
    """A `Trainer` whose loss knows how many answer tokens there are in all batches of its step."""

    def __init__(self, loss_function, **kwargs) -> None:
        super().__init__(loss_function, **kwargs)
        self.model_accepts_loss_kwargs = True  # then the tokens of a whole step are counted, and nothing is divided

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """See `Trainer.compute_loss`."""
        loss, self.extra = self.loss_function(model, tokens=num_items_in_batch, **inputs)
        return loss

    def _save(self, output_dir=None, state_dict=None) -> None:
        """Saves an adapter without asking a hub about the base model."""
        if isinstance(self.model, peft.PeftModel):
            self.model.save_pretrained(output_dir, save_embedding_layers=False)
        else:
            super()._save(output_dir, state_dict)


@dataclass
class Prepared:
    """A model made ready by `prepare`.

    Attributes:
        vlm: the model as it was loaded; its layers have the adapter.
        model: what learns.
        loss: (model, tokens in the step, batch) gives the loss and its parts.
        collate: makes a batch of talks.
    """

    vlm: Vlm
    model: nn.Module
    loss: Any
    collate: Any


def prepare(vlm: Vlm, spec: RunSpec) -> Prepared:
    """Puts the plan on a model, and makes its loss and its batches. The model is used up.

    Raises:
        CannotRun: when the plan, the consistency loss or the precision does not go with the model or the machine.
    """
    if spec.dtype == "float16" and vlm.model.device.type == "cpu":
        raise CannotRun("float16 needs a GPU: take float32 or bfloat16 here")
    if is_on(spec.consistency):
        require_tokens(vlm)
    has_full = "full" in (spec.adapt.vision_tower, spec.adapt.connector, spec.adapt.decoder)
    kept = torch.float32 if has_full else getattr(torch, spec.dtype)
    for parameter in vlm.model.parameters():  # and not the buffers: positions need all their digits
        parameter.data = parameter.data.to(kept)
    set_seed(spec.seed)
    model = adapt(vlm, spec.adapt, tell=None)
    rule = replace(spec.consistency, weight=spec.consistency.weight / spec.accumulation)  # a step adds up its batches
    held = Held(model, rule)

    def loss(wrapped: nn.Module, labels: Tensor, tokens: Tensor | int | None = None, **inputs: Any):
        def answers() -> Tensor:
            return answers_loss(wrapped, inputs, labels, tokens)

        return held(answers, inputs)

    def collate(talks: Sequence[Talk]) -> dict[str, Tensor]:
        inputs = encode_talks(vlm, talks)
        if not is_on(rule):
            return dict(inputs)
        groups, names = [talk.images for talk in talks], [talk.id for talk in talks]
        return {**inputs, **pair_inputs(vlm, inputs, groups, [talk.changed for talk in talks], names)}

    return Prepared(vlm, model, loss, collate)


def answers_loss(model: nn.Module, inputs: dict[str, Any], labels: Tensor, tokens: Tensor | int | None) -> Tensor:
    """The cross-entropy of the answers' tokens, summed and divided by `tokens`, those of the whole step.

    Only the positions from the first answer on are turned into logits: a picture's hundreds of tokens are not asked.

    Args:
        model: of any family.
        inputs: the batch, padded on the right.
        labels: (batch, tokens), `IGNORE` where nothing is learned.
        tokens: how many labels the step has; those of this batch when None.
    """
    first = int((labels != IGNORE).any(0).nonzero()[0])
    logits = model(**inputs, use_cache=False, logits_to_keep=labels.shape[1] - first + 1).logits[:, :-1]
    here = labels[:, first:] != IGNORE  # what stands before a token predicts it
    total = cross_entropy(logits[here].float(), labels[:, first:][here], reduction="sum")
    return total / (here.sum() if tokens is None else tokens)


def finetune(
    vlm: Vlm,
    make: Make,
    spec: RunSpec,
    out: Path,
    command: str,
    data: dict[str, Any],
    watched: Sequence[tuple[Image.Image, Image.Image]] = (),
    progress: bool = False,
) -> dict[str, Any]:
    """Trains, or goes on with a run that was killed, and writes weights and `run.json` to `out`.

    Args:
        vlm: the model; it is used up.
        make: talk number i, from 0; the same i gives the same talk.
        spec: the run's numbers.
        out: the run's folder.
        command: what a reader types to make the run again; recorded.
        data: what the talks are, with their `sha256`; recorded, and a folder holds one run about one of them.
        watched: pictures and their edits whose features are looked at before and after; none for a family whose
            pictures are not tokens.
        progress: show a bar on standard error.

    Returns:
        What `run.json` holds: command, spec, seed, versions, data, data_sha256, base, base_sha256, sha256 (of the
        weights), steps, examples, seconds (of the last call, where `resumed`), trainable and parameters by part, loss
        of the first step and of the last quarter, and `collapse` where pairs were watched.

    Raises:
        CannotRun: when the folder is in use or holds another run or a finished one, the loss or a weight stops being a
            number, or see `prepare`.
    """
    with run_lock(out):
        if (out / "run.json").exists():
            raise CannotRun(f"{out} holds a finished run; its record is run.json. Use a new --out.")
        base = base_info(vlm, out)
        Journal(out / "about.jsonl", {"spec": asdict(spec), "base_sha256": base.sha256, "data": data})
        ready = prepare(vlm, spec)
        learns = trainable(ready.model)
        before = look(ready.model, vlm, watched) if watched else None
        checkpoints, began = out / "checkpoints", time.monotonic()
        trainer, resumed = _trained(ready, make, spec, checkpoints, progress)
        losses = losses_of(trainer)
        weights = save_weights(ready.model, vlm, base.for_peft, out)
        told = next(line for line in reversed(trainer.state.log_history) if "loss" in line)
        parts = {name: told[name] for name in ("answers", "consistency") if name in told}
        record = {
            "command": command,
            "spec": asdict(spec),
            "seed": spec.seed,
            "versions": {**versions(), "peft": peft.__version__},
            "data": data,
            "data_sha256": data["sha256"],
            "base": base.for_run,
            "base_sha256": base.sha256,
            "sha256": sha256(weights),
            "steps": trainer.state.global_step,
            "examples": trainer.state.global_step * spec.effective_batch,
            "seconds": round(time.monotonic() - began, 1),
            "resumed": resumed,
            "trainable": learns.numbers,
            "parameters": learns.sizes,
            "loss": first_and_final(losses) | parts,
        }
        if before is not None:
            record["collapse"] = collapse_record(before, look(ready.model, vlm, watched))
        part = out / "run.json.part"
        part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        part.replace(out / "run.json")  # there whole or not at all
        shutil.rmtree(checkpoints, ignore_errors=True)
    return record


def _trained(ready: Prepared, make: Make, spec: RunSpec, checkpoints: Path, progress: bool) -> tuple[TalkTrainer, bool]:
    """Takes the steps that are left; the trainer at its end, and whether it went on with a run that was killed.

    Raises:
        CannotRun: when a launcher started several processes, or the loss stops being a number.
    """
    arguments = TrainingArguments(
        output_dir=str(checkpoints), max_steps=spec.steps, per_device_train_batch_size=spec.batch,
        gradient_accumulation_steps=spec.accumulation, learning_rate=spec.lr, lr_scheduler_type=spec.scheduler,
        warmup_steps=math.ceil(spec.warmup * spec.steps) if spec.steps > 1 else 0, max_grad_norm=1.0, seed=spec.seed,
        logging_steps=1, logging_nan_inf_filter=False, save_steps=spec.save_every, save_total_limit=1,
        report_to="none", remove_unused_columns=False, dataloader_num_workers=0, dataloader_pin_memory=False,
        use_cpu=on_cpu(ready.vlm), bf16=spec.dtype == "bfloat16", fp16=spec.dtype == "float16",
        disable_tqdm=True, **recompute_arguments(spec.checkpointing),
    )  # fmt: skip
    if arguments.world_size > 1:
        raise CannotRun("this trains on one GPU; start it without a launcher of several processes")
    arguments._n_gpu = min(1, arguments.n_gpu)  # several GPUs in one process would hide what the hooks record
    trainer = TalkTrainer(ready.loss, model=ready.model, args=arguments, data_collator=ready.collate,
                          train_dataset=Numbered(make, spec.steps * spec.effective_batch))  # fmt: skip
    quiet(trainer)
    if progress:
        trainer.add_callback(Bar())
    last = newest_whole(checkpoints)
    trainer.train(resume_from_checkpoint=last)
    return trainer, last is not None


def newest_whole(checkpoints: Path) -> str | None:
    """The newest checkpoint that was written to its end, None where there is none; what a kill left half is deleted.

    The Trainer writes `trainer_state.json` last.
    """
    while checkpoints.is_dir() and (newest := get_last_checkpoint(str(checkpoints))) is not None:
        try:
            json.loads((Path(newest) / "trainer_state.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            shutil.rmtree(newest)
        else:
            return newest
    return None

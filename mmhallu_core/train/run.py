"""One fine-tuning run: a model and training examples in, an adapter (or a model) and its record out.

The work is done by transformers' `Trainer` and by peft. What stands here is what those two leave open: which tensors
learn (`adapt.py`), which tokens count (`collate.py`), what is asked of features (`consistency.py`), and that a run that
was killed and goes on ends where an unbroken one does (`trainer.py`).

Memory and steps: `micro_batch` examples are in memory at once, and the gradients of `accumulation` such micro-batches,
of every process, are added up before an optimizer step. The loss is the weighted mean over all answer tokens of the
step, so that only the number of its examples matters.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import peft
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import TrainingArguments, set_seed

from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import Journal, run_lock, sha256
from mmhallu_core.train.adapt import adapt, merge, trainable
from mmhallu_core.train.collate import ChatTemplateCollator, Collator, PackedCollator
from mmhallu_core.train.consistency import PREFIX, Held, is_on, require_tokens
from mmhallu_core.train.losses import IGNORE, answer_loss
from mmhallu_core.train.machine import on_cpu, recompute_arguments, versions
from mmhallu_core.train.outcome import base_info, collapse_record, first_and_final, look, losses_of, quiet, save_weights
from mmhallu_core.train.progress import Bar, Progress, Watch
from mmhallu_core.train.records import Make, Numbered
from mmhallu_core.train.spec import TrainSpec, is_main, is_sharded, processes
from mmhallu_core.train.trainer import MmTrainer, newest_whole
from mmhallu_core.types import CannotRun


@dataclass
class Prepared:
    """A model made ready by `prepare`.

    Attributes:
        vlm: the model as it was loaded; its layers have the adapter.
        model: what learns.
        loss: (model, totals of the step, batch) gives the loss and its parts.
        collate: makes a batch of examples.
    """

    vlm: Vlm
    model: nn.Module
    loss: Callable[..., tuple[Tensor, dict[str, float]]]
    collate: Collator


class Trained(NamedTuple):
    """What `train` made: the model with what it learned, and what `run.json` holds."""

    prepared: Prepared
    record: dict[str, Any]
    out: Path

    def vlm(self) -> Vlm:
        """The trained model to ask, with its adapter added into its weights for good."""
        before = self.prepared.vlm
        name = f"{before.name} with {self.out.name}"
        return Vlm(name, merge(self.prepared.model).eval(), before.processor, (*before.adapters, self.out))


def prepare(vlm: Vlm, spec: TrainSpec) -> Prepared:
    """Puts the plan on a model, and makes its loss and its batches. The model is used up.

    Raises:
        CannotRun: when the plan, the consistency loss, packing or the precision does not go with the model or the
            machine.
    """
    if spec.dtype == "float16" and vlm.model.device.type == "cpu":
        raise CannotRun("float16 needs a GPU: take float32 or bfloat16 here")
    on = is_on(spec.consistency)
    if on:
        require_tokens(vlm)
    if on and is_sharded():
        raise CannotRun("a consistency loss needs the whole model in each process: start without FSDP")
    collate = (PackedCollator if spec.packing else ChatTemplateCollator)(vlm, pairs=on)
    has_full = "full" in (spec.adapt.vision_tower, spec.adapt.connector, spec.adapt.decoder)
    kept = torch.float32 if has_full else getattr(torch, spec.dtype)
    for parameter in vlm.model.parameters():  # and not the buffers: positions need all their digits
        parameter.data = parameter.data.to(kept)
    set_seed(spec.seed)
    model = adapt(vlm, spec.adapt, tell=None)
    held = Held(model, spec.consistency)

    def loss(wrapped: nn.Module, labels: Tensor, weights: Tensor, totals: Tensor | None = None, **inputs: Any):
        weight, pairs = (None, None) if totals is None else totals

        def answers() -> Tensor:
            return answers_loss(wrapped, model, inputs, labels, weights, weight)

        return held(answers, inputs, pairs)

    return Prepared(vlm, model, loss, collate)


def totals_of(batch: Mapping[str, Tensor]) -> Tensor:
    """What a micro-batch adds to its step: the weight of its answers' tokens, and its number of pairs."""
    weight = batch["weights"][:, 1:][batch["labels"][:, 1:] != IGNORE].sum()
    return torch.stack([weight, weight.new_tensor(len(batch.get(f"{PREFIX}row", ())))])


def answers_loss(
    wrapped: nn.Module,
    model: nn.Module,
    inputs: Mapping[str, Any],
    labels: Tensor,
    weights: Tensor,
    total: Tensor | None = None,
) -> Tensor:
    """The weighted cross-entropy of the answers' tokens, see `losses.answer_loss`.

    Only the states before an answer's tokens pass through the vocabulary, by a hook on the output layer: so the whole
    model runs in one call, as training in several processes asks.

    Args:
        wrapped: what is called: the model, or what `Trainer` made of it.
        model: of any family.
        inputs: the batch, padded on the right.
        labels, weights: (batch, tokens), with `IGNORE` where nothing is learned.
        total: the weight of the whole step; that of this batch when None.
    """
    here = labels[:, 1:] != IGNORE  # the state before a token predicts it
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda module, args: (args[0][:, :-1][here],))
    try:
        logits = wrapped(**inputs, use_cache=False).logits
    finally:
        hook.remove()
    return answer_loss(logits, labels[:, 1:][here], weights[:, 1:][here], total)


def train(
    vlm: Vlm,
    make: Make,
    spec: TrainSpec,
    out: Path,
    command: str,
    data: dict[str, Any] | None = None,
    watched: Sequence[tuple[Image.Image, Image.Image]] = (),
    progress: Progress | bool = False,
) -> Trained:
    """Trains, or goes on with a run that was killed, and writes weights and `run.json` to `out`.

    Args:
        vlm: the model; it is used up (its layers get the adapter): load it again where both are needed.
        make: example number i, from 0; the same i gives the same example.
        spec: the run's numbers.
        out: the run's folder; it holds one run, about one set of examples.
        command: what a reader types to make the run again; recorded.
        data: what the examples are, with their `sha256`; recorded. None for examples without a file: then the hash is
            of the examples.
        watched: pictures and their edits, two pairs at least, that training is not shown in this order: were their
            features pulled into one point? `collapse.py` says how that is seen. None for a family whose pictures are
            not tokens.
        progress: called with (step, steps) after each step; or True for a bar on standard error.

    Returns:
        The trained model with its record: command, spec, seed, versions, data, data_sha256, base, base_sha256, sha256
        (of the weights), steps, examples, processes, seconds (of the last call, where `resumed`), trainable and
        parameters by part, loss of the first step and of the last quarter (with a consistency loss also its parts in
        the last step), `losses` of each step, and `collapse` where pairs were watched.

    Raises:
        CannotRun: when the folder is in use or holds another run or a finished one, the loss or a weight stops being a
            number, or see `prepare`.
    """
    with run_lock(out) if is_main() else nullcontext():
        if (out / "run.json").exists():
            raise CannotRun(f"{out} holds a finished run; its record is run.json. Use a new --out.")
        base = base_info(vlm, out)
        if is_main():
            about = {"spec": asdict(spec), "base_sha256": base.sha256, "data": data, "processes": processes()}
            Journal(out / "about.jsonl", about)
        ready = prepare(vlm, spec)
        learns = trainable(ready.model)
        watched = () if is_sharded() else watched  # features are looked at in a whole model
        before = look(ready.model, vlm, watched) if watched else None
        examples = Numbered(make, spec.steps * spec.effective_batch, hashes=data is None and is_main())
        checkpoints, began = out / "checkpoints", time.monotonic()
        trainer, resumed = _trained(ready, examples, spec, checkpoints, progress)
        losses, steps = losses_of(trainer), trainer.state.global_step
        told = next(line for line in reversed(trainer.state.log_history) if "loss" in line)
        record = {
            "command": command,
            "spec": asdict(spec),
            "seed": spec.seed,
            "versions": {**versions(), "peft": peft.__version__},
            "data": data,
            "base": base.for_run,
            "base_sha256": base.sha256,
            "steps": steps,
            "examples": steps * spec.effective_batch,
            "processes": processes(),
            "seconds": round(time.monotonic() - began, 1),
            "resumed": resumed,
            "trainable": learns.numbers,
            "parameters": learns.sizes,
            "loss": first_and_final(losses) | {name: told[name] for name in ("answers", "consistency") if name in told},
            "losses": [round(one, 4) for one in losses],
        }
        if before is not None:
            record["collapse"] = collapse_record(before, look(ready.model, vlm, watched))
        state = trainer.accelerator.get_state_dict(trainer.model_wrapped) if is_sharded() else None
        if is_main():
            weights = save_weights(ready.model, vlm, base.for_peft, out, state)
            record["data_sha256"] = data["sha256"] if data else examples.digest(record["examples"])
            record["sha256"] = sha256(weights)
            part = out / "run.json.part"
            part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            part.replace(out / "run.json")  # there whole or not at all
            shutil.rmtree(checkpoints, ignore_errors=True)
        trainer.accelerator.wait_for_everyone()
    return Trained(ready, record, out)


def _trained(
    ready: Prepared, examples: Numbered, spec: TrainSpec, checkpoints: Path, progress: Progress | bool
) -> tuple[MmTrainer, bool]:
    """Takes the steps that are left; the trainer at its end, and whether it went on with a run that was killed.

    Raises:
        CannotRun: when the loss stops being a number.
    """
    arguments = TrainingArguments(
        output_dir=str(checkpoints), max_steps=spec.steps, per_device_train_batch_size=spec.micro_batch,
        gradient_accumulation_steps=spec.accumulation, learning_rate=spec.lr, lr_scheduler_type=spec.scheduler,
        warmup_steps=spec.warmup_steps, max_grad_norm=1.0, seed=spec.seed,
        logging_steps=1, logging_nan_inf_filter=False, save_steps=spec.save_every, save_total_limit=1,
        report_to="none", remove_unused_columns=False, dataloader_num_workers=0, dataloader_pin_memory=False,
        use_cpu=on_cpu(ready.vlm), bf16=spec.dtype == "bfloat16", fp16=spec.dtype == "float16",
        ddp_find_unused_parameters=processes() > 1,  # a micro-batch without a picture leaves the vision tower out
        disable_tqdm=True,  # in a notebook, this also leaves out a table with a row for each step
        **recompute_arguments(spec.checkpointing),
    )  # fmt: skip
    arguments._n_gpu = min(1, arguments.n_gpu)  # several GPUs in one process would hide what the hooks record
    trainer = MmTrainer(ready.loss, totals_of, model=ready.model, args=arguments, data_collator=ready.collate,
                        train_dataset=examples,
                        callbacks=[Watch(progress if callable(progress) else None, spec.seconds)])  # fmt: skip
    quiet(trainer)
    if progress is True and is_main():
        trainer.add_callback(Bar())
    with arguments.main_process_first():  # it deletes what a kill left half
        last = newest_whole(checkpoints, processes())
    trainer.train(resume_from_checkpoint=last)
    return trainer, last is not None

"""One fine-tuning run: a model and training examples in, an adapter (or a model) and its record out.

`prepare.py` makes the model ready; here it is trained and saved, and a run that was killed and goes on ends where an
unbroken one does (`trainer.py`).

`micro_batch` examples are in memory at once; the gradients of `accumulation` such batches, of every process, are added
up before an optimizer step. The loss is the weighted mean over all answer tokens of the step.
"""

import json
import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import peft
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel, TrainingArguments

from mmhallu_core.models.adapter_folders import WEIGHTS, adapter_folder, base_hash, base_name
from mmhallu_core.models.loading import quiet_progress
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import Journal, run_lock, sha256, write_whole
from mmhallu_core.train.adapt import merge, trainable
from mmhallu_core.train.collapse import collapse_record, feature_statistics
from mmhallu_core.train.machine import on_cpu, recompute_arguments, versions
from mmhallu_core.train.prepare import Prepared, Recipe, prepare
from mmhallu_core.train.records import Make, Numbered
from mmhallu_core.train.spec import TrainSpec, is_main, is_sharded, processes
from mmhallu_core.train.trainer import SLOWER, Bar, MmTrainer, Progress, Watch, newest_whole, quiet
from mmhallu_core.types import CannotRun

PARTS_OF_LOSS = ("answers", "consistency", "margin", "accuracy")


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


def train(
    vlm: Vlm,
    make: Make,
    spec: TrainSpec,
    out: Path,
    command: str,
    data: dict[str, Any] | None = None,
    watched: Sequence[tuple[Image.Image, Image.Image]] = (),
    progress: Progress | bool = False,
    recipe: Recipe | None = None,
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
        recipe: of another method; None for fine-tuning on answers.

    Returns:
        The trained model with its record: command, spec, `recipe` where there is one, seed, versions, data,
        data_sha256, base, base_sha256, sha256 (of the weights), steps, examples, processes, seconds (of the last call,
        where `resumed`), trainable and parameters by part, loss of the first step and of the last quarter (with its
        `PARTS_OF_LOSS` in the last step), `losses` of each step, and `collapse` where pairs were watched.

    Raises:
        CannotRun: when the folder is in use or holds another run or a finished one, the loss or a weight stops being a
            number, or see `prepare`.
    """
    with run_lock(out) if is_main() else nullcontext():
        if (out / "run.json").exists():
            raise CannotRun(f"{out} holds a finished run; its record is run.json. Use a new --out.")
        for_peft, base, base_sha256 = base_info(vlm, out)
        method = {} if recipe is None else {"recipe": dict(recipe.about)}
        if is_main():
            about = {"spec": asdict(spec), "base_sha256": base_sha256, "data": data, "processes": processes()}
            Journal(out / "about.jsonl", about | method)
        ready = prepare(vlm, spec) if recipe is None else recipe.prepare(vlm, spec, out, base_sha256)
        learns = trainable(ready.model)
        watched = () if is_sharded() else watched  # features are looked at in a whole model
        before = feature_statistics(ready.model, vlm, watched) if watched else None
        examples = Numbered(make, spec.steps * spec.effective_batch, hashes=data is None and is_main())
        checkpoints, began = out / "checkpoints", time.monotonic()
        trainer, resumed = take_steps(ready, examples, spec, checkpoints, progress)
        told = [line for line in trainer.state.log_history if "loss" in line]
        losses, steps = [line["loss"] for line in told], trainer.state.global_step
        record = {
            "command": command,
            "spec": asdict(spec),
            **method,
            "seed": spec.seed,
            "versions": {**versions(), "peft": peft.__version__},
            "data": data,
            "base": base,
            "base_sha256": base_sha256,
            "steps": steps,
            "examples": steps * spec.effective_batch,
            "processes": processes(),
            "seconds": round(time.monotonic() - began, 1),
            "resumed": resumed,
            "trainable": learns.numbers,
            "parameters": learns.sizes,
            "loss": first_and_final(losses) | {name: told[-1][name] for name in PARTS_OF_LOSS if name in told[-1]},
            "losses": [round(one, 4) for one in losses],
        }
        if before is not None:
            record["collapse"] = collapse_record(before, feature_statistics(ready.model, vlm, watched))
        state = trainer.accelerator.get_state_dict(trainer.model_wrapped) if is_sharded() else None
        if is_main():
            weights = save_weights(ready.model, vlm, for_peft, out, state)
            record["data_sha256"] = data["sha256"] if data else examples.digest(record["examples"])
            record["sha256"] = sha256(weights)
            write_whole(out / "run.json", json.dumps(record, indent=2) + "\n")
            shutil.rmtree(checkpoints, ignore_errors=True)
        trainer.accelerator.wait_for_everyone()
    return Trained(ready, record, out)


def take_steps(
    ready: Prepared, examples: Numbered, spec: TrainSpec, checkpoints: Path, progress: Progress | bool, **more: Any
) -> tuple[MmTrainer, bool]:
    """Takes the steps that are left; the trainer at its end, and whether it went on with a run that was killed.

    Args:
        ready: what learns, and how; its model may be any module.
        examples: enough for all steps.
        spec: the run's numbers; what says how a model is adapted is not read.
        checkpoints: their folder.
        progress: as in `train`.
        more: arguments of transformers' `TrainingArguments` that go before ours.

    Raises:
        CannotRun: when the loss stops being a number.
    """
    asked = dict(
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
    arguments = TrainingArguments(**{**asked, **more})
    arguments._n_gpu = min(1, arguments.n_gpu)  # several GPUs in one process would hide what the hooks record
    trainer = MmTrainer(ready.loss, ready.totals, model=ready.model, args=arguments, data_collator=ready.collate,
                        train_dataset=examples,
                        callbacks=[Watch(progress if callable(progress) else None, spec.seconds)])  # fmt: skip
    quiet(trainer)
    if progress is True and is_main():
        trainer.add_callback(Bar())
    if ready.begin is not None:
        ready.begin(examples, progress is True and is_main())
    with arguments.main_process_first():  # it deletes what a kill left half
        last = newest_whole(checkpoints, processes())
    trainer.train(resume_from_checkpoint=last)
    return trainer, last is not None


def base_info(vlm: Vlm, out: Path) -> tuple[str, str, str]:
    """The model that a run in `out` starts from: its name for peft, its name in `run.json`, its hash; before training.

    Raises:
        CannotRun: when adapters or edits were put on the model by hand, so that no one name gives it back.
    """
    if vlm.edits and vlm.edits.edits:
        raise CannotRun(f"{vlm.name} has edits in its weights: take them out, or save it and train the saved model")
    if vlm.adapters and adapter_folder(vlm.name) is None:
        raise CannotRun(
            f"an adapter could not name {vlm.name!r} as its base model: save that model (vlm.model and vlm.processor, "
            "save_pretrained), and train the saved one"
        )
    return (*base_name(vlm.name, out), base_hash(vlm.model, vlm.adapters))


def save_weights(
    model: PreTrainedModel | peft.PeftModel, vlm: Vlm, base: str, out: Path, state: dict[str, Tensor] | None = None
) -> Path:
    """Writes the adapter, or the whole model where there is none.

    Args:
        model: what `adapt` gave, trained.
        vlm: has the processor that belongs to it.
        base: the name that the adapter gives to its model, see `base_info`.
        out: the folder.
        state: all of the model's values, where processes share them out; None for those in the model.

    Returns:
        The file of weights.

    Raises:
        CannotRun: when a weight that learned is no finite number; nothing is written then.
    """
    values = model.named_parameters() if state is None else state.items()
    learned = {name for name, one in model.named_parameters() if one.requires_grad}
    broken = [name for name, one in values if name in learned and not one.isfinite().all()]
    if broken:
        raise CannotRun(f"{len(broken)} weights are no numbers after training, {broken[0]} for one; {SLOWER}")
    if not isinstance(model, peft.PeftModel):
        with quiet_progress():
            model.save_pretrained(out, state_dict=state)
        vlm.processor.save_pretrained(out)
        return next(
            path for name in ("model.safetensors", "model.safetensors.index.json") if (path := out / name).is_file()
        )
    model.peft_config["default"].base_model_name_or_path = base
    # "auto" would look the base model up on a hub
    model.save_pretrained(out, state_dict=state, save_embedding_layers=False)
    (out / "README.md").unlink(missing_ok=True)  # peft's empty model card
    return out / WEIGHTS


def first_and_final(losses: Sequence[float]) -> dict[str, float]:
    """The first loss, and the mean of the last quarter: one step is too noisy to compare."""
    last = losses[-max(1, len(losses) // 4) :]
    return {"first": losses[0], "final": sum(last) / len(last)}

"""transformers' `Trainer` as all training here uses it: our loss, steps that count as a whole, runs that resume.

What it adds: a loss function that may return numbers to log; what a loss is divided by is counted over all
micro-batches and processes of a step; examples come in their order; a checkpoint that a kill left half is not used.
Its callbacks say how far a run is, and end one whose time is over or whose loss is no number.
"""

import json
import math
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import torch
from torch import Tensor
from torch.utils.data import SequentialSampler
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PrinterCallback, ProgressCallback, Trainer, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from mmhallu_core.types import CannotRun

Totals = Callable[[dict[str, Tensor]], Tensor]
Progress = Callable[[int, int], None]
SLOWER = "take a smaller learning rate, and a new folder"


class MmTrainer(Trainer):
    """A `Trainer` with a loss function of our own.

    Args:
        loss_function: takes (model, **batch), with `totals` also `totals=`; gives the loss and numbers to log beside
            it. With totals the loss is this micro-batch's share of the step's, and so are the numbers.
        totals: counts what a micro-batch adds to the step, as a vector; the loss function gets the sum over the step.
    """

    def __init__(self, loss_function: Callable, totals: Totals | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loss_function, self.totals, self.extra = loss_function, totals, {}
        self.model_accepts_loss_kwargs = totals is not None  # then a loss is a share of the step's, and is not divided

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        """See `Trainer.get_batch_samples`."""
        batches, count = super().get_batch_samples(epoch_iterator, num_batches, device)
        self.extra = {}
        if self.totals is None or not batches:
            return batches, count
        return batches, self.accelerator.reduce(sum(self.totals(batch) for batch in batches).to(device), "sum")

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """See `Trainer.compute_loss`."""
        if self.totals is None:
            loss, self.extra = self.loss_function(model, **inputs)
            return loss
        loss, extra = self.loss_function(model, totals=num_items_in_batch, **inputs)
        self.extra = {name: self.extra.get(name, 0.0) + value for name, value in extra.items()}
        return loss * self.args.world_size  # processes average their gradients, and a step's loss is a sum

    def _get_train_sampler(self, train_dataset=None):
        """In order: a dataset names its items by number, and draws them at random itself."""
        return SequentialSampler(self.train_dataset)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None) -> None:
        """Loads a checkpoint by `from_pretrained`: LLaVA is saved under older names, which only that translates."""
        model = model or self.model
        if isinstance(model, PreTrainedModel) and not self.is_fsdp_enabled:
            model.load_state_dict(type(model).from_pretrained(resume_from_checkpoint).state_dict())
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _save(self, output_dir=None, state_dict=None) -> None:
        """Saves an adapter without asking a hub about the base model."""
        if isinstance(self.model, peft.PeftModel):
            self.model.save_pretrained(output_dir, state_dict=state_dict, save_embedding_layers=False)
        else:
            super()._save(output_dir, state_dict)

    def log(self, logs, *args, **kwargs) -> None:
        """Adds the loss function's own numbers, summed over processes."""
        extra = {}
        for name, value in sorted(self.extra.items()):
            told = torch.tensor(float(value), device=self.args.device)
            extra[name] = round(self.accelerator.reduce(told, "sum").item(), 4)
        super().log({**logs, **extra}, *args, **kwargs)


def newest_whole(checkpoints: Path, processes: int = 1) -> str | None:
    """The newest checkpoint that was written to its end, None where there is none; what a kill left half is deleted.

    Args:
        checkpoints: their folder.
        processes: how many wrote it: each leaves its random numbers' state there.
    """
    while checkpoints.is_dir() and (newest := get_last_checkpoint(str(checkpoints))) is not None:
        names = [f"rng_state_{rank}.pth" for rank in range(processes)] if processes > 1 else ["rng_state.pth"]
        try:
            json.loads((Path(newest) / "trainer_state.json").read_text(encoding="utf-8"))  # the Trainer writes it last
            if all((Path(newest) / name).is_file() for name in names):
                return newest
        except (FileNotFoundError, ValueError):
            pass
        shutil.rmtree(newest)
    return None


class Bar(TrainerCallback):
    """A progress bar on standard error with the loss beside it; a run that goes on starts where it was."""

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """Draws it."""
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, desc="training", unit="step", file=sys.stderr)

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        """Shows the loss."""
        if "loss" in (logs or {}):
            self.bar.set_postfix_str(f"loss {logs['loss']:.3f}", refresh=False)

    def on_step_end(self, args, state, control, **kwargs) -> None:
        """One step further."""
        self.bar.update(1)

    def on_train_end(self, args, state, control, **kwargs) -> None:
        """Ends it."""
        self.bar.close()


class Watch(TrainerCallback):
    """Tells after each step how far training is, and ends it after some seconds, or when its loss is no number.

    Every step behind such a loss would be for nothing.

    Args:
        progress: gets step and steps; None for silence.
        seconds: None for no limit.
    """

    def __init__(self, progress: Progress | None, seconds: float | None) -> None:
        self.progress, self.seconds = progress, seconds

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """Starts the clock."""
        self.began = time.monotonic()

    def on_step_end(self, args, state, control, **kwargs) -> None:
        """Reports the step; asks for the end when the time is over."""
        if self.progress:
            self.progress(state.global_step, state.max_steps)
        if self.seconds is not None and time.monotonic() - self.began > self.seconds:
            control.should_training_stop = True

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        """Raises CannotRun at the first loss that is no number."""
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise CannotRun(f"the loss became {loss} in step {state.global_step}; {SLOWER}")


def quiet(trainer: Trainer) -> None:
    """Takes away what prints to standard output, which `--json` needs clean."""
    for talkative in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(talkative)

"""How far a run is, and its end when its time is over."""

import sys
import time
from collections.abc import Callable

from tqdm.auto import tqdm
from transformers import TrainerCallback

Progress = Callable[[int, int], None]


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
    """Tells after each step how far training is, as (step, steps), and ends it after some seconds (None: never)."""

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

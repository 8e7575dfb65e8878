"""How far a run is, on standard error."""

import sys

from tqdm.auto import tqdm
from transformers import TrainerCallback


class Bar(TrainerCallback):
    """A progress bar with the loss beside it; a run that goes on starts where it was."""

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

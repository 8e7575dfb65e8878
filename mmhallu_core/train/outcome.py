"""What stays of a training run: weights, their hashes, and whether the features survived."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import peft
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import PreTrainedModel, PrinterCallback, ProgressCallback, Trainer, TrainerCallback

from mmhallu_core.models.adapter_folders import WEIGHTS, adapter_folder, base_hash, base_name
from mmhallu_core.models.loading import quiet_progress
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.collapse import Features, measure, verdict
from mmhallu_core.train.consistency import changed_pixels, pair_inputs, picture_means
from mmhallu_core.types import CannotRun

SLOWER = "take a smaller learning rate, and a new folder"
AT_ONCE = 8  # pairs in memory when features are looked at


class Base(NamedTuple):
    """What a run says of the model that it starts from: its name for peft, its name in `run.json`, its hash."""

    for_peft: str
    for_run: str
    sha256: str


def base_info(vlm: Vlm, out: Path) -> Base:
    """What a run in `out` will say of the model that it starts from; to be asked before training.

    Raises:
        CannotRun: when adapters were put on the model by hand, so that no one name gives it back.
    """
    if vlm.adapters and adapter_folder(vlm.name) is None:
        raise CannotRun(
            f"an adapter could not name {vlm.name!r} as its base model: save that model (vlm.model and vlm.processor, "
            "save_pretrained), and train the saved one"
        )
    return Base(*base_name(vlm.name, out), base_hash(vlm.model, vlm.adapters))


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


class _Finite(TrainerCallback):
    """Ends a training whose loss is no number: every later step would be for nothing."""

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        """Raises CannotRun at the first such loss."""
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise CannotRun(f"the loss became {loss} in step {state.global_step}; {SLOWER}")


def quiet(trainer: Trainer) -> None:
    """Takes away what prints to standard output, which `--json` needs clean; a loss that is no number ends the run."""
    for talkative in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(talkative)
    trainer.add_callback(_Finite())


def losses_of(trainer: Trainer) -> list[float]:
    """The loss of each step that was taken."""
    return [line["loss"] for line in trainer.state.log_history if "loss" in line]


def first_and_final(losses: Sequence[float]) -> dict[str, float]:
    """The first loss, and the mean of the last quarter: one step is too noisy to compare."""
    last = losses[-max(1, len(losses) // 4) :]
    return {"first": losses[0], "final": sum(last) / len(last)}


@torch.no_grad()
def look(model: nn.Module, vlm: Vlm, pairs: Sequence[tuple[Image.Image, Image.Image]]) -> Features:
    """Four numbers about the features of some pairs, as the model is now; training goes on as if nothing was.

    Args:
        model: of a family with image tokens, with or without an adapter.
        vlm: has the processor that belongs to it.
        pairs: pictures and their edits, at least two.
    """
    was_training, means = model.training, []
    model.eval()
    for start in range(0, len(pairs), AT_ONCE):
        some = list(pairs[start : start + AT_ONCE])
        inputs = vlm.encode(some, [vlm.prompt("What is different?", 2)] * len(some), side="right")
        found = pair_inputs(vlm, inputs, some, [changed_pixels(*pair) for pair in some])
        on_device = {name: value.to(inputs["input_ids"].device) for name, value in found.items()}
        means.append(picture_means(model, {**inputs, **on_device}))
    model.train(was_training)
    return measure(*(torch.cat(side) for side in zip(*means, strict=True)))


def collapse_record(before: Features, after: Features) -> dict[str, Any]:
    """What a run's record says of its features before and after training."""
    collapsed, sentence = verdict(before, after)
    return {"before": asdict(before), "after": asdict(after), "collapsed": collapsed, "verdict": sentence}

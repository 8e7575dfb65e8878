"""What `test_train_processes.py` starts with torchrun: the same run whole, and killed and taken up, in each process."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.adapt import Adapt
from mmhallu_core.train.losses import Consistency
from mmhallu_core.train.records import TrainingExample, Turn
from mmhallu_core.train.run import train
from mmhallu_core.train.spec import TrainSpec
from mmhallu_core.train.trainer import MmTrainer

SPEC = TrainSpec(steps=4, micro_batch=2, accumulation=2, lr=3e-3, save_every=2, consistency=Consistency("masked", 1.0))
DATA = {"sha256": "0" * 64}
ANSWERS = ("A red dog.", "There are three people in front of the house, and a cat.")


def make(i):
    """Every third example is a pair, every seventh has no picture, and weights and lengths differ."""
    noise = np.random.default_rng(i).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    first = Image.fromarray(noise)
    second, changed = first.copy(), torch.zeros(40, 40, dtype=torch.bool)
    second.paste((255, 0, 0), (0, 0, 16, 16))
    changed[:16, :16] = True
    images = (first, second) if i % 3 == 0 else () if i % 7 == 1 else (first,)
    turn = Turn("What is there?", ANSWERS[i % 2], 1.0 + i % 4)
    return TrainingExample(f"e{i}", images, ((turn,),), changed if len(images) == 2 else None)


class Killed(Exception):
    """Stands for a kill."""


def killed(i):
    """As `make`, up to the middle of the last step, after the checkpoint."""
    if i >= 28:
        raise Killed
    return make(i)


def both(model, out, spec):
    """The run whole in `out/whole`, and killed and taken up in `out/broken`."""
    train(Vlm.load(model, "cpu"), make, spec, out / "whole", "a test", DATA)
    try:
        train(Vlm.load(model, "cpu"), killed, spec, out / "broken", "a test", DATA)
    except Killed:
        train(Vlm.load(model, "cpu"), make, spec, out / "broken", "a test", DATA)


if __name__ == "__main__":
    folder, base, wrapped = Path(sys.argv[1]), sys.argv[2], set()
    usual = MmTrainer.compute_loss

    def seen(self, model, *args, **kwargs):
        """Notes what the trainer made of the model."""
        wrapped.add(type(model).__name__)
        return usual(self, model, *args, **kwargs)

    MmTrainer.compute_loss = seen
    both(base, folder / "plain", SPEC)
    dropout = dataclasses.replace(SPEC, adapt=Adapt(dropout=0.1), consistency=Consistency())
    both(base, folder / "dropout", dropout)
    print("world size", torch.distributed.get_world_size(), "wrapped in", *wrapped, flush=True)

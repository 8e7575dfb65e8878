"""The numbers of a fine-tuning run, and in how many processes it runs."""

import math
import os
from dataclasses import dataclass
from typing import Literal

from mmhallu_core.train.adapt import Adapt
from mmhallu_core.train.losses import Consistency
from mmhallu_core.types import CannotRun


@dataclass(frozen=True)
class TrainSpec:
    """Every number of a run.

    Attributes:
        steps: of the optimizer.
        adapt: what learns.
        micro_batch: examples in memory at once, in each process.
        accumulation: micro-batches for each step, in each process.
        lr: the highest learning rate.
        scheduler: how it changes, in transformers' words.
        warmup: over what it rises: below 1 a share of the steps, else a number of steps, but at most a fifth of them.
        dtype: of the computation, and of the weights that stay as they are; what is trained stays in float32.
        checkpointing: keep only what enters each layer, and compute the rest again when gradients are taken.
        consistency: what is asked of the features of pairs, that is, of examples with `changed`.
        seed: of the adapter's first values and of dropout. The examples' order is the caller's.
        save_every: steps between two checkpoints to which a killed run can go back.
        packing: all conversations about the same pictures in one sequence, see `packed.py`.
        seconds: stop after this time even if steps are left; None for no limit.
    """

    steps: int
    adapt: Adapt = Adapt()
    micro_batch: int = 1
    accumulation: int = 1
    lr: float = 1e-4
    scheduler: str = "cosine"
    warmup: float = 0.1
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    checkpointing: bool = False
    consistency: Consistency = Consistency()
    seed: int = 0
    save_every: int = 100
    packing: bool = False
    seconds: float | None = None

    @property
    def effective_batch(self) -> int:
        """Examples for each step, of all processes together."""
        return self.micro_batch * self.accumulation * processes()

    @property
    def warmup_steps(self) -> int:
        """Steps over which the learning rate rises."""
        if self.warmup < 1:
            return math.ceil(self.warmup * self.steps) if self.steps > 1 else 0
        return min(int(self.warmup), self.steps // 5)


def processes() -> int:
    """How many processes train together: what torchrun or `accelerate launch` started, else one.

    Raises:
        CannotRun: when `accelerate launch` was asked for several and started one without a word, as it does on a CPU.
    """
    if "ACCELERATE_DYNAMO_MODE" in os.environ and "MASTER_PORT" in os.environ and "WORLD_SIZE" not in os.environ:
        raise CannotRun(
            "accelerate launch was asked for several processes and started one, as it does with --cpu: take torchrun "
            "--nproc_per_node N, or the file train/accelerate/cpu.yaml of this package with --config_file"
        )
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_sharded() -> bool:
    """Whether `accelerate launch` shares the model's weights out among the processes (FSDP)."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_main() -> bool:
    """Whether this process is the one that writes files."""
    return rank() == 0

"""What `test_train_processes.py` starts with torchrun for preferences: the same run in each process."""

import dataclasses
import sys
from pathlib import Path

from mmhallu_core.methods.ic_vco.recipes import Objective, recipe
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.run import train
from tests.preference_data import SPEC, maker

OBJECTIVE = Objective("ic-vco")
SPEC = dataclasses.replace(SPEC, micro_batch=2, accumulation=2)

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    train(Vlm.load(sys.argv[2], "cpu"), maker(OBJECTIVE), SPEC, folder / "two", "a test", recipe=recipe(OBJECTIVE))

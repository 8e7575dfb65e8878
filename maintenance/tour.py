"""For maintainers: trains the adapter that the package ships, and records the tour's result.

python -m maintenance.tour --train-adapter                   writes the package's checkpoints/tour-adapter
python -m maintenance.tour --record results/tour/tour.json   runs `mmhallu tour` and keeps its numbers
"""

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmhallu_core.models.vlm import Vlm
from mmhallu_core.recorded import commit
from mmhallu_core.store import cache_folder
from mmhallu_core.tour.run import ADAPTER, RECIPE, TRAIN_SPLIT, Plan, examples, run_tour
from mmhallu_core.tour.tell import Voice
from mmhallu_core.train.run import train
from mmhallu_core.train.spec import TrainSpec
from mmhallu_core.world.prior import PRIOR

LONG = replace(RECIPE, steps=160)  # the shipped adapter: the same examples and more, four times as long


def train_adapter(out: Path = ADAPTER, base: str = "tiny-llava", spec: TrainSpec = LONG) -> dict[str, Any]:
    """Trains the adapter that the package ships; returns its record (see `train.run.train`)."""
    with Voice().steps("training the adapter") as progress:
        command = "python -m maintenance.tour --train-adapter"
        shutil.rmtree(out, ignore_errors=True)
        return train(Vlm.load(base), examples(TRAIN_SPLIT, PRIOR), spec, out, command, progress=progress).record


def record(path: Path) -> None:
    """Runs the tour and writes its result, with the commit that it ran at.

    The training's time limit is off, so that a busy machine records the same steps as a free one.
    """
    plan = Plan(quick=replace(Plan().quick, seconds=None))
    result = run_tour(cache_folder() / "tour", Voice(plain=True), plan)
    del result["page"]  # a place on this machine
    result["commit"] = commit()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--train-adapter", action="store_true")
    choice.add_argument("--record", type=Path, metavar="FILE")
    wanted = parser.parse_args()
    if wanted.train_adapter:
        trained = train_adapter()
        print(f"{trained['steps']} steps in {trained['seconds']:.0f} s; loss {trained['loss']}")
    else:
        record(wanted.record)

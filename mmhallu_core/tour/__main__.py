"""For maintainers: trains the adapter that the package ships, and records the tour's result.

python -m mmhallu_core.tour --train-adapter                   writes the package's checkpoints/tour-adapter
python -m mmhallu_core.tour --record results/tour/tour.json   runs `mmhallu tour` and keeps its numbers
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from mmhallu_core.recorded import commit
from mmhallu_core.store import cache_folder
from mmhallu_core.tour.run import Plan, run_tour, train_adapter
from mmhallu_core.tour.tell import Voice


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

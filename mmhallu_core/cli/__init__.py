"""`mmhallu`: the library from a terminal. Each command calls one public function and prints what it returns.

Exit codes: 0 done; 1 a check failed; 2 could not run (and one sentence says why and what to do). With --json, exactly
one JSON object goes to standard output and everything else to standard error; it is `{"error": sentence}` where a
command could not run.

| file | commands |
|---|---|
| `aleahallu.py` | `aleahallu pairs`, `locate`, `train aleahallu` |
| `data.py` | `data list`, `get`, `verify`, `check` |
| `evaluate.py` | `eval`, `audit`, `judge`, `new benchmark` |
| `explain.py` | `explain METHOD` |
| `med.py` | `med build`, `bench` |
| `models.py` | `doctor`, `ask`, `tour` |
| `preference.py` | `train dpo`, `mdpo`, `vdpo`, `svco`, `symmpo`, `ic-vco`, and `ic-vco pairs` |
| `score.py` | `score BENCHMARK` |
| `study.py` | `study` |
| `train.py` | `train sft`, `pretrain`, `data export` |
| `world.py` | `world sample`, `edit` |

`base.py` has what they share, and `errors.py` what is said when a command cannot go on.
"""

from mmhallu_core.cli import (  # noqa: F401 (importing a file registers its commands)
    aleahallu,
    data,
    evaluate,
    explain,
    med,
    models,
    preference,
    score,
    study,
    train,
    world,
)  # fmt: skip
from mmhallu_core.cli.base import app

__all__ = ["app"]

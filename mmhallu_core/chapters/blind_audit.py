"""What rules that see no picture score on published benchmarks.

There is one record for each benchmark: the rules' scores with intervals, and beside them what the benchmark's paper
reports for models and people. A record holds no question and no option. `maintenance/measure.py` writes them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmhallu_core.data.pope import SPLITS
from mmhallu_core.data.question import FILES, Question
from mmhallu_core.evaluate.audit import audit
from mmhallu_core.evaluate.benchmarks import med, pope
from mmhallu_core.recorded import computed_or_recorded
from mmhallu_core.store import data_file, sha256

# Name of a record -> its file in the data folder, and what reads it.
SUBJECTS: dict[str, tuple[str, Callable[[Path | None], list[Question]]]] = {
    **{name: (file, med.reader(name)) for name, file in FILES.items()},
    **{f"pope-{split}": (f"pope/coco_pope_{split}.json", pope.read) for split in SPLITS},
}
# Accuracies that the authors of MED print for their benchmark (arXiv 2506.07227, table 1, averages over categories).
REPORTED = {
    "med-bench": {"Qwen2.5-VL-7B": 0.3974, "Qwen2.5-VL-7B, fine-tuned by MED": 0.5161, "GPT-4.1": 0.5426,
                  "people": 0.9521},
}  # fmt: skip


def record(name: str) -> dict[str, Any]:
    """The audit of one benchmark of `SUBJECTS`.

    Raises:
        MissingFile: when its file is not here; the message names the command that gets it.
    """
    file, read = SUBJECTS[name]
    path = data_file(file)
    return {
        "kind": "recomputed",
        "benchmark": name,
        "inputs": {file: sha256(path)},
        "reported": REPORTED.get(name, {}),
        "audit": audit(read(path)),
    }


def audit_or_recorded(name: str) -> tuple[dict[str, Any], str]:
    """The audit computed now where the file is here, else the recorded one; and a sentence that says which it is."""
    return computed_or_recorded(lambda: record(name), f"audit/{name}", SUBJECTS[name][0].split("/")[0])

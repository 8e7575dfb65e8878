#!/usr/bin/env bash
# lmms-eval 0.7.3, task `pope`: an answer counts only when it is "yes" or "no" as a whole, in any case.
#
# Expected: an answer that is not read is wrong in every score, so a model that says "Yes." instead of "yes" loses as
# much in F1 as in accuracy.
# Seen: accuracy counts such an answer as wrong, and precision, recall and F1 leave it out. Nine of ten right answers
# "Yes." lower the accuracy to 0.55 and leave F1 at 1.0. `pope_yes_ratio` is that of the labels, so it is 0.5 even
# where a model says yes to everything.
#
# So two models that see equally well can differ by 45 points of accuracy and not at all in F1.
# Ends with 1 when the package behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --no-deps --disable-pip-version-check --target "$folder" lmms-eval==0.7.3
python3 - "$folder" <<'PY'
import importlib.util
import sys
from importlib.metadata import distributions
from pathlib import Path

folder = Path(sys.argv[1])
print("lmms-eval", next(one.version for one in distributions(path=[str(folder)])))
spec = importlib.util.spec_from_file_location("pope", folder / "lmms_eval" / "tasks" / "pope" / "utils.py")
pope = importlib.util.module_from_spec(spec)  # the task's own file; it imports nothing
spec.loader.exec_module(pope)


def scores(labels, answers):
    rows = [
        pope.pope_process_results({"question_id": number, "answer": label}, [said])
        for number, (label, said) in enumerate(zip(labels, answers))
    ]
    names = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1_score": "f1", "yes_ratio": "yes_ratio"}
    return {
        short: round(getattr(pope, f"pope_aggregate_{name}")([row[f"pope_{name}"] for row in rows]), 4)
        for name, short in names.items()
    }


labels = ["yes"] * 10 + ["no"] * 10
cases = {
    "yes, no": (["yes"] * 10 + ["no"] * 10, {"accuracy": 1, "precision": 1, "recall": 1, "f1": 1, "yes_ratio": 0.5}),
    "one yes, nine Yes.": (
        ["yes"] + ["Yes."] * 9 + ["no"] * 10,
        {"accuracy": 0.55, "precision": 1, "recall": 1, "f1": 1, "yes_ratio": 0.5},
    ),
    "yes to everything": (["yes"] * 20, {"accuracy": 0.5, "precision": 0.5, "recall": 1, "f1": 0.6667, "yes_ratio": 0.5}),
}
for name, (answers, seen_before) in cases.items():
    seen = scores(labels, answers)
    print(f"{name}: {seen}")
    if seen != seen_before:
        sys.exit(f"changed: it was {seen_before}")
print("expected for the second: recall 0.1, F1 0.18; seen: recall 1.0, F1 1.0")
PY

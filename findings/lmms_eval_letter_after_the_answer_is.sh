#!/usr/bin/env bash
# lmms-eval reads MMStar's answers, since April 2026, with a shared reader of letters. After "the answer is" it looks for
# each option's letter wherever a capital of it comes next, also inside a word, and then takes the place furthest on. So
# whatever capitals follow the stated letter can replace it.
#
# Expected: "The answer is B. The Dog is on the left." is read as B.
# Seen:     D, from "Dog". Without the second sentence it is B.
# Ends with 1 when the package behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" lmms-eval==0.7.3
python3 - "$folder" <<'PYTHON'
import importlib.util
import sys
from importlib.metadata import distributions

folder = sys.argv[1]
[package] = [one for one in distributions(path=[folder]) if one.metadata["Name"].replace("_", "-") == "lmms-eval"]
# The file alone: the package itself needs fifty others.
spec = importlib.util.spec_from_file_location("reader", f"{folder}/lmms_eval/tasks/_task_utils/mcq_extract.py")
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)

ANSWERS = {"The answer is B.": ("B", "B"), "The answer is B. The Dog is on the left.": ("B", "D")}
print(f"lmms-eval {package.version}, mcq_extract.py, which its MMStar task calls")
same = True
for answer, (expected, seen) in ANSWERS.items():
    said = reader.extract_mcq_answer(answer, choices=["A", "B", "C", "D"])
    print(f"  {answer!r}: expected {expected}, read as {said}")
    same = same and said == seen
print("as found" if same else "this has changed")
sys.exit(0 if same else 1)
PYTHON

"""The studies of MED: what fine-tuning on micro-edits does to a small model in Diorama, and what made it work.

- `plan.py`: what is asked, what counts as holding, and the list of runs with their minutes. Written before any run.
- `exam.py`: what every model is asked, and how its answers are kept, one letter each.
- `other_pairs.py`: pairs that no training has seen the like of: another style, another editor, two edits at once.
- `run.py`: one run, and the list of them: claimed, recorded when done, taken up where it was.
- `measures.py`, `summary.py`: contrasts with their intervals, from the records alone.
- `ledger.py`: the paper's claims, and what was measured for each.

`mmhallu study med --out DIR` runs or resumes it; `--list` shows the plan.
"""

"""The engine of all studies: a list of independent runs, an exam, and what its answers say about claims.

- `study.py`: what a paper's plan consists of: runs, contrasts, claims, and how a run is trained and asked.
- `exam.py`: what models are asked, and how answers are kept, one letter each; also about other pairs.
- `outcomes.py`: from the letters to numbers: scores, and what two groups of runs differ in, with intervals.
- `run.py`: the list at work: claimed by a file, recorded when done, taken up where it was, by several machines.
- `summary.py`: every contrast that the records allow, the verdicts, a table, and the rows of the ledger.

A plan (`studies/med`) is data and two functions; it never repeats what stands here.
"""

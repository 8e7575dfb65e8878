"""MED's data pipeline, stage by stage: pictures are read, edited, compared, described and written as records.

In the order in which a draft goes through it; each line needs only what stands above it.

- A draft: `draft.py`. Where drafts come from: `engine/folder.py` (anybody's pictures), `world.py` (Diorama).
- The stages, in `stages/`: from what to edit to a sample to learn from (`asked.py`; `annotate.py` asks an annotator),
  what an instruction means in Diorama (`instructions.py`), keep or drop (`similarity.py`).
- Editing: `world.py` again, and for photos `photos.py` with `editors/`, or an outside editor from there.
- In Diorama the annotator is `oracle.py`, with its words and its errors in `oracle_words.py`; `truth.py` holds what it
  knows, and tells what got by.
- The whole: `pipeline.py` for Diorama, `stages/photos.py` for photos; `recipe.py` makes either in a worker.
- A long run, in `engine/`: `run.py`, `work.py` (one chunk), `local.py` and `ray.py` (where), `jobs.py`, `replies.py`
  and `calls.py` (what is asked, what comes back, what was paid for).
- A test out of pairs, in `benchmark/`: its samples, its page and its form for lmms-eval.
"""

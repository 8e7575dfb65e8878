"""MED's data pipeline, stage by stage: pictures are read, edited, compared, described and written as records.

In the order in which a draft goes through it; each line needs only what stands above it.

- A draft: `draft.py`. Where drafts come from: `engine/folder.py` (anybody's pictures), `world.py` (Diorama).
- The stages, in `stages/`: what to edit (`choose.py`, `instructions.py`), keep or drop (`similarity.py`), what differs
  in words (`align.py`, `judges.py`), a sample to learn from (`teach.py`). `annotate.py` asks an annotator.
- Editing: `world.py` again, and for photos `photos.py` with `editors/`, or an outside editor from there.
- In Diorama the annotator is `oracle.py`, which errs as `error_types.py` says; `truth.py` and `world_words.py` hold
  what it knows, `faults.py` what got by.
- The whole: `pipeline.py` and `recipe.py` for Diorama, `photo_recipe.py` and `stages/photos.py` for photos.
- A long run, in `engine/`: `run.py`, `work.py` (one chunk), `local.py` and `ray.py` (where), `jobs.py`, `replies.py`
  and `calls.py` (what is asked, what comes back, what was paid for).
- A test out of pairs, in `benchmark/`: its samples, its page and its form for lmms-eval.
"""

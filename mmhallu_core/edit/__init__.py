"""MED's data pipeline, stage by stage: pictures are read, edited, compared, described and written as records.

In the order in which a draft goes through it; each line needs only what stands above it.

- A draft: `draft.py`. Where drafts come from: `folder.py` (anybody's pictures), `world.py` (Diorama).
- What to edit: `choose.py`, `instructions.py`. Editing: `world.py` again, and for photos `cutouts.py`, `colours.py`,
  `pixels.py`, `photos.py` (OpenCV), or an outside editor: `editors.py`, `padding.py`, `editor_*.py`.
- Keep or drop: `similarity.py`. What differs, in words: `align.py`, `judges.py`. A sample to learn from: `teach.py`.
- Annotators, who are asked at most of these stages: `jobs.py`, `replies.py`, `annotate.py`; in Diorama `oracle.py`,
  which errs as `error_types.py` says; `truth.py` and `world_words.py` hold what it knows, `faults.py` what got by.
- The whole: `pipeline.py` and `recipe.py` for Diorama, `photo_stages.py` and `photo_recipe.py` for photos.
- A long run: `run.py`, `work.py` (one chunk), `engine_*.py` (where), `calls.py` (paid replies), `lock.py`.
- A test out of pairs: `benchmark.py`, and `benchmark_*.py` for its samples, its page and its form for lmms-eval.
"""

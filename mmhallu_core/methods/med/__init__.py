"""MED, "Hallucination at a Glance" (arXiv 2506.07227): fine-tuning on pairs of pictures that differ in one edit.

- `lessons.py`: samples of the pipeline (`mmhallu_core/edit`) become talks to learn from.
- `presets.py`, `one_gpu.py`: the paper's numbers, beside the tables they stand in; `disagreements.py` where it has two.
- `sft.py`: a model, a file of samples and a folder: the training, for any family.
- `arms.py`: the same pictures with other lessons, to tell what the differences did.
"""

"""MED, "Hallucination at a Glance" (arXiv 2506.07227): fine-tuning on pairs of pictures that differ in one edit.

- `examples.py`: pairs, from Diorama or from a file of edit samples, become training examples.
- `presets.py`, `one_gpu.py`: the paper's numbers, beside the tables they stand in, and what it says twice.
- `sft.py`: a model, a file of samples and a folder: the training, for any family.
- `arms.py`: the same pictures with other examples, to tell what the differences did.
"""

"""IC-VCO (arXiv 2605.31312) and the methods it is compared with: preference learning with a second picture.

- `recipes.py`: what each of six methods compares, from one kind of record.
- `presets.py`: the papers' numbers, beside where they stand.
- `pairs.py`: surgical negatives in Diorama, and two other kinds.
- `photos.py`: the same of photos, through MED's editors.
- `partition.py`: what DPO cancels, summed exactly over a closed set of answers.
- `fit.py`: a method, a model, a file of preferences and a folder: the training, for any family.

The losses are in `train/preference_losses.py`, the step in `train/trie.py`.
"""

"""ALEAHallu, "Look Closer!" (arXiv 2512.21999): activate a hallucination, locate it in the weights, edit it there.

- `pairs.py`: activate. Pairs of a grounded and a hallucinated response to one picture, found by rules.
- `batch.py`: pairs as a batch, the likelihood of each response, and which of their tokens belong together.
- `locate.py`: which matrices write the hallucination, by eight modes, those of the paper and of its code among them.
- `places.py`: what a mode says of each place.
- `prefix.py`: the adversary. Soft tokens before the response that make a model neglect its picture.
- `edit.py`: edit the located matrices, or rows of them, under that prefix.
- `recipe.py`: all of it as one call.
- `planted.py`: habits planted in a known place: which mode finds them, and does an edit there remove them?

Facts about the released code are from its commit 5f10619.
"""

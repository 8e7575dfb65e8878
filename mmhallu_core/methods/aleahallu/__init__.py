"""ALEAHallu, "Look Closer!" (arXiv 2512.21999): activate a hallucination, locate it in the weights, edit it there.

- `pairs.py`: activate. Pairs of a grounded and a hallucinated response to one picture, found by rules.
- `judged.py`: the same with an annotator as judge.
- `batch.py`: pairs as a batch, the likelihood of each response, and which of their tokens belong together.
- `locate.py`: which matrices write the hallucination, by eight modes, those of the paper and of its code among them.
- `places.py`: what a mode says of each place.
- `prefix.py`: the adversary. Soft tokens before the response that make a model neglect its picture.
- `edit.py`: edit the located matrices, or rows of them, under that prefix.
- `recipe.py`: all of it as one call.
- `measure.py`: what an edit did, besides captions: lies, attention, and what it should not touch.
- `nullu.py`: a rival without training, a projection of weights.
- `faults.py`: four faults of the released code, each with its effect.
- `planted.py`: habits planted in a known place: which mode finds them, and does an edit there remove them?

Facts about the released code are from its commit 5f10619.
"""

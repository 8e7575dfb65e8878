"""Made-up preferences that tests of preference training share."""

import numpy as np
import torch
from PIL import Image

from mmhallu_core.methods.ic_vco.recipes import example_of, recipe
from mmhallu_core.train.adapt import Adapt
from mmhallu_core.train.preference_batch import PreferenceCollator
from mmhallu_core.train.preference_tokens import leaf_sums
from mmhallu_core.train.spec import TrainSpec
from mmhallu_core.train.trie import answer_log_probs
from mmhallu_core.types import Preference

SPEC = TrainSpec(steps=4, adapt=Adapt("lora", "frozen", "lora", 4, 8), micro_batch=2, lr=3e-3, save_every=2)


def picture(seed, size=(40, 40)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


def preference(name="p0", chosen="There is a red dog.", rejected="There is a blue cat here.", **more):
    spans = {"chosen_spans": ((11, 18),), "rejected_spans": ((11, 19),)} | more
    return Preference(name, "What is there?", chosen, rejected, ("a.png", "b.png"), **spans)


def some(count=8):
    """Preferences of different lengths with their pictures."""
    said = [("There is a red dog.", "There is a blue cat here."), ("Yes.", "No, there is none.")]
    made = []
    for k in range(count):
        spans = {} if k % 2 == 0 else {"chosen_spans": (), "rejected_spans": ((0, 2),)}
        made.append((preference(f"p{k}", *said[k % 2], **spans), (picture(2 * k), picture(2 * k + 1))))
    return made


def maker(objective, count=8):
    made = some(count)
    return lambda i: example_of(*made[i % count], objective)


def loss_of(vlm, examples, objective, ref=-9.0):
    """The loss of some examples against a reference that says the same of every token."""
    batch = PreferenceCollator(vlm)(examples)
    answers = batch.pop("answers")
    values = answer_log_probs(vlm.model, vlm.model, batch, answers)
    made = recipe(objective)
    sums = [leaf_sums(one, answers, made.leaves) for one in (values, torch.full_like(values, ref))]
    return made.loss(*sums)[0], sums[0]

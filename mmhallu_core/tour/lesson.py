"""What the tour trains on: micro-edits, as in MED.

A picture and its twin differ in one small thing. The model sees each alone, with a caption that is true of it and
questions whose answers the change turned round, and both together, with the question what changed. This is the
data of MED (arXiv 2506.07227) in its smallest form; its pipeline from photos is a chapter of its own.
"""

import functools
import random

from mmhallu_core.evaluate.diorama.exam import DESCRIBE
from mmhallu_core.train.pretrain.speak import SAME, SHORT, two_image_turns
from mmhallu_core.train.records import Make, TrainingExample, Turn, separate
from mmhallu_core.world.edits import CATEGORIES, Edit, sample_edit
from mmhallu_core.world.language import describe
from mmhallu_core.world.language.mixture import turned_round
from mmhallu_core.world.render import render

VIEWS = 3  # examples made of one edit: before, after, both
MOST = 6  # questions about one picture, at most


def examples(split: str, prior: float) -> Make:
    """The maker of the examples, one after another and without end.

    Examples 3k, 3k + 1 and 3k + 2 come from edit number k: the picture before, the one after, and both. The eleven
    categories take turns.

    Args:
        split: names the examples' scenes; none of them is in an exam, whose scenes have other names.
        prior: how strongly things keep company, as in the scenes that the base model saw.
    """

    @functools.lru_cache(maxsize=8)
    def edit_number(k: int) -> Edit:
        return sample_edit(CATEGORIES[k % len(CATEGORIES)], f"{split}/{k}", prior=prior)

    def make(i: int) -> TrainingExample:
        k, view = divmod(i, VIEWS)
        edit, rng = edit_number(k), random.Random(f"{split}/{i}")
        if view < 2:
            scene = (edit.before, edit.after)[view]
            asked = [pair[view] for pair in turned_round(edit)]
            asked = rng.sample(asked, min(MOST, len(asked)))
            turns = [Turn(DESCRIBE, describe(scene).text), *(Turn(q.text, q.answer, SHORT) for q in asked)]
            return separate(f"{split}/{i}", (render(scene).image,), turns)
        same = rng.random() < SAME  # now and then the same picture twice, so that "no difference" stays an answer
        pictures = (render(edit.before).image, render(edit.before if same else edit.after).image)
        return separate(f"{split}/{i}", pictures, two_image_turns(edit, same, rng))

    return make

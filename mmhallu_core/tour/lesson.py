"""What the tour trains on: micro-edits, as in MED.

A picture and its twin differ in one small thing. The model sees each alone, with a caption that is true of it and
questions whose answers the change turned round, and both together, with the question what changed. This is the
data of MED (arXiv 2506.07227) in its smallest form; its pipeline from photos is a chapter of its own.
"""

import functools
import random
from collections.abc import Callable, Iterator

from mmhallu_core.evaluate.diorama import DESCRIBE
from mmhallu_core.train.pretrain.branches import Turn
from mmhallu_core.train.pretrain.speak import SAME, SHORT, two_image_turns
from mmhallu_core.train.sft import Example
from mmhallu_core.world.edits import CATEGORIES, Edit, sample_edit
from mmhallu_core.world.language import Question, describe
from mmhallu_core.world.language.questions import attribute, counting, existence, part, place, relation
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene, Thing
from mmhallu_core.world.vocabulary import KINDS

VIEWS = 3  # examples made of one edit: before, after, both
LOOKS = ("colour", "pattern", "size", "pose")
MOST = 6  # questions about one picture, at most


def turned_round(edit: Edit) -> list[tuple[Question, Question]]:
    """The questions that an edit changes the answer of: each as asked of the picture before, and after.

    Every question that both pictures allow is asked of both, and those with two different answers are kept. So no
    rule has to say which question belongs to which kind of edit.
    """
    before, after = (dict(_askable(scene, edit)) for scene in (edit.before, edit.after))
    both = [text for text in before if text in after]
    return [(before[text], after[text]) for text in both if before[text].answer != after[text].answer]


def _askable(scene: Scene, edit: Edit) -> Iterator[tuple[str, Question]]:
    """Questions about what an edit touched, by their text: yes/no ones, how many, and where."""
    changed = [thing for one in (edit.before, edit.after) for thing in one if thing.id in edit.subjects]
    single = {kind: scene.of_kind(kind)[0] for kind in scene.kinds() if len(scene.of_kind(kind)) == 1}
    found = [place(scene)]
    for thing in changed:
        found += [existence(scene, thing.kind), counting(scene, thing.kind)]
        here = single.get(thing.kind)
        if here is None:
            continue
        found += [attribute(scene, here, look, getattr(thing, look)) for look in LOOKS if getattr(thing, look)]
        found += [part(scene, here)] if KINDS[here.kind].part else []
        found += _relations(scene, here, single)
    return ((question.text, question) for question in found)


def _relations(scene: Scene, thing: Thing, single: dict[str, Thing]) -> list[Question]:
    """Whether a thing is left of each other thing that is the only one of its kind; what is carried has no side."""
    others = [other for other in single.values() if other.id != thing.id and not (other.held_by or thing.held_by)]
    return [relation(scene, thing, "left of", other) for other in others]


def lesson(split: str, prior: float) -> Callable[[int], Example]:
    """The maker of a lesson's examples, one after another and without end.

    Examples 3k, 3k + 1 and 3k + 2 come from edit number k: the picture before, the one after, and both. The eleven
    categories take turns.

    Args:
        split: names the lesson; no scene of it is in an exam, whose scenes have other names.
        prior: how strongly things keep company, as in the scenes that the base model saw.
    """

    @functools.lru_cache(maxsize=8)
    def edit_number(k: int) -> Edit:
        return sample_edit(CATEGORIES[k % len(CATEGORIES)], f"{split}/{k}", prior=prior)

    def make(i: int) -> Example:
        k, view = divmod(i, VIEWS)
        edit, rng = edit_number(k), random.Random(f"{split}/{i}")
        if view < 2:
            scene = (edit.before, edit.after)[view]
            asked = [pair[view] for pair in turned_round(edit)]
            asked = rng.sample(asked, min(MOST, len(asked)))
            turns = [Turn(DESCRIBE, describe(scene).text), *(Turn(q.text, q.answer, SHORT) for q in asked)]
            return Example((render(scene).image,), tuple(turns))
        same = rng.random() < SAME  # now and then the same picture twice, so that "no difference" stays an answer
        pictures = (render(edit.before).image, render(edit.before if same else edit.after).image)
        return Example(pictures, tuple(two_image_turns(edit, same, rng)))

    return make

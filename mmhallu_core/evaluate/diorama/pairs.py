"""Two pictures that differ by one edit, and questions that only one of them answers with yes, or with this option.

Asked of both pictures, such a question is right for one answer on one of them and for another answer on the other. So
what a model says without looking is right exactly once.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from mmhallu_core.evaluate.diorama.making import ScenePool
from mmhallu_core.world.edits import Edit, propose
from mmhallu_core.world.language.difference import changed_field
from mmhallu_core.world.language.questions import WorldQuestion
from mmhallu_core.world.language.questions import action as ask_action
from mmhallu_core.world.language.questions import attribute as ask_attribute
from mmhallu_core.world.language.questions import colour as ask_colour
from mmhallu_core.world.language.questions import counting as ask_counting
from mmhallu_core.world.language.questions import existence as ask_existence
from mmhallu_core.world.language.questions import part as ask_part
from mmhallu_core.world.language.questions import pattern as ask_pattern
from mmhallu_core.world.language.questions import place as ask_place
from mmhallu_core.world.language.questions import relation as ask_relation
from mmhallu_core.world.language.questions import size as ask_size
from mmhallu_core.world.scene import Scene

Asking = Callable[[Scene], WorldQuestion]

OPEN = {"colour": ask_colour, "pattern": ask_pattern, "size": ask_size}
YES_NO = ("Object", "Attribute", "Spatial Relation", "Action Relation", "Part Relation", "Negation")
ANY = (*YES_NO, "Scene", "Counting")


@dataclass(frozen=True)
class Flip:
    """An edit and a question that it changes the answer of; `kind` is the thing asked about, "" for the place."""

    edit: Edit
    kind: str
    ask: Asking

    @property
    def scenes(self) -> tuple[Scene, Scene]:
        """Before and after, under names of their own."""
        before, after = self.edit.before, self.edit.after
        return before, Scene(f"{after.id}-edited", after.place, after.things)


def flips(pool: ScenePool, rng: random.Random, category: str, say_yes_or_no: bool) -> Flip:
    """A flip of an edit category, in a random scene that allows one.

    Args:
        pool: the scenes.
        rng: the die.
        category: of ANY, or of YES_NO when the answers must be yes and no.
        say_yes_or_no: asks "Is the dog red?" instead of "What colour is the dog?".
    """
    while True:
        scene = rng.choice(pool.scenes)
        edit = propose(scene, category, rng)
        flip = flip_of(edit, rng, say_yes_or_no) if edit is not None else None
        if flip is not None:
            return flip


def flip_of(edit: Edit, rng: random.Random, say_yes_or_no: bool) -> Flip | None:
    """A question that has another answer after an edit; None where no wording of the world's asks for it."""
    before, after, done = edit.before, edit.after, edit.operation
    old = [before[name] for name in edit.subjects if any(thing.id == name for thing in before)]
    new = [after[name] for name in edit.subjects if any(thing.id == name for thing in after)]
    if done in ("replace", "add", "take away"):
        kind = rng.choice([thing.kind for thing in (*old, *new)])
        return Flip(edit, kind, lambda scene: ask_existence(scene, kind))
    if done == "move":
        one, other = _passed(edit)
        words = random.Random(rng.random())
        state = words.getstate()

        def left_or_right(scene: Scene) -> WorldQuestion:
            words.setstate(state)  # the same wording for both pictures
            return ask_relation(scene, scene[one], "left of", scene[other], words)

        return Flip(edit, before[one].kind, left_or_right)
    if done == "change place":
        return None if say_yes_or_no else Flip(edit, "", ask_place)
    if done in ("one more", "one fewer"):
        kind = (*old, *new)[0].kind
        return None if say_yes_or_no else Flip(edit, kind, lambda scene: ask_counting(scene, kind))
    if done in ("attach", "detach"):
        return Flip(edit, old[0].kind, lambda scene: ask_part(scene, scene[old[0].id]))
    if done not in ("recolour", "repattern", "resize", "change pose"):
        return None  # hand over
    name, what = old[0].id, "pose" if done == "change pose" else changed_field(old[0], new[0])
    if say_yes_or_no:
        asked = getattr(rng.choice((old[0], new[0])), what)
        return Flip(edit, old[0].kind, lambda scene: ask_attribute(scene, scene[name], what, asked))
    return Flip(edit, old[0].kind, lambda scene: (ask_action if what == "pose" else OPEN[what])(scene, scene[name]))


def _passed(edit: Edit) -> tuple[str, str]:
    """Two things, one left of the other before a move and right of it afterwards, each the only one of its kind."""
    now = {(fact.object, fact.subject) for fact in edit.added if fact.predicate == "left of"}
    return next(
        (fact.subject, fact.object)
        for fact in edit.removed
        if fact.predicate == "left of"
        and (fact.subject, fact.object) in now
        and all(len(edit.before.of_kind(edit.before[name].kind)) == 1 for name in (fact.subject, fact.object))
    )


def words(answer: str) -> str:
    """An answer as an option: "Standing." gives "standing"."""
    return answer[0].lower() + answer[1:].rstrip(".")

"""The questions that an edit turns round: the same words, asked of both pictures, with two different answers."""

from collections.abc import Iterator

from mmhallu_core.world.edits import Edit
from mmhallu_core.world.language.questions import WorldQuestion, attribute, counting, existence, part, place, relation
from mmhallu_core.world.scene import Scene, Thing
from mmhallu_core.world.vocabulary import KINDS

LOOKS = ("colour", "pattern", "size", "pose")


def turned_round(edit: Edit) -> list[tuple[WorldQuestion, WorldQuestion]]:
    """The questions that an edit changes the answer of: each as asked of the picture before, and after.

    Every question that both pictures allow is asked of both, and those with two different answers are kept. So no
    rule has to say which question belongs to which kind of edit.
    """
    before, after = (dict(_askable(scene, edit)) for scene in (edit.before, edit.after))
    both = [text for text in before if text in after]
    return [(before[text], after[text]) for text in both if before[text].answer != after[text].answer]


def _askable(scene: Scene, edit: Edit) -> Iterator[tuple[str, WorldQuestion]]:
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


def _relations(scene: Scene, thing: Thing, single: dict[str, Thing]) -> list[WorldQuestion]:
    """Whether a thing is left of each other thing that is the only one of its kind; what is carried has no side."""
    others = [other for other in single.values() if other.id != thing.id and not (other.held_by or thing.held_by)]
    return [relation(scene, thing, "left of", other) for other in others]

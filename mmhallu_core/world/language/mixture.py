"""Which questions are asked: a mixture about a scene, yes and no balanced, and those that an edit turns round."""

import random
from collections.abc import Callable, Iterator

from mmhallu_core.world.edits import Edit
from mmhallu_core.world.language import questions as ask
from mmhallu_core.world.language.questions import WorldQuestion, in_a_sentence, lettered
from mmhallu_core.world.scene import Scene, Thing, is_behind, is_left_of
from mmhallu_core.world.vocabulary import COLOURS, KINDS, PATTERNS, SIZES

SENTENCE_SHARE, LETTER_SHARE = 0.08, 0.12  # how many are answered in a sentence, or by a letter

WEIGHTS = {
    "existence": 30, "counting": 14, "colour": 14, "where": 8, "action": 7, "place": 5, "part": 5,
    "relation": 6, "attribute": 6, "pattern": 2, "size": 2, "more": 1,
}  # fmt: skip


def questions(
    scene: Scene,
    rng: random.Random,
    n: int,
    kinds: tuple[str, ...] | None = None,
) -> list[WorldQuestion]:
    """At most n different questions about a scene (fewer only when the scene allows no more).

    Args:
        kinds: which kinds of question (keys of WEIGHTS); all by default.

    Raises:
        ValueError: for an unknown kind of question.
    """
    names = tuple(kinds or WEIGHTS)
    unknown = [name for name in names if name not in WEIGHTS]
    if unknown:
        raise ValueError(f"unknown kinds of question {unknown}; known: {', '.join(WEIGHTS)}")
    present = scene.kinds()
    absent = [kind for kind in KINDS if kind not in present]
    single = [thing for thing in scene if sum(other.kind == thing.kind for other in scene) == 1]
    weights = [WEIGHTS[name] for name in names]
    found: dict[str, WorldQuestion] = {}
    for _ in range(8 * n):
        name = rng.choices(names, weights)[0]
        question = _ask(name, scene, rng, present, absent, single)
        if question is None or question.text in found:
            continue
        draw = rng.random()
        if draw < SENTENCE_SHARE:
            question = in_a_sentence(question)
        elif draw < SENTENCE_SHARE + LETTER_SHARE:
            question = lettered(question, rng)
        found[question.text] = question
        if len(found) == n:
            break
    return list(found.values())


def _ask(
    name: str,
    scene: Scene,
    rng: random.Random,
    present: list[str],
    absent: list[str],
    single: list[Thing],
) -> WorldQuestion | None:
    """One question of a kind, or None when this draw gives none; yes and no are drawn first, so they balance."""
    yes = rng.random() < 0.5
    if name == "place":
        return ask.place(scene, rng)
    if name in ("existence", "counting"):
        pool = present if (yes if name == "existence" else rng.random() < 0.8) else absent
        maker: Callable = ask.existence if name == "existence" else ask.counting
        return maker(scene, rng.choice(pool), rng) if pool else None
    if name == "more":
        if not present:
            return None
        pair = rng.choice(present), rng.choice(list(KINDS))
        question = ask.more(scene, *(pair if rng.random() < 0.5 else pair[::-1]))
        return question if pair[0] != pair[1] and (question.answer == "Yes.") == yes else None
    if not single:
        return None
    thing = rng.choice(single)
    if name == "relation":
        other, predicate = rng.choice(single), rng.choice(("left of", "behind"))
        if other is thing or thing.held_by or other.held_by:
            return None
        holds = {"left of": is_left_of, "behind": is_behind}[predicate]
        # a "no" is asked only where the relation holds the other way round, so that it is a clear no
        a, b = (thing, other) if holds(thing, other) else (other, thing)
        return ask.relation(scene, *((a, predicate, b) if yes else (b, predicate, a)), rng) if holds(a, b) else None
    if name == "attribute":
        what, pool = rng.choice((("colour", COLOURS), ("pattern", PATTERNS), ("size", tuple(SIZES))))
        value = getattr(thing, what)
        return ask.attribute(scene, thing, what, value if yes else rng.choice([v for v in pool if v != value]))
    if name == "part":
        pool = [thing for thing in single if KINDS[thing.kind].part and thing.part == yes]
        return ask.part(scene, rng.choice(pool), rng) if pool else None
    if (name == "where" and thing.held_by) or (name == "action" and not thing.pose):
        return None
    makers: dict[str, Callable] = {
        "colour": ask.colour, "pattern": ask.pattern, "size": ask.size, "where": ask.where, "action": ask.action,
    }  # fmt: skip
    return makers[name](scene, thing, rng)


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
    found = [ask.place(scene)]
    for thing in changed:
        found += [ask.existence(scene, thing.kind), ask.counting(scene, thing.kind)]
        here = single.get(thing.kind)
        if here is None:
            continue
        found += [ask.attribute(scene, here, look, getattr(thing, look)) for look in LOOKS if getattr(thing, look)]
        found += [ask.part(scene, here)] if KINDS[here.kind].part else []
        found += _relations(scene, here, single)
    return ((question.text, question) for question in found)


def _relations(scene: Scene, thing: Thing, single: dict[str, Thing]) -> list[WorldQuestion]:
    """Whether a thing is left of each other thing that is the only one of its kind; what is carried has no side."""
    others = [other for other in single.values() if other.id != thing.id and not (other.held_by or thing.held_by)]
    return [ask.relation(scene, thing, "left of", other) for other in others]

"""What an edit changed, in a sentence: one form per category, so that the form tells the category."""

import random
from dataclasses import dataclass

from mmhallu_core.world.edits import Edit
from mmhallu_core.world.language.caption import CANONICAL_SHARE, NounSpan
from mmhallu_core.world.language.statement import FORMS, Slots, write
from mmhallu_core.world.scene import Fact, Scene, Thing, is_left_of
from mmhallu_core.world.vocabulary import KINDS, PLACE_PHRASES, SIZES, number_word

NO_DIFFERENCE = (
    "There is no difference.",
    "The two images are the same.",
    "Nothing changed.",
    "There is no difference between the two images.",
)


@dataclass(frozen=True)
class Difference:
    """A sentence about two pictures and what it asserts.

    Attributes:
        text: the sentence.
        category: the edit category, None when nothing differs.
        facts: what the text says of the second picture, the things it takes for granted included.
        removed: what the text says was true of the first picture only.
        mentions: its nouns.
    """

    text: str
    category: str | None
    facts: tuple[Fact, ...] = ()
    removed: tuple[Fact, ...] = ()
    mentions: tuple[NounSpan, ...] = ()


@dataclass(frozen=True)
class Statement:
    """A difference before it is worded: a form of `statement.FORMS`, its words, the things behind them, the facts."""

    form: str
    slots: Slots
    ids: dict[str, tuple[str, ...]]
    facts: tuple[Fact, ...]
    removed: tuple[Fact, ...] = ()


def difference(edit: Edit, rng: random.Random | None = None) -> Difference:
    """Says what an edit changed; canonical wording without an rng, and about half of the time with one."""
    said = statement_of(edit)
    category, templates = FORMS[said.form]
    which = 0 if rng is None or rng.random() < CANONICAL_SHARE else rng.randrange(len(templates))
    writer = write(said.form, said.slots, which, said.ids)
    text = "".join(writer.pieces)
    return Difference(text, category, tuple(sorted(set(said.facts))), said.removed, tuple(writer.mentions))


def no_difference(rng: random.Random | None = None) -> Difference:
    """Says that two pictures are the same."""
    return Difference(NO_DIFFERENCE[0] if rng is None else rng.choice(NO_DIFFERENCE), None)


def is_(thing: Thing) -> Fact:
    """The fact that a thing is of its kind."""
    return Fact("object", thing.id, "is", value=thing.kind)


def statement_of(edit: Edit) -> Statement:
    """The statement that describes an edit.

    Raises:
        ValueError: when the edit is not one that `edits.propose` makes, for instance a move past nothing.
    """
    before, after = edit.before, edit.after
    old = [before[i] for i in edit.subjects if any(thing.id == i for thing in before)]
    new = [after[i] for i in edit.subjects if any(thing.id == i for thing in after)]
    makers = {
        "Object": _object,
        "Attribute": _look,
        "Scene": _place,
        "Spatial Relation": _move,
        "Action Relation": _action,
        "Part Relation": _part,
        "Counting": _count,
        "Differentiation": _look,
        "Comparison": _outgrow,
        "Negation": _gone,
        "Universality": _all,
    }
    return makers[edit.category](before, after, old, new)


def _object(before: Scene, after: Scene, old: list[Thing], new: list[Thing]) -> Statement:
    b = new[0]
    if old:
        a = old[0]
        return Statement("replace", {"a": a.kind, "b": b.kind}, {"a": (a.id,), "b": (b.id,)}, (is_(b),), (is_(a),))
    colour = Fact("attribute", b.id, "colour", value=b.colour)
    return Statement("add", {"new": b.colour, "b": b.kind}, {"b": (b.id,)}, (is_(b), colour))


def _look(before: Scene, after: Scene, old: list[Thing], new: list[Thing]) -> Statement:
    """One thing's colour, pattern or size; the only one of its kind ("look") or one among several ("one")."""
    a, b = old[0], new[0]
    what = changed_field(a, b)
    gone, come = (Fact("attribute", a.id, what, value=getattr(thing, what)) for thing in (a, b))
    form = "look" if len(before.of_kind(a.kind)) == 1 else "one"
    return Statement(form, {"a": a.kind, "old": gone.value, "new": come.value}, {"a": (a.id,)}, (is_(b), come), (gone,))


def changed_field(a: Thing, b: Thing) -> str:
    """Which of colour, pattern and size differs between two states of a thing.

    Raises:
        ValueError: when none does.
    """
    for what in ("colour", "pattern", "size"):
        if getattr(a, what) != getattr(b, what):
            return what
    raise ValueError(f"colour, pattern and size of {a.id} are the same before and after")


def _place(before: Scene, after: Scene, old: list[Thing], new: list[Thing]) -> Statement:
    gone, come = (Fact("scene", "scene", "place", value=scene.place) for scene in (before, after))
    words = {"old": PLACE_PHRASES[before.place][0], "new": PLACE_PHRASES[after.place][0]}
    return Statement("place", words, {}, (come,), (gone,))


def _move(before: Scene, after: Scene, old: list[Thing], new: list[Thing]) -> Statement:
    a, b = old[0], new[0]
    for anchor in after:
        if anchor.held_by or len(after.of_kind(anchor.kind)) > 1:
            continue
        was_left = is_left_of(a, anchor) and is_left_of(anchor, b)
        if was_left or (is_left_of(anchor, a) and is_left_of(b, anchor)):
            left = Fact("spatial_relation", a.id, "left of", object=anchor.id)
            right = Fact("spatial_relation", anchor.id, "left of", object=a.id)
            gone, come = (left, right) if was_left else (right, left)
            words = {"a": a.kind, "b": anchor.kind, "old": "left", "new": "right"}
            words |= {} if was_left else {"old": "right", "new": "left"}
            return Statement("move", words, {"a": (a.id,), "b": (anchor.id,)}, (is_(b), is_(anchor), come), (gone,))
    raise ValueError(f"{a.id} has not moved to the other side of anything that is the only one of its kind")


def _action(before: Scene, after: Scene, old: list[Thing], new: list[Thing]) -> Statement:
    a, b = old[0], new[0]
    if a.pose != b.pose:
        gone, come = (Fact("action_relation", a.id, "pose", value=thing.pose) for thing in (a, b))
        return Statement("pose", {"a": a.kind, "old": a.pose, "new": b.pose}, {"a": (a.id,)}, (is_(b), come), (gone,))
    p, q = before[a.held_by], after[b.held_by]
    gone, come = (Fact("action_relation", person.id, KINDS[a.kind].held, object=a.id) for person in (p, q))
    words = {"a": a.kind, "old_holder": p.kind, "new_holder": q.kind}
    ids = {"a": (a.id,), "old_holder": (p.id,), "new_holder": (q.id,)}
    return Statement("pass", words, ids, (is_(b), is_(p), is_(q), come), (gone,))


def _part(before: Scene, after: Scene, old: list[Thing], new: list[Thing]) -> Statement:
    b, part = new[0], KINDS[new[0].kind].part
    has, lacks = (Fact("part_relation", b.id, predicate, value=part) for predicate in ("has", "lacks"))
    gone, come = (lacks, has) if b.part else (has, lacks)
    return Statement("attach" if b.part else "detach", {"a": b.kind}, {"a": (b.id,)}, (is_(b), come), (gone,))


def _count(before: Scene, after: Scene, old: list[Thing], new: list[Thing]) -> Statement:
    kind = (old or new)[0].kind
    groups = before.of_kind(kind), after.of_kind(kind)
    gone, come = (Fact("counting", kind, "number", value=str(len(group))) for group in groups)
    words = {"a": kind, "old": number_word(len(groups[0])), "new": number_word(len(groups[1]))}
    ids = {"a": tuple(thing.id for thing in groups[1])}
    return Statement("count", words, ids, (*map(is_, groups[1]), come), (gone,))


def _outgrow(before: Scene, after: Scene, old: list[Thing], new: list[Thing]) -> Statement:
    """One became larger (or smaller) than all the others of its kind."""
    b = new[0]
    group = after.of_kind(b.kind)
    others = [thing for thing in group if thing.id != b.id]
    larger = SIZES[b.size] > SIZES[others[0].size]
    pairs = [(b, other) if larger else (other, b) for other in others]
    come = [Fact("comparison", x.id, "larger than", object=y.id) for x, y in pairs]
    words = {"a": b.kind, "n": number_word(len(group)), "new": "larger" if larger else "smaller"}
    count = Fact("counting", b.kind, "number", value=str(len(group)))
    return Statement("outgrow", words, {"a": tuple(thing.id for thing in group)}, (*map(is_, group), count, *come))


def _gone(before: Scene, after: Scene, old: list[Thing], new: list[Thing]) -> Statement:
    a = old[0]
    absent = Fact("negation", a.kind, "absent")
    return Statement("gone", {"a": a.kind}, {"a": (a.id,)}, (absent,), (is_(a),))


def _all(before: Scene, after: Scene, old: list[Thing], new: list[Thing]) -> Statement:
    kind, what = new[0].kind, changed_field(old[0], new[0])
    come = Fact("universality", kind, f"all {what}", value=getattr(new[0], what))
    return Statement("all", {"a": kind, "new": come.value}, {"a": tuple(thing.id for thing in new)}, (come,))

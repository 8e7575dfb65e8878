"""Reading: from any text to the facts that it asserts, and which of a scene's things each "a dog" stands for.

The reader understands every sentence that this package writes and simple variations of it, and lists what it
does not understand. Things get ids in order of mention ("m1", "m2", ...); `match` renames them to a scene's.

A text says "a red dog" and the scene has three dogs. The fair reading is the one that makes most of what the
text asserts true, so each kind's things are assigned to the scene's things of that kind accordingly. What remains
false afterwards is false under every fair reading.
"""

import dataclasses
import itertools
from dataclasses import dataclass

from mmhallu_core.world.language import forms
from mmhallu_core.world.language.caption import Description, NounSpan, side_fact
from mmhallu_core.world.language.difference import Difference
from mmhallu_core.world.language.forms import Notes
from mmhallu_core.world.language.grammar import sentences
from mmhallu_core.world.language.read_difference import difference_form
from mmhallu_core.world.scene import Fact, Scene
from mmhallu_core.world.scene import facts as scene_facts
from mmhallu_core.world.vocabulary import PEOPLE

MOST_TRIED = 6  # more things of one kind than this are matched one after the other
# differences first: "is now red" must not be taken for "is red"
FORMS = (difference_form, forms.place, forms.existence, forms.more, forms.predication)


@dataclass(frozen=True)
class Reading:
    """What a text says.

    Attributes:
        facts: what it asserts (of the second picture, where it speaks of two), with ids "m1", "m2", ...
        mentions: its nouns, as characters of the text.
        unread: the sentences that were not understood.
        denied: what it says is not so, beyond `negation` facts ("the dog is not red").
        removed: what it says was so in the first picture only.
        category: the edit category of its (last) difference sentence, None without one.
        no_difference: whether it says that two pictures are the same.
    """

    facts: tuple[Fact, ...]
    mentions: tuple[NounSpan, ...]
    unread: tuple[str, ...] = ()
    denied: tuple[Fact, ...] = ()
    removed: tuple[Fact, ...] = ()
    category: str | None = None
    no_difference: bool = False


def read(text: str) -> Reading:
    """Reads any string; never raises."""
    notes = Notes()
    for written, tokens in sentences(text):
        if not any(form(notes, tokens) for form in FORMS):
            notes.unread.append(written)
    return Reading(
        tuple(sorted(notes.facts)),
        tuple(sorted(notes.mentions, key=lambda mention: mention.start)),
        tuple(notes.unread),
        tuple(sorted(notes.denied)),
        tuple(sorted(notes.removed)),
        notes.category,
        notes.no_difference,
    )


Target = Scene | Description | Difference | Reading


def known_facts(target: Target) -> set[Fact]:
    """The facts of a scene, where its things are included, or of a description; of a difference, both sides."""
    if isinstance(target, Scene):
        return {*scene_facts(target), *(side_fact(thing) for thing in target if thing.held_by is None)}
    return {*target.facts, *getattr(target, "removed", ())}


def match(reading: Reading, target: Target) -> Reading:
    """The reading with the target's ids instead of "m1", "m2", ...; things that the target lacks keep theirs."""
    known, said = known_facts(target), {*reading.facts, *reading.removed}
    kinds = {fact.value for fact in said if fact.predicate == "is"}
    names: dict[str, str] = {}
    # people first: what they hold is told apart by who holds it
    for kind in sorted(kinds, key=lambda kind: (kind not in PEOPLE, kind)):
        names |= _assign(_of_kind(said, kind), _of_kind(known, kind), said, known, names)

    def renamed(facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
        return tuple(sorted(_rename(fact, names) for fact in facts))

    mentions = (
        dataclasses.replace(mention, thing_ids=tuple(names.get(name, name) for name in mention.thing_ids))
        for mention in reading.mentions
    )
    return dataclasses.replace(
        reading,
        facts=renamed(reading.facts),
        denied=renamed(reading.denied),
        removed=renamed(reading.removed),
        mentions=tuple(mentions),
    )


def _rename(fact: Fact, names: dict[str, str]) -> Fact:
    return dataclasses.replace(
        fact, subject=names.get(fact.subject, fact.subject), object=names.get(fact.object, fact.object)
    )


def _of_kind(facts: set[Fact], kind: str) -> list[str]:
    """Ids of the things that are said to be of a kind, in order of their numbers."""
    ids = {fact.subject for fact in facts if fact.predicate == "is" and fact.value == kind}
    return sorted(ids, key=lambda name: (len(name), name))


def _assign(
    read: list[str], known: list[str], said: set[Fact], facts: set[Fact], names: dict[str, str]
) -> dict[str, str]:
    """The assignment of one kind's things under which most of what was said holds."""
    if len(read) == 1 and len(known) == 1:
        return {read[0]: known[0]}
    targets = {name: _portrait(name, facts, {}) for name in known}
    portraits = {name: _portrait(name, said, names) for name in read}
    score = {(m, t): len(portraits[m] & targets[t]) for m in read for t in known}
    if max(len(read), len(known)) > MOST_TRIED:
        chosen = {}
        for m in read:
            free = [t for t in known if t not in chosen.values()]
            if free:
                chosen[m] = max(free, key=lambda t: score[m, t])
        return chosen
    few, many = (read, known) if len(read) <= len(known) else (known, read)
    pairings = (list(zip(few, order, strict=True)) for order in itertools.permutations(many, len(few)))
    best = max(pairings, key=lambda pairs: sum(score[pair if few is read else pair[::-1]] for pair in pairs))
    return dict(best if few is read else [(m, t) for t, m in best])


def _portrait(name: str, facts: set[Fact], names: dict[str, str]) -> set[tuple]:
    """What is said of one thing: its neighbours appear by kind, and by id where `names` tells it."""
    kinds = {fact.subject: fact.value for fact in facts if fact.predicate == "is"}
    portrait = set()
    for fact in facts:
        if name in (fact.subject, fact.object):
            other = fact.object if name == fact.subject else fact.subject
            portrait.update(
                (fact.kind, fact.predicate, fact.value, name == fact.subject, seen)
                for seen in (names.get(other, other), kinds.get(other, ""))
                if other != name
            )
    return portrait

"""From a scene to a sentence, keeping track of what the sentence asserts.

A caption is one sentence for the place and then one sentence per group of things of a kind, from
left to right. While the words are written, the writer notes two things: the facts that the words
assert, and the characters of each noun. So nobody has to judge later whether a word is true:
compare the facts with the scene's.
"""

import random
from dataclasses import dataclass

from mmhallu_core.world.scene import Fact, Scene, Thing, is_behind, is_left_of, side
from mmhallu_core.world.vocabulary import (
    KINDS,
    PEOPLE,
    PLACE_PHRASES,
    SIDE_PHRASES,
    VERB_ING,
    article,
    number_word,
    part_phrase,
    plural,
)

DETAILS = ("brief", "normal", "full")
PLACE_FORMS = (
    "This is {0}.",
    "The picture shows {0}.",
    "We can see {0}.",
    "The picture was taken {1}.",
    "The scene is {0}.",
)
OPENERS = ("I can see", "We can see", "The picture shows", "The image has")
CANONICAL_SHARE = 0.5  # how often a paraphrased caption keeps the canonical wording


@dataclass(frozen=True)
class NounSpan:
    """A noun in a text: the things it speaks of, their kind, and its characters [start, end)."""

    thing_ids: tuple[str, ...]
    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Description:
    """A text, exactly the facts that it asserts, and its nouns."""

    text: str
    facts: tuple[Fact, ...]
    mentions: tuple[NounSpan, ...]


class Writer:
    """Collects text, facts and mentions; `noun` is the only way to write a kind's noun."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.length = 0
        self.facts: list[Fact] = []
        self.mentions: list[NounSpan] = []

    def add(self, text: str) -> None:
        """Appends text without a noun."""
        self.pieces.append(text)
        self.length += len(text)

    def noun(self, word: str, kind: str, ids: tuple[str, ...]) -> None:
        """Appends a noun and notes where it stands."""
        self.mentions.append(NounSpan(ids, kind, self.length, self.length + len(word)))
        self.add(word)

    def capital(self, since: int) -> None:
        """Makes the first letter of piece number `since` a capital."""
        piece = self.pieces[since]
        self.pieces[since] = piece[:1].upper() + piece[1:]

    def done(self) -> Description:
        """The finished description, facts sorted and each once."""
        return Description("".join(self.pieces), tuple(sorted(set(self.facts))), tuple(self.mentions))


def describe(
    scene: Scene, detail: str = "normal", rng: random.Random | None = None, last: frozenset[str] = frozenset()
) -> Description:
    """Describes a scene in words.

    Args:
        scene: what is said; every sentence is true of it.
        detail: "brief" (place, kinds and counts), "normal" (also colour, pose, what is held) or "full" (also
            size when not medium, pattern when not plain, missing parts, side, one spatial relation).
        rng: None for the canonical wording, otherwise paraphrases, canonical about half of the time.
        last: ids of things that are mentioned after all others. One that is held by somebody not in
            `last` is mentioned by itself; one whose kind is also there otherwise joins its kind.

    Raises:
        ValueError: for an unknown detail.
    """
    if detail not in DETAILS:
        raise ValueError(f"detail {detail!r} is not one of {', '.join(DETAILS)}")
    if rng is not None and rng.random() < CANONICAL_SHARE:
        rng = None
    writer = Writer()
    form = rng.choice(PLACE_FORMS) if rng else PLACE_FORMS[0]
    writer.add(form.format(*PLACE_PHRASES[scene.place]))
    writer.facts.append(Fact("scene", "scene", "place", value=scene.place))
    carried, groups = _arrange(scene, last)
    if detail == "brief":
        _write_brief(writer, scene, groups, carried, last, rng)
    else:
        counts = {kind: len(scene.of_kind(kind)) for kind in scene.kinds()}
        for group in groups:
            writer.add(" ")
            _write_group(writer, group, carried, counts, detail, rng)
    if detail == "full":
        _write_relation(writer, scene, counts, last, rng)
    return writer.done()


def _arrange(scene: Scene, last: frozenset[str]) -> tuple[dict[str, list[Thing]], list[list[Thing]]]:
    """What each person carries, and the other things grouped by kind, from left to right, imagined ones at the end."""
    carried: dict[str, list[Thing]] = {}
    by_kind: dict[str, list[Thing]] = {}
    for thing in sorted(scene.things, key=lambda thing: thing.x):
        if thing.held_by and (thing.id not in last or thing.held_by in last):
            carried.setdefault(thing.held_by, []).append(thing)
        else:
            by_kind.setdefault(thing.kind, []).append(thing)
    groups = list(by_kind.values())
    return carried, sorted(groups, key=lambda group: all(thing.id in last for thing in group))


def _write_brief(
    writer: Writer,
    scene: Scene,
    groups: list[list[Thing]],
    carried: dict[str, list[Thing]],
    last: frozenset[str],
    rng: random.Random | None,
) -> None:
    """One sentence that lists kinds and counts; carried things count with their kind."""
    order = dict.fromkeys(group[0].kind for group in groups)
    order |= dict.fromkeys(thing.kind for things in carried.values() for thing in things)
    if not order:
        return
    kinds = sorted(order, key=lambda kind: all(thing.id in last for thing in scene.of_kind(kind)))
    first = len(scene.of_kind(kinds[0]))
    writer.add(f" {rng.choice(OPENERS)}" if rng and rng.random() < 0.5 else " There is" if first == 1 else " There are")
    for i, kind in enumerate(kinds):
        group = scene.of_kind(kind)
        writer.add(" " if i == 0 else " and " if i == len(kinds) - 1 else ", ")
        ids = tuple(thing.id for thing in group)
        writer.add(f"{article(kind)} " if len(group) == 1 else f"{number_word(len(group))} ")
        writer.noun(plural(kind, len(group)), kind, ids)
        writer.facts += [Fact("object", thing.id, "is", value=kind) for thing in group]
        if len(group) > 1:
            writer.facts.append(Fact("counting", kind, "number", value=str(len(group))))
    writer.add(".")


def adjectives(thing: Thing, detail: str) -> str:
    """The words before the noun, each followed by a space: "small striped red "."""
    if detail == "normal":
        return "" if thing.kind in PEOPLE else thing.colour + " "
    size = "" if thing.size == "medium" else thing.size + " "
    if thing.kind in PEOPLE:
        return size
    return size + ("" if thing.pattern == "plain" else thing.pattern + " ") + thing.colour + " "


def clothing(thing: Thing, detail: str) -> str:
    """The words after the noun: a person's clothes, and the part that is missing."""
    words = ""
    if thing.kind in PEOPLE:
        pattern = thing.pattern + " " if detail == "full" and thing.pattern != "plain" else ""
        words = f" in {pattern}{thing.colour}"
    return words if thing.part or detail != "full" else f"{words} without {part_phrase(KINDS[thing.kind].part)}"


def doing(thing: Thing, detail: str) -> str:
    """The words of pose and side: " lying on the left"."""
    words = f" {thing.pose}" if thing.pose else ""
    return f"{words} {SIDE_PHRASES[side(thing)]}" if detail == "full" and not thing.held_by else words


def said_of(thing: Thing, detail: str) -> list[Fact]:
    """The facts that `adjectives`, `clothing` and `doing` assert of a thing, with its kind."""
    facts = [
        Fact("object", thing.id, "is", value=thing.kind),
        Fact("attribute", thing.id, "colour", value=thing.colour),
    ]
    if thing.pose:
        facts.append(Fact("action_relation", thing.id, "pose", value=thing.pose))
    if detail == "full":
        if thing.pattern != "plain":
            facts.append(Fact("attribute", thing.id, "pattern", value=thing.pattern))
        if thing.size != "medium":
            facts.append(Fact("attribute", thing.id, "size", value=thing.size))
        if not thing.part:
            facts.append(Fact("part_relation", thing.id, "lacks", value=KINDS[thing.kind].part))
        if not thing.held_by:
            facts.append(side_fact(thing))
    return facts


def side_fact(thing: Thing) -> Fact:
    """Where a thing is in the picture. (`scene.facts` holds relations between things only.)"""
    return Fact("spatial_relation", thing.id, "side", value=side(thing))


def _write_carried(writer: Writer, holder: Thing, things: list[Thing], detail: str) -> None:
    """Writes " and holding a yellow umbrella" for each thing that a person carries."""
    for i, thing in enumerate(things):
        verb = KINDS[thing.kind].held
        words = adjectives(thing, detail)
        writer.add(f"{' and' if i or holder.pose else ''} {VERB_ING[verb]} {article(words or thing.kind)} {words}")
        writer.noun(thing.kind, thing.kind, (thing.id,))
        writer.add(clothing(thing, detail))
        writer.facts += said_of(thing, detail)
        writer.facts.append(Fact("action_relation", holder.id, verb, object=thing.id))


def _write_group(
    writer: Writer,
    group: list[Thing],
    carried: dict[str, list[Thing]],
    counts: dict[str, int],
    detail: str,
    rng: random.Random | None,
) -> None:
    """One sentence about all the free things of a kind."""
    kind, n, start = group[0].kind, len(group), len(writer.pieces)
    for thing in group:
        writer.facts += said_of(thing, detail)
    variant = rng.random() if rng else 0.0
    if n == 1:
        thing = group[0]
        act = doing(thing, detail)
        # a person's canonical sentence has a verb ("A man in blue is standing"), other things are there
        verb = act and (variant < 0.5 if kind in PEOPLE else variant > 0.75)
        words = adjectives(thing, detail)
        there = variant < 0.5 or (kind in PEOPLE and variant < 0.75)
        opener = "" if verb else "There is " if there else rng.choice(OPENERS) + " "
        writer.add(f"{opener}{article(words or kind)} {words}")
        writer.noun(kind, kind, (thing.id,))
        writer.add(f"{clothing(thing, detail)}{' is' if verb else ''}{act}")
        _write_carried(writer, thing, carried.get(thing.id, []), detail)
        writer.add(".")
        writer.capital(start)
        return
    opener = "There are" if variant < 0.5 else rng.choice(OPENERS)
    complete = n == counts[kind]  # otherwise somebody carries more of the kind
    if complete:
        writer.facts.append(Fact("counting", kind, "number", value=str(n)))
    writer.add(f"{opener} {number_word(n)} {'' if complete else 'other '}")
    looks = [(adjectives(thing, detail), clothing(thing, detail) + doing(thing, detail)) for thing in group]
    ids = tuple(thing.id for thing in group)
    if len(set(looks)) == 1 and not any(thing.id in carried for thing in group):
        writer.add(looks[0][0])
        writer.noun(plural(kind), kind, ids)
        writer.add(looks[0][1] + ".")
        return
    writer.noun(plural(kind), kind, ids)
    for i, (thing, (before, after)) in enumerate(zip(group, looks, strict=True)):
        writer.add(": " if i == 0 else " and " if i == n - 1 else ", ")
        writer.add(f"{article(before)} {before}one{after}" if before else f"one{after}")
        _write_carried(writer, thing, carried.get(thing.id, []), detail)
    writer.add(".")


def _write_relation(
    writer: Writer, scene: Scene, counts: dict[str, int], last: frozenset[str], rng: random.Random | None
) -> None:
    """One relation between two things that are the only ones of their kinds; nothing when there is none."""
    sure = [t for t in scene if counts[t.kind] == 1 and not t.held_by and t.id not in last]
    pairs = [
        (a, b, predicate, words)
        for a in sure
        for b in sure
        if a is not b
        for holds, predicate, words in (
            (is_left_of(a, b), "left of", ("to the left of", "to the right of")),
            (is_behind(a, b), "behind", ("behind", "in front of")),
        )
        if holds
    ]
    if not pairs:
        return
    a, b, predicate, words = rng.choice(pairs) if rng else pairs[0]
    writer.facts.append(Fact("spatial_relation", a.id, predicate, object=b.id))
    inverse = bool(rng) and rng.random() < 0.5
    first, second = (b, a) if inverse else (a, b)
    writer.add(" The ")
    writer.noun(first.kind, first.kind, (first.id,))
    writer.add(f" is {words[inverse]} the ")
    writer.noun(second.kind, second.kind, (second.id,))
    writer.add(".")

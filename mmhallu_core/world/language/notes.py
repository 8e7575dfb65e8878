"""What a reader has noted: the things spoken of, what is said of them, and where their nouns stand."""

from dataclasses import dataclass

from mmhallu_core.world.language.caption import NounSpan
from mmhallu_core.world.language.grammar import Noun
from mmhallu_core.world.scene import Fact


@dataclass
class Thing:
    """A thing that the text has spoken of."""

    id: str
    kind: str
    look: dict[str, str]


class Notes:
    """What has been read so far."""

    def __init__(self) -> None:
        self.things: list[Thing] = []
        self.facts: set[Fact] = set()
        self.denied: set[Fact] = set()
        self.removed: set[Fact] = set()
        self.mentions: list[NounSpan] = []
        self.unread: list[str] = []
        self.category: str | None = None
        self.no_difference = False

    def new(self, kind: str, exists: bool = True) -> Thing:
        """A thing not spoken of before; `exists` is False for one that was in the first picture only."""
        thing = Thing(f"m{len(self.things) + 1}", kind, {})
        self.things.append(thing)
        (self.facts if exists else self.removed).add(Fact("object", thing.id, "is", value=kind))
        return thing

    def the(self, kind: str, look: dict[str, str] | None = None) -> Thing:
        """The thing that "the (red) dog" names: the last one that fits, or a new one."""
        for thing in reversed(self.things):
            if thing.kind == kind and all(thing.look.get(key, value) == value for key, value in (look or {}).items()):
                return thing
        return self.new(kind)

    def mention(self, noun: Noun, things: list[Thing]) -> None:
        """Notes where a noun stands."""
        self.mentions.append(NounSpan(tuple(thing.id for thing in things), noun.kind, noun.start, noun.end))

    def say(self, noun: Noun, thing: Thing) -> None:
        """Asserts of a thing all that a noun phrase says beside its kind."""
        self.facts.update(said(noun, thing.id))
        thing.look.update(noun.look)
        for verb, carried in noun.carried:
            for other in self.meet(carried):
                self.facts.add(Fact("action_relation", thing.id, verb, object=other.id))

    def meet(self, noun: Noun) -> list[Thing]:
        """The things that a noun phrase speaks of, with everything that it asserts of them."""
        if noun.number is not None:
            things = [self.new(noun.kind) for _ in range(max(noun.number, len(noun.items)))]
            if noun.complete and noun.number:
                self.facts.add(Fact("counting", noun.kind, "number", value=str(noun.number)))
        else:
            things = [self.the(noun.kind, noun.look) if noun.definite else self.new(noun.kind)]
            things += [self.new(noun.kind) for _ in noun.items[1:]]
        self.mention(noun, things)
        for thing in things:
            self.say(noun, thing)
        for item, thing in zip(noun.items, things, strict=False):
            self.say(item, thing)
        return things

    def absent(self, noun: Noun) -> None:
        """Asserts that there is none of a kind."""
        self.mention(noun, [])
        self.facts.add(Fact("negation", noun.kind, "absent"))


def said(noun: Noun, thing_id: str) -> list[Fact]:
    """The facts that a noun phrase asserts of a thing by itself."""
    facts = [Fact("attribute", thing_id, what, value=value) for what, value in noun.look.items()]
    facts += [Fact("part_relation", thing_id, verb, value=part) for verb, part in noun.parts]
    if noun.pose:
        facts.append(Fact("action_relation", thing_id, "pose", value=noun.pose))
    if noun.side:
        facts.append(Fact("spatial_relation", thing_id, "side", value=noun.side))
    return facts

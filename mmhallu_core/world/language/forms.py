"""What a reader notes, and the forms of captions and answers: each takes a sentence whole, or notes nothing."""

from dataclasses import dataclass

from mmhallu_core.world.language.caption import NounSpan
from mmhallu_core.world.language.grammar import Cursor, Noun, Token, adjectives, noun_list, noun_phrase, predicate
from mmhallu_core.world.scene import Fact
from mmhallu_core.world.vocabulary import KIND_OF, PARTS, PLACE_PHRASES

SHOWS = (
    "there is", "there are", "there's", "i can see", "we can see", "you can see", "i see", "we see",
    "the picture shows", "the image shows", "the picture has", "the image has", "the image contains",
    "the picture contains", "this is", "it is", "the scene is", "it shows",
)  # fmt: skip
TAKEN = (
    "the picture was taken", "this picture was taken", "the image was taken", "the photo was taken",
    "it was taken", "we are", "the scene is", "it is", "this is",
)  # fmt: skip
RELATIONS = {
    "to the left of": ("left of", False), "left of": ("left of", False), "to the right of": ("left of", True),
    "right of": ("left of", True), "behind": ("behind", False), "in front of": ("behind", True),
}  # fmt: skip
PLACE_OF = {
    form: place
    for place, phrases in PLACE_PHRASES.items()
    for words in phrases
    for form in (words.removeprefix("a "), words.replace(" a ", " the "))
}
HAS = ("does not have", "do not have", "doesn't have", "has no", "have no", "lacks", "has", "have")
PREFIXES = ("yes ,", "no ,", "in the image ,", "in the picture ,", "in the second image ,", "and")


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


def _start(tokens: list[Token]) -> Cursor:
    """A cursor after "Yes," and the like, which repeat what the rest of the sentence says."""
    c = Cursor(tokens)
    c.take_any(PREFIXES)
    c.take("also")
    return c


def place(notes: Notes, tokens: list[Token]) -> bool:
    """Reads "This is a beach.", "The picture was taken at night."."""
    c = _start(tokens)
    at = c.at
    for openers, articles in ((SHOWS, ("a", "the")), (TAKEN, ())):
        c.at = at
        if c.take_any(openers) is None:
            continue
        c.take_any(articles)
        where = c.take_any(PLACE_OF)
        if where is not None and c.done:
            notes.facts.add(Fact("scene", "scene", "place", value=PLACE_OF[where]))
            return True
    return False


def existence(notes: Notes, tokens: list[Token]) -> bool:
    """Reads "There is a dog lying.", "I can see two dogs: a red one and a blue one.", "There is no dog."."""
    c = _start(tokens)
    if c.take_any(SHOWS) is None:
        return False
    none = c.take_any(("no", "not any", "not a", "not an")) is not None
    nouns = noun_list(c)
    c.take("too")
    if not nouns or not c.done:
        return False
    for noun in nouns:
        if none or noun.number == 0:
            notes.absent(noun)
        else:
            notes.meet(noun)
    return True


def more(notes: Notes, tokens: list[Token]) -> bool:
    """Reads "There are more dogs than cats.", "There are not more dogs than cats."."""
    c = _start(tokens)
    if not c.take("there", "are"):
        return False
    denied = c.take("not")
    if not c.take("more") or c.word not in KIND_OF:
        return False
    first, second = tokens[c.at], tokens[-1]
    c.at += 1
    if not c.take("than") or c.word not in KIND_OF or c.at != len(tokens) - 1:
        return False
    kinds = [KIND_OF[token.word] for token in (first, second)]
    (notes.denied if denied else notes.facts).add(Fact("counting", kinds[0], "more than", object=kinds[1]))
    for token, kind in zip((first, second), kinds, strict=True):
        notes.mentions.append(NounSpan((), kind, token.start, token.end))
    return True


def predication(notes: Notes, tokens: list[Token]) -> bool:
    """Reads "A man is standing and holding a ball.", "The dog is not red.", "The dog has a tail."."""
    c = _start(tokens)
    noun = noun_phrase(c)
    if noun is None or noun.number == 0:
        return False
    said_now, relation, other, denied = Noun(kind=noun.kind), None, None, False
    if c.take_any(("is", "are")):
        denied = c.take("not")
        c.take("also")
        if (relation := c.take_any(RELATIONS)) is not None:
            other = noun_phrase(c)
            if other is None or other.number is not None:
                return False
        else:
            found = adjectives(c, said_now)
            while predicate(c, said_now):
                found = True
            if not found:
                return False
    elif (verb := c.take_any(HAS)) is not None:
        c.take_any(("a", "an", "its", "any"))
        if c.word not in PARTS:
            return False
        said_now.parts.append(("has" if verb in ("has", "have") else "lacks", c.word))
        c.at += 1
    elif c.word in ("holds", "wears"):
        verb = c.word
        c.at += 1
        carried = noun_phrase(c, nested=True)
        if carried is None:
            return False
        said_now.carried.append((verb, carried))
    else:
        return False
    c.take_any(("in the image", "in the picture", "here"))
    if not c.done:
        return False
    things = notes.meet(noun)
    others = notes.meet(other) if relation is not None else []
    for thing in things:
        for second in others:
            name, inverse = RELATIONS[relation]
            a, b = (second, thing) if inverse else (thing, second)
            fact = Fact("spatial_relation", a.id, name, object=b.id)
            (notes.denied if denied else notes.facts).add(fact)
        if denied:
            notes.denied.update(said(said_now, thing.id))
        else:
            notes.say(said_now, thing)
    return True

"""Tokens and noun phrases: the part of reading that knows no scene.

A noun phrase is "two dogs", "a small red dog without a tail lying on the left" or
"a man in blue standing and holding a yellow umbrella". Parsing has no side effects, so that a reader can try one
sentence form after the other.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from mmhallu_core.world.vocabulary import ADJECTIVES, KIND_OF, NUMBER_OF, PARTS, POSES, SIDE_PHRASES, VERB_ING

SENTENCE = re.compile(r"[^.!?\n]+")
TOKEN = re.compile(r"[a-z0-9]+(?:'[a-z]+)?|[^\s]", re.IGNORECASE | re.ASCII)
VERB_OF = {ing: verb for verb, ing in VERB_ING.items()}
SIDES = {tuple(phrase.split()): side for side, phrase in SIDE_PHRASES.items()}
OWNERS = ("a", "an", "the", "its", "his", "her", "their", "any")


@dataclass(frozen=True)
class Token:
    """A word in lower case, or one other character, with its place in the text."""

    word: str
    start: int
    end: int


def sentences(text: str) -> Iterator[tuple[str, list[Token]]]:
    """Each sentence as written, with its tokens."""
    for match in SENTENCE.finditer(text):
        tokens = [
            Token(t[0].lower(), match.start() + t.start(), match.start() + t.end()) for t in TOKEN.finditer(match[0])
        ]
        if tokens:
            yield match[0].strip(), tokens


class Cursor:
    """A place in a list of tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.at = tokens, 0
        self.words = tuple(token.word for token in tokens)

    @property
    def word(self) -> str:
        """The next word, "" at the end."""
        return self.words[self.at] if self.at < len(self.words) else ""

    @property
    def done(self) -> bool:
        """Whether everything has been read."""
        return self.at == len(self.tokens)

    def take(self, *words: str) -> bool:
        """Moves past these words if they come next."""
        if self.words[self.at : self.at + len(words)] != words:
            return False
        self.at += len(words)
        return True

    def take_any(self, phrases) -> str | None:
        """Moves past the first phrase that comes next, and returns it."""
        for phrase in phrases:
            if self.take(*phrase.split()):
                return phrase
        return None


@dataclass
class Noun:
    """What a noun phrase says.

    Attributes:
        kind: the kind, None for "one" in a list after a colon.
        start, end: characters of the noun in the text.
        definite: said with "the" or without an article.
        number: how many, None without a number.
        complete: False for "other" and "more": there are further ones.
        look: colour, pattern and size, as far as said.
        parts: ("has" or "lacks", part).
        pose, side: as far as said.
        carried: (verb, what).
        items: the phrases after a colon, one per thing.
    """

    kind: str | None = None
    start: int = 0
    end: int = 0
    definite: bool = True
    number: int | None = None
    complete: bool = True
    look: dict[str, str] = field(default_factory=dict)
    parts: list[tuple[str, str]] = field(default_factory=list)
    pose: str | None = None
    side: str | None = None
    carried: list[tuple[str, "Noun"]] = field(default_factory=list)
    items: list["Noun"] = field(default_factory=list)


def number(word: str) -> int | None:
    """The number that a word says, or None; at most 99, so that no text makes a reader invent a million things."""
    if word.isascii() and word.isdecimal() and len(word) <= 2:
        return int(word)
    return NUMBER_OF.get(word)


def noun_phrase(c: Cursor, item: bool = False, nested: bool = False) -> Noun | None:
    """Reads one noun phrase, or returns None and stays.

    Args:
        item: "one" may stand for the noun, as after a colon.
        nested: the thing carried in a longer phrase; what follows "and" belongs to who carries it.
    """
    start, noun = c.at, Noun()
    if c.word in ("a", "an", "another"):
        noun.definite, noun.complete = False, c.word != "another"
        c.at += 1
    else:
        c.take("the")
        if not (item and c.word == "one") and number(c.word) is not None:
            noun.number, noun.definite = number(c.word), False
            c.at += 1
    if c.take_any(("other", "more")):
        noun.complete = False
    while c.word in ADJECTIVES:
        noun.look[ADJECTIVES[c.word]] = c.word
        c.at += 1
    if c.word in KIND_OF:
        token = c.tokens[c.at]
        noun.kind, noun.start, noun.end = KIND_OF[c.word], token.start, token.end
    elif not (item and c.word == "one"):
        c.at = start
        return None
    c.at += 1
    while _tail(c, noun, nested):
        pass
    return noun


def _tail(c: Cursor, noun: Noun, nested: bool) -> bool:
    """Reads one thing said after the noun; False when nothing more belongs to it."""
    start = c.at
    if c.take_any(("in the image", "in the picture", "here")):
        return True
    if c.take("without") or c.take("with", "no"):
        return _part(c, noun, "lacks", start)
    if c.take("with"):
        return _part(c, noun, "has", start)
    if nested:
        return False
    c.take_any(("that is", "who is", "that are", "who are"))
    if predicate(c, noun):
        return True
    c.at = start
    return False


def _part(c: Cursor, noun: Noun, verb: str, start: int) -> bool:
    """Reads "a tail" after "with", "without" or "has"; returns to `start` when there is none."""
    c.take_any(OWNERS)
    if c.word not in PARTS:
        c.at = start
        return False
    noun.parts.append((verb, c.word))
    c.at += 1
    return True


def predicate(c: Cursor, noun: Noun) -> bool:
    """Reads one of: a side, clothes, a pose, something carried ("and holding a ball"); else False and stays."""
    start = c.at
    for words, side in SIDES.items():
        if c.take(*words):
            noun.side = side
            return True
    if c.take("in"):
        return adjectives(c, noun) or _back(c, start)
    c.take(",")
    c.take("and")
    if c.word in POSES and noun.pose is None:
        noun.pose = c.word
        c.at += 1
        return True
    if c.word in VERB_OF:
        verb = VERB_OF[c.word]
        c.at += 1
        carried = noun_phrase(c, nested=True)
        if carried is not None:
            noun.carried.append((verb, carried))
            return True
    return _back(c, start)


def adjectives(c: Cursor, noun: Noun) -> bool:
    """Reads at least one adjective, with "and" or a comma between them."""
    start = c.at
    while c.word in ADJECTIVES:
        noun.look[ADJECTIVES[c.word]] = c.word
        c.at += 1
        if c.word == "and" and c.at + 1 < len(c.tokens) and c.tokens[c.at + 1].word in ADJECTIVES:
            c.at += 1
    return c.at > start


def _back(c: Cursor, start: int) -> bool:
    c.at = start
    return False


def noun_list(c: Cursor, item: bool = False) -> list[Noun]:
    """Reads "a man, two dogs and a tree"; empty when there is no noun phrase."""
    nouns = []
    while True:
        start = c.at
        if nouns and not (c.take(",", "and") or c.take(",") or c.take("and")):
            return nouns
        c.take("also")
        noun = noun_phrase(c, item)
        if noun is None:
            c.at = start
            return nouns
        if not item and c.take(":"):
            noun.items = noun_list(c, item=True)
        nouns.append(noun)

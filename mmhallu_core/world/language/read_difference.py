"""Reading differences, with the same templates that write them: each becomes a regular expression."""

import re
from collections.abc import Callable

from mmhallu_core.world.language.difference import NO_DIFFERENCE
from mmhallu_core.world.language.forms import Notes, Thing
from mmhallu_core.world.language.grammar import TOKEN, Noun, Token, number
from mmhallu_core.world.language.statement import FORMS, SLOT
from mmhallu_core.world.scene import Fact
from mmhallu_core.world.vocabulary import ADJECTIVES, COLOURS, KIND_OF, KINDS, NUMBER_OF, PARTS, PLACE_PHRASES, POSES

NOUNS = ("a", "b", "old_holder", "new_holder")
PLACE_OF = {phrase: place for place, (phrase, _) in PLACE_PHRASES.items()}


def _any(words) -> str:
    """A pattern for any of the words, longest first."""
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


NUMBER = _any(NUMBER_OF) + "|[0-9]{1,2}"
LOOK = (r"(?:in )?", _any(ADJECTIVES))
# what `{old}`, `{new}` and `{n}` can be: (words before it, the word)
WORDS: dict[str, tuple[str, str]] = {
    "look": LOOK,
    "one": LOOK,
    "all": LOOK,
    "place": ("", _any(PLACE_OF)),
    "move": ("", "left|right"),
    "pose": ("", _any(POSES)),
    "count": ("", NUMBER),
    "outgrow": ("", f"larger|smaller|{NUMBER}"),
}
FIXED = {"were": "(?:were|was)", "are": "(?:are|is)", "others": "(?:others|other)", "it": "(?:it|him|her|them)"}
SAME = {" ".join(word.lower() for word in TOKEN.findall(text.rstrip("."))) for text in NO_DIFFERENCE}


def pattern_of(form: str, template: str) -> re.Pattern[str]:
    """The regular expression of a template, over tokens joined by spaces; groups are "slot" or "slot_2"."""
    parts, end, count = [], 0, {}
    template = template.rstrip(".")
    for match in [*SLOT.finditer(template), None]:
        literal = template[end : match.start()] if match else template[end:]
        parts += [
            "(?:the|an?)" if word.lower() == "the" else re.escape(word.lower()) for word in TOKEN.findall(literal)
        ]
        if match is None:
            break
        end = match.end()
        name, how = match.groups()
        if how in FIXED:
            parts.append(FIXED[how])
            continue
        count[name] = count.get(name, 0) + 1
        group = name if count[name] == 1 else f"{name}_{count[name]}"
        noun = f"(?P<{group}>{_any(KIND_OF)})"
        if how in ("part", "own_part"):
            parts.append(f"(?:(?:an?|its|his|her|their) )?(?P<part>{_any(PARTS)})")
        elif how == "look":
            parts.append(f"(?:an?|the) (?:(?P<new>{_any(COLOURS)}) )?{noun}(?: in (?P<new_2>{_any(COLOURS)}))?")
        elif name in NOUNS:
            parts.append(f"(?:(?:an?|the) )?{noun}" if how == "an" else noun)
        else:
            before, word = WORDS[form]
            parts.append(f"{before}(?P<{group}>{word})")
    return re.compile(" ".join(parts))


PATTERNS = [(form, pattern_of(form, template)) for form, (_, templates) in FORMS.items() for template in templates]


def difference_form(notes: Notes, tokens: list[Token]) -> bool:
    """Reads "The dog was red and is now blue." and all other forms of `statement.FORMS`."""
    words = " ".join(token.word for token in tokens)
    skipped = 5 if words.startswith("in the second image , ") else 0
    tokens = tokens[skipped:]
    words = " ".join(token.word for token in tokens)
    if words in SAME:
        notes.no_difference = True
        return True
    for form, pattern in PATTERNS:
        match = pattern.fullmatch(words)
        if match is None:
            continue
        said = Said(notes, match, tokens)
        if READERS[form](said):
            notes.category = FORMS[form][0]
            return True
    return False


class Said:
    """A matched sentence: its slots' words, and notes to write to."""

    def __init__(self, notes: Notes, match: re.Match[str], tokens: list[Token]) -> None:
        self.notes, self.match, self.tokens = notes, match, tokens

    def word(self, slot: str) -> str:
        """A slot's word, "" when it is empty; nouns as the kind's name."""
        word = self.match.groupdict().get(slot) or ""
        return KIND_OF.get(word, word)

    def mention(self, things: list[Thing], *slots: str) -> None:
        """Notes where the nouns of these slots stand."""
        for slot in slots:
            token = self.tokens[self.match.string[: self.match.start(slot)].count(" ")]
            self.notes.mention(Noun(self.word(slot), token.start, token.end), things)

    def the(self, slot: str) -> Thing:
        """The thing that a noun slot names."""
        thing = self.notes.the(self.word(slot))
        self.mention([thing], slot)
        return thing

    def changed(self, gone: Fact | None, come: Fact) -> bool:
        """Notes what was so and what is so now."""
        if gone is not None:
            self.notes.facts.discard(gone)
            self.notes.removed.add(gone)
        self.notes.facts.add(come)
        return True


def _replace(said: Said) -> bool:
    old = said.notes.new(said.word("a"), exists=False)
    said.mention([old], "a")
    said.mention([said.notes.new(said.word("b"))], "b")
    return True


def _add(said: Said) -> bool:
    thing = said.notes.new(said.word("b"))
    said.mention([thing], "b")
    colour = said.word("new") or said.word("new_2")
    if colour:
        said.notes.facts.add(Fact("attribute", thing.id, "colour", value=colour))
    return True


def _look(said: Said) -> bool:
    old, new = said.word("old"), said.word("new")
    what = ADJECTIVES[new]
    if ADJECTIVES[old] != what:
        return False
    thing = said.the("a")
    return said.changed(*(Fact("attribute", thing.id, what, value=value) for value in (old, new)))


def _place(said: Said) -> bool:
    places = (PLACE_OF[said.word(slot)] for slot in ("old", "new"))
    return said.changed(*(Fact("scene", "scene", "place", value=place) for place in places))


def _move(said: Said) -> bool:
    old, new = said.word("old"), said.word("new")
    if old == new:
        return False
    a, b = said.the("a"), said.the("b")
    left, right = (Fact("spatial_relation", x.id, "left of", object=y.id) for x, y in ((a, b), (b, a)))
    return said.changed(*((left, right) if old == "left" else (right, left)))


def _pose(said: Said) -> bool:
    thing = said.the("a")
    return said.changed(*(Fact("action_relation", thing.id, "pose", value=said.word(slot)) for slot in ("old", "new")))


def _pass(said: Said) -> bool:
    verb = KINDS[said.word("a")].held
    if verb is None:
        return False
    slots = sorted(("a", "old_holder", "new_holder"), key=said.match.start)  # ids in order of mention
    things = {slot: said.the(slot) for slot in slots}
    holders = (things["old_holder"], things["new_holder"])
    return said.changed(*(Fact("action_relation", holder.id, verb, object=things["a"].id) for holder in holders))


def _part(comes: bool) -> Callable[[Said], bool]:
    def reader(said: Said) -> bool:
        thing = said.the("a")
        has, lacks = (Fact("part_relation", thing.id, verb, value=said.word("part")) for verb in ("has", "lacks"))
        return said.changed(*((lacks, has) if comes else (has, lacks)))

    return reader


def _count(said: Said) -> bool:
    kind, (old, new) = said.word("a"), (number(said.word(slot)) for slot in ("old", "new"))
    said.mention([said.notes.new(kind) for _ in range(new)], "a")
    return said.changed(*(Fact("counting", kind, "number", value=str(n)) for n in (old, new)))


def _outgrow(said: Said) -> bool:
    kind, n = said.word("a"), number(said.word("n"))
    if n is None or n < 2 or said.word("new") not in ("larger", "smaller"):
        return False
    first, *others = things = [said.notes.new(kind) for _ in range(n)]
    said.mention(things, "a")
    for other in others:
        a, b = (first, other) if said.word("new") == "larger" else (other, first)
        said.notes.facts.add(Fact("comparison", a.id, "larger than", object=b.id))
    return said.changed(None, Fact("counting", kind, "number", value=str(n)))


def _gone(said: Said) -> bool:
    if said.word("a") != said.word("a_2"):
        return False
    thing = said.notes.new(said.word("a"), exists=False)
    said.mention([thing], "a", "a_2")
    return said.changed(None, Fact("negation", thing.kind, "absent"))


def _all(said: Said) -> bool:
    new = said.word("new")
    said.mention([], "a")
    return said.changed(None, Fact("universality", said.word("a"), f"all {ADJECTIVES[new]}", value=new))


READERS: dict[str, Callable[[Said], bool]] = {
    "replace": _replace, "add": _add, "look": _look, "one": _look, "place": _place, "move": _move, "pose": _pose,
    "pass": _pass, "attach": _part(True), "detach": _part(False), "count": _count, "outgrow": _outgrow,
    "gone": _gone, "all": _all,
}  # fmt: skip

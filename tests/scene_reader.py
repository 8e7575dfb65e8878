"""Reads the twins' questions and answers them from a scene's facts: written apart from the code that makes them.

Texts are taken apart by regular expressions, and truth comes from `scene.facts` alone, or from coordinates where the
facts do not say it.
"""

import re

from mmhallu_core.world.scene import Scene, facts
from mmhallu_core.world.vocabulary import COLOURS, KIND_OF, NUMBER_OF, PATTERNS, PLACE_PHRASES, SIZES

A = r"(?:an? )?"
PLACES = {words: place for place, phrases in PLACE_PHRASES.items() for words in phrases}


class Told:
    """A scene's facts, asked in words."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.all = {(fact.predicate, fact.subject, fact.object, fact.value) for fact in facts(scene)}
        self.kind = {subject: value for predicate, subject, _, value in self.all if predicate == "is"}

    def ids(self, kind: str) -> list[str]:
        return sorted(name for name, one in self.kind.items() if one == kind)

    def the(self, kind: str) -> str:
        [name] = self.ids(kind)  # the question takes for granted that there is exactly one
        return name

    def value(self, kind: str, predicate: str) -> str:
        [found] = [one[3] for one in self.all if one[:2] == (predicate, self.the(kind))]
        return found

    def related(self, first: str, words: str, second: str) -> bool:
        one, other = self.the(first), self.the(second)
        if words in ("to the right of", "in front of"):
            one, other = other, one
        predicate = "left of" if words.startswith("to the") else "behind"
        return (predicate, one, other, "") in self.all

    def holds(self, kind: str, thing: str) -> bool:
        return any(("holds", self.the(kind), name, "") in self.all for name in self.ids(thing))


RELATION = r"(to the left of|to the right of|behind|in front of)"


def yes_or_no(text: str, told: Told) -> bool:
    """The true answer to a yes/no question."""
    if found := re.fullmatch(rf"Is there {A}(\w+)(?: in the image)?\?", text):
        return bool(told.ids(found[1]))
    if found := re.fullmatch(rf"Is the (\w+) {RELATION} the (\w+)\?", text):
        return told.related(*found.groups())
    if found := re.fullmatch(rf"Does the (\w+) have {A}(\w+)\?", text):
        return ("has", told.the(found[1]), "", found[2]) in told.all
    if found := re.fullmatch(r"Are there more (\w+) than (\w+)\?", text):
        return len(told.ids(KIND_OF[found[1]])) > len(told.ids(KIND_OF[found[2]]))
    kind, value = re.fullmatch(r"Is the (\w+) (?:in )?(\w+)\?", text).groups()
    what = next((name for name, words in WORDS.items() if value in words), "pose")
    return told.value(kind, what) == value


WORDS = {"colour": COLOURS, "pattern": PATTERNS, "size": SIZES}


def option_holds(text: str, option: str, told: list[Told]) -> bool:
    """Whether an option is a true answer to a question about one or two pictures."""
    bare = re.sub(r" Answer based on the (first|second) image\.$", "", text)
    if bare != text:
        return option_holds(bare, option, [told[" second " in text[len(bare) :]]])
    first = told[0]
    if text == "Are the two images the same?":
        return (option == "yes") == (first.all == told[1].all)
    if text == "What is different between the two images?":
        return happened(option, *told)
    if found := re.fullmatch(r"In which image (.*)\?", text):
        answers = [yes_or_no(found[1][0].upper() + found[1][1:] + "?", one) for one in told]
        return answers == [option == "the first image", option == "the second image"]
    assert len(told) == 1, text
    if option in ("yes", "no"):
        return yes_or_no(text, first) == (option == "yes")
    if text == "Where was this picture taken?":
        return PLACES[option] == first.scene.place
    if text == "What can you see in the image?":
        return bool(first.ids(option.split()[1]))
    if found := re.fullmatch(r"How many (\w+) are there in the image\?", text):
        return len(first.ids(KIND_OF[found[1]])) == NUMBER_OF[option]
    if found := re.fullmatch(r"Where is the (\w+)\?", text):
        x = first.scene[first.the(found[1])].x
        return option == ("on the left" if 3 * x < 1 else "on the right" if 3 * x > 2 else "in the middle")
    if found := re.fullmatch(r"What is the (\w+) holding\?", text):
        return first.holds(found[1], option)
    if found := re.fullmatch(rf"What is {RELATION} the (\w+)\?", text):
        return first.related(option, *found.groups())
    what, kind = re.fullmatch(
        r"What (colour|pattern|size) (?:is|does) the (\w+)(?: wearing| have)?\?|What is the (\w+) doing\?", text
    ).group(1, 2)
    if what is None:
        what, kind = "pose", text.split()[3]
    return first.value(kind, what) == option


def happened(sentence: str, before: Told, after: Told) -> bool:
    """Whether a sentence about what changed is true of two pictures."""
    if found := re.fullmatch(r"The place changed from (.*) to (.*)\.", sentence):
        return [PLACES[one] for one in found.groups()] == [before.scene.place, after.scene.place]
    if found := re.fullmatch(r"The (\w+) is gone; there is no \1 now\.", sentence):
        return bool(before.ids(found[1])) and not after.ids(found[1])
    if found := re.fullmatch(r"The (\w+) (got|lost) (?:an?|its|his|her)? ?(\w+)\.", sentence):
        ways = [yes_or_no(f"Does the {found[1]} have a {found[3]}?", one) for one in (before, after)]
        return ways == ([False, True] if found[2] == "got" else [True, False])
    kind, old, new = re.fullmatch(r"The (\w+) was (?:in )?(\w+) and is now (?:in )?(\w+)\.", sentence).groups()
    return all(yes_or_no(f"Is the {kind} {value}?", one) for value, one in ((old, before), (new, after)))

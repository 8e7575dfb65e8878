"""Instructions for edits of Diorama, in words: written for the editor, and read back into what they ask for.

An instruction and the statement of a difference say the same thing in two moods: "change the dog from red to blue" and
"The dog was red and is now blue". Both become a `Meaning`, a form of `world.language.statement.FORMS` with the words
of its slots. So the editor knows what is asked, and a judge can compare what was asked with what was seen.
"""

import random
import re
from dataclasses import dataclass

from mmhallu_core.world.edits import Edit
from mmhallu_core.world.language.difference import statement_of
from mmhallu_core.world.language.grammar import number, sentences
from mmhallu_core.world.language.read_difference import NOUNS, PATTERNS, pattern_of
from mmhallu_core.world.language.statement import FORMS, Slots, fill, write
from mmhallu_core.world.scene import Scene
from mmhallu_core.world.vocabulary import KIND_OF, KINDS, PLACE_PHRASES, join, number_word, plural, with_article

# The same slots as in FORMS; the words after "Can you".
INSTRUCTIONS: dict[str, tuple[str, ...]] = {
    "replace": ("replace the {a} with {b:an}", "swap the {a} for {b:an}"),
    "add": ("add {b:look}", "put {b:look} into the picture"),
    "look": ("change the {a} from {old} to {new}", "make the {a}, which is {old}, look {new}"),
    "place": ("change the place from {old} to {new}", "take everything from {old} to {new}"),
    "move": (
        "move the {a} from the {old} of the {b} to the {new} of {b:it}",
        "put the {a}, which is to the {old} of the {b}, to the {new} of {b:it}",
    ),
    "pose": ("change the {a} from {old} to {new}", "show the {a}, which is {old}, {new} instead"),
    "pass": (
        "pass the {a} from the {old_holder} to the {new_holder}",
        "hand the {a} of the {old_holder} over to the {new_holder}",
    ),
    "attach": ("give the {a} {a:part}", "show the {a} with {a:part}"),
    "detach": ("let the {a} lose {a:own_part}", "show the {a} without {a:part}"),
    "count": ("change the number of {a:s} from {old} to {new}", "show {new} {a:new} instead of {old}"),
    "one": ("change one of the {a:s} from {old} to {new}", "make one of the {a:s}, which is {old}, look {new}"),
    "outgrow": (
        "make one of the {n} {a:s} {new} than the {n:others}",
        "let one of the {n} {a:s} become {new} than the {n:others}",
    ),
    "gone": ("take the {a} away", "remove the {a}"),
    "all": ("make all the {a:s} {new}", "turn all the {a:s} {new}"),
}
ASKED = [(form, pattern_of(form, template)) for form, templates in INSTRUCTIONS.items() for template in templates]


@dataclass(frozen=True)
class Meaning:
    """What an instruction asks for, or a difference states.

    Attributes:
        form: a key of `FORMS`.
        slots: the words of its slots; kinds by their names, numbers in words.
    """

    form: str
    slots: Slots

    @property
    def category(self) -> str:
        """The edit category that the form belongs to."""
        return FORMS[self.form][0]

    def statement(self, which: int = 0) -> str:
        """The sentence that states the difference, in wording number `which`."""
        return "".join(write(self.form, self.slots, which).pieces)

    def instruction(self, which: int = 0) -> str:
        """The words after "Can you", in wording number `which`."""
        return "".join(fill(INSTRUCTIONS[self.form][which], self.slots).pieces)


def meaning_of(edit: Edit) -> Meaning:
    """What an edit does.

    Raises:
        ValueError: when it is not one that `edits.propose` makes.
    """
    said = statement_of(edit)
    return Meaning(said.form, said.slots)


def reword(meaning: Meaning, rng: random.Random) -> str:
    """The statement of a difference in one of its wordings, all alike."""
    return meaning.statement(rng.randrange(len(FORMS[meaning.form][1])))


def read_instruction(text: str) -> Meaning | None:
    """What the words after "Can you" ask for; None when they are not understood."""
    return _read(text, ASKED)


def read_statement(text: str) -> Meaning | None:
    """What a difference sentence states; None when it is not understood, or is not one sentence."""
    return _read(text, PATTERNS)


def _read(text: str, patterns: list[tuple[str, re.Pattern[str]]]) -> Meaning | None:
    found = [tokens for _, tokens in sentences(text)]
    if len(found) != 1:
        return None
    words = " ".join(token.word for token in found[0]).removeprefix("in the second image , ")
    for form, pattern in patterns:
        match = pattern.fullmatch(words)
        slots = match and _slots(match)
        if slots:
            return Meaning(form, slots)
    return None


def _slots(match: re.Match[str]) -> Slots | None:
    """The slots of a matched sentence; None when it contradicts itself ("The dog is gone; there is no cat now.")."""
    slots: Slots = {}
    for group, word in match.groupdict().items():
        if word is None or group == "part":
            continue
        name = group.removesuffix("_2")
        if name in NOUNS:
            word = KIND_OF[word]
        elif (count := number(word)) is not None:
            word = number_word(count)
        if slots.setdefault(name, word) != word:
            return None
    part = match.groupdict().get("part")
    return None if part is not None and KINDS[slots["a"]].part != part else slots


def photo_of(scene: Scene) -> str:
    """A scene in a few words, as in "This is a photo of ...": "a beach with a dog and two cars"."""
    counts = {kind: len(scene.of_kind(kind)) for kind in scene.kinds()}
    things = [with_article(k) if n == 1 else f"{number_word(n)} {plural(k)}" for k, n in counts.items()]
    return PLACE_PHRASES[scene.place][0] + (f" with {join(things)}" if things else "")

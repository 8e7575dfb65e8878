"""Reading: from any text to the facts that it asserts.

The reader understands every sentence that this package writes and simple variations of it, and lists what it
does not understand. Things get ids in order of mention ("m1", "m2", ...); `match` renames them to a scene's.
"""

from dataclasses import dataclass

from mmhallu_core.world.language import forms
from mmhallu_core.world.language.caption import NounSpan
from mmhallu_core.world.language.grammar import sentences
from mmhallu_core.world.language.notes import Notes
from mmhallu_core.world.language.read_difference import difference_form
from mmhallu_core.world.scene import Fact

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

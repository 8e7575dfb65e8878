"""The sentence forms that state a difference, as templates with slots.

A statement is a form's name and words for its slots. The words alone give the text, so a wrong option is
the same statement with other words, and nothing in its form betrays that it is wrong. In a template,
`{a}` is a noun, `{a:an}` a noun with its article, `{a:s}` a plural, `{old}` and `{new}` are plain words.
The names after the colon are explained in `_fill`. `read_difference` reads with the same templates.
"""

import re

from mmhallu_core.world.language.caption import Writer
from mmhallu_core.world.vocabulary import COLOURS, KINDS, PEOPLE, article, number_word, part_phrase, plural

Slots = dict[str, str]

CHANGES = (" was {old} and is now {new}.", " changed from {old} to {new}.", ", once {old}, is now {new}.")
# form: (category, templates); the first template is the canonical one
FORMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "replace": ("Object", ("The {a} became {b:an}.", "The {a} turned into {b:an}.", "The {a} was replaced by {b:an}.")),
    "add": ("Object", ("{b:look} was added.", "{b:look} appeared.", "{b:look} is new.")),
    "look": ("Attribute", tuple(f"The {{a}}{tail}" for tail in CHANGES)),
    "place": (
        "Scene",
        (
            "The place changed from {old} to {new}.",
            "The place was {old} and is now {new}.",
            "The scene changed from {old} to {new}.",
        ),
    ),
    "move": (
        "Spatial Relation",
        (
            "The {a} moved from the {old} of the {b} to the {new} of {b:it}.",
            "The {a} was to the {old} of the {b} and is now to the {new} of {b:it}.",
        ),
    ),
    "pose": ("Action Relation", tuple(f"The {{a}}{tail}" for tail in CHANGES)),
    "pass": (
        "Action Relation",
        (
            "The {a} passed from the {old_holder} to the {new_holder}.",
            "The {old_holder} gave the {a} to the {new_holder}.",
        ),
    ),
    "attach": ("Part Relation", ("The {a} got {a:part}.", "The {a} now has {a:part}.")),
    "detach": ("Part Relation", ("The {a} lost {a:own_part}.", "The {a} no longer has {a:part}.")),
    "count": (
        "Counting",
        (
            "There {old:were} {old} {a:old} and now there {new:are} {new}.",
            "The number of {a:s} changed from {old} to {new}.",
            "There {new:are} {new} {a:new} now and there {old:were} {old} before.",
        ),
    ),
    "one": ("Differentiation", tuple(f"One of the {{a:s}}{tail}" for tail in CHANGES)),
    "outgrow": (
        "Comparison",
        (
            "One of the {n} {a:s} became {new} than the {n:others}.",
            "One of the {n} {a:s} is now {new} than the {n:others}.",
        ),
    ),
    "gone": (
        "Negation",
        (
            "The {a} is gone; there is no {a} now.",
            "The {a} was taken away; there is no {a} now.",
            "There was {a:an} and there is no {a} now.",
        ),
    ),
    "all": (
        "Universality",
        ("All the {a:s} are now {new}.", "All the {a:s} became {new}.", "All the {a:s} turned {new}."),
    ),
}
SLOT = re.compile(r"\{(\w+)(?::(\w+))?\}")
OWN = {"man": "his", "woman": "her"}
IT = {"man": "him", "woman": "her"}


def write(form: str, slots: Slots, which: int = 0, ids: dict[str, tuple[str, ...]] | None = None) -> Writer:
    """Fills a form's template number `which`; `ids` names the things behind the noun slots."""
    writer = fill(FORMS[form][1][which], slots, ids)
    writer.capital(0 if writer.pieces[0] else 1)
    return writer


def fill(template: str, slots: Slots, ids: dict[str, tuple[str, ...]] | None = None) -> Writer:
    """Fills any template with slots like those of `FORMS`."""
    writer, end = Writer(), 0
    for match in SLOT.finditer(template):
        writer.add(template[end : match.start()])
        _fill(writer, slots, *match.groups(), (ids or {}).get(match[1], ()))
        end = match.end()
    writer.add(template[end:])
    return writer


def _fill(writer: Writer, slots: Slots, name: str, how: str | None, ids: tuple[str, ...]) -> None:
    """Writes one slot.

    `how` is an (with an article), look (with an article and the new colour), part and own_part ("a tail", "its
    tail"), it (the pronoun), s (plural), old and new (singular when that number is one), were and are (the
    verb for a number), others ("other" of two, "others" of more).
    """
    word = slots[name]
    if how == "part":
        writer.add(part_phrase(KINDS[word].part))
    elif how == "own_part":
        writer.add(f"{OWN.get(word, 'its')} {KINDS[word].part}")
    elif how == "it":
        writer.add(IT.get(word, "it"))
    elif how == "look":
        writer.add(f"{article(word)} " if word in PEOPLE else f"{article(slots['new'])} {slots['new']} ")
        writer.noun(word, word, ids)
        writer.add(f" in {slots['new']}" if word in PEOPLE else "")
    elif how in ("were", "are"):
        one = word == number_word(1)
        writer.add({"were": "was", "are": "is"}[how] if one else how)
    elif how == "others":
        writer.add("other" if word == number_word(2) else "others")
    elif word in KINDS:
        writer.add(f"{article(word)} " if how == "an" else "")
        one = how in (None, "an") or (how in ("old", "new") and slots[how] == number_word(1))
        writer.noun(word if one else plural(word), word, ids)
    else:
        dressed = word in COLOURS and slots.get("a") in PEOPLE
        writer.add(f"in {word}" if dressed else word)

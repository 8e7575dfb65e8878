"""The words of Diorama: articles, numbers, and how places, parts and actions are said.

Writing and reading share these tables, so whatever can be written can be read back.
"""

from mmhallu_core.world.vocabulary import COLOURS, KINDS, PATTERNS, SIZES

UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
).split()
NUMBER_OF = {word: n for n, word in enumerate(UNITS)} | {"no": 0, "none": 0}

# place: (as a thing, as a location)
PLACE_PHRASES = {
    "street": ("a street", "on a street"),
    "beach": ("a beach", "on a beach"),
    "field": ("a field", "in a field"),
    "room": ("a room", "in a room"),
    "snow": ("a snowy place", "in the snow"),
    "night": ("a dark place", "at night"),
}

SIDE_PHRASES = {"left": "on the left", "middle": "in the middle", "right": "on the right"}
VERB_ING = {"holds": "holding", "wears": "wearing"}
SIZE_WORDS = {"small": "small", "medium": "medium", "large": "large"}

MASS_PARTS = ("fruit",)  # parts said without an article
ADJECTIVES = (
    {colour: "colour" for colour in COLOURS}
    | {pattern: "pattern" for pattern in PATTERNS}
    | {size: "size" for size in SIZES}
)
KIND_OF = {name: name for name in KINDS} | {kind.plural: name for name, kind in KINDS.items()}
PARTS = {kind.part for kind in KINDS.values() if kind.part}
POSES = {pose for kind in KINDS.values() for pose in kind.poses}
PEOPLE = frozenset(name for name, kind in KINDS.items() if kind.group == "people")


def article(words: str) -> str:
    """Says "a" or "an", by the first letter of what follows."""
    return "an" if words[0] in "aeiou" else "a"


def with_article(words: str) -> str:
    """The words after their indefinite article."""
    return f"{article(words)} {words}"


def number_word(n: int) -> str:
    """A number in words up to twenty, then in digits."""
    return UNITS[n] if n < len(UNITS) else str(n)


def plural(kind: str, n: int = 2) -> str:
    """The kind's noun for n of them."""
    return kind if n == 1 else KINDS[kind].plural


def part_phrase(part: str) -> str:
    """A part after "without" or "has": "a tail", "an antenna", "fruit"."""
    return part if part in MASS_PARTS else with_article(part)


def join(items: list[str]) -> str:
    """Joins as in "a", "a and b", "a, b and c"."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def sentence(words: str) -> str:
    """The words with a capital and a full stop."""
    return words[0].upper() + words[1:] + "."

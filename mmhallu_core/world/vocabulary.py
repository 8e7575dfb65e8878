"""What can stand in Diorama, and the words for it: places, kinds, looks, articles, numbers, parts and actions.

Everything else in the world (drawing, edits, sentences, the prior) reads these tables,
so adding a kind means one entry here, one drawing in `draw.py` and nothing more. Writing and reading share the words,
so whatever can be written can be read back.
Heights are fractions of the picture's height for a medium thing; aspect is width / height.
"""

from dataclasses import dataclass

PLACES = ("street", "beach", "field", "room", "snow", "night")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
PATTERNS = ("plain", "striped", "dotted")
SIZES = {"small": 0.75, "medium": 1.0, "large": 1.35}  # factor on the kind's height

PERSON_POSES = ("standing", "sitting", "running", "waving")
ANIMAL_POSES = ("standing", "lying", "running")
BIRD_POSES = ("standing", "flying")


@dataclass(frozen=True)
class Kind:
    """One kind of thing.

    Attributes:
        group: people, animals, vehicles, buildings, plants or things.
        height: height of a medium one, as a fraction of the picture's height.
        aspect: width / height.
        part: the one part that can be there or be missing, or None.
        poses: what it can be doing, empty for things that do nothing.
        held: "holds" when a person can hold it, "wears" when a person can wear it, else None.
        plural: the word for several.
    """

    group: str
    height: float
    aspect: float
    part: str | None
    poses: tuple[str, ...] = ()
    held: str | None = None
    plural: str = ""


KINDS: dict[str, Kind] = {
    "man": Kind("people", 0.38, 0.50, "beard", PERSON_POSES, plural="men"),
    "woman": Kind("people", 0.38, 0.50, "scarf", PERSON_POSES, plural="women"),
    "dog": Kind("animals", 0.20, 1.25, "tail", ANIMAL_POSES, plural="dogs"),
    "cat": Kind("animals", 0.20, 1.10, "tail", ANIMAL_POSES, plural="cats"),
    "horse": Kind("animals", 0.30, 1.10, "saddle", ANIMAL_POSES, plural="horses"),
    "bird": Kind("animals", 0.16, 1.20, "crest", BIRD_POSES, plural="birds"),
    "car": Kind("vehicles", 0.20, 1.70, "antenna", plural="cars"),
    "bicycle": Kind("vehicles", 0.22, 1.40, "basket", plural="bicycles"),
    "boat": Kind("vehicles", 0.26, 1.10, "sail", plural="boats"),
    "house": Kind("buildings", 0.38, 0.95, "chimney", plural="houses"),
    "tent": Kind("buildings", 0.26, 1.25, "flag", plural="tents"),
    "tree": Kind("plants", 0.40, 0.65, "fruit", plural="trees"),
    "flower": Kind("plants", 0.22, 0.60, "leaf", plural="flowers"),
    "umbrella": Kind("things", 0.26, 1.00, "handle", held="holds", plural="umbrellas"),
    "ball": Kind("things", 0.15, 1.00, None, held="holds", plural="balls"),
    "kite": Kind("things", 0.22, 0.75, "ribbon", held="holds", plural="kites"),
    "hat": Kind("things", 0.13, 1.50, "feather", held="wears", plural="hats"),
    "bag": Kind("things", 0.18, 0.85, "strap", held="holds", plural="bags"),
    "chair": Kind("things", 0.24, 0.75, "cushion", plural="chairs"),
    "lamp": Kind("things", 0.34, 0.45, "bulb", plural="lamps"),
}

PEOPLE = tuple(name for name, kind in KINDS.items() if kind.group == "people")
HOLDABLE = tuple(name for name, kind in KINDS.items() if kind.held)

# ---------------------------------------------------------------- the words

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

MASS_PARTS = ("fruit",)  # parts said without an article
ADJECTIVES = (
    {colour: "colour" for colour in COLOURS}
    | {pattern: "pattern" for pattern in PATTERNS}
    | {size: "size" for size in SIZES}
)
KIND_OF = {name: name for name in KINDS} | {kind.plural: name for name, kind in KINDS.items()}
PARTS = {kind.part for kind in KINDS.values() if kind.part}
POSES = {pose for kind in KINDS.values() for pose in kind.poses}


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

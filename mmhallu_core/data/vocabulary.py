"""Which words name which object, and which objects are in which picture: what an object scorer looks up.

CHAIR's dictionary for COCO has 80 objects and some 400 terms ("puppy" names a dog). It is other people's data and is
read from the data folder. The drawn world has a dictionary of its own, made from its tables. Both are a `Vocabulary`,
so one scorer serves photos and drawings.

CHAIR takes an object as present in a COCO photo when the annotators outlined it or when one of the five reference
captions names it. The second source matters: annotators skip what is tiny or cut off, and people still mention it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mmhallu_core.data.sources import read_json
from mmhallu_core.store import data_file
from mmhallu_core.types import require

Truth = dict[str, frozenset[str]]  # image id -> the objects in it
_COCO_NAME = re.compile(r"(?:.*/)?(?:COCO_(?:train|val|test)\d{4}_)?0*(\d+)(?:\.jpe?g)?", re.IGNORECASE)

# English plurals that no ending gives away, for the objects that people caption.
IRREGULAR_PLURALS = {
    "person": ("people", "persons"), "child": ("children",), "man": ("men",), "foot": ("feet",), "tooth": ("teeth",),
    "goose": ("geese",), "mouse": ("mice", "mouses"), "ox": ("oxen",), "sheep": ("sheep",), "louse": ("lice",),
}  # fmt: skip


def plurals(noun: str) -> tuple[str, ...]:
    """The plural forms of a noun, or of the last word of a compound ("wine glass", "policeman").

    Where English is undecided all forms are given ("buses" and "busses"): a form that nobody writes does no harm.
    """
    for singular, forms in IRREGULAR_PLURALS.items():
        if noun == singular or noun.endswith(f" {singular}"):
            return tuple(noun.removesuffix(singular) + form for form in forms)
    if noun.endswith("man"):
        return (noun[:-3] + "men",)
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        doubled = (f"{noun}{noun[-1]}es",) if noun.endswith(("us", "iz")) else ()
        return (f"{noun}es", *doubled)
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return (f"{noun[:-1]}ies",)
    if noun.endswith("fe"):
        return (f"{noun[:-2]}ves", f"{noun}s")
    if noun.endswith("f") and not noun.endswith("ff"):
        return (f"{noun[:-1]}ves", f"{noun}s")
    return (f"{noun}es", f"{noun}s") if noun.endswith("o") else (f"{noun}s",)


@dataclass(frozen=True)
class Vocabulary:
    """Terms, the object that each names, and the rules for words that come together.

    Args:
        terms: term to the object it names; every object names itself.
        doubles: words that stand together, to what they count as. That is a term ("baby elephant" to "elephant", so
            that no person is counted) or anything that is no term, and then nothing is counted ("train track").
    """

    terms: Mapping[str, str]
    doubles: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        bad = [name for name in set(self.terms.values()) if self.terms.get(name) != name]
        require(not bad, f"these objects do not name themselves in the vocabulary: {', '.join(sorted(bad))}")

    @property
    def objects(self) -> tuple[str, ...]:
        """The names of all objects, sorted."""
        return tuple(sorted({name for name in self.terms.values() if name}))

    @cached_property
    def forms(self) -> dict[tuple[str, ...], str]:
        """Every written form, singular and plural, as a tuple of words, to its term; "" where nothing is counted.

        A term as written wins over a plural that happens to look the same, and a rule of `doubles` over both.
        """
        written = {" ".join(term.lower().split()): term for term in self.terms if term.strip()}
        joined = {pair.lower(): written.get(meaning.lower(), "") for pair, meaning in self.doubles.items()}
        table: dict[tuple[str, ...], str] = {}
        for source in (written, joined):
            for form, term in source.items():
                table.update({tuple(many.split()): term for many in plurals(form) if many not in written})
            table.update({tuple(form.split()): term for form, term in source.items()})
        return table


def read_vocabulary(path: Path) -> Vocabulary:
    """Reads a vocabulary file: CHAIR's own (`inverse_synonym_dict`, `double_word_dict`), or `terms` and `doubles`.

    Raises:
        CannotRun: when the file is not JSON, or has neither form.
    """
    return vocabulary_from(read_json(path), str(path))


def vocabulary_from(content: dict, where: str) -> Vocabulary:
    """Builds a vocabulary from a JSON object of either form; `where` names it in an error."""
    require(isinstance(content, dict), f"{where}: a vocabulary is a JSON object")
    terms = content.get("inverse_synonym_dict", content.get("terms"))
    good = isinstance(terms, dict) and len(terms) > 0
    require(good, f"{where}: neither `terms` nor CHAIR's `inverse_synonym_dict` is in it")
    doubles = content.get("double_word_dict", content.get("doubles", {}))
    for table in (terms, doubles):
        good = isinstance(table, dict) and all(isinstance(one, str) for one in table.values())
        require(good, f"{where}: `terms` and `doubles` are tables of texts")
    return Vocabulary(terms, doubles)


def coco_vocabulary() -> Vocabulary:
    """CHAIR's vocabulary of the 80 COCO objects, from the data folder.

    Raises:
        MissingFile: when it is not there; the message names the command that gets it.
    """
    return read_vocabulary(data_file("chair/chair_vocab.json"))


def coco_image_id(name: str) -> str:
    """The number of a COCO image as text: "COCO_val2014_000000310196.jpg" becomes "310196"; other names stay as they
    are."""
    match = _COCO_NAME.fullmatch(name.strip())
    return match.group(1) if match else name.strip()


def coco_objects() -> Truth:
    """The objects of 123,287 COCO images, from the data folder.

    Raises:
        MissingFile: when the file is not here; the message names the command that gets it.
    """
    return {image: frozenset(objects) for image, objects in read_json(data_file("chair/coco_objects.json.gz")).items()}


def read_truth(path: str | Path) -> tuple[Truth, Vocabulary | None]:
    """Reads a ground truth file: what is in which picture, and perhaps the words that name it.

    Two forms, plain or gzipped JSON: `{image id: [objects]}`, or `{"objects": {image id: [objects]}, "vocabulary":
    {"terms": {term: object}, "doubles": {pair: term}}}`.

    Returns:
        The truth, and the file's own vocabulary or None.

    Raises:
        CannotRun: when the file has neither form, or names an object that its vocabulary does not have.
    """
    content = read_json(Path(path))
    require(isinstance(content, dict), f"{path}: ground truth is a JSON object of image ids")
    own = "objects" in content and isinstance(content["objects"], dict)
    table = content["objects"] if own else content
    for image, objects in table.items():
        good = isinstance(objects, list) and all(isinstance(name, str) for name in objects)
        require(good, f"{path}: image {image!r} must have a list of object names, got {objects!r}")
    truth = {image: frozenset(objects) for image, objects in table.items()}
    if not own or "vocabulary" not in content:
        return truth, None
    vocabulary = vocabulary_from(content["vocabulary"], f"{path}: vocabulary")
    strange = sorted(set().union(*truth.values()) - set(vocabulary.objects))
    require(not strange, f"{path}: objects that the vocabulary does not have: {', '.join(strange[:5])}")
    return truth, vocabulary

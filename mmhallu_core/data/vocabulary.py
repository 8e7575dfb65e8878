"""Which words name which object: the dictionary that an object scorer looks words up in.

CHAIR's dictionary for COCO has 80 objects and some 400 terms ("puppy" names a dog). It is other people's data and is
read from the data folder. The drawn world has a dictionary of its own, made from its tables. Both are a `Vocabulary`,
so one scorer serves photos and drawings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mmhallu_core.data.sources import read_json
from mmhallu_core.store import data_file
from mmhallu_core.types import require

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

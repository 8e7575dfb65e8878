"""The words behind AMBER's generative part: its tables, and how nouns and likeness of words are found.

AMBER knows some 400 words. A table says which other words may stand for a word ("people" for "person"), a list says
which words are never held against anybody. Its own script finds nouns with nltk (tagger and WordNet lemmas) and takes
two words for the same when spaCy's large English vectors have a cosine above 0.8. Both are heavy, and other versions
give other numbers, so the scorer (`amber_captions.py`) takes them as functions. `official_words` gives the published
ones where they are installed.

`listed_nouns` needs nothing: the words of the tables, singular or plural, as written.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from mmhallu_core.data.sources import read_json
from mmhallu_core.data.vocabulary import plurals
from mmhallu_core.types import CannotRun, require

Nouns = Callable[[str], Sequence[str]]  # A caption to its nouns in the singular.
Similarity = Callable[[str, str], int | float]  # Two words to their likeness, at most 1.

# Words of the tables that captions mostly use as verbs or adjectives. Without a tagger they would count as things.
_RARELY_NOUNS = frozenset({"can", "hot", "leave", "sound", "support", "warp", "watch"})
_DATA = ("punkt_tab", "averaged_perceptron_tagger_eng", "wordnet")
_MODEL = "en_core_web_lg"


@dataclass(frozen=True)
class Tables:
    """What counts as an object word.

    Attributes:
        associations: each word to the words that may stand for it.
        safe: words that are never counted as hallucinated.
    """

    associations: Mapping[str, Sequence[str]]
    safe: frozenset[str]

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """All words of the associations; other nouns are not counted at all."""
        return frozenset(self.associations).union(*self.associations.values())

    @cached_property
    def forms(self) -> dict[str, str]:
        """Every word in lower case, singular or plural, to the word of the vocabulary."""
        written = {word.lower(): word for word in sorted(self.vocabulary)}
        many = {form: word for one, word in written.items() for form in plurals(one)}
        return {form: word for form, word in {**many, **written}.items() if form not in _RARELY_NOUNS}

    def expanded(self, words: Sequence[str]) -> tuple[list[str], list[int]]:
        """All words that may stand for some words, then these themselves; and the place of whom each stands for.

        The order matters: the published script takes the first that fits. So "tree" stands for "forest" where both
        are true, and "tree" itself goes uncovered.
        """
        others = [(other, place) for place, word in enumerate(words) for other in self.associations[word]]
        return [other for other, _ in others] + list(words), [place for _, place in others] + list(range(len(words)))


@cache
def read_tables(folder: Path) -> Tables:
    """Reads `relation.json` and `safe_words.txt` of AMBER's data folder.

    Raises:
        CannotRun: when one of them is not there.
        RecordError: when the table is not one of words to lists of words.
    """
    paths = [folder / name for name in ("relation.json", "safe_words.txt")]
    for path in paths:
        if not path.is_file():
            raise CannotRun(
                f"{path} is not here; AMBER's captions cannot be scored without it (`mmhallu data get amber`)"
            )
    associations = read_json(paths[0])
    lists = list(associations.values()) if isinstance(associations, dict) else [None]
    good = all(isinstance(one, list) and all(isinstance(word, str) for word in one) for one in lists)
    require(good, f"{paths[0]}: expected each word with a list of words that may stand for it")
    return Tables(associations, frozenset(paths[1].read_text(encoding="utf-8").split("\n")))


def listed_nouns(text: str, tables: Tables) -> list[str]:
    """The words of the tables that a caption has, in order and with repeats."""
    words = re.findall(r"[a-z]+(?:-[a-z]+)*", text.lower())
    return [tables.forms[word] for word in words if word in tables.forms]


@cache
def official_words() -> tuple[Nouns, Similarity]:
    """The published noun finder and likeness of words.

    spaCy compares the mean vectors of two texts, which need its tokenizer and its vectors but no tagger or parser.
    The published script runs the whole pipeline twice a comparison; this reads each word once.

    Raises:
        CannotRun: when nltk, its data, spaCy or its large English model is missing; the message says how to get them.
    """
    try:
        import nltk
        import spacy

        language, lemma = spacy.load(_MODEL), nltk.stem.WordNetLemmatizer().lemmatize

        def nouns(text: str) -> list[str]:
            return [lemma(word) for word, tag in nltk.pos_tag(nltk.word_tokenize(text)) if tag.startswith("NN")]

        nouns("dogs")  # finds out whether nltk's data is here
    except (ImportError, LookupError, OSError) as error:
        raise CannotRun(
            f"AMBER's official scores of captions need nltk with {', '.join(_DATA)}, and spaCy with {_MODEL} (`pip "
            f"install mmhallu[amber]`, `python -m nltk.downloader {' '.join(_DATA)}`, `python -m spacy download "
            f"{_MODEL}`); without them they are left out"
        ) from error
    read_word = cache(language.make_doc)
    return nouns, lambda one, other: read_word(one).similarity(read_word(other))

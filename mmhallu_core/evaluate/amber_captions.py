"""AMBER's generative part: what a caption names, held against what is there and what one expects to be there.

Four scores, all over the nouns of AMBER's tables:

* CHAIR: hallucinated nouns of all nouns.
* Cover: objects that are there and are named, of all objects that are there.
* Hal: captions with a hallucinated noun.
* Cog: expected but absent objects that are named, of all such objects. It tells habit from chance.

A model that says little has a good CHAIR and a good Hal, and a bad Cover. An empty caption hallucinates nothing.

`score_generative` is the published rule with its oddities: a noun counts as named by the first word that fits; a noun
that is expected but absent can still be forgiven, when it is like a true word; denominators start at 0.001; scores are
rounded to a tenth of a percent. `strict_generative` is ours: words of the tables as written, nothing alike, no
rounding, an object covered whenever any of its words is named.

AMBER's own script finds nouns with nltk and takes words for the same when spaCy's large English vectors have a cosine
above 0.8. Both are heavy, so the scorer takes them as functions: `official_words` gives the published ones where they
are installed, `listed_nouns` the words of the tables, singular or plural, as written.
"""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from mmhallu_core.data.sources import read_json
from mmhallu_core.data.vocabulary import plurals
from mmhallu_core.evaluate.metrics import Metric, Metrics
from mmhallu_core.types import CannotRun, require

Nouns = Callable[[str], Sequence[str]]  # A caption to its nouns in the singular.
Similarity = Callable[[str, str], int | float]  # Two words to their likeness, at most 1.

# Words of the tables that captions mostly use as verbs or adjectives. Without a tagger they would count as things.
_RARELY_NOUNS = frozenset({"can", "hot", "leave", "sound", "support", "warp", "watch"})
_DATA = ("punkt_tab", "averaged_perceptron_tagger_eng", "wordnet")
_MODEL = "en_core_web_lg"

ALIKE = 0.8  # The published threshold of likeness.
START = 0.001  # What the published script starts its denominators at.
Counts = tuple[int, int, int, int]  # Of a caption: hallucinated nouns, nouns, covered objects, expected ones named.


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

    spaCy compares the mean vectors of two texts; this reads each word once, with its tokenizer and vectors alone.

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


# ---------------------------------------------------------------- the four scores


def score_generative(
    responses: Sequence[str],
    annotations: Sequence[Mapping[str, Any]],
    tables: Tables,
    nouns: Nouns,
    similar: Similarity,
    groups: Sequence[Hashable] | None = None,
) -> Metrics:
    """CHAIR, Cover, Hal and Cog by the published rule, as fractions of what the script prints in percent.

    Args:
        responses: a caption a picture.
        annotations: of each picture, `truth` (what is there) and `hallu` (what one expects to be there, and is not).
        tables: which words are objects, and which stand for which.
        nouns: finds the nouns of a caption, in the singular.
        similar: the likeness of two words. It is asked once for each pair of words.
        groups: what intervals are clustered by; the captions themselves where it is not given.
    """
    ask = cache(lambda one, other: similar(one, other) > ALIKE)

    def counts(response: str, annotation: Mapping[str, Any]) -> Counts:
        true, true_of = tables.expanded(annotation["truth"])
        expected, expected_of = tables.expanded(annotation["hallu"])
        covered, named, wrong, all_nouns = set(), set(), 0, 0
        for noun in nouns(response):
            if noun not in tables.vocabulary:
                continue
            all_nouns += 1
            if noun in tables.safe:
                continue
            if noun in true:
                covered.add(true_of[true.index(noun)])
                continue
            if noun in expected:
                named.add(expected_of[expected.index(noun)])
            like_expected = next((place for place, word in enumerate(expected) if ask(noun, word)), None)
            if like_expected is not None:
                named.add(expected_of[like_expected])
            like_true = next((place for place, word in enumerate(true) if ask(noun, word)), None)
            if like_true is None:
                wrong += 1
            else:
                covered.add(true_of[like_true])
        return wrong, all_nouns, len(covered), len(named)

    found = [counts(response, annotation) for response, annotation in zip(responses, annotations, strict=True)]
    sizes = [(len(annotation["truth"]), len(annotation["hallu"])) for annotation in annotations]
    return _metrics(found, sizes, groups or range(len(found)), rounded=True)


def strict_generative(
    responses: Sequence[str],
    annotations: Sequence[Mapping[str, Any]],
    tables: Tables,
    groups: Sequence[Hashable] | None = None,
) -> Metrics:
    """The four scores by the strict rule, and the share of captions without any word; arguments as above."""
    found, sizes = [], []
    for response, annotation in zip(responses, annotations, strict=True):
        there, expected = ({word: {word, *tables.associations[word]} for word in annotation[key]} for key in _LISTS)
        true = set().union(*there.values())
        named = [noun for noun in listed_nouns(response, tables) if noun not in tables.safe]
        wrong = [noun for noun in named if noun not in true]
        covered = sum(not words.isdisjoint(named) for words in there.values())
        imagined = sum(not words.isdisjoint(wrong) for words in expected.values())
        found.append((len(wrong), len(listed_nouns(response, tables)), covered, imagined))
        sizes.append((len(there), len(expected)))
    groups = groups or range(len(found))
    empty = Metric([not response.strip() for response in responses], [1] * len(found), groups)
    return {**_metrics(found, sizes, groups, rounded=False), "empty": empty}


_LISTS = ("truth", "hallu")


def _metrics(
    found: Sequence[Counts], sizes: Sequence[tuple[int, int]], groups: Sequence[Hashable], rounded: bool
) -> Metrics:
    wrong, nouns, covered, named = (list(side) for side in zip(*found, strict=True)) if found else ([],) * 4
    ones = [1] * len(found)
    sides = {
        "chair": (wrong, nouns),
        "cover": (covered, [size for size, _ in sizes]),
        "hal": ([count > 0 for count in wrong], ones),
        "cog": (named, [size for _, size in sizes]),
    }
    printed: dict[str, float | None] = dict.fromkeys(sides)
    if rounded and found:
        shares = {name: sum(top) / (START + sum(bottom)) for name, (top, bottom) in sides.items()}
        printed = {name: round(share * 100, 1) / 100 for name, share in shares.items()}
        clean = sum(count == 0 for count in wrong)
        printed["hal"] = round(100 - clean / (START + len(found)) * 100, 1) / 100
    return {name: Metric(top, bottom, groups, printed[name]) for name, (top, bottom) in sides.items()}

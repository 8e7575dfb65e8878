"""AMBER's generative part: what a caption names, held against what is there and what one expects to be there.

Four scores, all over the nouns of AMBER's tables (`amber_words.py`):

* CHAIR: hallucinated nouns of all nouns.
* Cover: objects that are there and are named, of all objects that are there.
* Hal: captions with a hallucinated noun.
* Cog: expected but absent objects that are named, of all such objects. It tells habit from chance.

A model that says little has a good CHAIR and a good Hal, and a bad Cover. An empty caption hallucinates nothing.

`score_generative` is the published rule with its oddities: a noun counts as named by the first word that fits; a noun
that is expected but absent can still be forgiven, when it is like a true word; denominators start at 0.001; scores are
rounded to a tenth of a percent. `strict_generative` is ours: words of the tables as written, nothing alike, no
rounding, an object covered whenever any of its words is named.
"""

from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from typing import Any

from mmhallu_core.evaluate.amber_words import Nouns, Similarity, Tables, listed_nouns
from mmhallu_core.evaluate.benchmark import Metric, Metrics

ALIKE = 0.8  # The published threshold of likeness.
START = 0.001  # What the published script starts its denominators at.
Counts = tuple[int, int, int, int]  # Of a caption: hallucinated nouns, nouns, covered objects, expected ones named.


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

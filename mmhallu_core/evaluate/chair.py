"""CHAIR: which objects does a caption name that are not in the picture?

The measure is Rohrbach et al., "Object Hallucination in Image Captioning" (EMNLP 2018), and it needs only two things:
the objects that are there, and a vocabulary that finds the objects a caption names. Then

    CHAIR_i = hallucinated mentions / all mentions            (how many of the named objects are not there)
    CHAIR_s = captions with a hallucinated mention / captions (how many captions are not to be trusted)

A model that says little hallucinates little, so three more numbers always stand beside them: recall (the share of the
objects there that are named), the mean length, and the share of empty captions.

Two sets of rules find the mentions:

`rules="2018"` gives what the published script gives, mistakes included, for comparison with published tables.
`rules="fixed"` repairs these:

* "bus", "ties", "canoes", "collies", "thieves" and others were lost to a wrong singular; here the plurals of the
  vocabulary's own terms are looked up instead, so a word is found exactly when it is a form of a term;
* terms with a stray leading space (" motor bike", " cheesecake") or a capital (iPhone) could never match;
* first words in the plural ("sports ball", "tennis racket") were cut to "sport" and "tenni" and never matched as pairs;
* the three-word term "stove top oven" counted as two ovens; here the longest term wins;
* two words for one thing ("tv monitor", "pickup truck", "panda bear") counted as two mentions of it; here neighbours
  that name the same object by different terms, with nothing but blanks between them, are one;
* a missing space after a full stop ("a dog.it runs") or a slash ("dog/cat") hid the words beside it.

The ground truth of the COCO photos is the same for both: it was made with the 2018 rules.

What was right is kept: a baby elephant is no person, a passenger train is a train, a toilet seat is no chair, and
neither a train track nor a home plate is counted.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from mmhallu_core.data.answers import thinking
from mmhallu_core.data.vocabulary import Vocabulary
from mmhallu_core.evaluate.words import singular_2018, treebank_words
from mmhallu_core.statistics import DRAWS, ratio, ratio_interval
from mmhallu_core.types import Answer, CannotRun

RULES = ("2018", "fixed")
_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")  # Letters and digits, with hyphens and apostrophes inside.


@dataclass(frozen=True)
class Mention:
    """One place where a caption names an object: `caption[start:end]`, whose first word is number `word` (from 0)."""

    object: str
    start: int
    end: int
    word: int
    hallucinated: bool


def chair_mentions(
    caption: str, objects: Collection[str], vocabulary: Vocabulary, rules: str = "2018"
) -> list[Mention]:
    """Finds every object that a caption names, in order, and says which are not in the picture.

    Args:
        caption: what the model wrote.
        objects: names of the objects in the picture.
        vocabulary: which words name which object.
        rules: "2018" or "fixed", see the top of this file.

    Raises:
        CannotRun: for other rules.
    """
    if rules not in RULES:
        raise CannotRun(f"no such rules: {rules!r}; choose one of {', '.join(RULES)}")
    found = _mentions_2018(caption, vocabulary) if rules == "2018" else _mentions_fixed(caption, vocabulary)
    return [Mention(name, start, end, word, name not in objects) for name, start, end, word in found]


Found = list[tuple[str, int, int, int]]  # A term, or the object it names; start; end; number of its first word.


def _mentions_2018(caption: str, vocabulary: Vocabulary) -> Found:
    """The published procedure: singular of each word, then pairs from left to right, then terms."""
    words = treebank_words(caption)
    singulars = [singular_2018(word.text) for word in words]
    merged, number = [], 0
    while number < len(words):
        pair = " ".join(singulars[number : number + 2])
        joined = pair in vocabulary.doubles
        term = vocabulary.doubles[pair] if joined else singulars[number]
        last = number + joined if number + 1 < len(words) else number
        merged.append((term, words[number].start, words[last].end, number))
        number += 1 + joined
    return _terms(merged, vocabulary.terms)


def _mentions_fixed(caption: str, vocabulary: Vocabulary) -> Found:
    """The repaired procedure: the longest written form of a term at each place, singular or plural."""
    words = list(_WORD.finditer(caption))
    lowered = [re.sub(r"['’]s?$", "", word.group().lower()) for word in words]
    longest = max(map(len, vocabulary.forms), default=0)
    merged, number = [], 0
    while number < len(words):
        sizes = range(min(longest, len(words) - number), 0, -1)
        size = next((n for n in sizes if tuple(lowered[number : number + n]) in vocabulary.forms), 0)
        if size:
            term = vocabulary.forms[tuple(lowered[number : number + size])]
            last = number + size - 1
            merged.append((term, words[number].start(), words[last].start() + len(lowered[last]), number))
        number += size or 1
    return _terms(_compounds(merged, caption, vocabulary.terms), vocabulary.terms)


def _compounds(found: Found, caption: str, terms: Mapping[str, str]) -> Found:
    """Makes one of neighbours that name one object by different terms: a tv monitor is one tv."""
    joined: Found = []
    used: set[str] = set()  # the terms of the last entry of `joined`; a repeated word is another mention
    for term, start, end, word in found:
        name, before = terms.get(term), joined[-1] if joined else None
        same = before is not None and bool(name) and terms.get(before[0]) == name
        if same and term not in used and caption[before[2] : start].isspace():
            joined[-1] = (*before[:2], end, before[3])
        else:
            joined.append((term, start, end, word))
            used = set()
        used.add(term)
    return joined


def _terms(merged: Found, terms: Mapping[str, str]) -> Found:
    """Keeps the terms and names their objects. Where a toilet is named, a seat is the toilet's and not a chair."""
    named = {entry[0] for entry in merged}
    if "toilet" in named and "seat" in named:
        merged = [entry for entry in merged if entry[0] != "seat"]
    return [(terms[term], start, end, word) for term, start, end, word in merged if term and term in terms]


def score_chair(
    captions: Sequence[Answer],
    truth: Mapping[str, Collection[str]],
    vocabulary: Vocabulary,
    rules: str = "2018",
    draws: int = DRAWS,
) -> dict[str, Any]:
    """Scores captions, with bootstrap intervals over pictures (a picture's captions are drawn together).

    Args:
        captions: one record per caption; the picture is `image_id`, or `id` where that is not given. As in the
            published script, each caption of a picture counts.
        truth: image id to the names of the objects in it.
        vocabulary: which words name which object.
        rules: "2018" or "fixed".
        draws: bootstrap samples.

    Returns:
        `n, images, chair_i, chair_s, recall, mean_length, empty, rules, ci`, and the counts `mentions`,
        `hallucinated`. A score with nothing in its denominator is None. Lengths are in words cut at single spaces,
        which gives the lengths of the POPE paper's table 1. Where a model thought aloud,
        `thinking`: see `data.answers.thinking`.

    Raises:
        CannotRun: when there are no captions, or a caption's picture is not in the ground truth. (The script in common
            use counts every word of such a caption as hallucinated.)
    """
    if not captions:
        raise CannotRun("no captions to score")
    images = [caption.image_id or caption.id for caption in captions]
    unknown = [image for image in dict.fromkeys(images) if image not in truth]
    if unknown:
        listed = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise CannotRun(f"{len(unknown)} of {len(set(images))} images are not in the ground truth: {listed}")
    parts = chair_parts([caption.answer for caption in captions], [truth[image] for image in images], vocabulary, rules)
    wrong, named = parts["chair_i"]
    return {
        "n": len(captions),
        "images": len(set(images)),
        **{name: ratio(top.sum(), bottom.sum()) for name, (top, bottom) in parts.items()},
        "rules": rules,
        "mentions": int(named.sum()),
        "hallucinated": int(wrong.sum()),
        "ci": {name: ratio_interval(top, bottom, images, draws) for name, (top, bottom) in parts.items()},
        **thinking(captions),
    }


def chair_parts(
    captions: Sequence[str], truth: Sequence[Collection[str]], vocabulary: Vocabulary, rules: str
) -> dict[str, tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]]:
    """What each score counts, and out of what, caption by caption.

    Args:
        captions, truth: texts, and the objects of each one's picture.
        vocabulary, rules: as in `chair_mentions`.
    """
    rows = []
    for caption, objects in zip(captions, map(set, truth), strict=True):
        mentions = chair_mentions(caption, objects, vocabulary, rules)
        wrong = sum(mention.hallucinated for mention in mentions)
        hits = len(objects & {mention.object for mention in mentions})
        length = len(caption.strip().split(" ")) if caption.strip() else 0
        rows.append((len(mentions), wrong, wrong > 0, hits, len(objects), length, length == 0))
    named, wrong, any_wrong, hits, there, length, empty = np.array(rows, dtype=float).T
    one = np.ones(len(rows))
    return {
        "chair_i": (wrong, named),
        "chair_s": (any_wrong, one),
        "recall": (hits, there),
        "mean_length": (length, one),
        "empty": (empty, one),
    }

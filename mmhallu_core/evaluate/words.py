"""From a caption to words, as the Penn Treebank convention cuts them, each with its place in the caption.

CHAIR (2018) cut captions with the `word_tokenize` of nltk: first into sentences (the Punkt method, Kiss and Strunk
2006), then each sentence into words (the Treebank convention). The order matters because only the last full stop of a
sentence is cut off: without the first step, "a dog. it runs" holds the word "dog." and the dog is never counted.

This file follows both steps for lower-case text without nltk's trained data. On lower-case text nearly all of what
Punkt learned is idle (it knows where sentences start by their capitals), and what remains is a short list: a full stop
ends a sentence unless it follows an abbreviation, a single letter, a number, or other full stops.
"""

import re
from typing import NamedTuple


class Word(NamedTuple):
    """A word and where it stands: `text[start:end]` in the caption."""

    text: str
    start: int
    end: int


# A full stop after one of these is no sentence end. Punkt learned some 150 from news text; these can occur in captions.
ABBREVIATIONS = frozenset(
    """mr mrs ms dr prof st jr sr vs co corp inc ltd ave ft wash ok col gen rep sen gov maj p.m a.m u.s u.k u.n
    u.s.a n.y d.c l.a ph.d jan feb aug sept sep oct nov dec mon tues wed fri va fla calif ill mich ore wis conn ct la
    ga pa vt ala ariz tenn minn okla""".split()
)
_STOP = re.compile(r"\.(?=[\"')\]}]*\s)")  # A full stop, perhaps with closing marks, before a space.
_UNFINISHED = re.compile(r"(?:^|.*-)(?:[^\W\d_]|-?[.,]?\d[\d,.-]*)$|.*\.$")  # A letter, a number, or more full stops.
_LAST = re.compile(r"[^\s)\";}\]*:@'({\[!?]*$")  # The word that a full stop follows.

# The Treebank cuts, in the order in which they apply. Each puts spaces around the thing that is a word of its own.
_CUTS = [
    (re.compile(r"[«“‘„]|`+"), r" \g<0> "),
    (re.compile(r"(?<!\w)'(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)"), "' "),  # An opening quote, not a clitic: 'hello
    (re.compile(r"(?<=[^.])\.(?=[\])}>\"'»”’ ]*\s*$)"), " . "),  # The last full stop of the sentence.
    (re.compile(r"([:,])(\D|$)"), r" \1 \2"),  # Not in 3,000 or 9:30.
    (re.compile(r"\.{2,}|[;@#$%&?!*\u2012-\u2015]"), r" \g<0> "),
    (re.compile(r"(?<=[^'])'(?= )"), " ' "),
    (re.compile(r"[\]\[(){}<>]|--"), r" \g<0> "),
    (re.compile(r"[»”’\"]|''"), r" \g<0> "),
    (re.compile(r"(?<=[^' ])('(?:ll|re|ve|s|m|d|)|n't)(?=\s|$)"), r" \1"),
    (re.compile(r"\b(?:can(?=not\b)|gim(?=me\b)|gon(?=na\b)|got(?=ta\b)|lem(?=me\b)|wan(?=na\b))"), r"\g<0> "),
    (re.compile(r"\bd(?='ye\b)|\bmore(?='n\b)|(?<=\s)'t(?=(?:is|was)\b)"), r"\g<0> "),
]


def sentences(text: str) -> list[tuple[int, int]]:
    """Spans of the sentences of a lower-case text. Together they cover the text without overlap."""
    spans, start = [], 0
    for stop in _STOP.finditer(text):
        word = _LAST.search(text, start, stop.start()).group()
        if word in ABBREVIATIONS or word.rsplit("-", 1)[-1] in ABBREVIATIONS:
            continue
        if _UNFINISHED.match(word) and text[stop.end()].isspace():  # A closing mark after a number does end it.
            continue
        end = stop.end()
        while end < len(text) and not text[end].isspace():  # Closing marks belong to the sentence that they close.
            end += 1
        spans.append((start, end))
        start = end
    if text[start:].strip():
        spans.append((start, len(text)))
    return spans


def treebank_words(text: str) -> list[Word]:
    """The words of a text in lower case, by the Treebank convention, sentence by sentence.

    Double quotes stay as they are (nltk rewrites them as `` and ''); nothing else is changed, so each word is found
    again in the caption at `start`.
    """
    # A few letters become two when lowered; they stay as they are, so that places keep their meaning.
    lower = "".join(small if len(small := letter.lower()) == 1 else letter for letter in text)
    words = []
    for start, end in sentences(lower):
        sentence = lower[start:end]
        for pattern, replacement in _CUTS:
            sentence = pattern.sub(replacement, sentence)
        place = start
        for word in sentence.split():
            place = lower.index(word, place)
            words.append(Word(word, place, place + len(word)))
            place += len(word)
    return words

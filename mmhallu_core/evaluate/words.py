"""The words of a caption as CHAIR's 2018 script had them: cut by the Penn Treebank convention, then made singular.

The script cut captions with nltk's `word_tokenize`: into sentences (the Punkt method, Kiss and Strunk 2006), then each
into words (the Treebank convention), which cuts off only the last full stop: "a dog. it runs" must become two
sentences, or the dog is never counted. nltk's trained data are not needed here: in lower-case text a full stop ends a
sentence unless it follows an abbreviation, a single letter, a number, or other full stops.

Singulars came from Pattern, whose rules live on in PatternLite 3.6 (BSD licence; De Smedt and Daelemans, "Pattern for
Python", JMLR 2012). Published CHAIR numbers contain its mistakes: "bus" becomes "bu", so the word bus is never counted
while buses is. `singular_2018` makes the same ones. The first rule that fits decides:

1. endings of a listed word that has no plural stay as they are ("scissors", but also "ears", an ending of "shears");
2. words that end in a listed -ies word stay as they are ("cookies": a mistake that costs CHAIR nothing but "collies");
3. listed irregular endings are replaced ("women" by way of "men", but also "four" by way of "our");
4. the table of endings, down to: a final s is dropped.
"""

import re
from functools import lru_cache
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


# ---------------------------------------------------------------- singulars

_NO_PLURAL = """
    advice bison bread bream breeches britches butter carp chassis cheese christmas clippers cod contretemps corps
    debris diabetes djinn eland electricity elk equipment flounder fruit furniture gallows garbage georgia graffiti
    gravel happiness headquarters herpes high-jinks homework information innings jackanapes ketchup knowledge love
    luggage mackerel mathematics mayonnaise measles meat mews mumps mustard news pincers pliers proceedings progress
    rabies research rice salmon sand scissors series shears software species swine swiss trout tuna understanding water
    whiting wildebeest""".split()
_UNCHANGED = frozenset(word[start:] for word in _NO_PLURAL for start in range(len(word) + 1))

_KEPT_IES = tuple(
    f"{stem}ies"
    for stem in """alerg aunt bean bird bog bomb coll cook cut dogg eyr freeb goon group hank hipp hoag hott ind junk
    ladd laram linger mean newb night old pix quick rever rook soft sort stool sweet tech tough valkyr vegg ween yupp
    zomb""".split()
)

_IRREGULAR = dict(
    pair.split(":")
    for pair in """atlantes:atlas atlases:atlas axes:axe beeves:beef brethren:brother children:child corpora:corpus
    corpuses:corpus ephemerides:ephemeris feet:foot ganglia:ganglion geese:goose genera:genus genii:genie helves:helve
    kine:cow leaves:leaf loaves:loaf men:man mongooses:mongoose monies:money moves:move mythoi:mythos numena:numen
    occipita:occiput octopodes:octopus opera:opus opuses:opus our:my oxen:ox penes:penis penises:penis people:person
    sexes:sex soliloquies:soliloquy teeth:tooth testes:testis trilbys:trilby turves:turf zoa:zoon
    graffiti:graffito""".split()
)

_PREPOSITIONS = frozenset(
    """about above across after among around at athwart before behind below beneath beside besides between betwixt
    beyond but by during except for from in into near of off on onto out over since till to under until unto upon
    with""".split()
)

# (what stands before, the ending, what it becomes). "." is any letter, "^" the start of the word, "" no condition.
_ENDINGS = [
    (".", "ae", "a"), (".", "itis", "itis"), (".", "eaux", "eau"), ("quiz", "zes", ""), ("matr", "ices", "ix"),
    ("ap|ind|vert", "ices", "ex"), ("alias|status", "es", ""), ("[octpvir]", "i", "us"), ("cris|ax|test", "es", "is"),
    ("shoe", "s", ""), ("o", "es", ""), ("bus", "es", ""), ("[ml]", "ice", "ouse"), ("x|ch|ss|sh", "es", ""),
    ("m", "ovies", "ovie"), (".", "ombies", "ombie"), ("s", "eries", "eries"), ("[^aeiouy]|qu", "ies", "y"),
    # Words in -f and -fe.
    ("[aeo]l", "ves", "f"), ("[^d]ea", "ves", "f"), ("", "arves", "arf"), ("", "erves", "erve"),
    ("[nlw]i", "ves", "fe"), ("[lr]", "ves", "f"), ("[aeo]", "ves", "ve"), ("sive|tive|hive", "s", ""),
    ("[^f]", "ves", "fe"),
    # Words in -sis. "reanalyses" gains a letter: the original writes one group twice.
    ("^analy", "ses", "sis"), ("analy", "ses", "asis"), ("ba|diagno|parenthe|progno|synop|the", "ses", "sis"),
    (".", "opses", "opsis"), (".", "yses", "ysis"), ("h|d|r|o|n|b|cl|p", "oses", "ose"),
    ("fruct|gluc|galact|lact|ket|malt|rib|sacchar|cellul", "ose", "ose"), (".", "oses", "osis"),
    ("[ti]", "a", "um"), ("n", "ews", "ews"), ("", "s", ""),
]  # fmt: skip


def _pattern(before: str, ending: str) -> re.Pattern:
    """Compiles a condition and an ending; each alternative gets its own look-behind, since Python wants fixed
    widths."""
    looks = "|".join(f"(?<={one})" for one in before.split("|"))
    return re.compile(f"(?:{looks}){ending}$" if before else f"{ending}$")


_RULES = [(_pattern(before, ending), result) for before, ending, result in _ENDINGS]


@lru_cache(maxsize=100_000)
def singular_2018(word: str) -> str:
    """The singular of a lower-case word as PatternLite 3.6 gives it, mistakes included."""
    first, *rest = word.split("-")
    if rest and rest[0] in _PREPOSITIONS:  # mothers-in-law
        return "-".join([singular_2018(first), *rest])
    if word.endswith("'"):  # dogs' becomes dog's
        return singular_2018(word[:-1]) + "'s"
    if word in _UNCHANGED or word.endswith(_KEPT_IES):
        return word
    for plural, singular in _IRREGULAR.items():
        if word.endswith(plural):
            return word.removesuffix(plural) + singular
    if word.startswith("oxen"):  # The original forgot to ask for the end of the word.
        return "ox" + word[4:]
    for pattern, result in _RULES:
        if pattern.search(word):
            return pattern.sub(result, word)
    return word

"""The singular of an English word, right or wrong in exactly the way that CHAIR's 2018 script had it.

CHAIR (Rohrbach et al., "Object Hallucination in Image Captioning", EMNLP 2018) took singulars from the library
Pattern, whose rules live on in PatternLite 3.6 (BSD licence; De Smedt and Daelemans, "Pattern for Python", JMLR 2012).
Published CHAIR numbers contain its mistakes: "bus" becomes "bu", so the word bus is never counted while buses is;
"ties" becomes "ty". To compare with a published number one has to make the same mistakes, and this file does.
`rules="fixed"` in `evaluate/chair.py` does not use it.

The rules apply from top to bottom and the first that fits decides:

1. endings of a listed word that has no plural stay as they are ("scissors", but also "ears", an ending of "shears");
2. words that end in a listed -ies word stay as they are ("cookies": a mistake that costs CHAIR nothing but "collies");
3. listed irregular endings are replaced ("women" by way of "men", but also "four" by way of "our");
4. the table of endings, down to: a final s is dropped.
"""

import re
from functools import lru_cache

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

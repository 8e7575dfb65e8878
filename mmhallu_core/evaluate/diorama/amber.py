"""AMBER's twin: yes/no questions about existence, attributes and relations, and scenes to describe.

AMBER's questions of existence are all to be answered with no, two thirds of all its answers are no, and "no" is its
positive class: a model that always says no has an F1 of 0.8. Here as many answers are yes as no, for each object. (F1
still rewards the one who always says no, with two thirds where a coin gets one half; accuracy does not.)

The scenes to describe come with what is there and with what one expects to be there and is not: the most typical things
of the place that are missing. The words that may stand for an object are in `amber_tables`, in the form of AMBER's own
table; in Diorama each thing has one name.
"""

import random
from pathlib import Path

from mmhallu_core.evaluate.diorama import yes_no
from mmhallu_core.evaluate.diorama.chair import PROMPT, alike_frequent
from mmhallu_core.evaluate.diorama.making import Undrawn, evenly, fair_labels, pool
from mmhallu_core.evaluate.diorama.pairs import words
from mmhallu_core.world.prior import TYPICAL
from mmhallu_core.world.vocabulary import KINDS

TABLES = Path(__file__).with_name("amber_tables")
CAPTIONS = 5  # one scene to describe for so many questions
# AMBER's kinds of question: the maker, and the things that can be asked about.
MAKERS = {
    "discriminative-hallucination": (yes_no.existence, tuple(KINDS)),
    "discriminative-attribute-state": (yes_no.look, tuple(KINDS)),
    "discriminative-attribute-number": (yes_no.more, tuple(KINDS)),
    "discriminative-attribute-action": (yes_no.action, yes_no.ACTORS),
    "discriminative-relation": (yes_no.relation, tuple(KINDS)),
}


def drafts(n: int, seed: int) -> list[Undrawn]:
    """n yes/no questions, and one scene to describe for each five of them."""
    return [*questions(n, seed), *captions(n // CAPTIONS, seed)]


def questions(n: int, seed: int) -> list[Undrawn]:
    """n yes/no questions, as many of each kind."""
    rng, scenes = random.Random(f"twin/amber/{seed}"), pool(seed)
    asked = []
    for number, (name, (_, things)) in enumerate(MAKERS.items()):
        asked += [(name, thing) for thing in evenly(things, len(range(number, n, len(MAKERS))), rng)]
    made = []
    labels = fair_labels([thing for _, thing in asked], rng)
    for number, ((name, thing), truth) in enumerate(zip(asked, labels, strict=True)):
        scene, question = MAKERS[name][0](scenes, rng, thing, truth)
        about = {"kind": name, "object": thing}
        made.append(Undrawn(f"question/{number:04d}", question.text, words(question.answer), (scene,), about=about))
    return made


def captions(n: int, seed: int) -> list[Undrawn]:
    """n scenes to describe."""
    made = []
    for number, scene in enumerate(alike_frequent(n, f"amber/{seed}")):
        there = scene.kinds()
        expected = [kind for kind in TYPICAL[scene.place] if kind not in there]
        about = {"kind": "generative", "tables": str(TABLES), "truth": there, "hallu": expected}
        made.append(Undrawn(f"caption/{number:04d}", PROMPT, ", ".join(there), (scene,), about=about))
    return made

"""The twins of SpatialSense and R-Bench: yes/no questions about relations.

SpatialSense was collected to be hard for whoever guesses from the words: people looked for relations that are likely
and do not hold. R-Bench's published answers are mostly yes, so its authors drew balanced subsets. Here each pair of
things is asked about in both orders, and as many answers are yes as no, for each thing that a question is about; so
R-Bench's twin needs one subset only, the whole.

Four of SpatialSense's nine relations exist in Diorama. R-Bench's twin also asks what people and animals do.
"""

import random
import re

from mmhallu_core.evaluate.diorama import yes_no
from mmhallu_core.evaluate.diorama.making import Undrawn, evenly, fair_labels, pool
from mmhallu_core.evaluate.diorama.pairs import words
from mmhallu_core.world.vocabulary import KINDS

ASKED = re.compile(r"Is the (\w+) (.+) the (\w+)\?")


def spatialsense(n: int, seed: int) -> list[Undrawn]:
    """n questions about where things stand to each other."""
    rng, scenes = random.Random(f"twin/spatialsense/{seed}"), pool(seed)
    kinds = evenly(tuple(KINDS), n, rng)
    made = []
    for number, (kind, truth) in enumerate(zip(kinds, fair_labels(kinds, rng), strict=True)):
        scene, question = yes_no.relation(scenes, rng, kind, truth)
        subject, relation, other = ASKED.fullmatch(question.text).groups()
        about = {"relation": relation, "subject": subject, "object": other}
        made.append(Undrawn(f"{number:04d}", question.text, words(question.answer), (scene,), about=about))
    return made


def rbench(n: int, seed: int) -> list[Undrawn]:
    """n questions, two of three about where things stand to each other, one about what somebody is doing."""
    rng, scenes = random.Random(f"twin/rbench/{seed}"), pool(seed)
    rows = [(yes_no.relation, kind) for kind in evenly(tuple(KINDS), n - n // 3, rng)]
    rows += [(yes_no.action, kind) for kind in evenly(yes_no.ACTORS, n // 3, rng)]
    labels = fair_labels([(make.__name__, kind) for make, kind in rows], rng)
    made = []
    for number, ((make, kind), truth) in enumerate(zip(rows, labels, strict=True)):
        scene, question = make(scenes, rng, kind, truth)
        about = {"subsets": [1], "object": kind, "category": make.__name__}
        made.append(Undrawn(f"{number:04d}", question.text, words(question.answer), (scene,), about=about))
    return made

"""CRPE's twin: existence and relations, each question four times with its options moved round.

Which option is right is drawn before the scene, so a single copy is answered right without looking one time in four.
A rule that sticks to one letter is right in one copy of the four, never in all. A rule that sticks to one *option* is
right in all copies or in none: a quarter of the questions, where guesses get one in 256. That is how circular copies
work, here as in CRPE: they stop a habit of letters, not a habit of words; the die stops that one, at a quarter.
"""

import random

from mmhallu_core.evaluate.diorama import choices
from mmhallu_core.evaluate.diorama.making import Undrawn, evenly, lettered, pool
from mmhallu_core.evaluate.diorama.yes_no import ACTORS
from mmhallu_core.world.vocabulary import KINDS, PEOPLE

# CRPE's four categories: what they ask, and about which kinds.
MAKERS = {
    "existence": (choices.presence, tuple(KINDS)),
    "subject": (choices.beside, choices.GROUNDED),
    "predicate": (choices.action, tuple(kind for kind in ACTORS if kind in PEOPLE)),  # the others have three poses
    "object": (choices.holding, PEOPLE),
}


def drafts(n: int, seed: int) -> list[Undrawn]:
    """n questions (a multiple of four): each draw in four circular copies."""
    rng, scenes = random.Random(f"twin/crpe/{seed}"), pool(seed)
    made = []
    for group, (category, kind, rank) in enumerate(_rows(n // choices.MOST, rng)):
        choice = MAKERS[category][0](scenes, rng, kind, rank)
        for turn in range(choices.MOST):
            options = choice.options[turn:] + choice.options[:turn]
            right = (choice.right - turn) % choices.MOST
            prompt, truth, placed = lettered(choice.text, options, right, right)
            about = {"category": category, "group": str(group), "picture": f"{group}", "copies": choices.MOST}
            about["object"] = choice.about
            made.append(Undrawn(f"{group}/{turn}", prompt, truth, choice.scenes, placed, about))
    return made


def _rows(n: int, rng: random.Random) -> list[tuple[str, str, int]]:
    """Category, kind, and rank of the right option; ranks are even in each category, and for each kind as can be."""
    rows = []
    for number, (category, (_, kinds)) in enumerate(MAKERS.items()):
        order = rng.sample(kinds, len(kinds))
        cards = sorted(evenly(kinds, len(range(number, n, len(MAKERS))), rng), key=order.index)
        rows += [(category, kind, rank) for rank, kind in enumerate(cards)]
    return rng.sample(rows, n)

"""MMStar's twin: coarse perception (which place is this?) and fine-grained perception (colours, poses, sides, numbers).

MMStar's own questions were picked because models fail them without the picture. Here that holds by construction: the
options and the right one are drawn first, and every letter is right equally often.
"""

import random

from mmhallu_core.evaluate.diorama import choices
from mmhallu_core.evaluate.diorama.choices import Choice
from mmhallu_core.evaluate.diorama.making import ScenePool, Undrawn, pool
from mmhallu_core.evaluate.diorama.yes_no import ACTORS, LOOKS
from mmhallu_core.world.vocabulary import KINDS

COARSE, FINE = "coarse perception", "fine-grained perception"
FINER = {COARSE: ("image scene and topic",), FINE: ("attribute", "action", "location", "object counting")}


def drafts(n: int, seed: int) -> list[Undrawn]:
    """n questions, half of them coarse; two to four options."""
    rng, scenes = random.Random(f"twin/mmstar/{seed}"), pool(seed)
    made = []
    for category, names in FINER.items():
        count = n // 2 + (n % 2 and category == COARSE)
        for number, finer in enumerate(names):
            about = {"category": category, "subcategory": f"{category}/{finer}"}
            for rank in choices.ranks(len(range(number, count, len(names))), rng):
                made.append((about, _draw(scenes, rng, finer, rank)))
    return choices.with_letters(rng.sample(made, n), rng)


def _draw(scenes: ScenePool, rng: random.Random, finer: str, rank: int) -> Choice:
    if finer == "image scene and topic":
        return choices.place(scenes, rng, rank)
    if finer == "attribute":
        return choices.look(scenes, rng, rng.choice(tuple(KINDS)), rank, rng.choice(tuple(LOOKS)))
    if finer == "action":
        return choices.action(scenes, rng, rng.choice(ACTORS), rank)
    maker = choices.where if finer == "location" else choices.number
    return maker(scenes, rng, rng.choice(choices.GROUNDED), rank)

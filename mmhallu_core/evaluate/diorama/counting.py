"""Counting in Diorama: none to four of a kind, four numbers to choose from, each as likely as the others.

There is no benchmark called counting; several have a part of this name (BLINK, MME, MMStar's fine perception), and MED
reports BLINK's. In the world one dog is much likelier than three, so a model that never looks but knows the world says
"one". Here three dogs are as frequent as one among options that hold both. The rules are those of BLINK's task, so it
is scored as a BLINK of one subtask.
"""

import random
from dataclasses import replace

from mmhallu_core.evaluate.benchmark import Benchmark
from mmhallu_core.evaluate.diorama import choices
from mmhallu_core.evaluate.diorama.making import Undrawn, evenly, pool


def drafts(n: int, seed: int) -> list[Undrawn]:
    """n questions with four options, as many about each kind."""
    rng, scenes = random.Random(f"twin/counting/{seed}"), pool(seed)
    rows = zip(evenly(choices.GROUNDED, n, rng), choices.ranks(n, rng), strict=True)
    made = [({"category": "Counting"}, choices.number(scenes, rng, kind, rank)) for kind, rank in rows]
    return choices.with_letters(made, rng)


def scorers() -> Benchmark:
    """BLINK's scorers, under the name of counting."""
    from mmhallu_core.evaluate.benchmarks.blink import BENCHMARKS

    return replace(BENCHMARKS[0], name="counting", title="Counting: how many are there")

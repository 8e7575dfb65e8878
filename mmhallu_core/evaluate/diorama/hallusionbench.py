"""HallusionBench's twin: control groups, that is, a picture, its edited form, and the same yes/no questions of both.

A set has two figures and two questions. One question is about what the edit changed, so its answer is yes on one figure
and no on the other. One is about something else, so its answer stays; which answer, a die says. A model that answers by
the words alone is then right half of the time (aAcc), and gets as many whole figures (fAcc) and as many whole questions
(qAcc) as one that throws coins: a quarter.

Sets of category VS ask what habit has an answer to (is there an umbrella), sets of VD what needs a look at the figure
(of which colour, where, doing what, with which part). HallusionBench's VS also asks without any figure (its figure 0);
the twin does not, because without a figure nothing is true in Diorama. Its VS figures are 1 and 2.
"""

import random

from mmhallu_core.evaluate.diorama.making import ScenePool, Undrawn, evenly, fair_labels, pool
from mmhallu_core.evaluate.diorama.pairs import YES_NO, Flip, flips, words
from mmhallu_core.types import slug
from mmhallu_core.world.language.questions import existence as ask_existence
from mmhallu_core.world.vocabulary import KINDS

VS = ("Object", "Negation")


def drafts(n: int, seed: int) -> list[Undrawn]:
    """n questions (a multiple of four), four a set."""
    rng, scenes = random.Random(f"twin/hallusionbench/{seed}"), pool(seed)
    sets = n // 4
    kinds = evenly(tuple(KINDS), sets, rng)
    made = []
    for number, (edit, kind, there) in enumerate(
        zip(evenly(YES_NO, sets, rng), kinds, fair_labels(kinds, rng), strict=True)
    ):
        flip = _with_control(scenes, rng, edit, kind, there)
        category = "VS" if edit in VS else "VD"
        name = f"{category}/{slug(edit)}/{number}"
        for edited, scene in enumerate(flip.scenes):
            figure = edited + (category == "VS")
            for question, (asked, thing) in enumerate(
                ((flip.ask(scene), flip.kind), (ask_existence(scene, kind), kind))
            ):
                about = {
                    "category": category,
                    "no_figure": False,
                    "edited": bool(edited),
                    "figure": f"{name}/{figure}",
                    "asked": f"{name}/{question}",
                    "reference": asked.spoken,
                    "picture": name,
                    "object": thing,
                }
                truth = words(asked.answer)
                made.append(Undrawn(f"{name}/{figure}/{question}", asked.text, truth, (scene,), about=about))
    return made


def _with_control(scenes: ScenePool, rng: random.Random, category: str, kind: str, there: bool) -> Flip:
    """A flip in which another kind is there, or not, in both pictures."""
    while True:
        flip = flips(scenes, rng, category, say_yes_or_no=True)
        if flip.kind != kind and all(bool(scene.of_kind(kind)) == there for scene in flip.scenes):
            return flip

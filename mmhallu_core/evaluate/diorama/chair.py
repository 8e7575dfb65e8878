"""CHAIR's twin: scenes to describe, with everything that is in them.

A caption of no picture in particular names what is frequent. In these scenes every kind is nearly as frequent as every
other, so naming one is as good as naming another, and a blind caption errs as often as one that names things at random.
Within a place the habits stay: umbrellas stand at the beach.
"""

import itertools
from collections import Counter

from mmhallu_core.evaluate.diorama.making import Undrawn
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.scene import Scene
from mmhallu_core.world.vocabulary import KINDS

PROMPT = "Describe the image."
AHEAD = 2  # how many scenes more than the average kind one may be in


def drafts(n: int, seed: int) -> list[Undrawn]:
    """n scenes to describe; `about["objects"]` holds what is in each."""
    return [
        Undrawn(f"{number:04d}", PROMPT, ", ".join(scene.kinds()), (scene,), about={"objects": scene.kinds()})
        for number, scene in enumerate(alike_frequent(n, f"chair/{seed}"))
    ]


def alike_frequent(n: int, name: str) -> list[Scene]:
    """n scenes of the world, as they come, without those that would make a kind more frequent than the others."""
    kept: list[Scene] = []
    seen = Counter(dict.fromkeys(KINDS, 0))
    for number in itertools.count():
        scene = sample_scene(f"twin/{name}/{number}")
        if scene.things and max(seen[kind] for kind in scene.kinds()) < seen.total() / len(KINDS) + AHEAD:
            kept.append(scene)
            seen.update(scene.kinds())
        if len(kept) == n:
            break
    return kept

"""Twins whose questions ask for a caption: CHAIR's, and the generative part of AMBER's.

Scenes are chosen so that every kind is nearly as frequent as every other (`scenes.alike_frequent`). AMBER's come with
what is there and with what one expects to be there and is not: the most typical things of the place that are missing.
The words that may stand for an object are in `amber_tables`, in the form of AMBER's own table; in Diorama each thing
has one name.
"""

from pathlib import Path

from mmhallu_core.evaluate.diorama.making import Undrawn
from mmhallu_core.evaluate.diorama.scenes import alike_frequent
from mmhallu_core.world.prior import TYPICAL

PROMPT = "Describe the image."
TABLES = Path(__file__).with_name("amber_tables")


def chair(n: int, seed: int) -> list[Undrawn]:
    """n scenes to describe; `about["objects"]` holds what is in each."""
    return [
        Undrawn(f"{number:04d}", PROMPT, ", ".join(scene.kinds()), (scene,), about={"objects": scene.kinds()})
        for number, scene in enumerate(alike_frequent(n, f"chair/{seed}"))
    ]


def amber(n: int, seed: int) -> list[Undrawn]:
    """n scenes to describe, by AMBER's rules."""
    made = []
    for number, scene in enumerate(alike_frequent(n, f"amber/{seed}")):
        there = scene.kinds()
        expected = [kind for kind in TYPICAL[scene.place] if kind not in there]
        about = {"kind": "generative", "tables": str(TABLES), "truth": there, "hallu": expected}
        made.append(Undrawn(f"caption/{number:04d}", PROMPT, ", ".join(there), (scene,), about=about))
    return made

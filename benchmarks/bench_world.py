"""Diorama is drawn while a model trains, so a scene must cost little: sampled, drawn, with its facts and masks.

Measured as a ratio: the processor time of one new scene at 96 px, after a round to warm up, over that of
filling and reducing one empty picture at the renderer's four-fold resolution, which is what drawing it directly
would cost before the first shape.
"""

import statistics
import sys
import time

import numpy as np
from paired import judge, ratios, rounds, status
from PIL import Image

from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import facts

BOUND = 14.0
ROUNDS, SCENES = 10, 200


def new_scenes(number: int) -> None:
    """Makes SCENES scenes that nobody has drawn before; `number` is that of the round."""
    for seed in range(SCENES * number, SCENES * (number + 1)):
        scene = sample_scene(f"bench-{seed}")
        facts(scene)
        render(scene)


def empty_pictures(number: int) -> None:
    """Fills and reduces SCENES empty pictures."""
    for _ in range(SCENES):
        np.asarray(Image.new("RGB", (384, 384), (200, 220, 240)).reduce(4))


if __name__ == "__main__":
    seconds = rounds({"scenes": new_scenes, "empty": empty_pictures}, ROUNDS, time.process_time)
    verdict = judge(ratios(seconds, "scenes", "empty"), at_most=BOUND)
    print(f"a new scene at 96 px, in empty four-fold pictures (bound {BOUND}): {verdict}")
    print(f"on this machine, one core: {SCENES / statistics.median(seconds['scenes']):.0f} scenes per second")
    sys.exit(status([verdict]))

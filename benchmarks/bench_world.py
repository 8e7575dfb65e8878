"""Diorama is drawn while a model trains, so a scene must cost little: sampled, drawn, with its facts and masks.

Measured as a ratio: the processor time of one new scene at 96 px, caches empty at the start, over that of
filling and reducing one empty picture at the renderer's four-fold resolution, which is what drawing it directly
would cost before the first shape. The two are measured in turns so that a busy machine slows both alike.
"""

import sys
import time

import numpy as np
from PIL import Image

from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import facts

BOUND = 14.0
ROUNDS, SCENES = 10, 200


def new_scenes(first: int) -> float:
    """Returns the processor seconds that SCENES scenes take which nobody has drawn before."""
    started = time.process_time()
    for seed in range(first, first + SCENES):
        scene = sample_scene(f"bench-{seed}")
        facts(scene)
        render(scene)
    return time.process_time() - started


def empty_pictures() -> float:
    """Returns the processor seconds that SCENES empty pictures take."""
    started = time.process_time()
    for _ in range(SCENES):
        np.asarray(Image.new("RGB", (384, 384), (200, 220, 240)).reduce(4))
    return time.process_time() - started


if __name__ == "__main__":
    rounds = [(new_scenes(SCENES * number), empty_pictures()) for number in range(ROUNDS)]
    drawing, filling = (sum(column) / (ROUNDS * SCENES) for column in zip(*rounds, strict=True))
    print(f"a new scene at 96 px: {drawing / filling:.2f} empty four-fold pictures (bound {BOUND})")
    late = SCENES / rounds[-1][0]
    print(f"on this machine, one core: {1 / drawing:.0f} scenes per second, {late:.0f} over the last {SCENES}")
    sys.exit(drawing / filling > BOUND)

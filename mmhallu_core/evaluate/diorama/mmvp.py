"""MMVP's twin: two pictures that differ by one edit, one question with two options, and two different right answers.

MMVP looks for pictures that CLIP takes for alike. Here an edit makes them: the dog is red, then blue; the car stands
left of the tree, then right of it. Both pictures get the same words in the same order, so an answer that does not come
from the picture is right on exactly one of the two: accuracy one half, and never a whole pair. That is less than the
quarter of pairs that independent guesses would get.
"""

import random

from mmhallu_core.evaluate.diorama.making import Undrawn, evenly, lettered, pool
from mmhallu_core.evaluate.diorama.pairs import ANY, flips, words


def drafts(n: int, seed: int) -> list[Undrawn]:
    """n questions (an even number) in pairs, as many of each edit category of `pairs.ANY`."""
    rng, scenes = random.Random(f"twin/mmvp/{seed}"), pool(seed)
    made = []
    for pair, category in enumerate(evenly(ANY, n // 2, rng)):
        flip = flips(scenes, rng, category, say_yes_or_no=False)
        asked = [flip.ask(scene) for scene in flip.scenes]
        options = [words(question.answer) for question in asked]
        first = rng.randrange(2)  # the letter that is right for the first picture
        for number, (scene, question) in enumerate(zip(flip.scenes, asked, strict=True)):
            letter = first if number == 0 else 1 - first
            prompt, truth, placed = lettered(question.text, options, number, letter)
            about = {"pair": pair, "picture": f"pair {pair}", "category": category, "object": flip.kind}
            made.append(Undrawn(str(2 * pair + number + 1), prompt, truth, (scene,), placed, about))
    return made

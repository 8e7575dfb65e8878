"""BLINK's twin: the tasks about two pictures, here two pictures that differ by one edit, or not at all.

* Difference: which of four sentences says what changed? The four are a contrast set (this thing or that one,
  changed one way or the other), so each is as like the others as any; a die says which one the pictures show.
* Which_Picture: of which picture does it hold? The edit made it true, or false; a die ordered the two.
* Same_Or_Not: are the two the same?
* One_Of_Two: a question about one of the two, while the other one has another answer among the options.
"""

import random

from mmhallu_core.evaluate.diorama import choices
from mmhallu_core.evaluate.diorama.choices import Choice, drawn, ranks
from mmhallu_core.evaluate.diorama.differences import FORMS, difference
from mmhallu_core.evaluate.diorama.making import ScenePool, Undrawn, evenly, fair_labels, pool, the
from mmhallu_core.evaluate.diorama.pairs import ANY, YES_NO, flips
from mmhallu_core.evaluate.diorama.yes_no import LOOKS, changed, with_value
from mmhallu_core.world.language.questions import colour as ask_colour
from mmhallu_core.world.vocabulary import KINDS

PICTURES = ("the first image", "the second image")
WHICH = ("Answer based on the first image.", "Answer based on the second image.")
SAME = "Are the two images the same?"


def drafts(n: int, seed: int) -> list[Undrawn]:
    """n questions, as many of each task; two or four options."""
    rng, scenes = random.Random(f"twin/blink/{seed}"), pool(seed)
    made = []
    for number, (task, make) in enumerate(TASKS.items()):
        made += [({"category": task}, one) for one in make(scenes, rng, len(range(number, n, len(TASKS))))]
    return choices.with_letters(made, rng)


def differences(pool: ScenePool, rng: random.Random, n: int) -> list[Choice]:
    """What is different between the two?"""
    rows = zip(evenly(FORMS, n, rng), ranks(n, rng), strict=True)
    return [difference(pool, rng, form, rank) for form, rank in rows]


def which_picture(pool: ScenePool, rng: random.Random, n: int) -> list[Choice]:
    """In which image is the dog red?"""
    made = []
    for category, rank in zip(evenly(YES_NO, n, rng), ranks(n, rng), strict=True):
        flip = flips(pool, rng, category, say_yes_or_no=True)
        asked = [flip.ask(scene) for scene in flip.scenes]
        right = rank % 2  # the place of the picture of which it holds
        scenes = flip.scenes if (asked[right].answer == "Yes.") else flip.scenes[::-1]
        text = asked[0].text.removesuffix("?").removesuffix(" in the image")
        text = f"In which image {text[0].lower()}{text[1:]}?"
        order = rng.sample(range(2), 2)
        options = tuple(PICTURES[number] for number in order)
        made.append(Choice(text, options, order.index(right), scenes, flip.kind))
    return made


def same_or_not(pool: ScenePool, rng: random.Random, n: int) -> list[Choice]:
    """Are the two the same?"""
    made = []
    for category, same in zip(evenly(ANY, n, rng), fair_labels([SAME] * n, rng), strict=True):
        first, second = flips(pool, rng, category, say_yes_or_no=False).scenes
        options = tuple(rng.sample(("yes", "no"), 2))
        made.append(Choice(SAME, options, options.index("yes" if same else "no"), (first, first if same else second)))
    return made


def one_of_two(pool: ScenePool, rng: random.Random, n: int) -> list[Choice]:
    """What colour is the dog, in one of two pictures in which it has two colours?"""
    made = []
    for kind, rank in zip(evenly(tuple(KINDS), n, rng), ranks(n, rng), strict=True):
        options, right = drawn(LOOKS["colour"], rng, rank)
        other = rng.choice([colour for colour in options if colour != options[right]])
        which = rng.randrange(2)
        first = with_value(pool, rng, kind, "colour", options[right])
        scenes = [first, changed(first, the(first, kind), "colour", other)]
        text, shown = ask_colour(first, the(first, kind)).text, tuple(scenes if which == 0 else scenes[::-1])
        made.append(Choice(text, tuple(options), right, shown, kind, WHICH[which]))
    return made


TASKS = {
    "Difference": differences,
    "Which_Picture": which_picture,
    "Same_Or_Not": same_or_not,
    "One_Of_Two": one_of_two,
}

"""BLINK's twin: its tasks about two pictures, here two pictures that differ by one edit, or not at all.

* Difference: which of four sentences says what changed? They are a contrast set: two things and two directions are
  drawn ("the dog", "the cat"; red to blue, blue to red), so each is as like the others as any. A die says which it is.
* Which_Picture: of which picture does it hold? The edit made it true, or false; a die ordered the two.
* Same_Or_Not: are the two the same?
* One_Of_Two: a question about one of the two, while the other one has another answer among the options.
"""

import random

from mmhallu_core.evaluate.diorama.choices import MOST, Choice, by_length, drawn, ranks, with_letters
from mmhallu_core.evaluate.diorama.making import Undrawn, evenly, fair_labels, said
from mmhallu_core.evaluate.diorama.pairs import ANY, OPEN, YES_NO, flips
from mmhallu_core.evaluate.diorama.scenes import (
    LOOKS,
    ON_THE_GROUND,
    ScenePool,
    can_have,
    changed,
    pool,
    the,
    with_value,
)
from mmhallu_core.world.edits_make import only_ones
from mmhallu_core.world.language.compare import DIFFERENCE_PROMPTS
from mmhallu_core.world.scene import Scene, Thing
from mmhallu_core.world.vocabulary import KINDS, PLACE_PHRASES, PLACES

FORMS = ("colour", "pattern", "size", "pose", "part", "place", "gone")
PICTURES = ("the first image", "the second image")
WHICH = ("Answer based on the first image.", "Answer based on the second image.")
SAME = "Are the two images the same?"


def blink(n: int, seed: int) -> list[Undrawn]:
    """n questions, as many of each task; two or four options."""
    rng, made = random.Random(f"twin/blink/{seed}"), []
    for number, (task, make) in enumerate(TASKS.items()):
        made += [({"category": task}, one) for one in make(pool(seed), rng, len(range(number, n, len(TASKS))))]
    return with_letters(made, rng)


def _which_picture(pool: ScenePool, rng: random.Random, n: int) -> list[Choice]:
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


def _same_or_not(pool: ScenePool, rng: random.Random, n: int) -> list[Choice]:
    """Are the two the same?"""
    made = []
    for category, same in zip(evenly(ANY, n, rng), fair_labels([SAME] * n, rng), strict=True):
        first, second = flips(pool, rng, category, say_yes_or_no=False).scenes
        options = tuple(rng.sample(("yes", "no"), 2))
        made.append(Choice(SAME, options, options.index("yes" if same else "no"), (first, first if same else second)))
    return made


def _one_of_two(pool: ScenePool, rng: random.Random, n: int) -> list[Choice]:
    """What colour is the dog, in one of two pictures in which it has two colours?"""
    made = []
    for kind, rank in zip(evenly(tuple(KINDS), n, rng), ranks(n, rng), strict=True):
        options, right = drawn(LOOKS["colour"], rng, rank)
        other = rng.choice([colour for colour in options if colour != options[right]])
        which = rng.randrange(2)
        first = with_value(pool, rng, kind, "colour", options[right])
        scenes = [first, changed(first, the(first, kind), "colour", other)]
        text, shown = OPEN["colour"](first, the(first, kind)).text, tuple(scenes if which == 0 else scenes[::-1])
        made.append(Choice(text, tuple(options), right, shown, kind, WHICH[which]))
    return made


# ---------------------------------------------------------------- what is different?


def _difference(pool: ScenePool, rng: random.Random, n: int) -> list[Choice]:
    """What is different between the two?"""
    makers = {"place": _place, "gone": _gone}
    rows = zip(evenly(FORMS, n, rng), ranks(n, rng), strict=True)
    return [makers[form](pool, rng, rank) if form in makers else _look(pool, rng, form, rank) for form, rank in rows]


def _choice(texts: list[str], right: int, scenes: tuple[Scene, Scene], rng: random.Random, about: str = "") -> Choice:
    order = rng.sample(range(MOST), MOST)
    after = Scene(f"{scenes[1].id}-edited", scenes[1].place, scenes[1].things)
    options = tuple(texts[number] for number in order)
    return Choice(DIFFERENCE_PROMPTS[0], options, order.index(right), (scenes[0], after), about)


def _look(pool: ScenePool, rng: random.Random, what: str, rank: int) -> Choice:
    """One of two things changes its colour, pattern, size, pose or part, in one of two directions."""
    old, new = (False, True) if what == "part" else (None, None)
    if what in LOOKS:
        old, new = rng.sample(LOOKS[what], 2)
    elif what == "pose":
        old, new = rng.sample(rng.choice([ON_THE_GROUND[kind] for kind in ("man", "dog")]), 2)
    scene = pool.find(rng, lambda scene: len(_able(scene, what, old, new)) > 1)
    things = rng.sample(_able(scene, what, old, new), 2)
    values = ((old, new), (new, old))
    texts = [_sentence(one, what, *both) for one in things for both in values]
    right = by_length(texts, rank)
    thing, way = things[right // 2], values[right % 2]
    return _choice(texts, right, tuple(changed(scene, thing, what, value) for value in way), rng, thing.kind)


def _sentence(thing: Thing, what: str, old: str | bool, new: str | bool) -> str:
    if what == "part":
        return said("attach" if new else "detach", a=thing.kind)
    return said("pose" if what == "pose" else "look", a=thing.kind, old=old, new=new)


def _able(scene: Scene, what: str, *values: str | bool) -> list[Thing]:
    """The things, each the only one of its kind, that can have each of these values and be seen with it."""

    def fits(thing: Thing) -> bool:
        if what == "part":
            return bool(KINDS[thing.kind].part)
        return what != "pose" or set(values) <= set(ON_THE_GROUND[thing.kind])

    return [thing for thing in only_ones(scene) if fits(thing) and can_have(scene, thing, what, *values)]


def _place(pool: ScenePool, rng: random.Random, rank: int) -> Choice:
    """The same things somewhere else: two places where they may have been, two where they may be now."""
    names = rng.sample(PLACES, MOST)
    corners = [(old, new) for old in names[:2] for new in names[2:]]
    scene = rng.choice(pool.scenes)
    texts = [said("place", old=PLACE_PHRASES[old][0], new=PLACE_PHRASES[new][0]) for old, new in corners]
    right = by_length(texts, rank)
    return _choice(texts, right, tuple(Scene(scene.id, place, scene.things) for place in corners[right]), rng)


def _gone(pool: ScenePool, rng: random.Random, rank: int) -> Choice:
    """One of four things is taken away."""

    def removable(scene: Scene) -> list[Thing]:
        return [thing for thing in only_ones(scene) if not scene.carried(thing.id)]

    scene = pool.find(rng, lambda scene: len(removable(scene)) >= MOST)
    things, right = drawn(removable(scene), rng, rank, lambda thing: thing.kind)
    texts = [said("gone", a=thing.kind) for thing in things]
    return _choice(texts, right, (scene, scene.without(things[right].id)), rng, things[right].kind)


TASKS = {
    "Difference": _difference,
    "Which_Picture": _which_picture,
    "Same_Or_Not": _same_or_not,
    "One_Of_Two": _one_of_two,
}

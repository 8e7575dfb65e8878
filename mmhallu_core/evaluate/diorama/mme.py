"""MME's twin: two questions a picture, one to be answered yes and one no, in four subjects of perception.

In MME the two questions are often about the same thing ("is the dog red", "is the dog blue"), and then a model that
knows that a dog has one colour gets both right half of the time without a look. Here they are about different things,
so that whoever answers by the words alone gets what guesses get: half of the questions, a quarter of the pictures.
"""

import random

from mmhallu_core.evaluate.diorama.arranged import gathered, standing
from mmhallu_core.evaluate.diorama.making import Undrawn, evenly, fair_labels, the
from mmhallu_core.evaluate.diorama.yes_no import HOLDS, changed
from mmhallu_core.world.language.questions import WorldQuestion
from mmhallu_core.world.language.questions import attribute as ask_attribute
from mmhallu_core.world.language.questions import existence as ask_existence
from mmhallu_core.world.language.questions import more as ask_more
from mmhallu_core.world.language.questions import relation as ask_relation
from mmhallu_core.world.scene import BACK, COLUMNS, FRONT, Scene
from mmhallu_core.world.vocabulary import COLOURS, KINDS

Asked = tuple[Scene, WorldQuestion, WorldQuestion]
SPOTS = tuple((column, row) for column in range(len(COLUMNS)) for row in (FRONT, BACK))


def drafts(n: int, seed: int) -> list[Undrawn]:
    """n questions (an even number), two a picture; as many pictures of each subject."""
    rng = random.Random(f"twin/mme/{seed}")
    made = []
    subjects = evenly(tuple(SUBJECTS), n // 2, rng)
    for number, (subject, (yes, no)) in enumerate(zip(subjects, two_things(n, rng), strict=True)):
        others = rng.sample([kind for kind in KINDS if kind not in (yes, no)], 2)
        scene, *asked = SUBJECTS[subject](rng, yes, no, others)
        rows = rng.sample(list(zip(asked, ("yes", "no"), (yes, no), strict=True)), 2)
        name = f"{subject}/{number:04d}"
        for place, (question, truth, kind) in enumerate(rows, start=1):
            about = {"subject": subject, "picture": name, "object": kind}
            made.append(Undrawn(f"{name}/{place}", question.text, truth, (scene,), about=about))
    return made


def two_things(n: int, rng: random.Random) -> list[tuple[str, str]]:
    """What each picture's two questions are about: the thing of the yes and the thing of the no, never the same."""
    kinds = evenly(tuple(KINDS), n, rng)
    labels = fair_labels(kinds, rng)
    while sum(labels) != n // 2:  # where n does not divide by the number of kinds
        labels[labels.index(sum(labels) > n // 2)] ^= True
    yes, no = ([kind for kind, label in zip(kinds, labels, strict=True) if label == wanted] for wanted in (True, False))
    while clashes := [place for place in range(n // 2) if yes[place] == no[place]]:
        for place in clashes:
            other = rng.randrange(n // 2)
            no[place], no[other] = no[other], no[place]
    return list(zip(yes, no, strict=True))


def existence(rng: random.Random, yes: str, no: str, others: list[str]) -> Asked:
    """Is there a dog? Is there a cat?"""
    scene = gathered([yes, *others], rng)
    return scene, ask_existence(scene, yes), ask_existence(scene, no)


def count(rng: random.Random, yes: str, no: str, others: list[str]) -> Asked:
    """Are there more dogs than trees? Are there more cats than cars?"""
    few, many = others
    kinds: list[str] = []
    for more, less in ((yes, few), (many, no)):
        most = rng.choice((1, 2))
        kinds += [more] * most + [less] * rng.randrange(most)
    scene = gathered(kinds, rng)
    return scene, ask_more(scene, yes, few), ask_more(scene, no, many)


def position(rng: random.Random, yes: str, no: str, others: list[str]) -> Asked:
    """Is the dog to the left of the tree? Is the cat behind the car? For "no" it is the other way round."""
    right, left = others
    first, second = (rng.choice(tuple(HOLDS)) for _ in range(2))
    while True:
        scene = standing(dict(zip((yes, no, right, left), rng.sample(SPOTS, 4), strict=True)), rng)
        if HOLDS[first](the(scene, yes), the(scene, right)) and HOLDS[second](the(scene, left), the(scene, no)):
            break
    one = ask_relation(scene, the(scene, yes), first, the(scene, right), rng)
    return scene, one, ask_relation(scene, the(scene, no), second, the(scene, left), rng)


def color(rng: random.Random, yes: str, no: str, others: list[str]) -> Asked:
    """Is the dog red? Is the cat blue?"""
    seen, asked, painted = (*rng.sample(COLOURS, 1), *rng.sample(COLOURS, 2))
    scene = gathered([yes, no, *others], rng)
    scene = changed(changed(scene, the(scene, yes), "colour", seen), the(scene, no), "colour", painted)
    return (
        scene,
        ask_attribute(scene, the(scene, yes), "colour", seen),
        ask_attribute(scene, the(scene, no), "colour", asked),
    )


SUBJECTS = {"existence": existence, "count": count, "position": position, "color": color}

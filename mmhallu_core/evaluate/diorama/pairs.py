"""Twins whose questions come in pairs: MMVP and HallusionBench (a picture and its edited form), and MME.

`flips` makes an edit, and a question that it changes the answer of. Asked of both pictures, the question is right for
one answer on one of them and for another answer on the other. So what a model says without looking is right once.

* MMVP looks for pictures that CLIP takes for alike; here an edit makes them. An answer that does not come from the
  picture is right on one of the two: accuracy one half, and never a whole pair.
* HallusionBench: a set is two figures and the same yes/no questions about both, one about what the edit changed, one
  about something else. The words alone give half of the questions (aAcc), a quarter of whole figures (fAcc) and of
  whole questions (qAcc). Sets of category VS ask what habit has an answer to, sets of VD what needs a look. The twin
  does not ask without a figure (figure 0 of VS): nothing is true there.
* MME asks two questions a picture, one to be answered yes and one no. Here they are about different things, so that the
  words alone give what guesses give: half of the questions, a quarter of the pictures.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from mmhallu_core.evaluate.diorama.making import Undrawn, evenly, fair_labels, lettered, words
from mmhallu_core.evaluate.diorama.scenes import ScenePool, changed, gathered, pool, standing, the
from mmhallu_core.evaluate.diorama.yes_no import ALL, HOLDS
from mmhallu_core.types import slug
from mmhallu_core.world.edits import Edit, propose
from mmhallu_core.world.language.difference import changed_field
from mmhallu_core.world.language.questions import WorldQuestion
from mmhallu_core.world.language.questions import action as ask_action
from mmhallu_core.world.language.questions import attribute as ask_attribute
from mmhallu_core.world.language.questions import colour as ask_colour
from mmhallu_core.world.language.questions import counting as ask_counting
from mmhallu_core.world.language.questions import existence as ask_existence
from mmhallu_core.world.language.questions import more as ask_more
from mmhallu_core.world.language.questions import part as ask_part
from mmhallu_core.world.language.questions import pattern as ask_pattern
from mmhallu_core.world.language.questions import place as ask_place
from mmhallu_core.world.language.questions import relation as ask_relation
from mmhallu_core.world.language.questions import size as ask_size
from mmhallu_core.world.scene import BACK, COLUMNS, FRONT, Scene
from mmhallu_core.world.vocabulary import COLOURS, KINDS

OPEN = {"colour": ask_colour, "pattern": ask_pattern, "size": ask_size, "pose": ask_action}
YES_NO = ("Object", "Attribute", "Spatial Relation", "Action Relation", "Part Relation", "Negation")
ANY = (*YES_NO, "Scene", "Counting")
HABIT = ("Object", "Negation")  # HallusionBench's VS
SPOTS = tuple((column, row) for column in range(len(COLUMNS)) for row in (FRONT, BACK))


@dataclass(frozen=True)
class Flip:
    """An edit and a question that it changes the answer of; `kind` is the thing asked about, "" for the place."""

    edit: Edit
    kind: str
    ask: Callable[[Scene], WorldQuestion]

    @property
    def scenes(self) -> tuple[Scene, Scene]:
        """Before and after, under names of their own."""
        before, after = self.edit.before, self.edit.after
        return before, Scene(f"{after.id}-edited", after.place, after.things)


def flips(pool: ScenePool, rng: random.Random, category: str, say_yes_or_no: bool) -> Flip:
    """A flip of an edit category, in a random scene that allows one.

    Args:
        pool: the scenes.
        rng: the die.
        category: of ANY, or of YES_NO when the answers must be yes and no.
        say_yes_or_no: asks "Is the dog red?" instead of "What colour is the dog?".
    """
    while True:
        edit = propose(rng.choice(pool.scenes), category, rng)
        flip = _flip_of(edit, rng, say_yes_or_no) if edit is not None else None
        if flip is not None:
            return flip


def _flip_of(edit: Edit, rng: random.Random, say_yes_or_no: bool) -> Flip | None:
    """A question that has another answer after an edit; None where no wording of the world's asks for it."""
    before, after, done = edit.before, edit.after, edit.operation
    old = [before[name] for name in edit.subjects if any(thing.id == name for thing in before)]
    new = [after[name] for name in edit.subjects if any(thing.id == name for thing in after)]
    if done in ("replace", "add", "take away"):
        kind = rng.choice([thing.kind for thing in (*old, *new)])
        return Flip(edit, kind, lambda scene: ask_existence(scene, kind))
    if done == "move":
        one, other = _passed(edit)
        words = random.Random(rng.random())
        state = words.getstate()

        def left_or_right(scene: Scene) -> WorldQuestion:
            words.setstate(state)  # the same wording for both pictures
            return ask_relation(scene, scene[one], "left of", scene[other], words)

        return Flip(edit, before[one].kind, left_or_right)
    if done == "change place":
        return None if say_yes_or_no else Flip(edit, "", ask_place)
    if done in ("one more", "one fewer"):
        kind = (*old, *new)[0].kind
        return None if say_yes_or_no else Flip(edit, kind, lambda scene: ask_counting(scene, kind))
    if done in ("attach", "detach"):
        return Flip(edit, old[0].kind, lambda scene: ask_part(scene, scene[old[0].id]))
    if done not in ("recolour", "repattern", "resize", "change pose"):
        return None  # hand over
    name, what = old[0].id, "pose" if done == "change pose" else changed_field(old[0], new[0])
    if say_yes_or_no:
        asked = getattr(rng.choice((old[0], new[0])), what)
        return Flip(edit, old[0].kind, lambda scene: ask_attribute(scene, scene[name], what, asked))
    return Flip(edit, old[0].kind, lambda scene: OPEN[what](scene, scene[name]))


def _passed(edit: Edit) -> tuple[str, str]:
    """Two things, one left of the other before a move and right of it afterwards, each the only one of its kind."""
    now = {(fact.object, fact.subject) for fact in edit.added if fact.predicate == "left of"}
    return next(
        (fact.subject, fact.object)
        for fact in edit.removed
        if fact.predicate == "left of"
        and (fact.subject, fact.object) in now
        and all(len(edit.before.of_kind(edit.before[name].kind)) == 1 for name in (fact.subject, fact.object))
    )


def mmvp(n: int, seed: int) -> list[Undrawn]:
    """MMVP: n questions (an even number) in pairs, as many of each edit category of ANY."""
    rng, made = random.Random(f"twin/mmvp/{seed}"), []
    for pair, category in enumerate(evenly(ANY, n // 2, rng)):
        flip = flips(pool(seed), rng, category, say_yes_or_no=False)
        asked = [flip.ask(scene) for scene in flip.scenes]
        options = [words(question.answer) for question in asked]
        first = rng.randrange(2)  # the letter that is right for the first picture
        for number, (scene, question) in enumerate(zip(flip.scenes, asked, strict=True)):
            letter = first if number == 0 else 1 - first
            prompt, truth, placed = lettered(question.text, options, number, letter)
            about = {"pair": pair, "picture": f"pair {pair}", "category": category, "object": flip.kind}
            made.append(Undrawn(str(2 * pair + number + 1), prompt, truth, (scene,), placed, about))
    return made


# ---------------------------------------------------------------- HallusionBench


def hallusionbench(n: int, seed: int) -> list[Undrawn]:
    """HallusionBench: n questions (a multiple of four), four a set."""
    rng, sets, made = random.Random(f"twin/hallusionbench/{seed}"), n // 4, []
    kinds = evenly(ALL, sets, rng)
    rows = zip(evenly(YES_NO, sets, rng), kinds, fair_labels(kinds, rng), strict=True)
    for number, (edit, kind, there) in enumerate(rows):
        flip = _with_control(pool(seed), rng, edit, kind, there)
        category = "VS" if edit in HABIT else "VD"
        name = f"{category}/{slug(edit)}/{number}"
        for edited, scene in enumerate(flip.scenes):
            figure = edited + (category == "VS")
            both = ((flip.ask(scene), flip.kind), (ask_existence(scene, kind), kind))
            for question, (asked, thing) in enumerate(both):
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


# ---------------------------------------------------------------- MME


def mme(n: int, seed: int) -> list[Undrawn]:
    """MME: n questions (an even number), two a picture; as many pictures of each of four subjects of perception."""
    rng, made = random.Random(f"twin/mme/{seed}"), []
    subjects = evenly(tuple(SUBJECTS), n // 2, rng)
    for number, (subject, (yes, no)) in enumerate(zip(subjects, _two_things(n, rng), strict=True)):
        others = rng.sample([kind for kind in KINDS if kind not in (yes, no)], 2)
        scene, *asked = SUBJECTS[subject](rng, yes, no, others)
        rows = rng.sample(list(zip(asked, ("yes", "no"), (yes, no), strict=True)), 2)
        name = f"{subject}/{number:04d}"
        for place, (question, truth, kind) in enumerate(rows, start=1):
            about = {"subject": subject, "picture": name, "object": kind}
            made.append(Undrawn(f"{name}/{place}", question.text, truth, (scene,), about=about))
    return made


def _two_things(n: int, rng: random.Random) -> list[tuple[str, str]]:
    """What each picture's two questions are about: the thing of the yes and the thing of the no, never the same."""
    kinds = evenly(ALL, n, rng)
    labels = fair_labels(kinds, rng)
    while sum(labels) != n // 2:  # where n does not divide by the number of kinds
        labels[labels.index(sum(labels) > n // 2)] ^= True
    yes, no = ([kind for kind, label in zip(kinds, labels, strict=True) if label == wanted] for wanted in (True, False))
    while clashes := [place for place in range(n // 2) if yes[place] == no[place]]:
        for place in clashes:
            other = rng.randrange(n // 2)
            no[place], no[other] = no[other], no[place]
    return list(zip(yes, no, strict=True))


Two = tuple[Scene, WorldQuestion, WorldQuestion]


def _existence(rng: random.Random, yes: str, no: str, others: list[str]) -> Two:
    """Is there a dog? Is there a cat?"""
    scene = gathered([yes, *others], rng)
    return scene, ask_existence(scene, yes), ask_existence(scene, no)


def _count(rng: random.Random, yes: str, no: str, others: list[str]) -> Two:
    """Are there more dogs than trees? Are there more cats than cars?"""
    few, many = others
    kinds: list[str] = []
    for more, less in ((yes, few), (many, no)):
        most = rng.choice((1, 2))
        kinds += [more] * most + [less] * rng.randrange(most)
    scene = gathered(kinds, rng)
    return scene, ask_more(scene, yes, few), ask_more(scene, no, many)


def _position(rng: random.Random, yes: str, no: str, others: list[str]) -> Two:
    """Is the dog to the left of the tree? Is the cat behind the car? For "no" it is the other way round."""
    right, left = others
    first, second = (rng.choice(tuple(HOLDS)) for _ in range(2))
    while True:
        scene = standing(dict(zip((yes, no, right, left), rng.sample(SPOTS, 4), strict=True)), rng)
        if HOLDS[first](the(scene, yes), the(scene, right)) and HOLDS[second](the(scene, left), the(scene, no)):
            break
    one = ask_relation(scene, the(scene, yes), first, the(scene, right), rng)
    return scene, one, ask_relation(scene, the(scene, no), second, the(scene, left), rng)


def _colour(rng: random.Random, yes: str, no: str, others: list[str]) -> Two:
    """Is the dog red? Is the cat blue?"""
    seen, asked, painted = (*rng.sample(COLOURS, 1), *rng.sample(COLOURS, 2))
    scene = gathered([yes, no, *others], rng)
    scene = changed(changed(scene, the(scene, yes), "colour", seen), the(scene, no), "colour", painted)
    both = (ask_attribute(scene, the(scene, one), "colour", value) for one, value in ((yes, seen), (no, asked)))
    return scene, *both


SUBJECTS = {"existence": _existence, "count": _count, "position": _position, "color": _colour}

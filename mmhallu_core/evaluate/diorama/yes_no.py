"""Twins of yes/no benchmarks about one picture: AMBER's questions, POPE, R-Bench and SpatialSense.

A maker gets what a question is about and the answer that it must have; it draws the rest of the words without looking
at that answer, and then finds or repaints a scene. Texts are those of `world.language.questions`, which tiny-llava
learned. For each object as many answers are yes as no.

* "No" is AMBER's positive class and two thirds of its answers, so a model that always says no has an F1 of 0.8. In the
  twin it still gets two thirds by F1, where a coin gets one half; by accuracy it does not.
* R-Bench's published answers are mostly yes, so its authors drew balanced subsets; its twin needs one, the whole.
* SpatialSense was collected to be hard for whoever guesses from the words: people looked for relations that are likely
  and do not hold. Four of its nine relations exist in Diorama; each pair of things is asked about in both orders.
* POPE's twin begins with POPE's own procedure (`evaluate.pope.sample_questions`). Under popular and adversarial
  sampling the absent objects are the frequent ones, so a rule that has read the other labels scores well above one
  half. `balanced` drops what makes it so; adversarial still asks for the umbrella at a beach that has none.
"""

import random
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache

from mmhallu_core.evaluate.diorama.making import Undrawn, evenly, fair_labels, words
from mmhallu_core.evaluate.diorama.scenes import ACTORS, LOOKS, ON_THE_GROUND, ScenePool, free, pool, the, with_value
from mmhallu_core.evaluate.pope import SAMPLINGS, sample_questions
from mmhallu_core.types import YesNoQuestion
from mmhallu_core.world.language.questions import WorldQuestion
from mmhallu_core.world.language.questions import attribute as ask_attribute
from mmhallu_core.world.language.questions import existence as ask_existence
from mmhallu_core.world.language.questions import more as ask_more
from mmhallu_core.world.language.questions import relation as ask_relation
from mmhallu_core.world.scene import Scene, is_behind, is_left_of
from mmhallu_core.world.vocabulary import KINDS

Asked = tuple[Scene, WorldQuestion]
Maker = Callable[[ScenePool, random.Random, str, bool], Asked]

HOLDS = {"left of": is_left_of, "behind": is_behind}
ALL = tuple(KINDS)
RELATION = re.compile(r"Is the (\w+) (.+) the (\w+)\?")


def existence(pool: ScenePool, rng: random.Random, kind: str, truth: bool) -> Asked:
    """Asks "Is there a dog in the image?"."""
    scene = pool.find(rng, lambda scene: bool(scene.of_kind(kind)) == truth)
    return scene, ask_existence(scene, kind)


def look(pool: ScenePool, rng: random.Random, kind: str, truth: bool) -> Asked:
    """Asks "Is the dog red?", or for its pattern or size; the dog is then painted red, or in any other colour."""
    what = rng.choice(tuple(LOOKS))
    return _with_look(pool, rng, kind, truth, what, LOOKS[what])


def action(pool: ScenePool, rng: random.Random, kind: str, truth: bool) -> Asked:
    """Asks "Is the man running?", of a kind of ACTORS."""
    return _with_look(pool, rng, kind, truth, "pose", ON_THE_GROUND[kind])


def _with_look(pool: ScenePool, rng: random.Random, kind: str, truth: bool, what: str, values: Sequence[str]) -> Asked:
    asked = rng.choice(values)
    value = asked if truth else rng.choice([word for word in values if word != asked])
    scene = with_value(pool, rng, kind, what, value)
    return scene, ask_attribute(scene, the(scene, kind), what, asked)


def more(pool: ScenePool, rng: random.Random, kind: str, truth: bool) -> Asked:
    """Asks "Are there more dogs than cats?"; for "no" there are more cats."""
    other = rng.choice([name for name in KINDS if name != kind])
    few, many = (other, kind) if truth else (kind, other)
    scene = pool.find(rng, lambda scene: len(scene.of_kind(many)) > len(scene.of_kind(few)))
    return scene, ask_more(scene, kind, other)


def relation(pool: ScenePool, rng: random.Random, kind: str, truth: bool) -> Asked:
    """Asks "Is the dog to the left of the car?"; for "no" the car is to the left of the dog.

    Tall things more often stand behind others, because small ones would be hidden there. So only pairs are asked
    about that some scenes have one way round and some the other.
    """
    table = _related(pool)
    partners = [
        (other, predicate)
        for predicate in HOLDS
        for other in KINDS
        if table.get((kind, predicate, other)) and table.get((other, predicate, kind))
    ]
    other, predicate = rng.choice(partners)
    first, second = (kind, other) if truth else (other, kind)
    scene = rng.choice(table[first, predicate, second])
    return scene, ask_relation(scene, the(scene, kind), predicate, the(scene, other), rng)


@lru_cache(maxsize=4)
def _related(pool: ScenePool) -> dict[tuple[str, str, str], list[Scene]]:
    """(kind, predicate, kind) to the scenes where it holds of two things, each the only one of its kind and free."""
    table: dict[tuple[str, str, str], list[Scene]] = defaultdict(list)
    for scene in pool.scenes:
        things = [thing for kind in scene.kinds() if (thing := free(scene, kind))]
        for one in things:
            for other in things:
                for predicate, holds in HOLDS.items():
                    if holds(one, other):
                        table[one.kind, predicate, other.kind].append(scene)
    return dict(table)


# ---------------------------------------------------------------- the twins

# AMBER's kinds of question: the maker, and the things that can be asked about.
AMBER: dict[str, tuple[Maker, tuple[str, ...]]] = {
    "discriminative-hallucination": (existence, ALL),
    "discriminative-attribute-state": (look, ALL),
    "discriminative-attribute-number": (more, ALL),
    "discriminative-attribute-action": (action, ACTORS),
    "discriminative-relation": (relation, ALL),
}


def _made(
    rows: Sequence[tuple[Maker, str]], keys: Sequence[Hashable], rng: random.Random, seed: int, prefix: str = ""
) -> list[Undrawn]:
    """A question a row of maker and thing; answers are fair for each key. `about` holds the `object`."""
    made = []
    for number, ((make, kind), truth) in enumerate(zip(rows, fair_labels(keys, rng), strict=True)):
        scene, asked = make(pool(seed), rng, kind, truth)
        about = {"object": kind}
        made.append(Undrawn(f"{prefix}{number:04d}", asked.text, words(asked.answer), (scene,), about=about))
    return made


def amber(n: int, seed: int) -> list[Undrawn]:
    """n questions, as many of each kind."""
    rng, rows, names = random.Random(f"twin/amber/{seed}"), [], []
    for number, (name, (make, things)) in enumerate(AMBER.items()):
        count = len(range(number, n, len(AMBER)))
        rows += [(make, thing) for thing in evenly(things, count, rng)]
        names += [name] * count
    made = _made(rows, [thing for _, thing in rows], rng, seed, "question/")
    for one, name in zip(made, names, strict=True):
        one.about["kind"] = name
    return made


def spatialsense(n: int, seed: int) -> list[Undrawn]:
    """n questions about where things stand to each other."""
    rng = random.Random(f"twin/spatialsense/{seed}")
    kinds = evenly(ALL, n, rng)
    made = _made([(relation, kind) for kind in kinds], kinds, rng, seed)
    for one in made:
        one.about.update(zip(("subject", "relation", "object"), RELATION.fullmatch(one.prompt).groups(), strict=True))
    return made


def rbench(n: int, seed: int) -> list[Undrawn]:
    """n questions, two of three about where things stand to each other, one about what somebody is doing."""
    rng = random.Random(f"twin/rbench/{seed}")
    rows = [(relation, kind) for kind in evenly(ALL, n - n // 3, rng)]
    rows += [(action, kind) for kind in evenly(ACTORS, n // 3, rng)]
    made = _made(rows, [(make.__name__, kind) for make, kind in rows], rng, seed)
    for one, (make, _) in zip(made, rows, strict=True):
        one.about.update(subsets=[1], category=make.__name__)
    return made


def pope(n: int, seed: int) -> list[Undrawn]:
    """n questions (an even number) of each sampling; ids begin with its name, as in "random/12/3"."""
    scenes = {str(number): scene for number, scene in enumerate(pool(seed).scenes)}
    truth = {name: scene.kinds() for name, scene in scenes.items()}
    made = []
    for sampling in SAMPLINGS:
        for one in balanced(sample_questions(truth, sampling, seed=seed), n, random.Random(f"twin/{sampling}/{seed}")):
            kind, scene = _kind_of(one), scenes[one.image_id]
            about = {"split": sampling, "object": kind}
            made.append(Undrawn(one.id, ask_existence(scene, kind).text, one.label, (scene,), about=about))
    return made


def _kind_of(question: YesNoQuestion) -> str:
    """What a question asks for: "Is there a dog in the image?" gives "dog"."""
    return question.question.split()[3]


def balanced(questions: Sequence[YesNoQuestion], n: int, rng: random.Random) -> list[YesNoQuestion]:
    """The first questions such that each object has two more of one label than of the other, n in all.

    Raises:
        LookupError: when there are not so many.
    """
    by_kind: dict[str, dict[str, list[YesNoQuestion]]] = defaultdict(lambda: {"yes": [], "no": []})
    for one in questions:
        by_kind[_kind_of(one)][one.label].append(one)
    kinds = [kind for kind in KINDS if min(map(len, by_kind[kind].values())) > 1]
    rng.shuffle(kinds)
    leans = {kind: ("yes", "no")[number % 2] for number, kind in enumerate(kinds)}
    # Half of how many questions about a kind there can be, one more of the label it leans to and one less of the other.
    half = {
        kind: min(len(by_kind[kind][label]) + (-1 if label == leans[kind] else 1) for label in ("yes", "no"))
        for kind in kinds
    }
    if 2 * sum(half.values()) < n:
        raise LookupError(f"{2 * sum(half.values())} balanced questions in this pool, {n} wanted")
    share = n / (2 * sum(half.values()))
    kept = {kind: int(half[kind] * share) for kind in kinds}
    for kind in sorted(kinds, key=lambda kind: half[kind] * share % 1, reverse=True)[: n // 2 - sum(kept.values())]:
        kept[kind] += 1
    names = {
        one.id
        for kind in kinds
        for label in ("yes", "no")
        for one in by_kind[kind][label][: kept[kind] and kept[kind] + (1 if label == leans[kind] else -1)]
    }
    return [one for one in questions if one.id in names]

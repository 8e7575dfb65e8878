"""POPE's twin: is there a dog in the image? Three samplings of what is asked for and absent.

The questions are drawn by POPE's own procedure (`evaluate.pope.sample_questions`) from scenes with Diorama's habits.
Those of a published POPE file have a text-only prior: under popular and adversarial sampling the absent objects are the
frequent ones, so "umbrella" is mostly answered with no, and a rule that has read the file's other labels scores well
above one half without a look. So the twin keeps, for each object, as many questions with yes as with no (two more of
one of them, see `making`), and drops the rest. What the samplings are about stays: adversarial asks for the umbrella
at a beach that has none, and for the umbrella where there is one.
"""

import random
from collections import defaultdict
from collections.abc import Sequence

from mmhallu_core.evaluate.diorama.making import Undrawn, pool
from mmhallu_core.evaluate.pope import SAMPLINGS, sample_questions
from mmhallu_core.types import YesNoQuestion
from mmhallu_core.world.language.questions import existence
from mmhallu_core.world.vocabulary import KINDS


def drafts(n: int, seed: int) -> list[Undrawn]:
    """n questions (an even number) of each sampling; ids begin with its name, as in "random/12/3"."""
    scenes = {str(number): scene for number, scene in enumerate(pool(seed).scenes)}
    truth = {name: scene.kinds() for name, scene in scenes.items()}
    made = []
    for sampling in SAMPLINGS:
        for one in balanced(sample_questions(truth, sampling, seed=seed), n, random.Random(f"twin/{sampling}/{seed}")):
            kind, scene = kind_of(one), scenes[one.image_id]
            about = {"split": sampling, "object": kind}
            made.append(Undrawn(one.id, existence(scene, kind).text, one.label, (scene,), about=about))
    return made


def kind_of(question: YesNoQuestion) -> str:
    """What a question asks for: "Is there a dog in the image?" gives "dog"."""
    return question.question.split()[3]


def balanced(questions: Sequence[YesNoQuestion], n: int, rng: random.Random) -> list[YesNoQuestion]:
    """The first questions such that each object has two more of one label than of the other, n in all.

    Raises:
        LookupError: when there are not so many.
    """
    by_kind: dict[str, dict[str, list[YesNoQuestion]]] = defaultdict(lambda: {"yes": [], "no": []})
    for one in questions:
        by_kind[kind_of(one)][one.label].append(one)
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

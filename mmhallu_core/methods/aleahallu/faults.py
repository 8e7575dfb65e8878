"""Four faults of the released code (commit 5f10619), each as a function that shows what it does.

1. Gradients are not cleared: the prefix's never, the edit's once an epoch. `gradients_in_steps` counts what each step
   follows then; `edit.Learning.clear` trains so.
2. The soft tokens stand at place 650 of every row, whatever stands there: `where_it_lands`.
3. Distances between states are taken from text alone: `moved_by_the_picture` shows that no picture changes them.
4. Its POPE figures come from a model that was edited with POPE's own labels: `learned_from_pope` shows what a rule that
   sees no picture gains by that.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mmhallu_core.methods.aleahallu.batch import SIDES, collated
from mmhallu_core.methods.aleahallu.locate import locate
from mmhallu_core.methods.aleahallu.places import VOTES
from mmhallu_core.methods.aleahallu.prefix import CODES_PLACE, response_starts, row_ends
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import ResponsePair, YesNoQuestion

FIRST, TRAINED, LAST, TESTED = 2000, 1000, 1000, 500  # questions of a POPE file: of the first, of the last


def gradients_in_steps(clear: str, steps: int, epoch: int) -> list[int]:
    """How many batches' gradients each step follows; with equal gradients, by what its rate is multiplied.

    Args:
        clear: when they are set to zero: each "step", at the beginning of each "epoch", or "never".
        steps: of the optimizer, a batch each.
        epoch: steps in an epoch.
    """
    return [1 + step % {"step": 1, "epoch": epoch, "never": steps}[clear] for step in range(steps)]


def where_it_lands(vlm: Vlm, pairs: Sequence[ResponsePair], at: int = CODES_PLACE) -> Counter[str]:
    """Where a fixed place lies in the rows of some pairs, both responses: "in the prompt", "before the response" (where
    the paper wants it), "in the response", or "behind the response", where nothing that is predicted reads it."""
    batch, found = collated(vlm, pairs, SIDES), Counter()
    for start, end in zip(response_starts(batch).tolist(), row_ends(batch).tolist(), strict=True):
        found["in the prompt" if at < start else "before the response" if at == start
              else "in the response" if at < end else "behind the response"] += 1  # fmt: skip
    return found


def moved_by_the_picture(vlm: Vlm, pairs: Sequence[ResponsePair]) -> dict[str, float]:
    """How far the distances of the modes `as_code` and `as_paper` change when each pair gets the picture of the next:
    the largest change over layers, relative to the distance."""
    others = [replace(one, image=pairs[i - 1].image) for i, one in enumerate(pairs)]
    own, other = (locate(vlm, some, VOTES) for some in (pairs, others))
    return {mode: float(((own[mode].mean - other[mode].mean).abs() / own[mode].mean).max()) for mode in VOTES}


def learned_from_pope(questions: Sequence[YesNoQuestion], seed: int = 0) -> dict[str, Any]:
    """What the labels that the code trains on tell of those that it would test on, without any picture.

    The rule says of an object what most of its training questions say; of a new object, "no".

    Args:
        questions: of one POPE file, in its order.
        seed: of both draws.

    Returns:
        `trained` and `tested`, how many; `known`, the share of the test whose object was in training; `images`, the
        share whose picture was; and `right`, the rule's accuracy, beside `one_answer`, that of the better of "always
        yes" and "always no".
    """
    draw = random.Random(seed)
    early, late = questions[:FIRST], questions[max(FIRST, len(questions) - LAST) :]
    trained, tested = (draw.sample(some, min(n, len(some))) for some, n in ((early, TRAINED), (late, TESTED)))
    habit: dict[str, Counter[str]] = {}
    for one in trained:
        habit.setdefault(one.question.lower(), Counter())[one.label] += 1
    images = {one.image_id for one in trained}
    objects = [one.question.lower() for one in tested]  # a question says nothing but the object's name
    said = [habit[name].most_common(1)[0][0] if name in habit else "no" for name in objects]
    yes = sum(one.label == "yes" for one in tested) / len(tested)

    def share(bits: Sequence[bool]) -> float:
        return sum(bits) / len(bits)

    return {
        "trained": len(trained), "tested": len(tested), "known": share([name in habit for name in objects]),
        "images": share([one.image_id in images for one in tested]),
        "right": share([word == one.label for word, one in zip(said, tested, strict=True)]),
        "one_answer": max(yes, 1 - yes),
    }  # fmt: skip

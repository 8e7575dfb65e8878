"""What POPE's questions ask, and how far their words alone lead.

POPE's labels are half yes, half no, so that saying yes to everything is worth a coin. But half of *all* questions is
not half of those about cars. Where the absent objects are chosen by a rule, the name of the object tells something
about the label, and somebody who hears it and sees nothing can score above a coin.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmhallu_core.evaluate.replies import thing_asked
from mmhallu_core.statistics import ratio_interval
from mmhallu_core.types import YesNoQuestion


def asked(questions: Sequence[YesNoQuestion]) -> dict[str, Any]:
    """What POPE questions ask, and what somebody scores who hears the object's name and sees nothing.

    That somebody answers as most questions about the same object are labelled on the other pictures; yes where there
    are as many of both.

    Returns:
        `questions, pictures, yes` (share of the labels), `objects` (different ones among the absent), `five` (share of
        the absent questions that the five most asked take), `name_alone: {accuracy, ci}`, interval over pictures.
    """
    names = [thing_asked(one.question)[1] for one in questions]
    yes = np.array([one.label == "yes" for one in questions])
    absent = Counter(name for name, there in zip(names, yes, strict=True) if not there)
    balance: Counter = Counter()  # yes minus no, by object; and by object and picture
    for name, one, there in zip(names, questions, yes, strict=True):
        balance[name] += 1 if there else -1
        balance[name, one.image_id] += 1 if there else -1
    others = np.array([balance[n] - balance[n, one.image_id] for n, one in zip(names, questions, strict=True)])
    right = ((others >= 0) == yes).astype(float)
    return {
        "questions": len(questions),
        "pictures": len({one.image_id for one in questions}),
        "yes": float(yes.mean()),
        "objects": len(absent),
        "five": sum(count for _, count in absent.most_common(5)) / absent.total(),
        "name_alone": {
            "accuracy": float(right.mean()),
            "ci": ratio_interval(right, np.ones(len(right)), [one.image_id for one in questions]),
        },
    }

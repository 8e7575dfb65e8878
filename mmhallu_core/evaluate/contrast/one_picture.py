"""What can be scored on MED-tiny by looking at one of the two pictures only?

A picture of a contrast set shows how both things are before the change, or after it. It does not show which of them
changes: two ways lead from every picture, and two lead to it, so two of the four sentences remain. Who picks one of
them is right once in two times, and no model of the world helps. (`quartet.py` draws the set.)

The Scene category is another case: a picture has one place. From the place that all four sentences name two
ways lead; from one of the two others there is only one, and it is the answer.
"""

from collections.abc import Sequence
from fractions import Fraction

from mmhallu_core.evaluate.contrast import Item
from mmhallu_core.types import CATEGORIES
from mmhallu_core.world.scene import Scene


def left_open(item: Item, place: int) -> dict[int, Fraction]:
    """The sentences that can be true when one picture is seen, and how likely each is.

    Args:
        item: a question of MED-tiny.
        place: which picture is seen: 0, the one before the change, or 1, the one after it.

    Returns:
        Number of a sentence to its chance, by the two dice that made the item: one for the sentence, one for the pair.
    """
    seen = _shown(item.scenes[place])
    ways = {
        number: Fraction(sum(_shown(pair[place]) == seen for pair in pairs), len(pairs))
        for number, pairs in enumerate(item.quartet.pairs)
    }
    return {number: chance / sum(ways.values()) for number, chance in ways.items() if chance}


def best_from_one(items: Sequence[Item], place: int) -> dict[str, float]:
    """The share of questions that the best possible viewer of one picture gets right, on average.

    Args:
        items: questions of MED-tiny, at least one.
        place: see `left_open`.

    Returns:
        Category to a share, and `all` for the mean over all questions.
    """
    rows = {category: [one for one in items if one.category == category] for category in CATEGORIES}
    rows = {**{name: some for name, some in rows.items() if some}, "all": list(items)}
    best = {id(one): max(left_open(one, place).values()) for one in items}
    return {name: float(sum(best[id(one)] for one in some) / len(some)) for name, some in rows.items()}


def _shown(scene: Scene) -> tuple:
    """All that is drawn of a scene: its name is not."""
    return scene.place, scene.things

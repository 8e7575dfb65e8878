"""Controls of a contrast set: one picture alone, the pictures in the other order, and one picture twice.

A picture of a contrast set shows how both things are, not which of them changes: two ways lead from every picture and
two to it, so two of the four sentences remain, and no model of the world helps. In the Scene category a picture has one
place: from the one that all four sentences name two ways lead, from each of the others one, which is the answer.

Who compares two pictures must answer otherwise when they are swapped; who has learned that it is mostly the dog answers
the same, and who has learned that there is always a difference finds one in two equal pictures.
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.contrast import Item
from mmhallu_core.evaluate.letters import strict_letter
from mmhallu_core.evaluate.metrics import Metric, Metrics
from mmhallu_core.types import CATEGORIES, CannotRun
from mmhallu_core.world.language.difference import NO_DIFFERENCE
from mmhallu_core.world.language.read import read
from mmhallu_core.world.scene import Scene

SWAPPED, SAME = ":swapped", ":same"


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


def swapped(questions: Sequence[Question]) -> list[Question]:
    """The questions with their two pictures exchanged, and the right letter that goes with that.

    Raises:
        CannotRun: when a question does not say, under `back` in `about`, which option is right then.
    """
    without = [one.id for one in questions if "back" not in one.about]
    if without:
        raise CannotRun(f"{len(without)} questions have no option for the other order: {', '.join(without[:5])}")
    return [
        replace(
            one,
            id=one.id + SWAPPED,
            truth=one.about["back"],
            images=one.images[::-1],
            about={**one.about, "back": one.truth},
        )
        for one in questions
    ]


def both_orders(questions: Sequence[Question], texts: Sequence[str], texts_swapped: Sequence[str]) -> Metrics:
    """What answers in both orders say together, by the strict reading.

    Args:
        questions: in their own order of pictures.
        texts: the answers to them.
        texts_swapped: the answers to `swapped(questions)`, in the same order.

    Returns:
        `accuracy` and `accuracy_swapped`, a number each for one order; `both_orders`, of all answers in both;
        `stays_right`, of the questions answered right those that stay right when the pictures are swapped;
        `both_right`, of all questions; `same_letter`, of all questions those that got the same letter twice, which
        cannot both be right.
    """
    said = [strict_letter(text, one.choices) for one, text in zip(questions, texts, strict=True)]
    other = [strict_letter(text, one.choices) for one, text in zip(questions, texts_swapped, strict=True)]
    first = [letter == one.truth for one, letter in zip(questions, said, strict=True)]
    second = [letter == one.about["back"] for one, letter in zip(questions, other, strict=True)]
    both = [one and two for one, two in zip(first, second, strict=True)]
    groups, ones = [one.picture for one in questions], [1] * len(first)
    return {
        "accuracy": Metric(first, ones, groups),
        "accuracy_swapped": Metric(second, ones, groups),
        "both_orders": Metric([a + b for a, b in zip(first, second, strict=True)], [2] * len(first), groups),
        "stays_right": Metric(both, first, groups),
        "both_right": Metric(both, ones, groups),
        "same_letter": Metric([a is not None and a == b for a, b in zip(said, other, strict=True)], ones, groups),
    }


def same_twice(questions: Sequence[Question]) -> list[Question]:
    """The questions without options, each about its first picture twice: there is no difference to tell."""
    return [
        Question(
            one.id + SAME,
            one.about["question"],
            NO_DIFFERENCE[0],
            one.images[:1] * 2,
            about={key: one.about[key] for key in ("category", "picture") if key in one.about},
        )
        for one in questions
    ]


def asserts_a_difference(text: str) -> bool | None:
    """Whether a free answer says that something differs; None where it says neither that nor that nothing does."""
    reading = read(text)
    if reading.category is not None:
        return True
    return False if reading.no_difference else None


def same_scores(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """Answers about the same picture twice: the shares that assert a difference, deny one, or do neither."""
    found = [asserts_a_difference(text) for text in texts]
    groups, ones = [one.picture for one in questions], [1] * len(found)
    wanted = {"asserts_a_difference": True, "says_the_same": False, "unparsed": None}
    return {name: Metric([one is value for one in found], ones, groups) for name, value in wanted.items()}

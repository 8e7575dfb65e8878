"""A hallucination profile: not how many wrong objects a model names, but where they come from.

Two models with the same CHAIR can hallucinate for different reasons. Four questions look for the reason. Each is asked
as a comparison of one wrong thing with one right thing, and answered by the chance that the wrong one wins:

* length: a wrong and a right mention of any two captions. Is the wrong one in the longer caption?
* position: a wrong and a right object of the same caption. Is the wrong one named later? (First mentions only: what
  has been named before is no new claim.)
* frequency: a wrongly named object, and an object that is absent from the same picture and was not named. Does the
  wrongly named one occur in more pictures?
* company: the same pair. Does the wrongly named one keep the company of what is in the picture? Company is how much
  more often than usual an object stands beside a given other one; it is averaged over the objects in the picture, so
  that an object does not win by being frequent.

Ties count one half, so 0.5 means "makes no difference" for every question, model and vocabulary: a drawn world with
20 kinds can stand beside photos with 80.

When do two worlds agree? `agreement` was fixed before any profile was computed: at least four of five models on photos
must lie on one side of 0.5 with their whole interval, and the model in question on the same side with its own. Whole
interval on the other side: it disagrees. Anything else is open.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from mmhallu_core.data.vocabulary import Vocabulary
from mmhallu_core.evaluate.chair import Mention, chair_mentions
from mmhallu_core.statistics import ratio, ratio_interval
from mmhallu_core.types import Answer, CannotRun

QUESTIONS = ("length", "position", "frequency", "company")
FIFTHS = 5
NEEDED = 4  # profiles on one side, see `agreement`
PROFILE_DRAWS = 500  # bootstrap samples; a profile has some 25 intervals


@dataclass(frozen=True)
class Habits:
    """How often objects occur in a world, and beside which others.

    Attributes:
        objects: their names, in the order of the arrays.
        frequency: the share of pictures that show an object.
        lift: `lift[i, j]` is how many times likelier object i is in a picture with object j than in any picture;
            1 means that they ignore each other. 0 for objects that never occur.
    """

    objects: tuple[str, ...]
    frequency: Float[np.ndarray, " o"]
    lift: Float[np.ndarray, "o o"]


def habits(truth: Mapping[str, Collection[str]], objects: Sequence[str]) -> Habits:
    """Counts occurrence and company over pictures.

    Args:
        truth: image id to the objects in the picture; more pictures than were captioned make better counts.
        objects: every object that may be named.

    Raises:
        CannotRun: when there are no pictures, or a picture shows an object that is not listed.
    """
    if not truth:
        raise CannotRun("no pictures to count objects in")
    place = {name: number for number, name in enumerate(objects)}
    strange = sorted({name for names in truth.values() for name in names} - set(objects))
    if strange:
        raise CannotRun(f"the pictures show objects that the vocabulary does not have: {', '.join(strange[:5])}")
    shown = np.zeros((len(truth), len(objects)), dtype=np.float32)  # [picture, object]; exact up to 16 million pictures
    for row, names in zip(shown, truth.values(), strict=True):
        row[[place[name] for name in names]] = 1
    count = shown.sum(axis=0).astype(float)
    together = (shown.T @ shown).astype(float)  # [object, object], pictures that show both
    expected = np.outer(count, count) / len(truth)
    lift = np.divide(together, expected, out=np.zeros_like(together), where=expected > 0)
    return Habits(tuple(objects), count / len(truth), lift)


@dataclass(frozen=True)
class _Read:
    """One caption: its length in words, its objects at their first mention, and counts of all mentions."""

    words: int
    characters: int
    first: tuple[Mention, ...]
    wrong: int
    right: int
    present: frozenset[str]


def _read(caption: str, present: frozenset[str], vocabulary: Vocabulary) -> _Read:
    mentions = chair_mentions(caption, present, vocabulary, "fixed")
    first = {mention.object: mention for mention in reversed(mentions)}
    wrong = sum(mention.hallucinated for mention in mentions)
    ordered = tuple(sorted(first.values(), key=lambda mention: mention.start))
    return _Read(len(caption.split()), len(caption), ordered, wrong, len(mentions) - wrong, present)


def profile(
    captions: Sequence[Answer],
    truth: Mapping[str, Collection[str]],
    vocabulary: Vocabulary,
    world: Habits,
    draws: int = PROFILE_DRAWS,
) -> dict[str, Any]:
    """Answers the four questions at the top of this file for one model's captions.

    Args:
        captions, truth, vocabulary: as in `chair.score_chair`.
        world: `habits` of the world that the pictures come from.
        draws: bootstrap samples of captions for each interval.

    Returns:
        `n, mentions, hallucinated, rules`, and for each question `{chance, ci, n, fifths}`: the chance that the wrong
        one wins, its interval, the number of wrong ones compared, and the rates by fifth from low to high. The rate of
        `length` and `position` is the share of mentions that are wrong (by caption length, and by place in the
        caption); that of `frequency` and `company` the share of absent objects that are named (the absent objects of
        each picture ranked). Each fifth is `{from, to, n, value, ci}`; `from` and `to` are words or shares.

    Raises:
        CannotRun: when there are no captions, or a caption's picture is not in the truth.
    """
    if not captions:
        raise CannotRun("no captions to profile")
    images = [caption.image_id or caption.id for caption in captions]
    unknown = [image for image in dict.fromkeys(images) if image not in truth]
    if unknown:
        raise CannotRun(f"{len(unknown)} images are not in the ground truth: {', '.join(unknown[:5])}")
    rows = zip(captions, images, strict=True)
    reads = [_read(caption.answer, frozenset(truth[image]), vocabulary) for caption, image in rows]
    return {
        "n": len(reads),
        "mentions": sum(read.wrong + read.right for read in reads),
        "hallucinated": sum(read.wrong for read in reads),
        "rules": "fixed",
        "length": _by_length(reads, draws),
        "position": _by_position(reads, draws),
        "frequency": _by_score(reads, world, False, draws),
        "company": _by_score(reads, world, True, draws),
    }


def _by_length(reads: list[_Read], draws: int) -> dict[str, Any]:
    words = np.array([read.words for read in reads])
    wrong = np.array([read.wrong for read in reads])
    right = np.array([read.right for read in reads])
    inner = np.unique(np.quantile(words, np.arange(1, FIFTHS) / FIFTHS))
    group = np.digitize(words, inner)  # captions of one length stay together, so there may be fewer than five
    fifths = [
        _rate(words[group == g].min(), words[group == g].max(), wrong[group == g], (wrong + right)[group == g], draws)
        for g in np.unique(group)
    ]
    random, value = np.random.default_rng(0), _longer(words, wrong, right)
    weights = (np.bincount(random.integers(0, len(words), len(words)), minlength=len(words)) for _ in range(draws))
    drawn = [_longer(words, wrong * weight, right * weight) for weight in weights]
    drawn = [one for one in drawn if one is not None]
    interval = [float(edge) for edge in np.percentile(drawn, [2.5, 97.5])] if value is not None else None
    return {"chance": value, "ci": interval, "n": int(wrong.sum()), "fifths": fifths}


def _longer(words: Int[np.ndarray, " n"], wrong: Int[np.ndarray, " n"], right: Int[np.ndarray, " n"]) -> float | None:
    """Chance that a wrong mention stands in a longer caption than a right one; None where one side is missing."""
    _, place = np.unique(words, return_inverse=True)
    wrongs, rights = np.bincount(place, weights=wrong), np.bincount(place, weights=right)
    return ratio(float(wrongs @ (np.cumsum(rights) - rights / 2)), float(wrong.sum()) * float(right.sum()))


def _by_position(reads: list[_Read], draws: int) -> dict[str, Any]:
    beaten, compared = np.zeros(len(reads)), np.zeros(len(reads))
    named, wrong = np.zeros((len(reads), FIFTHS)), np.zeros((len(reads), FIFTHS))
    for number, read in enumerate(reads):
        right = np.array([mention.start for mention in read.first if not mention.hallucinated])
        for mention in read.first:
            fifth = min(FIFTHS * mention.start // read.characters, FIFTHS - 1)
            named[number, fifth] += 1
            wrong[number, fifth] += mention.hallucinated
            if mention.hallucinated and len(right):
                beaten[number] += (right < mention.start).mean()
                compared[number] += 1
    return _ranked(beaten, compared, wrong, named, draws)


def _by_score(reads: list[_Read], world: Habits, company: bool, draws: int) -> dict[str, Any]:
    """Ranks the absent objects of each picture by frequency, or by the company that the present ones keep."""
    place = {name: number for number, name in enumerate(world.objects)}
    beaten, compared = np.zeros(len(reads)), np.zeros(len(reads))
    absent_in, named_in = np.zeros((len(reads), FIFTHS)), np.zeros((len(reads), FIFTHS))
    for number, read in enumerate(reads):
        there = [place[name] for name in read.present]
        if company and not there:
            continue  # an empty picture has no company
        score = world.lift[:, there].mean(axis=1) if company else world.frequency
        absent = np.setdiff1d(np.arange(len(score)), there)
        said = {place[mention.object] for mention in read.first if mention.hallucinated}
        named = np.isin(absent, list(said))
        lower, tied = _order(score[absent])
        fifth = np.minimum((FIFTHS * (lower + tied / 2) / max(len(absent), 1)).astype(int), FIFTHS - 1)
        absent_in[number] = np.bincount(fifth, minlength=FIFTHS)
        named_in[number] = np.bincount(fifth[named], minlength=FIFTHS)
        others = score[absent[~named]]
        if len(others):
            for one in score[absent[named]]:
                beaten[number] += (others < one).mean() + (others == one).mean() / 2
                compared[number] += 1
    return _ranked(beaten, compared, named_in, absent_in, draws)


def _order(scores: Float[np.ndarray, " n"]) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """For each score, how many are lower, and how many are equal (itself included)."""
    ordered = np.sort(scores)
    lower = np.searchsorted(ordered, scores, "left")
    return lower, np.searchsorted(ordered, scores, "right") - lower


def _ranked(
    beaten: Float[np.ndarray, " n"],
    compared: Float[np.ndarray, " n"],
    top: Float[np.ndarray, "n 5"],
    bottom: Float[np.ndarray, "n 5"],
    draws: int,
) -> dict[str, Any]:
    return {
        "chance": ratio(float(beaten.sum()), float(compared.sum())),
        "ci": ratio_interval(beaten, compared, draws=draws),
        "n": int(compared.sum()),
        "fifths": [_rate(k / FIFTHS, (k + 1) / FIFTHS, top[:, k], bottom[:, k], draws) for k in range(FIFTHS)],
    }


def _rate(
    low: float | np.integer,
    high: float | np.integer,
    top: Shaped[np.ndarray, " n"],
    bottom: Shaped[np.ndarray, " n"],
    draws: int,
) -> dict[str, Any]:
    return {
        "from": float(low),
        "to": float(high),
        "n": int(bottom.sum()),
        "value": ratio(float(top.sum()), float(bottom.sum())),
        "ci": ratio_interval(top, bottom, draws=draws),
    }


def side(answer: Mapping[str, Any]) -> str:
    """Which side of 0.5 a question's whole interval lies on: "above", "below", or "open"."""
    if answer["ci"] is None:
        return "open"
    low, high = answer["ci"]
    return "above" if low > 0.5 else "below" if high < 0.5 else "open"


def agreement(photos: Sequence[Mapping[str, Any]], ours: Mapping[str, Any]) -> dict[str, str]:
    """Compares `ours` with profiles of `photos` by the rule at the top: question to agrees, disagrees or open."""
    verdicts = {}
    for question in QUESTIONS:
        sides = [side(one[question]) for one in photos]
        common = next((name for name in ("above", "below") if sides.count(name) >= NEEDED), None)
        own = side(ours[question])
        verdicts[question] = "open" if common is None or own == "open" else "agrees" if own == common else "disagrees"
    return verdicts

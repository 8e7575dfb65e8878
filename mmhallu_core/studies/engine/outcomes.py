"""From the letters of a record to numbers: single scores, and what two groups of runs differ in.

A contrast pairs runs by their seed. Two things vary, and both are in its interval:

- *runs*: another seed would have given another model. Student's t over the seeds' differences.
- *pictures*: other scenes or questions would have given other answers. A bootstrap draws them, the same for all runs,
  and takes the mean over seeds.

`ci_runs` and `ci_pictures` are these two; `ci` adds their half-widths as the sides of a right angle: rather too wide,
since the seeds' differences hold some of the pictures' chance. With one seed `ci` is that of the pictures alone.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmhallu_core.comparison import shared_seed_contrast
from mmhallu_core.evaluate.matched_recall import Cuts, matched, percentiles, scene_draws
from mmhallu_core.types import CATEGORIES

Answers = Mapping[str, Any]
Pair = tuple[np.ndarray, np.ndarray]  # numerators and denominators, one of each per picture, or per two pictures


@dataclass(frozen=True)
class Outcome:
    """Something that is read from a run's letters.

    Attributes:
        label: what figures and tables call it.
        needs: the letters that it reads, by their names in `exam.py`.
        parts: letters to numerators and denominators, [pictures], or [pictures, pictures] where an answer about one is
            held against an answer about another; None for CHAIR_i at matched recall, which takes two runs.
        less: whether less is better.
        small: a difference that nobody would miss, as a share; None where no verdict rests on the outcome.
    """

    label: str
    needs: tuple[str, ...]
    parts: Callable[[Answers], Pair] | None
    less: bool = False
    small: float | None = None


def _marks(answers: Answers, top: str, bottom: str) -> Pair:
    texts = answers["captions"]
    count = lambda letters: np.array([sum(map(text.count, letters)) for text in texts], dtype=float)  # noqa: E731
    return count(top), count(bottom)


def _f1(answers: Answers) -> Pair:
    hit, wrong = (np.array([sum(map(t.count, s)) for t in answers["pope"]], float) for s in ("t", "mfu"))
    return 2 * hit, 2 * hit + wrong


def _precision(answers: Answers) -> Pair:
    right, said = (np.array([sum(map(t.count, s)) for t in answers["pope"]], float) for s in ("t", "tf"))
    return right, said


def _pope_right(answers: Answers) -> Pair:
    rows = answers["pope"]
    return np.array([t.count("t") + t.count("c") for t in rows], float), np.array([len(t) for t in rows], float)


def _bits(answers: Answers, name: str) -> np.ndarray:
    return np.array([one == "1" for one in answers[name]], dtype=float)


def _share(values: np.ndarray) -> Pair:
    return values, np.ones(len(values))


def _both(answers: Answers) -> np.ndarray:
    return _bits(answers, "sum") * _bits(answers, "sum_swapped")


def _told_apart(answers: Answers) -> Pair:
    pairs = zip(answers["same"], answers["different"], strict=True)
    return _share(np.array([pair == ("s", "d") for pair in pairs], dtype=float))


ABOUT_ONE = {
    "chair_matched": Outcome("CHAIR_i at matched recall", ("captions", "there"), None, less=True, small=0.01),
    "chair_i": Outcome("CHAIR_i", ("captions",), lambda a: _marks(a, "x", "hrx"), less=True),
    "recall": Outcome("recall of captions", ("captions", "there"),
                      lambda a: (_marks(a, "h", "h")[0], np.asarray(a["there"], dtype=float)), small=0.01),
    "chair_s": Outcome("CHAIR_s", ("captions",),
                       lambda a: _share(np.array(["x" in text for text in a["captions"]], dtype=float)), less=True),
    "pope_adversarial_f1": Outcome("F1, adversarial POPE", ("pope",), _f1, small=0.01),
    "pope_adversarial_precision": Outcome("precision, adversarial POPE", ("pope",), _precision, small=0.01),
    "pope_adversarial_accuracy": Outcome("accuracy, adversarial POPE", ("pope",), _pope_right, small=0.01),
}  # fmt: skip
ABOUT_TWO = {
    "med_tiny": Outcome("MED-tiny, by likelihood", ("sum",), lambda a: _share(_bits(a, "sum")), small=0.02),
    "med_tiny_letters": Outcome("MED-tiny, by letter", ("letters",), lambda a: _share(_bits(a, "letters")), small=0.02),
    "both_right": Outcome("MED-tiny, right in both orders", ("sum", "sum_swapped"), lambda a: _share(_both(a))),
    "stays_right": Outcome("right ones that stay right when swapped", ("sum", "sum_swapped"),
                           lambda a: (_both(a), _bits(a, "sum"))),
    "same_asserts_a_difference": Outcome(
        "one picture twice: asserts a difference", ("same",),
        lambda a: _share(np.array([one == "d" for one in a["same"]], dtype=float)), less=True),
    "told_apart": Outcome("pair and same picture twice told apart", ("same", "different"), _told_apart),
    "routed_both_right": Outcome("asked of either picture: both right", ("routed",),
                                 lambda a: _share(np.array([one == "11" for one in a["routed"]], dtype=float))),
}  # fmt: skip
# MED-tiny's categories have equally many questions, so the mean over questions is the mean over categories.
OUTCOMES = ABOUT_ONE | ABOUT_TWO


def score(answers: Answers, name: str, outcomes: Mapping[str, Outcome] = OUTCOMES) -> float | None:
    """One score of one record; None where nothing was counted."""
    top, bottom = outcomes[name].parts(answers)
    return float(top.sum() / bottom.sum()) if bottom.sum() else None


def by_category(answers: Answers) -> dict[str, float]:
    """MED-tiny by likelihood, category by category; the questions come with the categories in turn."""
    right = _bits(answers, "sum")
    return {name: float(right[place :: len(CATEGORIES)].mean()) for place, name in enumerate(CATEGORIES)}


def contrast(
    first: Mapping[int, Answers | None], second: Mapping[int, Answers], name: str,
    outcomes: Mapping[str, Outcome] = OUTCOMES, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """What two groups of runs differ in, second minus first.

    Args:
        first: seed to the answers of the run with that seed; a base, which has no seeds, stands under each. None in
            place of answers stands for zero: then the difference is the second's outcome.
        second: the same for the others.
        name: of the outcome.
        outcomes: where it stands.
        seed: of the bootstrap.

    Returns:
        `{difference, ci, ci_runs, ci_pictures, p, seeds, each, first, second}`. `each` has the seeds' differences. `p`
        is of the t test over seeds that there is no difference, None for one seed. `first` and `second` are the means
        over seeds of the two groups, for CHAIR_i at matched recall at the same recall, which stands beside them. None
        where there is no score.

    Raises:
        ValueError: when the two have no or not the same seeds, or were not asked the same.
    """
    if set(first) != set(second) or not first:
        raise ValueError(f"both groups need the same seeds, got {sorted(first)} and {sorted(second)}")
    rows = {one: _pair(first[one], second[one], name, outcomes[name].parts, seed) for one in sorted(first)}
    points = {one: row["point"] for one, row in rows.items()}
    if any(np.isnan(point).any() for point in points.values()):
        empty = dict.fromkeys(("difference", "ci", "ci_runs", "ci_pictures", "p", "each"))
        return {**empty, "seeds": sorted(first)}
    values = np.stack(list(points.values()))  # [seed, (first, second, extra)]
    each = values[:, 1] - values[:, 0]
    over_runs = over_seeds(each)
    drawn = percentiles(np.mean([row["draws"] for row in rows.values()], axis=0))
    difference = over_runs["difference"]
    found = {
        "difference": difference,
        "ci": _together(difference, [one for one in (over_runs["ci"], drawn) if one]),
        "ci_runs": over_runs["ci"],
        "ci_pictures": drawn,
        "p": over_runs["p"],
        "seeds": sorted(first),
        "each": each.tolist(),
        "first": float(values[:, 0].mean()),
        "second": float(values[:, 1].mean()),
    }
    return found | ({"recall": float(values[:, 2].mean())} if outcomes[name].parts is None else {})


def over_seeds(each: Sequence[float], bar: float = 0.0) -> dict[str, Any]:
    """Student's t test over the seeds' differences: its p is that of "the difference is `bar`"."""
    return shared_seed_contrast(dict.fromkeys(range(len(each)), bar), dict(enumerate(map(float, each))))


def _pair(
    first: Answers | None, second: Answers, name: str, parts: Callable[[Answers], Pair] | None, seed: int
) -> dict[str, np.ndarray]:
    """Both scores of one seed's two runs, and their difference in every draw of pictures."""
    if parts is None:
        a, b = (Cuts.of(one["captions"], one["there"]) for one in (first, second))
        found, drawn = matched(a, b), matched(a, b, _drawn(len(a.there), seed))
        return {
            "point": np.array([found[key][0] for key in ("first", "second", "recall")]),
            "draws": drawn["difference"],
        }
    c, d = parts(second)
    a, b = (np.zeros_like(c), d) if first is None else parts(first)
    if len(a) != len(c):
        raise ValueError(f"{name}: the two runs were asked {len(a)} and {len(c)} times")
    weights = _drawn(len(a), seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        point = np.array([a.sum() / b.sum(), c.sum() / d.sum(), 0.0])
        a, b, c, d = _sums(weights, (a, b, c, d))
        return {"point": point, "draws": c / d - a / b}


def _sums(weights: np.ndarray, parts: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """What each draw of pictures adds up to; two pictures count as often as both are drawn together."""
    if all(values.ndim == 1 for values in parts):
        return (weights @ np.stack(parts, axis=1)).T  # one pass over the draws, which are most of the work
    return [weights @ values if values.ndim == 1 else ((weights @ values) * weights).sum(1) for values in parts]


@functools.lru_cache(maxsize=8)
def _drawn(pictures: int, seed: int) -> np.ndarray:
    """The same draws for every contrast over as many pictures."""
    return scene_draws(pictures, seed=seed)


def _together(middle: float, intervals: Sequence[Sequence[float]]) -> list[float] | None:
    """An interval whose half-widths are the others' put at right angles, each side by itself."""
    if not intervals:
        return None
    low, high = (np.sqrt(sum((one[side] - middle) ** 2 for one in intervals)) for side in (0, 1))
    return [float(middle - low), float(middle + high)]

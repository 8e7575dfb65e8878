"""From the letters of a record to numbers: single scores, and what two groups of runs differ in.

A contrast pairs runs by their seed. Two things vary, and both are in its interval:

- *runs*: another seed would have given another model. Student's t over the seeds' differences.
- *pictures*: other scenes or questions would have given other answers. A bootstrap draws them, the same for all runs,
  and takes the mean over seeds.

`ci_runs` and `ci_pictures` are these two. `ci` adds their half-widths as the sides of a right angle, each side of the
interval apart. The seeds' differences already hold some of the pictures' chance, so `ci` is rather too wide than too
narrow. With one seed there is no `ci_runs`, and `ci` is that of the pictures alone, which the row says.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mmhallu_core.comparison import shared_seed_contrast
from mmhallu_core.evaluate.matched_recall import Cuts, matched, percentiles, scene_draws
from mmhallu_core.types import CATEGORIES

Answers = Mapping[str, Any]
Pair = tuple[np.ndarray, np.ndarray]  # numerators and denominators, one of each per picture


def _marks(answers: Answers, top: str, bottom: str) -> Pair:
    texts = answers["captions"]
    count = lambda letters: np.array([sum(map(text.count, letters)) for text in texts], dtype=float)  # noqa: E731
    return count(top), count(bottom)


def _f1(answers: Answers) -> Pair:
    hit, wrong = (np.array([sum(map(t.count, s)) for t in answers["pope"]], float) for s in ("t", "mf"))
    return 2 * hit, 2 * hit + wrong


def _pope_right(answers: Answers) -> Pair:
    rows = answers["pope"]
    return np.array([t.count("t") + t.count("c") for t in rows], float), np.array([len(t) for t in rows], float)


def _bits(answers: Answers, name: str) -> np.ndarray:
    return np.array([one == "1" for one in answers[name]], dtype=float)


def _share(values: np.ndarray) -> Pair:
    return values, np.ones(len(values))


def _both(answers: Answers) -> np.ndarray:
    return _bits(answers, "sum") * _bits(answers, "sum_swapped")


def _routed(answers: Answers) -> Pair:
    return _share(np.array([one == "11" for one in answers["routed"]], dtype=float))


RATIOS: dict[str, Callable[[Answers], Pair]] = {
    "chair_i": lambda a: _marks(a, "x", "hrx"),
    "recall": lambda a: (_marks(a, "h", "h")[0], np.asarray(a["there"], dtype=float)),
    "chair_s": lambda a: _share(np.array(["x" in text for text in a["captions"]], dtype=float)),
    "pope_adversarial_f1": _f1,
    "pope_adversarial_accuracy": _pope_right,
    "med_tiny": lambda a: _share(_bits(a, "sum")),
    "med_tiny_letters": lambda a: _share(_bits(a, "letters")),
    "both_right": lambda a: _share(_both(a)),
    "stays_right": lambda a: (_both(a), _bits(a, "sum")),
    "same_asserts_a_difference": lambda a: _share(np.array([one == "d" for one in a["same"]], dtype=float)),
    "told_apart": lambda a: _share(
        np.array([pair == ("s", "d") for pair in zip(a["same"], a["different"], strict=True)], dtype=float)
    ),
    "routed_both_right": _routed,
}  # MED-tiny's categories have equally many questions, so the mean over questions is the mean over categories
OF_PAIRS = ("med_tiny", "both_right", "stays_right")  # those that a look at other pairs has, too


def score(answers: Answers, name: str) -> float | None:
    """One score of one record; None where nothing was counted."""
    top, bottom = RATIOS[name](answers)
    return float(top.sum() / bottom.sum()) if bottom.sum() else None


def by_category(answers: Answers) -> dict[str, float]:
    """MED-tiny by likelihood, category by category; the questions come with the categories in turn."""
    right = _bits(answers, "sum")
    return {name: float(right[place :: len(CATEGORIES)].mean()) for place, name in enumerate(CATEGORIES)}


def contrast(first: Mapping[int, Answers], second: Mapping[int, Answers], name: str, seed: int = 0) -> dict[str, Any]:
    """What two groups of runs differ in, second minus first.

    Args:
        first: seed to the answers of the run with that seed; a base, which has no seeds, stands under each.
        second: the same for the others.
        name: of RATIOS, or "chair_matched" (see `matched_recall`).
        seed: of the bootstrap.

    Returns:
        `{difference, ci, ci_runs, ci_pictures, p, seeds, first, second}`; `p` is of the t test over seeds, None for one
        seed; `first` and `second` are the means over seeds of the two groups, for `chair_matched` at the same recall,
        which stands beside them. None where there is no score.

    Raises:
        ValueError: when the two have no or not the same seeds, or were not asked the same.
    """
    if set(first) != set(second) or not first:
        raise ValueError(f"both groups need the same seeds, got {sorted(first)} and {sorted(second)}")
    rows = {one: _pair(first[one], second[one], name, seed) for one in sorted(first)}
    points = {one: row["point"] for one, row in rows.items()}
    if any(np.isnan(point).any() for point in points.values()):
        return {"difference": None, "ci": None, "ci_runs": None, "ci_pictures": None, "p": None, "seeds": sorted(first)}
    values = np.stack(list(points.values()))  # [seed, (first, second, extra)]
    over_runs = shared_seed_contrast(dict.fromkeys(points, 0.0), {one: float(p[1] - p[0]) for one, p in points.items()})
    drawn = percentiles(np.mean([row["draws"] for row in rows.values()], axis=0))
    difference = over_runs["difference"]
    found = {
        "difference": difference,
        "ci": _together(difference, [one for one in (over_runs["ci"], drawn) if one]),
        "ci_runs": over_runs["ci"],
        "ci_pictures": drawn,
        "p": over_runs["p"],
        "seeds": sorted(first),
        "first": float(values[:, 0].mean()),
        "second": float(values[:, 1].mean()),
    }
    return found | ({"recall": float(values[:, 2].mean())} if name == "chair_matched" else {})


def _pair(first: Answers, second: Answers, name: str, seed: int) -> dict[str, np.ndarray]:
    """Both scores of one seed's two runs, and their difference in every draw of pictures."""
    if name == "chair_matched":
        a, b = (Cuts.of(one["captions"], one["there"]) for one in (first, second))
        found, drawn = matched(a, b), matched(a, b, _drawn(len(a.there), seed))
        return {
            "point": np.array([found[key][0] for key in ("first", "second", "recall")]),
            "draws": drawn["difference"],
        }
    (a, b), (c, d) = RATIOS[name](first), RATIOS[name](second)
    if len(a) != len(c):
        raise ValueError(f"{name}: the two runs were asked {len(a)} and {len(c)} times")
    weights = _drawn(len(a), seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        point = np.array([a.sum() / b.sum(), c.sum() / d.sum(), 0.0])
        return {"point": point, "draws": (weights @ c) / (weights @ d) - (weights @ a) / (weights @ b)}


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

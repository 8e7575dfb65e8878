"""One table of several captioners, and what it depends on: which words of a caption count, and which photos.

Everything here works on counts (`chair.chair_parts`), for several models and the same photos in the same order: a score
of 500 photos, or of cut captions, is a matter of adding up.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from mmhallu_core.comparison import corrected, ratio_test
from mmhallu_core.statistics import ratio, ratio_interval

SCORES = ("chair_i", "chair_s", "recall", "mean_length")
SUBSETS = 2000  # random choices of photos
DRAWS, SWAPS = 1000, 4999  # of one comparison of two models
SURE = 0.05  # a corrected p below this tells two models apart
SEED = 0
Parts = dict[str, tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]]  # score to counts, caption by caption
Counts = Mapping[str, Parts]  # model to its parts, the same photos in the same order


def cut(caption: str, words: int | None) -> str:
    """The first words of a caption, cut at single spaces as CHAIR's mean length counts them; all of it for None."""
    return caption if words is None else " ".join(caption.strip().split(" ")[:words])


def table(counts: Counts, scores: Sequence[str] = SCORES) -> dict[str, dict[str, Any]]:
    """Each model's scores, with intervals over captions.

    Returns:
        model to `{n, chair_i, chair_s, recall, mean_length, ci}`; shares, and words.
    """
    return {
        name: {
            "n": len(parts["chair_s"][0]),
            **{score: ratio(float(parts[score][0].sum()), float(parts[score][1].sum())) for score in scores},
            "ci": {score: ratio_interval(*parts[score], seed=SEED) for score in scores},
        }
        for name, parts in counts.items()
    }


def change(first: Parts, second: Parts, scores: Sequence[str]) -> dict[str, dict[str, Any]]:
    """How the scores differ between two sets of captions of the same photos, photo by photo: `comparison.ratio_test`,
    second minus first, for each score."""
    return {score: ratio_test(first[score], second[score], draws=DRAWS, swaps=SWAPS, seed=SEED) for score in scores}


def pairs(counts: Counts) -> dict[str, dict[str, Any]]:
    """Every two models: "A / B" to `{chair_i, chair_s}`, each `{difference, ci, p, holm}`, B minus A; `holm` is the p
    after Holm's correction over all pairs and both scores. All None where a model names nothing."""
    rows = {
        f"{a} / {b}": change(counts[a], counts[b], ("chair_i", "chair_s")) for a, b in itertools.combinations(counts, 2)
    }
    tests = {f"{pair} {score}": one["p"] for pair, row in rows.items() for score, one in row.items()}
    holm = corrected({name: p for name, p in tests.items() if p is not None})
    for (pair, row), score in itertools.product(rows.items(), ("chair_i", "chair_s")):
        row[score]["holm"] = holm.get(f"{pair} {score}")
    return rows


def apart(difference: Mapping[str, Any]) -> int:
    """Whether two models are told apart: 1 when the second surely has the higher score, -1 the first, 0 neither."""
    holm = difference["holm"]
    return int(np.sign(difference["difference"])) if holm is not None and holm < SURE else 0


def choices(counts: Counts, size: int, draws: int = SUBSETS) -> dict[str, Any]:
    """What other people would have printed who drew `size` of the photos at random.

    Returns:
        `models`: model to `{chair_i, chair_s}`, each the lowest, the 2.5, 50, 97.5 percentiles and the highest of the
        scores; `turned`: pair to the share of choices in which its order is not that of all photos; `order`: the
        share in which all models stand in the order of all photos.
    """
    random = np.random.default_rng(SEED)
    n = len(next(iter(counts.values()))["chair_s"][0])
    taken = np.zeros((draws, n))
    np.put_along_axis(taken, np.argsort(random.random((draws, n)), axis=1)[:, :size], 1.0, axis=1)
    result: dict[str, Any] = {"size": size, "draws": draws, "models": {name: {} for name in counts}}
    result |= {"turned": {f"{a} / {b}": {} for a, b in itertools.combinations(counts, 2)}, "order": {}}
    for score in ("chair_i", "chair_s"):
        drawn = {name: (taken @ parts[score][0]) / (taken @ parts[score][1]) for name, parts in counts.items()}
        whole = {name: parts[score][0].sum() / parts[score][1].sum() for name, parts in counts.items()}
        same = np.ones(draws, dtype=bool)
        for name, values in drawn.items():
            result["models"][name][score] = np.percentile(values, [0, 2.5, 50, 97.5, 100]).tolist()
        for a, b in itertools.combinations(counts, 2):
            turned = np.sign(drawn[b] - drawn[a]) != np.sign(whole[b] - whole[a])
            result["turned"][f"{a} / {b}"][score] = float(turned.mean())
            same &= ~turned
        result["order"][score] = float(same.mean())
    return result


def by_crowd(counts: Counts, truth: Sequence[frozenset[str]], size: int = 500) -> dict[str, Any]:
    """The scores on the photos with the fewest objects, and on those with the most (ties in the files' order).

    Returns:
        "fewest objects" and "most objects", each `{objects: [least, most], models: what table returns}`.
    """
    many = np.array([len(objects) for objects in truth])
    order = np.argsort(many, kind="stable")
    result = {}
    for name, chosen in (("fewest objects", order[:size]), ("most objects", order[-size:])):
        some = {m: {s: (top[chosen], bottom[chosen]) for s, (top, bottom) in p.items()} for m, p in counts.items()}
        objects = [int(many[chosen].min()), int(many[chosen].max())]
        result[name] = {"objects": objects, "models": table(some, ("chair_i", "chair_s"))}
    return result


def turns(lengths: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """The pairs that turn (see the top of this file): score to pair to the cuts at which they do."""
    found: dict[str, dict[str, list[str]]] = {"chair_i": {}, "chair_s": {}}
    for score, pair in itertools.product(found, lengths["all"]["pairs"]):
        side = apart(lengths["all"]["pairs"][pair][score])
        at = [words for words, one in lengths.items() if side and apart(one["pairs"][pair][score]) == -side]
        if at:
            found[score][pair] = at
    return found

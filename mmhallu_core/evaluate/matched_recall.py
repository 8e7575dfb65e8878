"""CHAIR_i at matched recall: is a model's caption truer, or only shorter?

Who names less hallucinates less. When two models differ in recall, their CHAIR_i cannot be compared as it stands. Here
the one that recalls more is made to say less, until both recall the same:

1. A caption is a list of mentions. Cut after its first m mentions, all captions together have a recall (the objects
   named of the objects there) and a CHAIR_i (the hallucinated mentions of the mentions). Neither is defined by words,
   so a wordy model is not punished.
2. Between m and m + 1 the cut is drawn by lot: a share f of the captions keeps its next mention. What is counted is
   what is expected, m's counts plus f times what the next mention adds. So recall takes every value from 0 to full.
3. Both models are cut at the smaller of the two full recalls, at the longest cut that recalls no more than that. So
   the model that recalls less is taken whole.

The interval draws scenes, each with both models' captions, and matches the recalls anew in every draw.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mmhallu_core.data.vocabulary import Vocabulary
from mmhallu_core.evaluate.chair import chair_mentions
from mmhallu_core.statistics import DRAWS

HIT, AGAIN, WRONG = "h", "r", "x"  # a mention of what is there for the first time, or again, or of what is not there


def marks(caption: str, objects: Collection[str], vocabulary: Vocabulary) -> str:
    """The mentions of a caption in their order by the fixed rules, a letter each: HIT, AGAIN or WRONG."""
    seen: set[str] = set()
    found = []
    for mention in chair_mentions(caption, objects, vocabulary, "fixed"):
        found.append(WRONG if mention.hallucinated else AGAIN if mention.object in seen else HIT)
        seen.add(mention.object)
    return "".join(found)


@dataclass(frozen=True)
class Cuts:
    """What is counted in each caption when it is cut after 0, 1, 2 ... mentions.

    Attributes:
        mentions, wrong, hits: one row a caption, one column a cut; the last column is the whole caption.
        there: objects in each caption's picture.
    """

    mentions: Float[np.ndarray, "captions cuts"]
    wrong: Float[np.ndarray, "captions cuts"]
    hits: Float[np.ndarray, "captions cuts"]
    there: Float[np.ndarray, " captions"]

    @classmethod
    def of(cls, marked: Sequence[str], there: Sequence[int]) -> "Cuts":
        """From `marks` of each caption, and how many objects are in its picture.

        Raises:
            ValueError: when there are no captions, or not one number for each.
        """
        if not marked or len(marked) != len(there):
            raise ValueError(f"need captions and a number of objects for each, got {len(marked)} and {len(there)}")
        width = max(map(len, marked)) + 1

        def counted(letters: str) -> Float[np.ndarray, "captions cuts"]:
            steps = np.zeros((len(marked), width))
            for row, text in enumerate(marked):
                steps[row, 1 : len(text) + 1] = [letter in letters for letter in text]
            return steps.cumsum(axis=1)

        return cls(counted(HIT + AGAIN + WRONG), counted(WRONG), counted(HIT), np.asarray(there, dtype=float))

    def sums(self, weights: Float[np.ndarray, "draws captions"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Recall, hallucinated mentions and mentions of each draw at each cut; all [draws, cuts]."""
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = (weights @ self.hits) / (weights @ self.there)[:, None]
        return recall, weights @ self.wrong, weights @ self.mentions


def matched(
    first: Cuts, second: Cuts, weights: Float[np.ndarray, "draws captions"] | None = None
) -> dict[str, Float[np.ndarray, " draws"]]:
    """Two models' CHAIR_i at the same recall.

    Args:
        first, second: of captions of the same pictures, in the same order.
        weights: how often each picture counts, one row a draw; each once when None.

    Returns:
        `recall` (the matched one), `first`, `second` (CHAIR_i) and `difference` (second minus first), an entry a draw;
        not a number where nothing is there or nothing is named.

    Raises:
        ValueError: when the two are not about the same pictures.
    """
    if not np.array_equal(first.there, second.there):
        raise ValueError("both models must have captioned the same pictures, in the same order")
    weights = np.ones((1, len(first.there))) if weights is None else weights
    rows = [cuts.sums(weights) for cuts in (first, second)]
    recall = np.minimum(rows[0][0][:, -1], rows[1][0][:, -1])
    a, b = (_at(*row, recall) for row in rows)
    return {"recall": recall, "first": a, "second": b, "difference": b - a}


def _at(recall: np.ndarray, wrong: np.ndarray, mentions: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """CHAIR_i of each draw at the longest cut that recalls no more than wanted."""
    rows, last = np.arange(len(recall)), recall.shape[1] - 1
    low = np.maximum((recall <= wanted[:, None] + 1e-12).sum(axis=1) - 1, 0)  # recall never falls with the cut
    high = np.minimum(low + 1, last)
    gap = recall[rows, high] - recall[rows, low]
    share = np.where(gap > 1e-12, (wanted - recall[rows, low]) / np.where(gap > 1e-12, gap, 1.0), 0.0)
    share = np.clip(share, 0.0, 1.0)

    def mixed(counts: np.ndarray) -> np.ndarray:
        return counts[rows, low] + share * (counts[rows, high] - counts[rows, low])

    top, bottom = mixed(wrong), mixed(mentions)
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), np.nan)


def scene_draws(scenes: int, draws: int = DRAWS, seed: int = 0) -> Float[np.ndarray, "draws scenes"]:
    """How often each scene comes in each bootstrap draw."""
    drawn = np.random.default_rng(seed).integers(0, scenes, size=(draws, scenes))
    return np.stack([np.bincount(row, minlength=scenes) for row in drawn]).astype(float)


def percentiles(values: Float[np.ndarray, " draws"]) -> list[float] | None:
    """The 95% interval of draws; those that are no number are left out, and None is left when all are."""
    kept = values[~np.isnan(values)]
    if not len(kept):
        return None
    low, high = np.percentile(kept, [2.5, 97.5])
    return [float(low), float(high)]

"""Every object that a model's captions name, with what can be said of how it looked: is a wrong one different?

Five numbers of a mention, and the first two of the word before it:

- `share`: the image attention share, averaged over layers, heads and the word's tokens (`attention.py`).
- `heat`: what of Grad-CAM at the tower speaks for the word, added up over cells; in units of log-probability.
- `sure`: its log-probability.
- `over_grey`, `over_other`: how much of that the picture adds, over a grey picture and over one of another place. A
  word of habit is as likely without its picture.

Hallucinated mentions come later in a caption and are of other words than grounded ones. So `matched` compares each with
grounded mentions that stand within three words of its own place, of words that the model writes about as often.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image

from mmhallu_core.evaluate.chair import Mention
from mmhallu_core.explain.attention import image_attention
from mmhallu_core.explain.perturb import filled
from mmhallu_core.explain.reading import Reading, Target
from mmhallu_core.explain.run import explain_all

NUMBERS = ("share", "heat", "share_before", "heat_before", "sure", "over_grey", "over_other")
NEAR, AS_OFTEN = 3, 1.5  # words between two matched mentions at most; ratio of how often their words are written
Columns = Mapping[str, Sequence[Any]]
Pairs = tuple[np.ndarray, np.ndarray]  # tops and bottoms of a ratio, both [scenes, scenes]


def word_before(reading: Reading, start: int) -> Target | None:
    """The word of an answer that ends before a character; None where there is none."""
    words = [target for target in reading.words() if reading.spans[target.tokens[-1]][1] <= start]
    return words[-1] if words else None


def look(reading: Reading, mentions: Sequence[Mention], other: Image.Image) -> list[dict[str, float]]:
    """The numbers of each mention of a caption.

    Args:
        reading: one picture and its caption.
        mentions: of the caption.
        other: a picture of another place, of the same size.

    Returns:
        A row for each mention, in their order: `NUMBERS`. Those of the word before are its own where it is the first.
    """
    if not mentions:
        return []
    named = [reading.at((one.start, one.end)) for one in mentions]
    before = [word_before(reading, one.start) or word for one, word in zip(mentions, named, strict=True)]
    every = [*named, *before]
    attention = image_attention(reading).share.mean((0, 1))  # [tokens]
    share = [float(attention[list(word.tokens)].mean()) for word in every]
    maps = explain_all(reading, every, "gradcam")
    heat = [sum(float(view.values.clamp(min=0).sum()) for view in one.pictures[0].views) for one in maps]
    with torch.no_grad():
        blind = reading.scores(reading.encode([[filled(reading.images[0], "grey")], [other]]), named)
    rows = []
    for i in range(len(named)):
        sure, n = maps[i].score, len(named)
        values = (share[i], heat[i], share[n + i], heat[n + i], sure, *(sure - float(one) for one in blind[:, i]))
        rows.append(dict(zip(NUMBERS, values, strict=True)))
    return rows


def matches(found: Columns) -> Bool[np.ndarray, "wrong grounded"]:
    """Which grounded mentions each hallucinated one is held against.

    Args:
        found: columns of equal length, an entry a mention: `wrong` (1 or 0), `word` (its number in the caption),
            `kind`, `scene`.
    """
    wrong = np.array(found["wrong"], bool)
    kinds, at, counts = np.unique(found["kind"], return_inverse=True, return_counts=True)
    often, place = np.log(counts[at]), np.asarray(found["word"])
    near = np.abs(place[wrong][:, None] - place[~wrong][None]) <= NEAR
    return near & (np.abs(often[wrong][:, None] - often[~wrong][None]) <= np.log(AS_OFTEN) + 1e-12)


def _summed(found: Columns, scenes: int, value: np.ndarray, weight: np.ndarray) -> Pairs:
    """Adds what stands at two mentions up over their scenes."""
    wrong, scene = np.array(found["wrong"], bool), np.asarray(found["scene"], int)
    rows, cols = (np.eye(scenes)[scene[which]] for which in (wrong, ~wrong))  # [mentions, scenes]
    return rows.T @ (weight * value) @ cols, rows.T @ weight @ cols


def _two(found: Columns, name: str) -> tuple[Float[np.ndarray, "wrong 1"], Float[np.ndarray, "1 grounded"]]:
    wrong, value = np.array(found["wrong"], bool), np.asarray(found[name], float)
    return value[wrong][:, None], value[~wrong][None]


def matched(found: Columns, scenes: int, name: str) -> Pairs:
    """How much larger a number is for hallucinated mentions than for grounded ones that match them.

    Args:
        found: columns, as for `matches`, with the number's.
        scenes: how many captions there are.
        name: of the number.

    Returns:
        Tops and bottoms [scenes, scenes]: the sum of the first over that of the second is the difference, in standard
        deviations of the number over all mentions. Each hallucinated mention that has a match counts once.
    """
    a, b = _two(found, name)
    alike = matches(found)
    weight = alike / np.maximum(alike.sum(1, keepdims=True), 1)
    spread = float(np.std(np.asarray(found[name], float))) if len(found[name]) else 0.0
    return _summed(found, scenes, (a - b) / (spread or 1.0), weight)


def auroc(found: Columns, scenes: int, name: str, less: str | None = None) -> Pairs:
    """How well a number tells hallucinated mentions from grounded ones, which should have more of it.

    Args:
        found, scenes, name: as for `matched`.
        less: the name of another number whose AUROC is taken off.

    Returns:
        As `matched`; the ratio is the chance that of a hallucinated and a grounded mention the first has less, a tie
        counting one half.
    """
    a, b = _two(found, name)
    right = (a < b) + 0.5 * (a == b)
    if less is not None:
        c, d = _two(found, less)
        right = right - ((c < d) + 0.5 * (c == d))
    return _summed(found, scenes, right, np.ones(right.shape))

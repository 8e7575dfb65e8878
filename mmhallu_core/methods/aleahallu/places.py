"""What a way to locate says of each place, counted while pairs stream by: means, their spread, votes, a ranking."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmhallu_core.models.record import WRITERS
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun

Place = tuple[int, str]  # number of the decoder layer, and "attention" or "mlp"
VOTES = ("as_code", "as_paper")  # modes that rank by votes, as the code does


def places_of(vlm: Vlm, parts: Sequence[str] = WRITERS) -> dict[Place, str]:
    """All places of a model with the full names of their weights, layer by layer."""
    named = {part: list(vlm.family.output_matrices(vlm.model, part)) for part in parts}
    layers = range(len(vlm.family.layers(vlm.model)))
    return {(layer, part): f"{named[part][layer]}.weight" for layer in layers for part in parts}


@dataclass
class Located:
    """What one mode says of all places.

    Attributes:
        mode: its name.
        places: in the order of all tensors here.
        n: pairs that were looked at.
        rows: for `ours` and `gradient`: by place, the mean score of each row of its matrix, that is, of each dimension
            of the states that it writes.
        mean: score of each place, mean over pairs.
        squares: sum of squared deviations from it (Welford 1962).
        votes: how many pairs have their largest score there; where places share it, each gets the vote.
    """

    mode: str
    places: list[Place]
    n: int = 0
    rows: dict[Place, Tensor] = field(default_factory=dict)
    mean: Float[Tensor, " places"] = field(init=False)
    squares: Float[Tensor, " places"] = field(init=False)
    votes: Int[Tensor, " places"] = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.places)
        self.mean, self.squares = torch.zeros(2, count, dtype=torch.float64)
        self.votes = torch.zeros(count, dtype=torch.long)

    def add(self, scores: Float[Tensor, "pairs places"], rows: dict[Place, Tensor] | None = None) -> None:
        """Takes some pairs in; `rows` holds sums over these pairs."""
        scores = scores.detach().double().cpu()
        count, mean = len(scores), scores.mean(0)
        step, whole = mean - self.mean, self.n + count
        self.squares += ((scores - mean) ** 2).sum(0) + step**2 * self.n * count / whole
        self.mean += step * count / whole
        self.votes += (scores == scores.amax(1, keepdim=True)).sum(0)
        for place, sums in (rows or {}).items():
            before = self.rows.get(place, torch.zeros(len(sums), dtype=torch.float64))
            self.rows[place] = before + (sums.detach().double().cpu() - count * before) / whole
        self.n = whole

    def interval(self, place: Place) -> list[float] | None:
        """95% for the mean over pairs, by the normal distribution; None for one pair."""
        i = self.places.index(place)
        if self.n < 2:
            return None
        half = 1.959963984540054 * float((self.squares[i] / (self.n - 1) / self.n).sqrt())
        return [float(self.mean[i]) - half, float(self.mean[i]) + half]

    def ranking(self, part: str | None = None) -> list[Place]:
        """The places of a part (of all, for None), the most suspicious first."""
        order = {
            place: (int(self.votes[i]) if self.mode in VOTES else 0, float(self.mean[i]))
            for i, place in enumerate(self.places)
        }
        return sorted((one for one in self.places if part in (None, one[1])), key=order.__getitem__, reverse=True)

    def top_rows(self, place: Place, share: float) -> Int[Tensor, " rows"]:
        """The rows of a place with the largest scores, in their order.

        Raises:
            CannotRun: when this mode gives rows no scores.
        """
        if place not in self.rows:
            raise CannotRun(f"the mode {self.mode} gives rows no scores: take ours or gradient")
        scores = self.rows[place]
        return scores.topk(max(1, round(share * len(scores)))).indices.sort().values

    def to_dict(self) -> dict[str, Any]:
        """For a record: the mode, n, and for each place its score, interval and votes."""
        told = {
            f"{layer}.{part}": {
                "score": float(self.mean[i]), "ci": self.interval((layer, part)), "votes": int(self.votes[i])
            }
            for i, (layer, part) in enumerate(self.places)
        }  # fmt: skip
        return {"mode": self.mode, "n": self.n, "places": told}

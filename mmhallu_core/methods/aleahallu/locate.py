"""Locate: which matrices write the hallucination? Eight modes, in one pass over pairs of responses.

A *place* is the last matrix of a decoder layer's MLP or attention (`down_proj`, `o_proj`): what it gives out is added
to the states. Every mode gives each place a score for each pair; kept are means, their spread and votes, so that memory
does not grow with the number of pairs. Higher means: more likely the place.

Modes that look at states (a layer's two places share its score):

- `as_code`: the released code. The two responses alone, without picture and prompt, padded on the left to one length;
  the L2 norm of the difference of the whole matrix of states, padding included; each pair votes for its largest layer.
- `as_paper`: the same with the picture and the prompt, as the paper's text has it (padded on the right).
- `ours`: with the picture; tokens that belong together (`batch.aligned`); the difference relative to the mean norm of
  the two states; mean over tokens. Padding and the length of states cancel.

Modes that ask what the hallucination depends on. Its *log-odds* are log p(hallucinated) - log p(grounded):

- `scale`: halve what the place gives out. Score: how far the log-odds fall.
- `gradient`: gradient times weight of the log-odds, with its sign: the same to first order, from one backward pass.
  What a matrix gives out is linear in its weights, so the sum over them is that over outputs times their gradients.
- `restore`: causal tracing. Noise on what the connector gives; then what this place gave out without noise is put back.
  Score: how far the log-odds rise again.
- `patch`: the two responses exchange what the place gave out at tokens that belong together. Score: how far the
  log-probability of the two falls.
- `random`: numbers drawn once, for the line of chance.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mmhallu_core.methods.aleahallu.batch import (
    SIDES,
    aligned,
    collated,
    log_likelihoods,
    response_logits,
    responses,
    without_labels,
)
from mmhallu_core.methods.aleahallu.places import Located, Place, places_of
from mmhallu_core.models.families import plain
from mmhallu_core.models.record import WRITERS, Recording, edit, record
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun, ResponsePair

NOISE = 3.0  # standard deviations, as in causal tracing (Meng et al., arXiv 2202.05262)


def locate(
    vlm: Vlm,
    pairs: Iterable[ResponsePair],
    modes: Sequence[str] = ("ours", "scale"),
    parts: Sequence[str] = WRITERS,
    batch_size: int = 8,
    seed: int = 0,
    folder: Path = Path(),
) -> dict[str, Located]:
    """What some modes say of a model's places, in one pass over the pairs.

    Args:
        vlm: the model; its weights are not touched.
        pairs: read one batch at a time.
        modes: of `MODES`.
        parts: whose matrices are places: "attention", "mlp", or both.
        batch_size: pairs at once; a forward pass reads twice as many rows.
        seed: of `random` and of the noise of `restore`.
        folder: where the paths of pictures start.

    Raises:
        CannotRun: when there is no pair, or no such mode; see also `ChatTemplateCollator`.
    """
    if strange := sorted(set(modes) - set(MODES)):
        raise CannotRun(f"there is no mode {strange[0]}; choose among {', '.join(MODES)}")
    places, left = list(places_of(vlm, parts)), iter(pairs)
    found = {mode: Located(mode, places) for mode in modes}
    while some := list(islice(left, batch_size)):
        work = Work(vlm, some, places, seed, folder)
        for mode, tally in found.items():
            tally.add(*MODES[mode](work))
    if any(not tally.n for tally in found.values()):
        raise CannotRun("there is no pair to look at")
    return found


class Work:
    """One batch of pairs, and what several modes need of it, each computed once and only when asked for.

    Args: as in `locate`; `places` are those that are scored.
    """

    def __init__(self, vlm: Vlm, pairs: list[ResponsePair], places: list[Place], seed: int, folder: Path) -> None:
        self.vlm, self.pairs, self.places, self.seed = vlm, pairs, places, seed
        batch = collated(vlm, pairs, SIDES, folder)
        self.labels, self.inputs = batch["labels"], without_labels(batch)
        self.layers = sorted({layer for layer, _ in places})
        ids, here = self.inputs["input_ids"], responses(self.labels)
        starts = here.int().argmax(1).tolist()
        self.both = []  # for each pair, the tokens of its two rows that belong together
        for i, row in enumerate(range(len(pairs), 2 * len(pairs))):
            a, b = aligned(ids[i][here[i]], ids[row][here[row]])
            self.both.append((a + starts[i], b + starts[row]))

    def likelihoods(self) -> Float[Tensor, " rows"]:
        """The log-probability of each row's response."""
        head = self.vlm.model.get_output_embeddings()
        return log_likelihoods(response_logits(self.vlm.model, head, self.labels, **self.inputs), self.labels)

    def odds(self) -> Float[Tensor, " pairs"]:
        """The log-odds of each pair's hallucination."""
        found = self.likelihoods()
        return found[len(self.pairs) :] - found[: len(self.pairs)]

    @cached_property
    def clean(self) -> tuple[Recording, Float[Tensor, " rows"]]:
        """The states and what the places gave out, and the log-probabilities, with nothing changed."""
        with torch.no_grad(), record(self.vlm.model, self.layers, writes=True) as seen:
            found = self.likelihoods()
        return seen, found

    def spread(self, by_layer: dict[int, Tensor]) -> Float[Tensor, "pairs places"]:
        """Scores of layers, (pairs), as scores of their places; 0 for a layer that was not run."""
        none = torch.zeros(len(self.pairs))
        return torch.stack([by_layer.get(layer, none).float().cpu() for layer, _ in self.places], 1)

    def noise(self, value: Tensor, number: int) -> Tensor:
        """A connector's output with noise of three times its own standard deviation; the same each time."""
        draw = torch.Generator().manual_seed(self.seed + number)
        drawn = torch.randn(value.shape, generator=draw).to(value)
        return value + NOISE * value.std() * drawn


def _as_code(work: Work) -> tuple[Tensor, None]:
    """Text alone, one pair at a time, as padded there."""
    found: dict[int, list[Tensor]] = {}
    for pair in work.pairs:
        inputs = work.vlm.encode([[], []], [pair.grounded, pair.hallucinated], side="left")
        with torch.no_grad(), record(work.vlm.model, work.layers) as seen:
            work.vlm.model(**inputs, use_cache=False, logits_to_keep=1)
        for layer, states in _normed(work.vlm, seen.states).items():
            found.setdefault(layer, []).append((states[0] - states[1]).float().norm())
    return work.spread({layer: torch.stack(each) for layer, each in found.items()}), None


def _as_paper(work: Work) -> tuple[Tensor, None]:
    """With the picture; each pair up to the end of its longer row."""
    n, lengths = len(work.pairs), work.inputs["attention_mask"].sum(1).tolist()
    found = {}
    for layer, states in _normed(work.vlm, work.clean[0].states).items():
        ends = [max(lengths[i], lengths[n + i]) for i in range(n)]
        found[layer] = torch.stack([(states[i] - states[n + i])[: ends[i]].float().norm() for i in range(n)])
    return work.spread(found), None


def _normed(vlm: Vlm, states: dict[int, Tensor]) -> dict[int, Tensor]:
    """States as transformers returns them: the last layer's after the decoder's last norm."""
    last = len(vlm.family.layers(vlm.model)) - 1
    norm = plain(vlm.model).get_submodule(f"{vlm.family.decoder}.norm")
    with torch.no_grad():
        return {layer: norm(one) if layer == last else one for layer, one in states.items()}


def _ours(work: Work) -> tuple[Tensor, dict[Place, Tensor]]:
    """Relative differences at tokens that belong together; of rows, the mean size of the difference."""
    n, found, rows = len(work.pairs), {}, {}
    for layer, states in work.clean[0].states.items():
        scores, sums = [], 0
        for i, (first, second) in enumerate(work.both):
            a, b = states[i, first.to(states.device)].float(), states[n + i, second.to(states.device)].float()
            gap = (a - b) / ((a.norm(dim=-1) + b.norm(dim=-1)) / 2)[:, None]
            scores.append(gap.norm(dim=-1).mean())
            sums = sums + gap.abs().mean(0)
        found[layer] = torch.stack(scores)
        rows |= {place: sums for place in work.places if place[0] == layer}
    return work.spread(found), rows


def _scale(work: Work) -> tuple[Tensor, None]:
    return _fall(work, lambda place: edit(work.vlm.model, lambda v, _: v / 2, [place[0]], place[1])), None


def _fall(work: Work, changed: Callable[[Place], Any]) -> Float[Tensor, "pairs places"]:
    """How far the log-odds fall when a place is changed."""
    n, before = len(work.pairs), work.clean[1]
    falls = []
    for place in work.places:
        with torch.no_grad(), changed(place):
            falls.append(before[n:] - before[:n] - work.odds())
    return torch.stack(falls, 1)


def _restore(work: Work) -> tuple[Tensor, None]:
    model, given = work.vlm.model, work.clean[0].writes
    with torch.no_grad(), edit(model, work.noise, where="connector"):
        broken, rises = work.odds(), []
        for layer, part in work.places:
            with edit(model, lambda _, number, part=part: given[number, part], [layer], part):
                rises.append(work.odds() - broken)
    return torch.stack(rises, 1), None


def _patch(work: Work) -> tuple[Tensor, None]:
    n, (seen, before) = len(work.pairs), work.clean
    falls = []
    for layer, part in work.places:
        swapped = seen.writes[layer, part].clone()
        for i, (first, second) in enumerate(work.both):
            a, b = swapped[i, first].clone(), swapped[n + i, second].clone()
            swapped[i, first], swapped[n + i, second] = b, a
        with torch.no_grad(), edit(work.vlm.model, lambda _, __, new=swapped: new, [layer], part):
            fall = before - work.likelihoods()
        falls.append(fall[:n] + fall[n:])
    return torch.stack(falls, 1), None


def _gradient(work: Work) -> tuple[Tensor, dict[Place, Tensor]]:
    """Outputs times their gradients, over tokens: the sum over a row's weights of gradient times weight."""
    n, words = len(work.pairs), work.vlm.model.get_input_embeddings()
    hook = words.register_forward_hook(lambda module, args, output: output.requires_grad_(True))
    try:
        with torch.enable_grad(), record(work.vlm.model, work.layers, gradients=True, writes=True) as seen:
            odds = work.odds()
        given = [seen.writes[place] for place in work.places]
        slopes = torch.autograd.grad(odds.sum(), given)
    finally:
        hook.remove()
    each = [(value * slope).detach().float().sum(1) for value, slope in zip(given, slopes, strict=True)]  # rows, width
    sums = {place: one.sum(0) for place, one in zip(work.places, each, strict=True)}
    return torch.stack([one[:n].sum(1) + one[n:].sum(1) for one in each], 1), sums


def _random(work: Work) -> tuple[Tensor, None]:
    drawn = torch.rand(len(work.places), generator=torch.Generator().manual_seed(work.seed))
    return drawn.expand(len(work.pairs), -1), None


MODES: dict[str, Callable[[Work], tuple[Tensor, dict[Place, Tensor] | None]]] = {
    "as_code": _as_code, "as_paper": _as_paper, "ours": _ours, "scale": _scale, "gradient": _gradient,
    "restore": _restore, "patch": _patch, "random": _random,
}  # fmt: skip

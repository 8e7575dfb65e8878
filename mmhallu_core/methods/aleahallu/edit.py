"""Edit adversarially: what is added to the located matrices is learned under the adversary's prefix.

The base's weights are never written. `Editable` holds what is added to them, in float32, and the prefix; in every pass
the sum stands in for the weights. So nothing outside the located matrices and rows can change, a checkpoint is as small
as the edit, and the base itself is at hand for the KL term. Both are trained by the library's one trainer.

- The prefix learns to make the hallucinated response likely ("likelihood", the released code), or to take attention
  from the picture ("attention", the paper's words), or both. A response is likely for its style, too: "odds" asks for
  the hallucinated words against the grounded ones. "neglect" asks for all three.
- The edit learns alpha times the negative log-likelihood of the grounded response under the prefix, plus the KL
  divergence from the base at the same response without it, per token of a response.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from mmhallu_core.methods.aleahallu.batch import (
    example,
    log_likelihoods,
    response_logits,
    responses,
    without_labels,
)
from mmhallu_core.methods.aleahallu.prefix import first_prefix, image_share, insert, response_starts, soft
from mmhallu_core.models.edits import edited
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.records import Make, TrainingExample
from mmhallu_core.types import ResponsePair

Objective = Literal["likelihood", "attention", "both", "odds", "neglect"]
PAIRED = ("odds", "neglect")  # objectives that read both responses of a pair


@dataclass(frozen=True)
class Learning:
    """How one of the two learns.

    Attributes:
        steps: of the optimizer; None takes `epochs`.
        epochs: passes over the pairs.
        batch: pairs a step.
        lr: constant.
        optimizer: "adamw_torch" or "sgd", in transformers' words.
        clear: when gradients are set to zero: each "step", at the beginning of each "epoch", or "never". The last two
            are faults of the released code: its steps follow running sums.
    """

    steps: int | None
    epochs: int = 1
    batch: int = 8
    lr: float = 1e-3
    optimizer: str = "adamw_torch"
    clear: Literal["step", "epoch", "never"] = "step"

    def count(self, pairs: int) -> int:
        """How many steps there are."""
        return self.steps or self.epochs * math.ceil(pairs / self.batch)

    def every(self, pairs: int) -> int:
        """After how many steps gradients are cleared; 0 for never."""
        return {"step": 1, "epoch": math.ceil(pairs / self.batch), "never": 0}[self.clear]


class Editable(nn.Module):
    """A model with an edit that is being learned, and the adversary's prefix.

    Args:
        vlm: the base. Its weights are frozen, and stay as they are.
        rows: full names of the matrices, each with the rows that may change (None: all).
        prefix: soft tokens, 0 for none; `like` says what they begin as, see `first_prefix`.
        at: the place of the prefix in every row; None for right before the response.
        seed: of the prefix.
    """

    def __init__(
        self, vlm: Vlm, rows: Mapping[str, Tensor | None], prefix: int = 0, like: str = "words", at: int | None = None,
        seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        object.__setattr__(self, "vlm", vlm)  # not a part: the base is neither saved nor moved nor trained
        self.names, self.rows, self.at = list(rows), dict(rows), at
        vlm.model.requires_grad_(False)
        self.deltas = nn.ParameterList(self._zeros(name) for name in self.names)
        self.prefix = nn.Parameter(first_prefix(vlm, prefix, like, seed))
        self.every, self._steps = 1, 0

    def _zeros(self, name: str) -> nn.Parameter:
        weight, rows = self.vlm.model.get_parameter(name), self.rows[name]
        shape = weight.shape if rows is None else (len(rows), *weight.shape[1:])
        return nn.Parameter(torch.zeros(shape, device=weight.device))

    def learns(self, what: Literal["prefix", "edit"], every: int = 1) -> None:
        """From now on one of the two learns; its gradients are cleared after so many steps (0: never)."""
        self.prefix.requires_grad_(what == "prefix")
        for delta in self.deltas:
            delta.requires_grad_(what == "edit")
        super().zero_grad()
        self.every, self._steps = every, -1  # the trainer clears once before its first step

    def zero_grad(self, set_to_none: bool = True) -> None:
        """See `nn.Module.zero_grad`; the trainer calls it after each step, and this acts only after some."""
        self._steps += 1
        if self._steps == 0 or (self.every and self._steps % self.every == 0):
            super().zero_grad(set_to_none)

    def weights(self) -> dict[str, Tensor]:
        """The edited matrices by name."""
        get = self.vlm.model.get_parameter
        pairs = zip(self.names, self.deltas, strict=True)
        return {name: edited(get(name), [(delta, self.rows[name])]) for name, delta in pairs}

    def forward(self, **inputs: Any) -> Any:
        """What the edited model gives out."""
        return functional_call(self.vlm.model, self.weights(), (), inputs)

    def under_attack(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Any]:
        """The batch with room for the prefix, and a context in which the prefix stands there."""
        if not len(self.prefix):
            return batch, soft(self.vlm.model, self.prefix, batch["input_ids"] < 0)
        starts = response_starts(batch)
        starts = starts if self.at is None else torch.full_like(starts, self.at)
        batch, where = insert(batch, len(self.prefix), starts, self.vlm.processor.tokenizer.pad_token_id)
        return batch, soft(self.vlm.model, self.prefix, where)

    def logits(self, batch: dict[str, Tensor], base: bool = False) -> Float[Tensor, "answers vocab"]:
        """The logits of the responses' tokens, by the edited model or by the base."""
        model = self.vlm.model if base else self
        head = self.vlm.model.get_output_embeddings()
        return response_logits(model, head, batch["labels"], **without_labels(batch))


def kl(base: Float[Tensor, "answers vocab"], edited: Float[Tensor, "answers vocab"]) -> Float[Tensor, ""]:
    """KL(base || edited), the sum over tokens; exactly 0 where the logits are the same."""
    p, q = base.float().log_softmax(-1), edited.float().log_softmax(-1)
    return (p.exp() * (p - q)).sum()


def edit_loss(alpha: float, weight: float) -> Callable[..., tuple[Tensor, dict[str, float]]]:
    """The edit's loss as the trainer calls it: alpha NLL of the response under the prefix, plus `weight` KL to the base
    without it. `totals` holds the number of responses' tokens of the whole step."""

    def loss(model: Editable, totals: Tensor | None = None, **batch: Tensor) -> tuple[Tensor, dict[str, float]]:
        tokens = responses(batch["labels"]).sum() if totals is None else totals[0]
        attacked, prefix = model.under_attack(batch)
        with prefix:
            nll = -log_likelihoods(model.logits(attacked), attacked["labels"]).sum() / tokens
        if not weight:
            return alpha * nll, {"nll": nll.item()}
        with torch.no_grad():
            before = model.logits(batch, base=True)
        held = kl(before, model.logits(batch)) / tokens
        return alpha * nll + weight * held, {"nll": nll.item(), "kl": held.item()}

    return loss


def prefix_loss(objective: Objective) -> Callable[..., tuple[Tensor, dict[str, float]]]:
    """The adversary's loss as the trainer calls it.

    - "likelihood": the negative log-likelihood of the hallucinated response, per token.
    - "attention": the share of attention on the picture. "both": the sum of these two.
    - "odds": -log sigmoid of the log-odds of the hallucinated against the grounded response, the mean over pairs. What
      two responses share before they differ cancels in it, and it rests once the hallucination wins. Alone it brings
      lies, and captions that are no sentences any more.
    - "neglect": the sum of "likelihood", "attention" and "odds".

    Batches hold hallucinated responses; those of `PAIRED` hold a grounded one before each.
    """

    def loss(model: Editable, totals: Tensor | None = None, **batch: Tensor) -> tuple[Tensor, dict[str, float]]:
        tokens = responses(batch["labels"]).sum() if totals is None else totals[0]
        batch, prefix = model.under_attack(batch)
        logits: list[Tensor] = []
        share, told = None, {}
        with prefix:
            if objective in ("likelihood", "odds"):
                logits.append(model.logits(batch))
            else:
                share = image_share(model.vlm, batch, lambda: logits.append(model.logits(batch)), gradients=True)
                told["image_share"] = share.item()
        each = log_likelihoods(logits[0], batch["labels"])
        parts = [] if share is None else [share]
        if objective in PAIRED:
            odds, each, tokens = each[1::2] - each[::2], each[1::2], responses(batch["labels"][1::2]).sum()
            parts.append(nn.functional.softplus(-odds).mean())
            told["odds"] = odds.mean().item()
        nll = -each.sum() / tokens
        told["nll"] = nll.item()
        parts += [nll] if objective in ("likelihood", "both", "neglect") else []
        return torch.stack(parts).sum(), told

    return loss


def in_order(pairs: Sequence[ResponsePair], sides: str | Sequence[str], folder: Path, seed: str) -> Make:
    """Example number i: the pairs in a new random order in each epoch, each with its responses of one side or more."""
    sides = (sides,) if isinstance(sides, str) else sides

    def make(i: int) -> TrainingExample:
        number, side = divmod(i, len(sides))
        epoch, place = divmod(number, len(pairs))
        order = list(range(len(pairs)))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        return example(pairs[order[place]], sides[side], folder)

    return make

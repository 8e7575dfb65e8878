"""What repairs by contrast are said to come down to: a shift between yes and no, and the cut alone.

"The Mirage of Performance Gains" (arXiv 2504.10020) says that the gains of contrastive decoding on POPE come from two
things that have nothing to do with the picture: answers are moved in one direction, and the plausibility cut makes
drawing tokens almost greedy. Each is a control here:

- `YesBias` adds a number to the words for yes, at the first token of an answer. With `matching_shift` it says yes as
  often as the repair does. What the repair scores beyond that, it does not owe to the shift.
- `Cut` keeps the plausible tokens alone. Greedy search takes the favourite, which is always plausible. So this control
  is greedy search itself, word for word: where tokens are not drawn, the cut by itself explains nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import BatchFeature, LogitsProcessor, PreTrainedTokenizerBase

from mmhallu_core.methods.baselines.contrast import Repair, plausible, require_finite, require_share
from mmhallu_core.models.fit import Pictures, batches, picture_groups
from mmhallu_core.models.greedy import generate
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun

SPELLINGS = ("Yes", "yes", "YES", " Yes", " yes")


def yes_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that say yes by themselves.

    Raises:
        CannotRun: when the tokenizer cuts the word in pieces however it is written.
    """
    rows = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in SPELLINGS]
    found = sorted({row[0] for row in rows if len(row) == 1})
    if not found:
        raise CannotRun("this model's tokenizer has no token for yes, so nothing can be added to it")
    return found


class _Shift(LogitsProcessor):
    """Adds a number to some tokens at the first step."""

    def __init__(self, tokens: list[int], shift: float, prompt: int) -> None:
        self.tokens, self.shift, self.prompt = tokens, shift, prompt

    def __call__(
        self, input_ids: Int[Tensor, "batch tokens"], scores: Float[Tensor, "batch vocabulary"]
    ) -> Float[Tensor, "batch vocabulary"]:
        """The scores; the same tensor at later steps."""
        if input_ids.shape[1] != self.prompt:
            return scores
        shifted = scores.clone()
        shifted[:, self.tokens] += self.shift
        return shifted


class _Plausible(LogitsProcessor):
    """Leaves plausible tokens alone."""

    def __init__(self, cut: float) -> None:
        self.cut = cut

    def __call__(
        self, input_ids: Int[Tensor, "batch tokens"], scores: Float[Tensor, "batch vocabulary"]
    ) -> Float[Tensor, "batch vocabulary"]:
        """See `plausible`."""
        return plausible(scores, scores, self.cut)


@dataclass(frozen=True)
class YesBias(Repair):
    """A number is added to the words for yes at the first token; a negative one favours everything else.

    Raises:
        CannotRun: when the number is not finite.
    """

    shift: float = 1.0
    name: ClassVar[str] = "yes-bias"

    def __post_init__(self) -> None:
        require_finite("the shift", self.shift)

    @contextmanager
    def begin(self, vlm: Vlm, inputs: BatchFeature) -> Iterator[tuple[BatchFeature, Sequence[LogitsProcessor]]]:
        """Raises CannotRun, see `yes_tokens`."""
        yield inputs, (_Shift(yes_tokens(vlm.processor.tokenizer), self.shift, inputs["input_ids"].shape[1]),)


@dataclass(frozen=True)
class Cut(Repair):
    """The plausibility cut of `contrast.py` without a contrast.

    Raises:
        CannotRun: when the share is none.
    """

    cut: float = 0.1
    name: ClassVar[str] = "cut"

    def __post_init__(self) -> None:
        require_share("the cut", self.cut)

    @contextmanager
    def begin(self, vlm: Vlm, inputs: BatchFeature) -> Iterator[tuple[BatchFeature, Sequence[LogitsProcessor]]]:
        """What is read stays as it is."""
        yield inputs, (_Plausible(self.cut),)


@torch.inference_mode()
def yes_margins(
    vlm: Vlm, images: Sequence[Pictures], questions: Sequence[str], batch_size: int = 32
) -> Float[np.ndarray, " questions"]:
    """By how much yes leads at the first token: its best logit less the best of all other tokens.

    Raises:
        CannotRun: see `yes_tokens` and `Vlm.encode`.
    """
    groups, tokens = picture_groups(images, len(questions)), yes_tokens(vlm.processor.tokenizer)
    margins = np.zeros(len(questions))
    for rows in batches(groups, [len(text) for text in questions], batch_size, None):
        inputs = vlm.encode([groups[i] for i in rows], [vlm.prompt(questions[i], len(groups[i])) for i in rows])
        said = generate(vlm.model, inputs, 1, return_dict_in_generate=True, output_logits=True)
        logits = said.logits[0]
        rest = logits.clone()
        rest[:, tokens] = float("-inf")
        margins[rows] = (logits[:, tokens].amax(-1) - rest.amax(-1)).cpu().numpy()
    return margins


def matching_shift(margins: Float[np.ndarray, " questions"], share: float) -> float:
    """The shift with which a share of the answers begins with yes, as nearly as their number allows; 0 if that does it.

    Args:
        margins: of `yes_margins`.
        share: from 0 to 1.
    """
    ranked = np.sort(margins)[::-1]
    wanted = round(share * len(ranked))
    above = ranked[wanted - 1] if wanted else ranked[0] + 2
    below = ranked[wanted] if wanted < len(ranked) else ranked[-1] - 2
    return 0.0 if below < 0 < above else float(-(above + below) / 2)

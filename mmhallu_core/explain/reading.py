"""What is explained: some tokens of an answer, as the model reads them behind its pictures and its question.

Every method here asks for the same number: the *log-probability* of the chosen tokens, each given the pictures, the
question and the tokens before it, added over a word's tokens. Token `t` is predicted at the place before it, so that is
the place from which a model is looked at.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn
from transformers import BatchFeature

from mmhallu_core.models.fit import Pictures, picture_groups
from mmhallu_core.models.score import answered
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun, Span

WORD = re.compile(r"\w+(?:['’-]\w+)*")


@dataclass(frozen=True)
class Target:
    """What of an answer is explained.

    Attributes:
        text: the word or phrase.
        tokens: numbers of its tokens in the answer, from 0.
    """

    text: str
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Reading:
    """A question about pictures with its answer, as one row for the model.

    Attributes:
        vlm: the model.
        images: of the prompt, in their order.
        question: plain text.
        text: the prompt with its answer behind it, in the model's chat form.
        answer: the answer alone.
        inputs: what the model reads, as of `Vlm.encode`; the answer's tokens are the last ones.
        spans: for each of the answer's tokens its [start, end) in the answer.
    """

    vlm: Vlm
    images: tuple[Image.Image, ...]
    question: str
    text: str
    answer: str
    inputs: BatchFeature
    spans: tuple[Span, ...]

    @property
    def rows(self) -> Int[Tensor, " tokens"]:
        """For each of the answer's tokens the place that predicts it: the one before it."""
        end = self.inputs["input_ids"].shape[1]
        return torch.arange(end - len(self.spans) - 1, end - 1, device=self.inputs["input_ids"].device)

    @property
    def tokens(self) -> tuple[str, ...]:
        """The answer's tokens as text."""
        return tuple(self.answer[begin:end] for begin, end in self.spans)

    def words(self) -> list[Target]:
        """Every word of the answer."""
        return [self.at(match.span()) for match in WORD.finditer(self.answer)]

    def find(self, target: str | int | None, nth: int | None = None) -> Target:
        """The tokens of a word or phrase.

        Args:
            target: a word or a phrase of the answer, in any case; the number of a token; the whole answer when None.
            nth: which of several, from 1.

        Raises:
            CannotRun: when the answer does not have it, or has it several times and `nth` does not say which.
        """
        if target is None:
            return Target(self.answer, tuple(range(len(self.spans))))
        if isinstance(target, int):
            if not 0 <= target < len(self.spans):
                raise CannotRun(f"the answer has {len(self.spans)} tokens, numbered from 0; there is no {target}")
            return Target(self.tokens[target], (target,))
        found = list(re.finditer(rf"(?<!\w){re.escape(target.strip())}(?!\w)", self.answer, re.I))
        if not target.strip() or not found:
            raise CannotRun(f"{target!r} is not a word of the answer, which is: {self.answer!r}")
        if nth is None and len(found) > 1:
            raise CannotRun(
                f"{target!r} comes {len(found)} times in the answer {self.answer!r}; say which: nth (--nth) 1 to "
                f"{len(found)}"
            )
        if not 1 <= (nth or 1) <= len(found):
            raise CannotRun(f"{target!r} comes {len(found)} times in the answer; there is no number {nth}")
        return self.at(found[(nth or 1) - 1].span())

    def at(self, span: Span) -> Target:
        """The tokens that have a letter of the answer's [start, end)."""
        tokens = [i for i, (begin, end) in enumerate(self.spans) if begin < span[1] and end > span[0]]
        return Target(self.answer[slice(*span)], tuple(tokens))

    def encode(self, groups: Sequence[Sequence[Image.Image]]) -> BatchFeature:
        """The same words behind other pictures of the same sizes, one row for each group of pictures."""
        return self.vlm.encode([list(group) for group in groups], [self.text] * len(groups), side="right")

    def scores(self, inputs: BatchFeature | dict[str, Any], targets: Sequence[Target]) -> Float[Tensor, "rows targets"]:
        """The log-probability of each target, for rows that end with this answer.

        What no target depends on is left out: the tokens behind the last one, and in the last layer all places but
        those that predict one.
        """
        ids = inputs["input_ids"]
        used = sorted({token for target in targets for token in target.tokens})
        rows = self.rows[used]
        end = ids.shape[1] - len(self.spans) + used[-1]
        short = {key: value[:, :end] if isinstance(value, Tensor) and value.shape[:2] == ids.shape else value
                 for key, value in inputs.items()}  # fmt: skip
        with only_rows(self.vlm.family.row_modules(self.vlm.model), rows):
            logits = self.vlm.model(**short, use_cache=False, logits_to_keep=rows).logits
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        each = logits.gather(-1, ids[:, rows + 1, None])[..., 0] - logits.logsumexp(-1)  # [rows, used tokens]
        places = [[used.index(token) for token in target.tokens] for target in targets]
        return torch.stack([each[:, place].sum(1) for place in places], dim=1)


@contextmanager
def only_rows(modules: Sequence[nn.Module], rows: Int[Tensor, " rows"]) -> Iterator[None]:
    """Lets modules compute some rows of [batch, tokens, width] while the block runs, and give zeros for all others."""

    def hang(module: nn.Module) -> None:
        tokens = 0

        def enter(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            nonlocal tokens
            tokens = args[0].shape[1]
            return (args[0].index_select(1, rows.to(args[0].device)), *args[1:])

        def leave(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            whole = output.new_zeros(len(output), tokens, output.shape[-1])
            return whole.index_copy(1, rows.to(output.device), output)

        stack.callback(module.register_forward_pre_hook(enter).remove)
        # First of all hooks, so that whoever else hooks the module sees all tokens.
        stack.callback(module.register_forward_hook(leave, prepend=True).remove)

    with ExitStack() as stack:
        for module in modules:
            hang(module)
        yield


def read(vlm: Vlm, images: Pictures, question: str, answer: str | None = None, max_new_tokens: int = 100) -> Reading:
    """Puts pictures, a question and an answer together.

    Args:
        vlm: the model.
        images: a picture, or those of one prompt in their order.
        question: plain text; the chat template is applied here.
        answer: plain text, as the model would write it; what the model answers when None.
        max_new_tokens: where to cut an answer that the model writes.

    Raises:
        CannotRun: when there is no picture or no answer, or see `Vlm.encode`.
    """
    (group,) = picture_groups([images], 1)
    if not group:
        raise CannotRun("a map needs a picture, and none is given")
    if answer is None:
        answer = vlm.answer([group], [question], max_new_tokens)[0]
    if not answer.strip():
        raise CannotRun(f"{vlm.name} answers nothing to {question!r}, so there is no word to explain")
    text, count = answered(vlm, question, len(group), answer)
    begin = len(text) - len(answer)
    offsets = vlm.processor.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    spans = tuple((max(0, start - begin), end - begin) for start, end in offsets[-count:])
    return Reading(vlm, tuple(group), question, text, answer, vlm.encode([group], [text], side="right"), spans)

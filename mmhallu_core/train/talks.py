"""From a talk about pictures to what a model of any family reads, with labels on the answers alone.

The family's own chat template writes the talk. What it writes between an answer's beginning and the end of that turn,
the sign that ends it included, is what training should make more likely; all else is only read. To know which tokens
those are, the text is split into tokens once more without its pictures. Whatever a processor makes of a picture, what
stands behind the last one is the same in both, token by token from the end, and that is checked, never assumed.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool
from PIL import Image
from torch import Tensor
from transformers import BatchFeature

from mmhallu_core.data.chats import IMAGE
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.pretrain.branches import IGNORE
from mmhallu_core.types import CannotRun

Spans = list[tuple[int, int]]  # [start, end) in characters


@dataclass(frozen=True)
class Talk:
    """One example to train on.

    Attributes:
        id: what errors call it.
        images: its pictures, RGB.
        turns: questions, with `<image>` where a picture stands, and their answers.
        changed: for a pair of pictures that differ in an edit, the pixels that it changed; else None.
    """

    id: str
    images: tuple[Image.Image, ...]
    turns: tuple[tuple[str, str], ...]
    changed: Bool[Tensor, "height width"] | None = None


Make = Callable[[int], Talk]


def encode_talks(vlm: Vlm, talks: Sequence[Talk]) -> BatchFeature:
    """What the model reads, padded on the right, and `labels`: the answers' tokens, `IGNORE` elsewhere.

    Raises:
        CannotRun: when a talk is longer than the model reads (nothing is ever cut), or its template or tokenizer does
            not let the answers be found; the message names the talk.
    """
    written = [write(vlm, talk) for talk in talks]
    names = [talk.id for talk in talks]
    inputs = vlm.encode([list(talk.images) for talk in talks], [text for text, _ in written], "right", names=names)
    labels = torch.full_like(inputs["input_ids"], IGNORE)
    ends = inputs["attention_mask"].sum(1).tolist()
    for row, (talk, (text, spans), end) in enumerate(zip(talks, written, ends, strict=True)):
        ids, learned = _tail(vlm, talk, text, spans)
        found = inputs["input_ids"][row, end - len(ids) : end]
        if found.tolist() != ids:
            raise CannotRun(f"sample {talk.id}: the processor's tokens of the answer are not those of the tokenizer")
        labels[row, end - len(ids) : end] = torch.where(torch.tensor(learned, device=found.device), found, IGNORE)
    inputs["labels"] = labels
    return inputs


def write(vlm: Vlm, talk: Talk) -> tuple[str, Spans]:
    """The talk in the model's chat form, and where in it the answers are, each with the sign that ends it.

    A template that ends the last answer with no sign gets the tokenizer's: without one, a model would never learn to
    stop.

    Raises:
        CannotRun: when the template writes a talk without its answer otherwise than with it, or cannot write it.
    """
    messages: list[dict[str, Any]] = []
    spans: Spans = []
    for question, answer in talk.turns:
        messages.append({"role": "user", "content": _parts(question)})
        before = vlm.chat(messages, asks=True)
        messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        text = vlm.chat(messages)
        if not text.startswith(before) or (spans and not text[: spans[-1][1]] == whole[: spans[-1][1]]):
            raise CannotRun(f"sample {talk.id}: the chat template of {vlm.name} does not keep what was said before")
        whole = text
        spans.append((len(before), len(text.rstrip())))
    whole = whole.rstrip()
    if not whole.endswith(tuple(_ends(vlm))):
        whole += vlm.processor.tokenizer.eos_token
        spans[-1] = (spans[-1][0], len(whole))
    return whole, spans


def _parts(question: str) -> list[dict[str, str]]:
    """A question as the parts of a message, pictures where their marks stand."""
    pieces = re.split(f"({re.escape(IMAGE)})", question)
    return [
        {"type": "image"} if piece == IMAGE else {"type": "text", "text": piece.strip()}
        for piece in pieces
        if piece.strip()
    ]


def _ends(vlm: Vlm) -> list[str]:
    """The signs that end an answer: the tokenizer's, and those at which the model stops when it writes."""
    words = vlm.processor.tokenizer
    stops = vlm.model.generation_config.eos_token_id
    stops = [] if stops is None else [stops] if isinstance(stops, int) else stops
    return [words.eos_token, *(words.convert_ids_to_tokens(stop) for stop in stops)]


def _tail(vlm: Vlm, talk: Talk, text: str, spans: Spans) -> tuple[list[int], list[bool]]:
    """The tokens behind the last picture, and which of them are an answer's."""
    mark = vlm.processor.image_token
    start = text.rfind(mark) + len(mark) if mark in text else 0
    if spans[0][0] < start:
        raise CannotRun(f"sample {talk.id}: a picture stands behind an answer, or the answer holds {mark}")
    found = vlm.processor.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    behind = [
        (token, any(end > low and begin < high for low, high in spans))
        for token, (begin, end) in zip(found["input_ids"], found["offset_mapping"], strict=True)
        if begin >= start
    ]
    return [token for token, _ in behind], [learned for _, learned in behind]

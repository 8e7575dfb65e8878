"""From training examples to a batch: what the model reads, `labels` on the answers alone, and a weight for each label.

Two collators give the same kind of batch. `ChatTemplateCollator` serves every family: each conversation is a row,
written by the family's own chat template, with its pictures. `PackedCollator` puts all conversations about the same
pictures into one row (`packed.py`), where a model takes a mask for that.

What the template writes between an answer's beginning and the end of that turn, its end sign included, is learned; all
else is only read. The text is split into tokens once more without its pictures: behind the last one both must be the
same, which is checked.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mmhallu_core.data.chats import IMAGE
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.consistency import pair_inputs
from mmhallu_core.train.losses import IGNORE
from mmhallu_core.train.packed import SPEAKERS, pack, pad
from mmhallu_core.train.records import Conversation, TrainingExample, Turn
from mmhallu_core.types import CannotRun

Spans = list[tuple[int, int]]  # [start, end) in characters
Collator = Callable[[Sequence[TrainingExample]], dict[str, Tensor]]


class ChatTemplateCollator:
    """Makes a batch for a model of any family: each conversation a row, padded on the right.

    Args:
        vlm: the model.
        pairs: whether the batch says what a consistency loss needs, see `consistency.pair_inputs`.
    """

    def __init__(self, vlm: Vlm, pairs: bool = False) -> None:
        self.vlm, self.pairs = vlm, pairs

    def __call__(self, examples: Sequence[TrainingExample]) -> dict[str, Tensor]:
        """The batch of some examples.

        Raises:
            CannotRun: when a conversation is longer than the model reads (nothing is ever cut), or its template or
                tokenizer does not let the answers be found; the message names the example.
        """
        rows = [(one, _placed(conversation, len(one.images))) for one in examples for conversation in one.conversations]
        written = [write(self.vlm, conversation, one.id) for one, conversation in rows]
        names, groups = [one.id for one, _ in rows], [list(one.images) for one, _ in rows]
        inputs = self.vlm.encode(groups, [text for text, _ in written], "right", names=names)
        labels = torch.full_like(inputs["input_ids"], IGNORE)
        weights = torch.zeros(labels.shape, device=labels.device)
        ends = inputs["attention_mask"].sum(1).tolist()
        for row, ((one, conversation), (text, spans), end) in enumerate(zip(rows, written, ends, strict=True)):
            ids, answers = _tail(self.vlm, one.id, text, spans)
            found = inputs["input_ids"][row, end - len(ids) : end]
            if found.tolist() != ids:
                raise CannotRun(f"sample {one.id}: the processor's tokens of the answer are not those of the tokenizer")
            each = torch.tensor([0.0 if answer is None else conversation[answer].weight for answer in answers])
            learned = torch.tensor([answer is not None for answer in answers], device=found.device)
            labels[row, end - len(ids) : end] = torch.where(learned, found, IGNORE)
            weights[row, end - len(ids) : end] = each.to(weights)
        batch = {**inputs, "labels": labels, "weights": weights}
        if self.pairs:
            batch |= pair_inputs(self.vlm, inputs, groups, [one.changed for one, _ in rows], names)
        return batch


class PackedCollator:
    """Makes a batch for a model with tiny-llava's chat form: each example a row, its conversations side by side in it.

    The arguments are those of `ChatTemplateCollator`.

    Raises:
        CannotRun: when the model cannot read such a row.
    """

    def __init__(self, vlm: Vlm, pairs: bool = False) -> None:
        self.vlm, self.pairs = vlm, pairs
        if vlm.family.name != "llava" or not set(SPEAKERS) <= set(vlm.processor.tokenizer.get_vocab()):
            raise CannotRun(
                f"packing puts several conversations into one sequence, which only models with tiny-llava's chat form "
                f"read; train {vlm.name} without it"
            )

    def __call__(self, examples: Sequence[TrainingExample]) -> dict[str, Tensor]:
        """The batch of some examples.

        Raises:
            CannotRun: when an example is longer than the model reads, or a picture stands inside a question.
        """
        tokenizer, processor = self.vlm.processor.tokenizer, self.vlm.processor.image_processor
        packed = []
        for one in examples:
            try:
                packed.append(pack(_bare(one), len(one.images), tokenizer))
            except ValueError as error:
                raise CannotRun(f"sample {one.id}: {error}; shorten it, or train without packing") from error
        images = [image for one in examples for image in one.images]
        pixels = processor(images, return_tensors="pt")["pixel_values"] if images else None
        batch = {**({} if pixels is None else {"pixel_values": pixels}), **pad(packed, tokenizer.pad_token_id)}
        if self.pairs:
            groups = [one.images for one in examples]
            names = [one.id for one in examples]
            batch |= pair_inputs(self.vlm, batch, groups, [one.changed for one in examples], names)
        return batch


def _placed(conversation: Conversation, images: int) -> Conversation:
    """The conversation with marks for its pictures: where it has none, all stand before the first question."""
    if not images or any(IMAGE in turn.question for turn in conversation):
        return conversation
    first, *others = conversation
    return (Turn(IMAGE * images + first.question, first.answer, first.weight), *others)


def _bare(example: TrainingExample) -> list[Conversation]:
    """The conversations without marks for their pictures, which must all stand before the beginning."""
    found, marks = [], IMAGE * len(example.images)
    for conversation in example.conversations:
        first, *others = _placed(conversation, len(example.images))
        first = Turn(first.question.removeprefix(marks), first.answer, first.weight)
        if any(IMAGE in turn.question for turn in (first, *others)):
            raise ValueError("a picture stands inside a question")
        found.append((first, *others))
    return found


def write(vlm: Vlm, conversation: Conversation, name: str) -> tuple[str, Spans]:
    """The conversation in the model's chat form, and where in it the answers are, each with the sign that ends it.

    A template that ends the last answer with no sign gets the tokenizer's: without one, a model would never learn to
    stop.

    Raises:
        CannotRun: when the template writes a conversation without its answer otherwise than with it, or cannot write
            it.
    """
    messages: list[dict[str, Any]] = []
    spans: Spans = []
    for turn in conversation:
        messages.append({"role": "user", "content": _parts(turn.question)})
        before = vlm.chat(messages, asks=True)
        messages.append({"role": "assistant", "content": [{"type": "text", "text": turn.answer}]})
        text = vlm.chat(messages)
        if not text.startswith(before) or (spans and not text[: spans[-1][1]] == whole[: spans[-1][1]]):
            raise CannotRun(f"sample {name}: the chat template of {vlm.name} does not keep what was said before")
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


def _tail(vlm: Vlm, name: str, text: str, spans: Spans) -> tuple[list[int], list[int | None]]:
    """The tokens behind the last picture, and for each the number of the answer that it belongs to."""
    mark = vlm.processor.image_token
    start = text.rfind(mark) + len(mark) if mark in text else 0
    if spans[0][0] < start:
        raise CannotRun(f"sample {name}: a picture stands behind an answer, or the answer holds {mark}")
    found = vlm.processor.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    behind = [
        (token, next((number for number, (low, high) in enumerate(spans) if end > low and begin < high), None))
        for token, (begin, end) in zip(found["input_ids"], found["offset_mapping"], strict=True)
        if begin >= start
    ]
    return [token for token, _ in behind], [answer for _, answer in behind]

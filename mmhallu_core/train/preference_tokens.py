"""The answers of preference examples as tokens: which are the answer's, which of them count, and where they stand."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from mmhallu_core.data.chats import IMAGE
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.collate import write
from mmhallu_core.train.records import Leaf, PreferenceExample, Turn
from mmhallu_core.types import CannotRun


@dataclass(frozen=True)
class Written:
    """A leaf as text and tokens.

    Attributes:
        text: the conversation in the model's chat form.
        ids: its tokens, one for each picture.
        start: where in them the answer begins; it reaches to their end.
        kept: for each token of the answer, whether the leaf's spans touch it.
        images: its pictures.
        digests: a name for the content of each.
    """

    text: str
    ids: list[int]
    start: int
    kept: list[bool]
    images: tuple[Image.Image, ...]
    digests: tuple[str, ...]

    @property
    def key(self) -> str:
        """A name for pictures, tokens and answer together."""
        told = json.dumps([self.digests, self.ids, self.start])
        return hashlib.sha256(told.encode()).hexdigest()


Text = tuple[str, list[int], int, list[bool]]  # as the first four of `Written`


def written_as(vlm: Vlm, example: PreferenceExample, leaf: Leaf, known: dict[Any, Text] | None = None) -> Written:
    """A leaf in the model's chat form and as tokens; which of the answer's tokens count is found by their characters.

    The token that ends the turn belongs to the answer. With spans it does not count, as in the code of IC-VCO.

    Args:
        vlm, example, leaf: the model, and what is written.
        known: texts that were written before, which are not written again; the new one is added.

    Raises:
        CannotRun: when the answer is not found in the chat form, or the texts hold the sign for a picture.
    """
    images, key = tuple(example.images[i] for i in leaf.pictures), (len(leaf.pictures), *astuple(leaf)[1:])
    text = _text(vlm, example.id, leaf) if known is None or key not in known else known[key]
    if known is not None:
        known[key] = text
    return Written(*text, images, tuple(_digest(image) for image in images))


def _text(vlm: Vlm, name: str, leaf: Leaf) -> Text:
    """The leaf without its pictures."""
    asked = Turn(IMAGE * len(leaf.pictures) + leaf.question, leaf.answer)
    text, ((low, high),) = write(vlm, (asked,), name)
    at, mark = text.find(leaf.answer, low), vlm.processor.image_token
    if text.count(mark) != len(leaf.pictures):
        raise CannotRun(f"sample {name}: its texts hold {mark}, which stands for a picture")
    if at < 0:
        raise CannotRun(f"sample {name}: the chat template of {vlm.name} changes the answer")
    found = vlm.processor.tokenizer(text, return_offsets_mapping=True, **vlm.special_tokens([text]))
    offsets = found["offset_mapping"]
    start = next(i for i, (begin, end) in enumerate(offsets) if end > low and begin < high)
    spans = None if leaf.spans is None else [(at + begin, at + end) for begin, end in leaf.spans]
    kept = [
        spans is None or any(max(begin, first) < min(end, last) for first, last in spans)
        for begin, end in offsets[start:]
    ]
    return text, found["input_ids"], start, kept


def _digest(image: Image.Image) -> str:
    """A name for the content of a picture."""
    return hashlib.sha256(f"{image.size} {image.mode}".encode() + image.tobytes()).hexdigest()


def answer_places(
    leaves: Sequence[Written], paths: Sequence[tuple[int, list[int]]], ids: Sequence[Sequence[int]]
) -> dict[str, Tensor]:
    """Where the answers' tokens are, see `PreferenceCollator`.

    Args:
        leaves: all of a batch.
        paths: for each, its row and the places of its tokens in it.
        ids: the tokens of each row.
    """
    states: dict[tuple[int, int], int] = {}
    tokens: dict[tuple[int, int], tuple[int, int, int]] = {}  # to its number, its state and its id
    token, owner, kept = [], [], []
    for number, (leaf, (row, path)) in enumerate(zip(leaves, paths, strict=True)):
        for before, node, keep in zip(path[-len(leaf.kept) - 1 :], path[-len(leaf.kept) :], leaf.kept, strict=False):
            state = states.setdefault((row, before), len(states))
            token.append(tokens.setdefault((row, node), (len(tokens), state, ids[row][node]))[0])
            owner.append(number)
            kept.append(keep)
    state_row, state_at = zip(*states, strict=True)
    _, token_state, token_id = zip(*tokens.values(), strict=True)
    named = {"state_row": state_row, "state_at": state_at, "token_state": token_state, "token_id": token_id}
    return {name: torch.tensor(value) for name, value in {**named, "token": token, "leaf": owner, "kept": kept}.items()}


def leaf_sums(
    values: Float[Tensor, " tokens"], answers: Mapping[str, Tensor], leaves: int
) -> Float[Tensor, "examples leaves"]:
    """The sum of the values of each leaf's tokens that its spans touch: 0, without a gradient, where they touch none.

    Args:
        values: of each token of each answer.
        answers: see `preference_batch.PreferenceCollator`.
        leaves: how many each example has.
    """
    count = int(answers["count"])
    kept = torch.where(answers["kept"], values, 0.0)
    return values.new_zeros(count * leaves).index_add(0, answers["leaf"], kept).view(count, leaves)

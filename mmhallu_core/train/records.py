"""What is trained on: conversations about pictures with the answers to learn, or answers to be compared."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from jaxtyping import Bool
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from mmhallu_core.types import Span


@dataclass(frozen=True)
class Turn:
    """A question about pictures and its answer.

    Attributes:
        question: with `<image>` where a picture stands; in a conversation without any, all stand before its beginning.
        answer: what is learned.
        weight: of each of the answer's tokens in the loss.
    """

    question: str
    answer: str
    weight: float = 1.0


Conversation = tuple[Turn, ...]


@dataclass(frozen=True)
class TrainingExample:
    """Some pictures, and one or more separate conversations about them, none of which knows of the others.

    Attributes:
        id: what errors call it.
        images: its pictures, RGB.
        conversations: each about all the pictures.
        changed: for a pair of pictures that differ in an edit, the pixels that it changed; else None.
    """

    id: str
    images: tuple[Image.Image, ...]
    conversations: tuple[Conversation, ...]
    changed: Bool[Tensor, "height width"] | None = None

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns of all conversations in their order."""
        return tuple(turn for conversation in self.conversations for turn in conversation)


@dataclass(frozen=True)
class Leaf:
    """One answer whose probability a preference loss asks for.

    Attributes:
        pictures: which of the example's pictures stand before the question, in this order; () for none.
        question: as plain text, without marks for pictures.
        answer: what is said.
        spans: the characters of the answer whose tokens count; None for all, with the token that ends the turn.
    """

    pictures: tuple[int, ...]
    question: str
    answer: str
    spans: tuple[Span, ...] | None = None


@dataclass(frozen=True)
class PreferenceExample:
    """Some pictures, and the answers that a preference loss compares; every example of a method has as many of them.

    Attributes:
        id: what errors call it.
        images: its pictures, RGB.
        leaves: in the order that the method's loss expects.
    """

    id: str
    images: tuple[Image.Image, ...]
    leaves: tuple[Leaf, ...]

    @property
    def turns(self) -> tuple[Leaf, ...]:
        """What is asked and said, as in `TrainingExample`."""
        return self.leaves


# Example number i, from 0; the same i gives the same example.
Make = Callable[[int], TrainingExample | PreferenceExample]


def separate(
    id: str, images: tuple[Image.Image, ...], turns: Sequence[Turn], changed: Bool[Tensor, "..."] | None = None
) -> TrainingExample:
    """An example whose questions are asked separately: each turn is a conversation of its own."""
    return TrainingExample(id, images, tuple((turn,) for turn in turns), changed)


class Numbered(Dataset):
    """Makes example number i when it is asked for; can keep a hash of all examples in their order.

    Attributes:
        make: the maker of the examples.
        count: how many there are.
        hash: of examples 0 to `hashed`, None without one. Those that this process skips, because it went on with a
            killed run or because others have them, are made for the hash alone.
    """

    def __init__(self, make: Make, count: int, hashes: bool = False) -> None:
        self.make, self.count, self.hashed = make, count, 0
        self.hash = hashlib.sha256() if hashes else None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> TrainingExample | PreferenceExample:
        if self.hash is not None:
            self.digest(i)
        example = self.make(i)
        if self.hash is not None:
            self._add(example)
        return example

    def digest(self, count: int) -> str:
        """The hash of the first `count` examples, or of more where more were handed out."""
        while self.hashed < count:
            self._add(self.make(self.hashed))
        return self.hash.hexdigest()

    def _add(self, example: TrainingExample | PreferenceExample) -> None:
        self.hash.update(json.dumps([asdict(turn) for turn in example.turns]).encode("utf-8"))
        for image in example.images:
            self.hash.update(image.tobytes())
        self.hashed += 1

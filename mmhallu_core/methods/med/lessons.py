"""What MED trains on, made of its samples: what differs, what does not, and what each picture shows.

A sample is a picture, its edit, a caption of each and the sentence that tells them apart. Three talks come of it:

- *what differs*, asked of both pictures. At random the two change places, so that "the second" is not always the one
  that was edited. The answer must then tell the way back, and no rule turns a sentence round: Diorama says it of its
  scenes (`provenance.editor.reverse`), and a photo's sample may bring it (`provenance.reverse`). Without it the
  pictures stay as they are, and `Lessons.counts` says how often.
- a share of these shows *the same picture twice*, and the answer is that nothing differs: a model that always hears
  of a difference learns to see one everywhere.
- *what each picture shows*, asked of either alone.

Talks of one epoch come in an order drawn from the seed. Talk number i is always the same, and a picture is opened when
its talk is asked for.
"""

import functools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from mmhallu_core.data.chats import IMAGE, Chat, open_picture
from mmhallu_core.data.decode import Decoded
from mmhallu_core.train.consistency import changed_pixels
from mmhallu_core.train.talks import Talk
from mmhallu_core.types import EditSample
from mmhallu_core.world.language import no_difference

DESCRIBE = ("Describe the image.", "What is in the picture?", "Describe the picture.")
VIEWS = 3  # talks made of one sample: what differs, the first picture, the second
SAME = 0.1  # share of the talks about two pictures that show one twice (our choice; the paper has none)
SWAP = 0.5  # share of the others whose pictures change places, where the way back can be told


@dataclass(frozen=True)
class Lessons:
    """The talks of a file of samples; call it with a number.

    Attributes:
        samples: what `mmhallu med build` writes.
        folder: where the paths of their pictures start.
        seed: of every draw.
        same, swap: shares, see SAME and SWAP.
        captions: whether pictures are also described.
        masks: whether talks about pairs say which pixels changed; a consistency loss needs it.
    """

    samples: Sequence[EditSample]
    folder: Path
    seed: int = 0
    same: float = SAME
    swap: float = SWAP
    captions: bool = True
    masks: bool = False

    @property
    def views(self) -> int:
        """Talks of one sample."""
        return VIEWS if self.captions else 1

    def __len__(self) -> int:
        """Talks of one epoch."""
        return self.views * len(self.samples)

    def __call__(self, i: int) -> Talk:
        """Talk number i, from 0; after an epoch comes another with new draws.

        Raises:
            CannotRun: when a picture cannot be used.
        """
        chat, sample, kind = self._drawn(i)
        opened = [self._open(picture, sample) for picture in chat.images]
        images, changed = tuple(one.image for one in opened), None
        if self.masks and len(images) == 2:
            mask = sample.provenance.get("mask") if kind != "same" else None
            if mask is not None:  # it belongs to the first picture of the sample, and turns with it
                original = opened[chat.images.index(sample.image)]
                mask = original.turned_mask(self._open(mask, sample).image)
            changed = changed_pixels(*images, mask)
        return Talk(chat.id, images, chat.turns, changed)

    def chat(self, i: int) -> Chat:
        """Talk number i with the names of its pictures, none of which is opened."""
        return self._drawn(i)[0]

    def counts(self) -> dict[str, int]:
        """How many talks of the first epoch are of which kind; the last two kinds are among the differences."""
        found = Counter(captions=len(self) - len(self.samples), same=0, differences=0)
        for sample in self.samples:
            kind = _kind(self, sample, random.Random(f"{self.seed}/0/{sample.id}/0"))
            found["same" if kind == "same" else "differences"] += 1
            found["swapped"] += kind == "swapped"
            found["not_swapped_for_want_of_words"] += kind == "no words"
        return dict(found)

    def pictures(self) -> list[Any]:
        """All pictures that the samples name, in their order."""
        return [picture for sample in self.samples for picture in (sample.image, sample.edited_image)]

    def pairs(self, most: int) -> list[tuple[Image.Image, Image.Image]]:
        """The first pairs of pictures, for looking at features."""
        some = self.samples[:most]
        return [(self._open(one.image, one).image, self._open(one.edited_image, one).image) for one in some]

    def _drawn(self, i: int) -> tuple[Chat, EditSample, str]:
        """Talk number i, its sample, and what was done with the two pictures ("alone" when only one is shown)."""
        epoch, place = divmod(i, len(self))
        number, view = divmod(_order(len(self), f"{self.seed}/{epoch}")[place], self.views)
        sample = self.samples[number]
        rng = random.Random(f"{self.seed}/{epoch}/{sample.id}/{view}")
        if view:
            picture, caption = ((sample.image, sample.caption), (sample.edited_image, sample.edited_caption))[view - 1]
            turns = _one_turn(1, rng.choice(DESCRIBE), caption)
            return Chat(f"{sample.id}, picture {view}", (picture,), turns), sample, "alone"
        kind, images = _kind(self, sample, rng), (sample.image, sample.edited_image)
        answer = difference_of(sample)
        if kind == "same":
            images, answer = (rng.choice(images),) * 2, no_difference(rng).text
        elif kind == "swapped":
            images, answer = images[::-1], way_back(sample)
        question = sample.question if sample.options is None else "What is different between the two images?"
        return Chat(sample.id, images, _one_turn(2, question, answer)), sample, kind

    def _open(self, picture: Any, sample: EditSample) -> Decoded:
        """One picture of a sample."""
        return open_picture(picture, self.folder, sample.id)


@dataclass(frozen=True)
class Chats:
    """The same for talks that somebody wrote: every one once an epoch, in an order drawn from the seed."""

    chats: Sequence[Chat]
    folder: Path
    seed: int = 0

    def __len__(self) -> int:
        """Talks of one epoch."""
        return len(self.chats)

    def __call__(self, i: int) -> Talk:
        """Talk number i, from 0.

        Raises:
            CannotRun: when a picture cannot be used.
        """
        epoch, place = divmod(i, len(self))
        chat = self.chats[_order(len(self), f"{self.seed}/{epoch}")[place]]
        images = tuple(open_picture(picture, self.folder, chat.id).image for picture in chat.images)
        return Talk(chat.id, images, chat.turns)

    def counts(self) -> dict[str, int]:
        """How many talks there are."""
        return {"talks": len(self)}

    def pictures(self) -> list[Any]:
        """All pictures that the talks name, in their order."""
        return [picture for chat in self.chats for picture in chat.images]

    def pairs(self, most: int) -> list[tuple[Image.Image, Image.Image]]:
        """None: which pictures are a pair, a talk does not say."""
        return []


def difference_of(sample: EditSample) -> str:
    """What a model learns to answer; of a sample with lettered options, the sentence and not the letter."""
    return sample.answer if sample.options is None else sample.difference


def way_back(sample: EditSample) -> str | None:
    """The difference when the pictures change places, None where nobody has said it."""
    said = sample.provenance.get("reverse") or sample.provenance.get("editor", {}).get("reverse")
    return said["difference"] if said else None


def _kind(lessons: Lessons, sample: EditSample, rng: random.Random) -> str:
    """What is done with two pictures: "same", "as they are", "swapped", or "no words" where they would have been."""
    if rng.random() < lessons.same:
        return "same"
    if rng.random() >= lessons.swap:
        return "as they are"
    return "no words" if way_back(sample) is None else "swapped"


def _one_turn(pictures: int, question: str, answer: str) -> tuple[tuple[str, str], ...]:
    """A question about pictures, and its answer."""
    return ((IMAGE * pictures + question, answer),)


@functools.lru_cache(maxsize=4)
def _order(count: int, name: str) -> tuple[int, ...]:
    """The numbers below `count` in an order drawn from `name`."""
    numbers = list(range(count))
    random.Random(name).shuffle(numbers)
    return tuple(numbers)

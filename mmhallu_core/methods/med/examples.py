"""What MED trains on, made of pairs: what differs, what does not, and what each picture shows.

A pair is two pictures that differ in one edit. `PairFacts` is what must be known of it, and `shown_of` makes of that
what is shown: twice both pictures, with what differs (in both orders where somebody said the way back), whether they
are the same, and questions about one of the two that the edit turns round; and each picture alone, with its caption
and such questions. Now and then one picture stands there twice, and the answer is that nothing differs: a model that
always hears of a difference learns to see one everywhere.

Diorama's edits give all of these facts (`facts_of_edit`). A file of edit samples gives what it has (`facts_of_sample`):
without the way back pictures stay in their order, and without questions that the edit turns round none are asked.
"""

import functools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from mmhallu_core.data.chats import IMAGE, Chat, open_picture
from mmhallu_core.data.decode import Decoded
from mmhallu_core.evaluate.diorama.exam import DESCRIBE
from mmhallu_core.train.consistency import changed_pixels
from mmhallu_core.train.pretrain.speak import COMPARE, WHICH
from mmhallu_core.train.records import TrainingExample, Turn, separate
from mmhallu_core.types import EditSample
from mmhallu_core.world.edits import Edit, edit_between
from mmhallu_core.world.language import DIFFERENCE_PROMPTS, describe, difference, no_difference
from mmhallu_core.world.language.mixture import turned_round

SAME = 0.25  # share of the examples with two pictures that show one twice; with a tenth, a difference is always said
CAPTION, QUESTION, DIFFERENCE = 0.3, 1.0, 1.0  # weights of an answer's tokens: long texts must not drown short ones
ROUTED, ALONE = 3, 4  # questions that an edit turns round, at most: asked of a pair (of both pictures), and of one

Shown = tuple[tuple[int, ...], list[Turn]]  # which pictures of the pair (0 before, 1 after), and what is asked of them


@dataclass(frozen=True)
class PairFacts:
    """What is true of a pair.

    Attributes:
        captions: of the two pictures.
        difference: what differs, from the first to the second.
        back: the same with the pictures in the other order; None where nobody has said it.
        turned: questions that the edit turns round, each with its answer before and after.
        prompts: ways to ask what differs, the usual one first.
    """

    captions: tuple[str, str]
    difference: str
    back: str | None
    turned: tuple[tuple[str, str, str], ...] = ()
    prompts: tuple[str, ...] = DIFFERENCE_PROMPTS


def facts_of_edit(edit: Edit) -> PairFacts:
    """The facts of an edit of Diorama."""
    back = edit_between(edit.after, edit.before)
    turned = tuple((before.text, before.answer, after.answer) for before, after in turned_round(edit))
    way_back = None if back is None else difference(back).text
    return PairFacts((describe(edit.before).text, describe(edit.after).text), difference(edit).text, way_back, turned)


def facts_of_sample(sample: EditSample) -> PairFacts:
    """The facts that a sample of a file brings; of one with lettered options, the sentence and not the letter."""
    own = sample.options is None
    prompts = (sample.question,) if own and sample.question not in DIFFERENCE_PROMPTS else DIFFERENCE_PROMPTS
    return PairFacts(
        (sample.caption, sample.edited_caption), sample.answer if own else sample.difference, way_back(sample),
        tuple(map(tuple, sample.provenance.get("editor", {}).get("turned", ()))), prompts,
    )  # fmt: skip


def way_back(sample: EditSample) -> str | None:
    """The difference when the pictures change places, None where nobody has said it."""
    said = sample.provenance.get("reverse") or sample.provenance.get("editor", {}).get("reverse")
    return said["difference"] if said else None


def shown_of(facts: PairFacts, rng: random.Random, same: float = SAME) -> list[Shown]:
    """Two examples with two pictures, and each picture alone.

    Args:
        facts: of the pair.
        rng: draws wordings, questions and orders.
        same: how often one picture stands there twice instead.
    """
    asked = rng.sample(facts.turned, min(ROUTED, len(facts.turned)))
    first = facts.back is not None and rng.random() < 0.5  # the way back comes first
    ways = [(facts.difference, (0, 1)), (facts.difference, (0, 1)) if facts.back is None else (facts.back, (1, 0))]
    shown: list[Shown] = [
        (which, _pair(said, which, asked, facts.prompts, rng)) for said, which in (ways[::-1] if first else ways)
    ]
    if rng.random() < same:  # one picture twice, and then the other: so each is shown as often as ever
        shown = [((one, one), _twice(facts.prompts, rng)) for one in rng.sample((0, 1), 2)]
    for view, caption in enumerate(facts.captions):
        alone = rng.sample(facts.turned, min(ALONE, len(facts.turned)))
        asked_alone = [Turn(question, answers[view], QUESTION) for question, *answers in alone]
        shown.append(((view,), [Turn(DESCRIBE, caption, CAPTION), *asked_alone]))
    return shown


def _pair(
    said: str,
    which: tuple[int, ...],
    asked: list[tuple[str, str, str]],
    prompts: Sequence[str],
    rng: random.Random,
) -> list[Turn]:
    """What differs, whether anything does, and what is so in one picture and not in the other."""
    turns = [Turn(_prompt(prompts, rng), said, DIFFERENCE), Turn(COMPARE, "No.", QUESTION)]
    for question, *answers in asked:
        turns += [
            Turn(f"{question} {ending}", answers[view], QUESTION) for view, ending in zip(which, WHICH, strict=True)
        ]
    return turns


def _twice(prompts: Sequence[str], rng: random.Random) -> list[Turn]:
    """That nothing differs."""
    return [Turn(_prompt(prompts, rng), no_difference().text, DIFFERENCE), Turn(COMPARE, "Yes.", QUESTION)]


def _prompt(prompts: Sequence[str], rng: random.Random) -> str:
    return prompts[0] if rng.random() < 0.5 else rng.choice(prompts)


class EditExamples:
    """The training examples of a file of edit samples; call it with a number.

    One epoch has all that `shown_of` makes of every sample, in an order drawn from the seed; the next has new draws.

    Args:
        samples: what `mmhallu med build` writes.
        folder: where the paths of their pictures start.
        seed: of every draw.
        same: share of the pairs that show one picture twice.
        masks: whether examples of pairs say which pixels changed; a consistency loss needs it.
        packing: whether all questions about the same pictures are one example; else each is one.
    """

    def __init__(
        self, samples: Sequence[EditSample], folder: Path, seed: int = 0, same: float = SAME, masks: bool = False,
        packing: bool = False,
    ) -> None:  # fmt: skip
        self.samples, self.folder, self.seed, self.same = samples, folder, seed, same
        self.masks, self.packing = masks, packing
        self._epoch = functools.lru_cache(maxsize=1)(self._drawn)
        self._ends = [len(self._epoch(0))]  # the number of examples up to the end of each epoch

    def __len__(self) -> int:
        """Examples of the first epoch; others may have some more or less."""
        return self._ends[0]

    def __call__(self, i: int) -> TrainingExample:
        """Example number i, from 0. Its pictures are opened now.

        Raises:
            CannotRun: when a picture cannot be used.
        """
        while i >= self._ends[-1]:
            self._ends.append(self._ends[-1] + len(self._epoch(len(self._ends))))
        epoch = next(number for number, end in enumerate(self._ends) if i < end)
        sample, name, (which, turns) = self._epoch(epoch)[i - (self._ends[epoch - 1] if epoch else 0)]
        opened = {view: self._open((sample.image, sample.edited_image)[view], sample) for view in which}
        changed = self._changed(sample, which, opened) if self.masks and len(which) == 2 else None
        return separate(name, tuple(opened[view].image for view in which), turns, changed)

    def chats(self) -> Iterator[Chat]:
        """The conversations of the first epoch with the names of their pictures, none of which is opened."""
        for sample, name, (which, turns) in self._epoch(0):
            pictures = tuple((sample.image, sample.edited_image)[view] for view in which)
            for turn in turns:
                yield Chat(name, pictures, ((IMAGE * len(which) + turn.question, turn.answer),))

    def counts(self) -> dict[str, int]:
        """How many examples of the first epoch show what, and how many samples lack words for the way back."""
        kinds = {(0, 1): "differences", (1, 0): "swapped", (0, 0): "same", (1, 1): "same", (0,): "alone", (1,): "alone"}
        found = Counter({kind: 0 for kind in kinds.values()})
        found.update(kinds[which] for _, _, (which, _) in self._epoch(0))
        return {**found, "samples_without_way_back": sum(way_back(sample) is None for sample in self.samples)}

    def pictures(self) -> list[Any]:
        """All pictures that the samples name, in their order."""
        return [picture for sample in self.samples for picture in (sample.image, sample.edited_image)]

    def pairs(self, most: int) -> list[tuple[Image.Image, Image.Image]]:
        """The first pairs of pictures, for looking at features."""
        some = self.samples[:most]
        return [(self._open(one.image, one).image, self._open(one.edited_image, one).image) for one in some]

    def _drawn(self, epoch: int) -> list[tuple[EditSample, str, Shown]]:
        """An epoch in its order: sample, name and what is shown."""
        found = []
        for sample in self.samples:
            rng = random.Random(f"{self.seed}/{epoch}/{sample.id}")
            shown = shown_of(facts_of_sample(sample), rng, self.same)
            if not self.packing:
                shown = [(which, [turn]) for which, turns in shown for turn in turns]
            found += [(sample, f"{sample.id}/{number}", one) for number, one in enumerate(shown)]
        return _shuffled(found, f"{self.seed}/{epoch}")

    def _changed(
        self, sample: EditSample, which: tuple[int, ...], opened: dict[int, Decoded]
    ) -> Bool[Tensor, "height width"]:
        """The pixels that differ between the two pictures that are shown."""
        mask = sample.provenance.get("mask") if which[0] != which[1] else None
        if mask is not None:  # it belongs to the first picture of the sample, and turns with it
            mask = opened[0].turned_mask(self._open(mask, sample).image)
        return changed_pixels(*(opened[view].image for view in which), mask)

    def _open(self, picture: Any, sample: EditSample) -> Decoded:
        """One picture of a sample."""
        return open_picture(picture, self.folder, sample.id)


@dataclass(frozen=True)
class ConversationExamples:
    """The same for conversations that somebody wrote: each once an epoch, in an order drawn from the seed."""

    chats: Sequence[Chat]
    folder: Path
    seed: int = 0

    def __len__(self) -> int:
        """Examples of one epoch."""
        return len(self.chats)

    def __call__(self, i: int) -> TrainingExample:
        """Example number i, as of `EditExamples`."""
        epoch, place = divmod(i, len(self))
        chat = self.chats[_order(len(self), f"{self.seed}/{epoch}")[place]]
        images = tuple(open_picture(picture, self.folder, chat.id).image for picture in chat.images)
        return TrainingExample(chat.id, images, (tuple(Turn(*turn) for turn in chat.turns),))

    def counts(self) -> dict[str, int]:
        """How many conversations there are."""
        return {"conversations": len(self)}

    def pictures(self) -> list[Any]:
        """All pictures that the conversations name, in their order."""
        return [picture for chat in self.chats for picture in chat.images]

    def pairs(self, most: int) -> list[tuple[Image.Image, Image.Image]]:
        """None: which pictures are a pair, a conversation does not say."""
        return []


@functools.lru_cache(maxsize=4)
def _order(count: int, name: str) -> tuple[int, ...]:
    """The numbers below `count` in an order drawn from `name`."""
    numbers = list(range(count))
    random.Random(name).shuffle(numbers)
    return tuple(numbers)


def _shuffled(some: list[Any], name: str) -> list[Any]:
    """The same in an order drawn from `name`."""
    return [some[number] for number in _order(len(some), name)]

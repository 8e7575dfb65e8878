"""Is it the differences, or just clean data? MED's training examples, and two controls that show the same pictures.

Every arm goes through the same stream of micro-edits, shows both pictures of an edit equally often (six pictures in
all), and has as many answer tokens to learn from. An arm differs from `med` in one thing:

- `med`: what differs between the two pictures, in both orders where the way back is an edit, too; now and then one
  picture twice; questions about one of two pictures ("Answer based on the second image.") that the edit turns round;
  and each picture alone, with a caption and such questions.
- `clean`: no pair at all. Each picture comes alone, with the caption and the questions of `med`; what `med` spends on
  differences goes to more true questions.
- `shuffled`: as `med`, but a pair gets the sentences, questions and answers of another edit of its category.

The controls are filled turn by turn until they reach the count of `med` for that edit, so the counts agree within an
answer an edit, and neither side is favoured.
"""

import functools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from mmhallu_core.methods.med.examples import QUESTION, Shown, facts_of_edit, shown_of
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.consistency import changed_pixels
from mmhallu_core.train.records import Make, TrainingExample, Turn, separate
from mmhallu_core.types import CATEGORIES
from mmhallu_core.world.edits import Edit, sample_edit
from mmhallu_core.world.language import WorldQuestion, questions
from mmhallu_core.world.language.mixture import turned_round
from mmhallu_core.world.prior import PRIOR
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene

ARMS = {"med": 4, "clean": 6, "shuffled": 4}  # arm to examples made of one edit
PICTURES = 6  # shown of one edit, in every arm
SPLIT = "med/train/"  # begins the name of every training scene; no exam has one like it
MORE = 25  # other questions that a control may draw for one picture

Count = Callable[[str], int]  # the tokens that are learned from an answer, with the one that ends it


@dataclass(frozen=True)
class Stream:
    """Micro-edits without end, the categories in turn.

    Attributes:
        name: begins with SPLIT; another name gives other scenes.
        categories: those that take turns.
        prior: how strongly things keep company.
    """

    name: str
    categories: Sequence[str] = CATEGORIES
    prior: float = PRIOR

    def __call__(self, k: int) -> Edit:
        """Edit number k."""
        return sample_edit(self.categories[k % len(self.categories)], f"{self.name}/{k}", self.prior)


def token_count(vlm: Vlm) -> Count:
    """Counts as `packed.pack` supervises: an answer's tokens, and the one that ends it."""
    tokenizer = vlm.processor.tokenizer

    @functools.lru_cache(maxsize=100_000)
    def count(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"]) + 1

    return count


def arm(name: str, stream: Stream, count: Count) -> Make:
    """The examples of one arm; `ARMS[name]` examples in a row come from one edit.

    Args:
        name: one of ARMS.
        stream: the micro-edits.
        count: see `token_count`.

    Raises:
        KeyError: for another arm.
    """
    views = ARMS[name]
    edit = functools.lru_cache(maxsize=64)(stream)
    pictures = functools.lru_cache(maxsize=4)(lambda k: _drawn(edit(k)))

    @functools.lru_cache(maxsize=64)
    def med(k: int) -> list[Shown]:
        return shown_of(facts_of_edit(edit(k)), random.Random(f"{stream.name}/{k}/words"))

    def shown(k: int) -> list[Shown]:
        if name == "med":
            return med(k)
        if name == "shuffled":
            return _mixed(med(k), med(_partner(k, len(stream.categories))))
        rng = random.Random(f"{stream.name}/{k}/{name}")
        return list(_alone(edit(k), med(k), rng, count))

    @functools.lru_cache(maxsize=4)
    def all_shown(k: int) -> list[Shown]:
        found = shown(k)
        return random.Random(f"{stream.name}/{k}/order").sample(found, len(found))

    def make(i: int) -> TrainingExample:
        k, view = divmod(i, views)
        which, turns = all_shown(k)[view]
        images = tuple(pictures(k)[one] for one in which)
        changed = changed_pixels(*images) if len(images) == 2 else None
        return separate(f"{stream.name}/{k}/{view}", images, turns, changed)

    return make


class Tally:
    """A maker that counts what it hands out.

    Args:
        make: the maker.
        count: see `token_count`.

    Attributes:
        counts: `examples`, `pictures`, `turns`, `tokens` of the answers that are learned, and the `weight` of all those
            tokens together.
    """

    def __init__(self, make: Make, count: Count) -> None:
        self.make, self.count = make, count
        self.counts: Counter[str] = Counter(examples=0, pictures=0, turns=0, tokens=0, weight=0)

    def __call__(self, i: int) -> TrainingExample:
        """Example number i."""
        example = self.make(i)
        self.counts.update(examples=1, pictures=len(example.images), turns=len(example.turns))
        for turn in example.turns:
            tokens = self.count(turn.answer)
            self.counts.update(tokens=tokens, weight=tokens * turn.weight)
        return example

    def to_dict(self) -> dict[str, float]:
        """The counts, the weight to a tenth."""
        return {**self.counts, "weight": round(float(self.counts["weight"]), 1)}


# ---------------------------------------------------------------- what is shown of one edit


def _drawn(edit: Edit) -> tuple[Image.Image, Image.Image]:
    return render(edit.before).image, render(edit.after).image


def _turn(question: WorldQuestion) -> Turn:
    return Turn(question.text, question.answer, QUESTION)


def _partner(k: int, categories: int) -> int:
    """The edit whose words number k gets: the next one of its category, or the one before; each is used once."""
    return k + categories if k // categories % 2 == 0 else k - categories


def _mixed(own: list[Shown], other: list[Shown]) -> list[Shown]:
    """The pictures of one edit's pairs with the words of the other's; single pictures keep their words."""
    pairs: list[Shown] = [(which, turns) for (which, _), (_, turns) in zip(own[:2], other[:2], strict=True)]
    return pairs + own[2:]


def _alone(edit: Edit, med: list[Shown], rng: random.Random, count: Count) -> Iterator[Shown]:
    """The six pictures of `med`, each alone, with as many tokens to learn."""
    wanted = [sum(count(turn.answer) for turn in turns) for _, turns in med]
    turned, spent, due = turned_round(edit), 0, 0.0
    for (which, turns), tokens in zip([*med[2:], *med[:2]], [*wanted[2:], *wanted[:2]], strict=True):
        for view in which:
            due += tokens / len(which)
            scene = (edit.before, edit.after)[view]
            own = [_turn(pair[view]) for pair in rng.sample(turned, len(turned))]
            found = _filled(turns if len(which) == 1 else [], own, scene, due - spent, rng, count)
            spent += sum(count(turn.answer) for turn in found)
            yield (view,), found


def _filled(
    begun: Sequence[Turn], own: Sequence[Turn], scene: Scene, room: float, rng: random.Random, count: Count
) -> list[Turn]:
    """Turns until their count is as near to `room` as it gets: `begun` in any case, then `own`, then any."""
    found, asked = list(begun), {turn.question for turn in begun}
    room -= sum(count(turn.answer) for turn in begun)
    more = [*own, *(_turn(question) for question in questions(scene, rng, MORE))]
    for turn in more:
        if turn.question not in asked and count(turn.answer) <= 2 * room:
            found.append(turn)
            asked.add(turn.question)
            room -= count(turn.answer)
    return found or [min(more, key=lambda turn: count(turn.answer))]

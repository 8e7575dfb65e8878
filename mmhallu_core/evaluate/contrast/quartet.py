"""Four sentences about two pictures, and how one of them becomes true.

Take two things, each of which can be in one of two states: a dog and a cat, each red or blue. That makes four pictures,
a contrast set. From one corner of its drawing to a neighbour one thing changes, and a sentence says so:

    dog red, cat red     "The dog was red and is now blue."   ->   dog blue, cat red
           |                                                              |
    "The cat was red and is now blue."                      "The cat was red and is now blue."
           v                                                              v
    dog red, cat blue    "The dog was red and is now blue."   ->   dog blue, cat blue

There are four such sentences, two things times two directions, and they are the options of a question. Each is true of
two pairs of corners. A die takes the sentence, then the pair. So

* somebody who sees no picture is right once in four times, whatever rule reads the options;
* somebody who sees one picture of the two is right once in two times: from a corner two ways lead, and to it two;
* shown in the other order, the pictures make the opposite sentence true, and that is an option too.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from mmhallu_core.evaluate.diorama.making import said
from mmhallu_core.world.scene import Scene

BACK = (1, 0, 3, 2)  # of each sentence, the one that is true when the pictures are swapped
Pair = tuple[Scene, Scene]


@dataclass(frozen=True)
class Quartet:
    """Four sentences, and the pairs of scenes of which each is true.

    Attributes:
        operation: how the edit is done, by its name in `world.edits_table`.
        texts: the sentences; `BACK` says which is the way back of which.
        pairs: for each sentence the scenes before and after, one pair or several.
        kinds: of the things that the sentences speak of.
    """

    operation: str
    texts: tuple[str, str, str, str]
    pairs: tuple[tuple[Pair, ...], ...]
    kinds: tuple[str, ...] = ()

    def drawn(self, rank: int, rng: random.Random) -> tuple[int, Pair]:
        """The sentence at a rank from the shortest to the longest, and one of its pairs."""
        order = sorted(range(len(self.texts)), key=lambda one: (len(self.texts[one]), self.texts[one]))
        right = order[rank % len(order)]
        return right, rng.choice(self.pairs[right])


def contrast_set(
    operation: str, corners: Sequence[Sequence[Scene]], texts: Sequence[Sequence[str]], kinds: Sequence[str]
) -> Quartet:
    """A quartet from the four pictures of a contrast set.

    Args:
        operation: see `Quartet`.
        corners: `corners[i][j]` is the scene with the first thing in state i (0 or 1) and the second in state j.
        texts: for each of the two, what is said when it goes from state 0 to 1, and from 1 to 0.
        kinds: see `Quartet`.
    """
    pairs = []
    for old, new in ((0, 1), (1, 0)):
        pairs.append(tuple((corners[old][other], corners[new][other]) for other in (0, 1)))
    for old, new in ((0, 1), (1, 0)):
        pairs.append(tuple((corners[other][old], corners[other][new]) for other in (0, 1)))
    return Quartet(operation, (*texts[0], *texts[1]), tuple(pairs), tuple(kinds))


def there_and_back(form: str, old: str, new: str, **slots: str) -> tuple[str, str]:
    """A sentence with an old and a new word, and the one with both exchanged."""
    return said(form, **slots, old=old, new=new), said(form, **slots, old=new, new=old)

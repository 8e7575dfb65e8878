"""Which questions go through a model together: those about the same pictures, and sets of pictures of like kind."""

from collections.abc import Sequence
from dataclasses import dataclass

from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.answer_journal import Known


@dataclass(frozen=True)
class Group:
    """Questions about one set of pictures.

    Attributes:
        pictures: the set's hash.
        questions: in the benchmark's order.
    """

    pictures: str
    questions: tuple[Question, ...]

    @property
    def kind(self) -> tuple[int, bool]:
        """Groups go together when they have as many pictures, and something to share or nothing."""
        return len(self.questions[0].images), len(self.questions) == 1

    @property
    def length(self) -> int:
        """Of its longest prompt, in characters."""
        return max(len(one.prompt) for one in self.questions)


def group(questions: Sequence[Question], known: Known, pictures: dict[str, str]) -> list[Group]:
    """The questions that have no answer yet, by their pictures; what can go together stands together.

    A question without a picture shares with nobody and is a group of its own.
    """
    found: dict[tuple[str, str], list[Question]] = {}
    for one in questions:
        if one.id not in known.answers:
            found.setdefault((pictures[one.id], "" if one.images else one.id), []).append(one)
    groups = [Group(name, tuple(some)) for (name, _), some in found.items()]
    return sorted(groups, key=lambda one: (one.kind, one.length))


def take(waiting: list[Group], batch_size: int) -> list[Group]:
    """Removes the next batch from the front: groups of one kind, `batch_size` questions; one group even if larger."""
    batch = [waiting.pop(0)]
    while waiting and waiting[0].kind == batch[0].kind:
        if sum(len(one.questions) for one in [*batch, waiting[0]]) > batch_size:
            break
        batch.append(waiting.pop(0))
    return batch

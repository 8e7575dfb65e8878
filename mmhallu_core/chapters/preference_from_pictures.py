"""One pair of pictures, what six methods compare of it, and what one step of each does to four probabilities.

Numbers and tables of the chapter *Preference from pictures*.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import torch
from PIL import Image

from mmhallu_core.methods.ic_vco.pairs import Failed, Pair, Pairs, pair_of, records_of
from mmhallu_core.methods.ic_vco.partition import closed_log_probs
from mmhallu_core.methods.ic_vco.recipes import METHODS, Objective, Sides, example_of, recipe
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.preference_batch import PreferenceCollator
from mmhallu_core.train.preference_losses import LogProbs
from mmhallu_core.train.preference_tokens import leaf_sums
from mmhallu_core.train.records import Leaf
from mmhallu_core.train.trie import answer_log_probs
from mmhallu_core.types import Preference
from mmhallu_core.viz.twins import Twin, table, wrapping
from mmhallu_core.world.render import render

Images = tuple[Image.Image, Image.Image]
ASK = Pairs(1, seed=7)  # of this book's pages; no training has these scenes
CELLS = ("y about m", "y' about m", "y about m'", "y' about m'")
STEP = 0.02  # length of a step in the space of the weights


def pairs_from(number: int, ask: Pairs = ASK) -> Iterator[tuple[Pair, list[Preference], Images]]:
    """The pairs from `number` on that did not fail: each with its preferences, description first, and its pictures."""
    for i in count(number):
        try:
            pair = pair_of(i, ask)
        except Failed:
            continue
        images = (render(pair.before).image, render(pair.after, style=pair.style).image)
        yield pair, [*records_of(i, pair, ask, ("m.png", "m2.png"))], images


def objective_of(method: str) -> Objective:
    """A method as the page has it: mDPO's other picture is the second one of the pair, as everybody's is."""
    return Objective(method, crop=method != "mdpo")


@dataclass(frozen=True)
class _Spy(Sides):
    """Sides that remember which of them were compared."""

    asked: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self, chosen: int, rejected: int) -> LogProbs:
        self.asked.append((chosen, rejected))
        return super().__call__(chosen, rejected)


def compared(record: Preference, method: str) -> list[tuple[Leaf, Leaf]]:
    """The comparisons in a method's loss, found by computing it: each as the preferred side and the other one."""
    objective = objective_of(method)
    leaves = METHODS[method].leaves(record, objective)
    zeros = torch.zeros(1, len(leaves))
    spy = _Spy(zeros, zeros)
    METHODS[method].loss(spy, objective)
    return [(leaves[a], leaves[b]) for a, b in dict.fromkeys(spy.asked)]


def comparisons_table(record: Preference, methods: Sequence[str] = tuple(METHODS)) -> Twin:
    """What each method compares, a row for each comparison, and whether both of its sides have the same context."""
    rows = []
    for method in methods:
        for first, second in compared(record, method):
            same = (first.pictures, first.question) == (second.pictures, second.question)
            rows.append((method, _side(first, record), _side(second, record), "the same" if same else "two"))
    return wrapping(table(("method", "should be likelier", "than", "contexts"), rows, "What is compared"))


def _side(leaf: Leaf, record: Preference) -> str:
    shown = {(): "no picture", (0,): "m", (1,): "m'", (2,): "a blank picture"}.get(leaf.pictures, "both pictures")
    which = leaf.question.removeprefix(record.prompt).removeprefix(" Answer based on ").rstrip(".")
    answer = "y" if leaf.answer == record.chosen else "y'"
    return ", ".join([answer, shown, *([f"asked of {which}"] if which else [])])


def cells_of(vlm: Vlm, record: Preference, images: Images) -> list[float]:
    """The log-probabilities of `CELLS`."""
    contexts = [((k,), record.prompt) for k in (0, 1)]
    return closed_log_probs(vlm, images, contexts, (record.chosen, record.rejected)).flatten().tolist()


def step_changes(
    vlm: Vlm, record: Preference, images: Images, methods: Sequence[str] = tuple(METHODS), size: float = STEP
) -> dict[str, list[float]]:
    """What one step down each method's loss does to the log-probabilities of `CELLS`. The model is left as it was.

    Every step begins at the same weights and has the same length, so methods differ in its direction alone. The
    reference is the model itself.

    Args:
        vlm: the model; its decoder learns.
        record: a preference with two pictures.
        images: the pictures.
        methods: of `recipes.METHODS`.
        size: length of the step.
    """
    before, found = cells_of(vlm, record, images), {}
    learns = list(vlm.model.get_submodule(vlm.family.decoder).parameters())
    for method in methods:
        objective = objective_of(method)
        made, batch = recipe(objective), PreferenceCollator(vlm)([example_of(record, images, objective)])
        answers = batch.pop("answers")
        sums = leaf_sums(answer_log_probs(vlm.model, vlm.model, batch, answers), answers, made.leaves)
        loss, _ = made.loss(sums, sums.detach())
        gradients = torch.autograd.grad(loss, learns, allow_unused=True)
        pairs = [(one, slope) for one, slope in zip(learns, gradients, strict=True) if slope is not None]
        length = sum(slope.square().sum() for _, slope in pairs).sqrt()
        with torch.no_grad():
            kept = [one.clone() for one, _ in pairs]
            for one, slope in pairs:
                one -= size / length * slope
            found[method] = [b - a for a, b in zip(before, cells_of(vlm, record, images), strict=True)]
            for (one, _), value in zip(pairs, kept, strict=True):
                one.copy_(value)
    return found


def changes_table(changes: Mapping[str, Sequence[float]], title: str) -> Twin:
    """`step_changes` as a table: a row for each method."""
    rows = [(method, *(f"{one:+.2f}" for one in some)) for method, some in changes.items()]
    return table(("method", *CELLS), rows, title)


def pair_table(pair: Pair, records: Sequence[Preference]) -> Twin:
    """A pair in words: the wrong answer that it began with, what the editor was asked, and its answers."""
    rows = [("a wrong answer about m", pair.wrong), ("the editor is asked", pair.instruction)]
    for record in records:
        rows += [(f"{record.prompt} y, of m", record.chosen), ("y', of m'", record.rejected)]
    return wrapping(table(("what", "in words"), rows, "The pair in words"))

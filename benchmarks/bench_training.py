"""Packed training must show at least as many conversations a second as the plain form.

Both forms train tiny-llava on the same examples of MED's study: forwards, backwards, and the making of the batch. The
plain form gives each conversation a row of its own, with its pictures; the packed form gives the pictures one row, with
all conversations behind them. Drawing the pictures is the same work in both and is done before. One thread.
"""

import functools
import sys

import torch
from paired import judge, ratios, rounds, status

from mmhallu_core.methods.med.arms import SPLIT, Stream, arm, token_count
from mmhallu_core.methods.med.sft import Sft, spec_of
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.prepare import Prepared, prepare

AT_LEAST = 1.0  # packed over plain
ROUNDS, STEPS = 5, 3


def ready(packing: bool) -> Prepared:
    """tiny-llava with the study's adapter, and the collator of one of the two forms."""
    vlm = Vlm.load("tiny-llava", "cpu")
    made = prepare(vlm, spec_of(Sft(preset="diorama", packing=packing), vlm))
    made.model.train()
    return made


def step(made: Prepared, batches: list, _: int) -> None:
    """A few micro-batches forwards and backwards."""
    for examples in batches:
        loss, _ = made.loss(made.model, **made.collate(examples))
        loss.backward()
    made.model.zero_grad()


def main() -> int:
    """Prints the ratio; 0 when it is met, 1 when it is missed, 3 when the machine was too busy to say."""
    torch.set_num_threads(1)
    forms = {"packed": ready(True), "plain": ready(False)}
    vlm = forms["packed"].vlm
    make = arm("med", Stream(f"{SPLIT}bench"), token_count(vlm))
    batches = [[make(8 * number + i) for i in range(8)] for number in range(STEPS)]
    taken = rounds({name: functools.partial(step, one, batches) for name, one in forms.items()}, ROUNDS)
    verdict = judge(ratios(taken, "plain", "packed"), at_least=AT_LEAST)
    count = sum(len(one.conversations) for batch in batches for one in batch)
    for name, seconds in taken.items():
        print(f"{name:7} {count / min(seconds):8.1f} conversations a second, in the best round")
    print(f"packed over plain: {verdict}")
    return status([verdict])


if __name__ == "__main__":
    sys.exit(main())

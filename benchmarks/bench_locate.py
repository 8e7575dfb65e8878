"""Locating must cost at most 1.15 times the forward passes alone, and its memory must not grow with the pairs.

Both ways make the same batches of pairs and read them with tiny-llava; one also scores each layer (mode `ours`).
Memory is counted as bytes of all tensors that are alive when the next batch is asked for: besides the model, what one
batch leaves, after six batches as after two. All batches hold the same pairs, so they are equally long. One thread.
"""

import gc
import sys
from itertools import islice
from pathlib import Path

import torch
from paired import judge, ratios, rounds, status

from mmhallu_core.methods.aleahallu.locate import Work, locate
from mmhallu_core.methods.aleahallu.pairs import world_pairs
from mmhallu_core.methods.aleahallu.places import places_of
from mmhallu_core.models.vlm import Vlm

AT_MOST = 1.15  # locating over forward passes
GROWTH = 1.02
ROUNDS, PAIRS, BATCH = 5, 16, 8


def held() -> int:
    """Bytes of all tensors that are alive."""
    return sum({one.untyped_storage().data_ptr(): one.untyped_storage().nbytes()
                for one in gc.get_objects() if torch.is_tensor(one)}.values())  # fmt: skip


def main() -> int:
    """Prints the ratios; 0 when they are met, 1 when one is missed, 3 when the machine was too busy to say."""
    torch.set_num_threads(1)
    vlm, pairs = Vlm.load("tiny-llava", "cpu"), list(islice(world_pairs("bench"), PAIRS))
    places = list(places_of(vlm))

    def forward(_: int) -> None:
        for start in range(0, PAIRS, BATCH):
            with torch.no_grad():
                Work(vlm, pairs[start : start + BATCH], places, 0, Path()).likelihoods()

    taken = rounds({"locate": lambda _: locate(vlm, pairs[:PAIRS], ("ours",)), "forward": forward}, ROUNDS)
    verdict = judge(ratios(taken, "locate", "forward"), at_most=AT_MOST)
    print(f"locating over forward passes: {verdict}")
    most = {}
    for count in (2, 6):
        seen: list[int] = []

        def stream(count: int = count, seen: list[int] = seen):
            for _ in range(count):
                seen.append(held())
                yield from pairs[:BATCH]

        locate(vlm, stream(), ("ours",), batch_size=BATCH)
        most[count] = max(seen)
    grown = judge([most[6] / most[2]], at_most=GROWTH)
    print(f"bytes of tensors at most, six batches over two: {grown}")
    return status([verdict, grown])


if __name__ == "__main__":
    sys.exit(main())

"""One step of IC-VCO as a trie must be faster than the plain loop of eight sequences, and take less memory.

The plain loop has the shape of the authors' code: two branches, each a batch of four sequences an example with pictures
of their own, every position through the vocabulary, and the reference (the adapter switched off) asked again in every
step. It is the referee, too: before anything is timed, both must give the same loss and the same gradients.

tiny-llava with an adapter on its decoder, four examples a step, answers of about thirty tokens, one thread. A step is
the making of the batch, forwards and backwards. Three comparisons: both ask the reference (*first epoch*); the trie has
it kept and the plain loop asks it (*kept*); both have it kept (*kept by both*). Memory is that of all tensors alive
at once, above what was there before the step; what one operation needs inside itself is not seen. The plain loop is
also measured with a backward pass for each branch, which keeps one branch at a time.

With TRL installed (it is not needed for anything else), one-image DPO is compared with its `DPOTrainer`: the same
adapter, batch and losses, no gradient checkpointing. TRL does not keep the reference of pictures.

Seconds are those of the processor, which another busy program changes less. Where a bar is missed, the operations that
take most of the trie's step are printed.
"""

import functools
import sys
import tempfile
import time
from collections.abc import Callable

import torch
from paired import MISSED, Verdict, judge, ratios, rounds, status
from preference_ways import BATCH, Plain, Tries, Trl, material, peak, ready
from torch import Tensor

from mmhallu_core.methods.ic_vco.recipes import Objective, example_of

ROUNDS = 9
BARS = {"first epoch": 2.7, "kept": 3.8, "kept by both": 2.7}  # plain over trie, in seconds
MEMORY = {"one backward pass": 2.0, "one for each branch": 1.25}  # plain over trie, in bytes
DPO_BARS = {"first epoch": 1.9, "kept": 2.5}  # TRL over trie


def compared(ways: dict[str, Callable], pairs: dict[str, tuple[str, str]], bars: dict[str, float]) -> list[Verdict]:
    """Times some ways in rounds, and judges the ratios of pairs of them."""
    taken = rounds(ways, ROUNDS, time.process_time)
    for name, seconds in taken.items():
        print(f"  {name:14} {1000 * sorted(seconds)[len(seconds) // 2]:7.0f} ms of processor time a step, the median")
    found = []
    for name, (top, bottom) in pairs.items():
        found.append(judge(ratios(taken, top, bottom), at_least=bars[name]))
        print(f"{name}, {top} over {bottom}, at least {bars[name]}: {found[-1]}")
    return found


def gradients(model: torch.nn.Module, step: Callable[[], float]) -> tuple[float, list[Tensor]]:
    """The loss of a step, and the gradient of everything that learns."""
    model.zero_grad()
    loss = step()
    return loss, [one.grad.clone() for one in model.parameters() if one.grad is not None]


def alike(model: torch.nn.Module, *steps: Callable[[], float]) -> None:
    """Stops unless all ways compute the same: a ratio would mean nothing."""
    found = [gradients(model, step) for step in steps]
    for loss, some in found[1:]:
        assert abs(loss - found[0][0]) < 1e-5, f"losses differ: {loss} and {found[0][0]}"
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(some, found[0][1], strict=True)), "gradients differ"


def ic_vco() -> list[Verdict]:
    """IC-VCO against the plain loop."""
    objective, (vlm, model) = Objective("ic-vco"), ready()
    examples = [example_of(record, images, objective) for record, images in material(2 * BATCH)]
    batches = [examples[:BATCH], examples[BATCH:]]
    trie, plain = Tries(vlm, model, objective), Plain(vlm, model, examples)
    refs = [trie.reference(batch) for batch in batches]
    alike(model, *(functools.partial(one, batches[0]) for one in (trie.step, plain.step, plain.apart)))
    tokens = sum(len(one.ids) + 63 * len(one.images) for one in plain.written[examples[0].id])
    print(f"one example: {trie.collate(examples[:1])['input_ids'].numel()} tokens as a trie, {tokens} in sequences")
    found = compared(
        {
            "trie": lambda i: trie.step(batches[i % 2]), "plain": lambda i: plain.step(batches[i % 2]),
            "trie, kept": lambda i: trie.step(batches[i % 2], refs[i % 2]),
            "plain, kept": lambda i: plain.step(batches[i % 2], refs[i % 2]),
        },
        {
            "first epoch": ("plain", "trie"), "kept": ("plain", "trie, kept"),
            "kept by both": ("plain, kept", "trie, kept"),
        },
        BARS,
    )  # fmt: skip
    if any(one.word == MISSED for one in found):
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
            trie.step(batches[0], refs[0])
        print(seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=12, max_name_column_width=44))
    most = {name: peak(step, model, batches[0]) for name, step in (
        ("trie", trie.step), ("one backward pass", plain.step), ("one for each branch", plain.apart),
    )}  # fmt: skip
    for name, bar in MEMORY.items():
        found.append(judge([most[name] / most["trie"]], at_least=bar))
        told = f"{most[name] / 2**20:.0f} over {most['trie'] / 2**20:.0f} MiB"
        print(f"memory, plain with {name} over trie, {told}, at least {bar}: {found[-1]}")
    return found


def dpo(folder: str) -> list[Verdict]:
    """DPO with one picture against TRL."""
    objective, (vlm, model) = Objective("dpo"), ready()
    records = material(2 * BATCH)
    try:
        trl = Trl(records, model, folder)
    except ImportError as error:
        print(f"TRL is not compared with: {error}")
        return []
    examples = [example_of(record, images, objective) for record, images in records]
    numbers = [list(range(BATCH)), list(range(BATCH, 2 * BATCH))]
    batches = [[examples[k] for k in some] for some in numbers]
    trie = Tries(vlm, model, objective)
    refs = [trie.reference(batch) for batch in batches]
    for some, batch in zip(numbers, batches, strict=True):
        mine, theirs = trie.step(batch), trl.step(some)
        assert abs(mine - theirs) < 1e-4, f"losses differ: {mine}, and TRL's {theirs}"
    print("DPO with one picture, losses equal to four decimals")
    return compared(
        {
            "trie": lambda i: trie.step(batches[i % 2]), "TRL": lambda i: trl.step(numbers[i % 2]),
            "trie, kept": lambda i: trie.step(batches[i % 2], refs[i % 2]),
        },
        {"first epoch": ("TRL", "trie"), "kept": ("TRL", "trie, kept")}, DPO_BARS,
    )  # fmt: skip


def main() -> int:
    """Prints all ratios; 0 when they are met, 1 when one is missed, 3 when the machine was too busy to say."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        return status(ic_vco() + dpo(folder))


if __name__ == "__main__":
    sys.exit(main())

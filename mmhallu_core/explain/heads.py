"""Which heads carry hallucinated words? A head is knocked out, and the model captions the same pictures again.

What a head found is set to zero before the layer's last attention matrix, for every token. So the other heads, and the
rest of the layer, work on without it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from mmhallu_core.comparison import corrected, ratio_test
from mmhallu_core.evaluate.matched_recall import HIT, WRONG
from mmhallu_core.models.families import plain
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun

Head = tuple[int, int]  # decoder layer and head, both from 0
RECALL = 0.02  # what a knocked-out head may cost of recall, when one is picked


def heads_of(vlm: Vlm) -> list[Head]:
    """All heads of the decoder, layer by layer."""
    count = plain(vlm.model).config.get_text_config().num_attention_heads
    return [(layer, head) for layer in range(len(vlm.family.layers(vlm.model))) for head in range(count)]


@contextmanager
def knocked_out(vlm: Vlm, heads: Sequence[Head]) -> Iterator[None]:
    """Leaves heads of the decoder out while the block runs, also while it writes.

    Raises:
        CannotRun: when there is no such head.
    """
    known, matrices = heads_of(vlm), list(vlm.family.output_matrices(vlm.model, "attention").values())
    count = known[-1][1] + 1
    if strange := [f"{layer}.{head}" for layer, head in heads if (layer, head) not in known]:
        raise CannotRun(f"there is no head {strange[0]}: {len(matrices)} layers have {count} heads each, from 0")

    def hook_of(head: int):
        def silence(module, args):
            found = args[0].clone()
            found.unflatten(-1, (count, -1))[..., head, :] = 0
            return (found, *args[1:])

        return silence

    with ExitStack() as stack:
        for layer, head in heads:
            stack.callback(matrices[layer].register_forward_pre_hook(hook_of(head)).remove)
        yield


def table(whole: Sequence[str], without: Mapping[str, Sequence[str]], there: Sequence[int]) -> list[dict[str, Any]]:
    """What each head's absence does to captions.

    Args:
        whole: the marks of each caption of the whole model, see `evaluate.matched_recall.marks`.
        without: "layer.head" to the marks of the captions without that head, of the same pictures.
        there: how many objects each picture has.

    Returns:
        A row for each head, what lowers CHAIR_i most first: `head`, `chair_i` and `recall`, each with `difference`
        (without the head minus whole), `ci` and `p`; and `corrected`, the p of CHAIR_i corrected for all heads. Where a
        head's absence leaves no mention at all, its differences are None and it comes last.
    """
    objects = np.asarray(there, float)

    def parts(marked: Sequence[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        wrong, hits, length = (np.array(one, float) for one in (
            [text.count(WRONG) for text in marked], [text.count(HIT) for text in marked], list(map(len, marked))
        ))  # fmt: skip
        return {"chair_i": (wrong, length), "recall": (hits, objects)}

    before, found = parts(whole), []
    for head, marked in without.items():
        after = parts(marked)
        found.append({"head": head} | {name: ratio_test(before[name], after[name]) for name in before})
    tested = corrected({row["head"]: row["chair_i"]["p"] for row in found if row["chair_i"]["p"] is not None})
    rows = [row | {"corrected": tested.get(row["head"])} for row in found]
    return sorted(rows, key=lambda row: np.inf if (fall := row["chair_i"]["difference"]) is None else fall)


def picked(rows: Sequence[Mapping[str, Any]]) -> Head:
    """The head whose absence lowers CHAIR_i most among those that cost RECALL at most; of all where there is none."""
    cheap = [row for row in rows if (row["recall"]["difference"] or 0) >= -RECALL
             and row["chair_i"]["difference"] is not None]  # fmt: skip
    layer, _, head = (cheap or rows)[0]["head"].partition(".")
    return int(layer), int(head)

"""Tables of *Where does it go wrong?*: what each mode says of each layer, how long states are, and the planted test."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mmhallu_core.methods.aleahallu import planted
from mmhallu_core.methods.aleahallu.batch import SIDES, collated, responses, without_labels
from mmhallu_core.methods.aleahallu.places import VOTES, Located, Place
from mmhallu_core.models.record import record
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import results_folder
from mmhallu_core.types import ResponsePair
from mmhallu_core.viz.twins import Twin, table

NOT_RUN = "The planted test has not been run here yet. This makes it, and can be stopped and called again:\n{command}"


@torch.no_grad()
def state_lengths(vlm: Vlm, pairs: Sequence[ResponsePair]) -> list[float]:
    """The mean norm of the responses' states behind each decoder layer."""
    batch = collated(vlm, pairs, SIDES)
    with record(vlm.model) as seen:
        vlm.model(**without_labels(batch), use_cache=False, logits_to_keep=1)
    here = responses(batch["labels"])
    return [float(states[here].float().norm(dim=-1).mean()) for _, states in sorted(seen.states.items())]


def mode_table(found: Mapping[str, Located], part: str, title: str, planted_in: Sequence[Place] = ()) -> Twin:
    """A row for each mode, a column for each layer; the place that a mode names first is marked, and so is a plant.

    Args:
        found: what `locate` gave.
        part: "mlp" or "attention".
        title: what is compared, and the kind of evidence.
        planted_in: where a habit is known to sit.
    """
    layers = sorted(layer for layer, of in next(iter(found.values())).places if of == part)
    rows = []
    for mode, one in found.items():
        first, cells = one.ranking(part)[0], []
        for layer in layers:
            i = one.places.index((layer, part))
            text = f"{int(one.votes[i])} votes" if mode in VOTES else f"{float(one.mean[i]):.3f}"
            cells.append(f"{text}, named" if (layer, part) == first else text)
        rows.append([mode, *cells])
    heads = [f"layer {layer}{' (planted)' if (layer, part) in planted_in else ''}" for layer in layers]
    return table(["mode", *heads], rows, title)


def planted_table() -> Twin | str:
    """The recorded planted test, or how to make it."""
    records = [*planted.records_in(results_folder() / "aleahallu" / "planted")]
    if not records:
        return NOT_RUN.format(command="mmhallu aleahallu planted --out runs/planted")
    return rates(planted.summary(records))


def rates(found: Mapping[str, Any]) -> Twin:
    """A row for each mode: how often it names the planted place first, by group of plants, with intervals."""
    groups = found["groups"]
    rows = [
        [mode, *(f"{one['modes'][mode]['first']:.0%} [{one['modes'][mode]['ci'][0]:.0%}, "
                 f"{one['modes'][mode]['ci'][1]:.0%}]" for one in groups.values())]
        for mode in next(iter(groups.values()))["modes"]
    ]  # fmt: skip
    rows.append(["chance", *(f"{one['chance']:.0%}" for one in groups.values())])
    heads = [f"{name}, {one['n']} plants" for name, one in groups.items()]
    return table(["mode", *heads], rows, "Named the planted place first. Evidence: diorama")

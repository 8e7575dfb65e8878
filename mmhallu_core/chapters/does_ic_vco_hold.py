"""The printed table of IC-VCO added up again, and what its code's anchors count. For the page *Does IC-VCO hold?*."""

import torch

from mmhallu_core.methods.ic_vco.presets import PRINTED
from mmhallu_core.train.preference_losses import LogProbs, Weights, anchor_loss, dpo_loss, ic_vco_loss, vcdist_loss
from mmhallu_core.viz.twins import Twin, table

MODES = ("paper", "as_shipped")
PARTS = ("DPO, one picture", "anchor, one picture", "distillation", "DPO, both pictures", "anchor, both pictures")


def arithmetic_table() -> Twin:
    """Printed scores with synthetic and with edited negatives, and their difference, in points."""
    rows = []
    for outcome, methods in PRINTED.items():
        rows += [
            (f"{outcome}, {method}", f"{synthetic:.2f}", f"{edited:.2f}", f"{edited - synthetic:+.2f}")
            for method, (synthetic, edited) in methods.items()
        ]
    heads = ("score, %", "synthetic", "edited", "edited minus synthetic")
    return table(heads, rows, "The paper's own table, added up again. Evidence: recomputed")


def factors(mode: str) -> list[float]:
    """How often each of `PARTS` counts in the loss, found by least squares over made-up log-probabilities."""
    random, parts, totals = torch.Generator().manual_seed(0), [], []
    for _ in range(20):
        single, multi = (
            LogProbs(*(5 * torch.randn(6, generator=random, dtype=torch.float64) for _ in range(4))) for _ in range(2)
        )
        parts.append([
            dpo_loss(single), anchor_loss(single.policy_chosen, single.ref_chosen), vcdist_loss(single, multi),
            dpo_loss(multi), anchor_loss(multi.policy_chosen, multi.ref_chosen),
        ])  # fmt: skip
        totals.append([ic_vco_loss(single, multi, Weights(), mode=mode)])
    return torch.linalg.lstsq(torch.tensor(parts), torch.tensor(totals)).solution[:, 0].tolist()


def anchors_table() -> Twin:
    """The factor of each part in the two modes; the mean over two branches halves all of them, so they are doubled."""
    found = [[2 * one for one in factors(mode)] for mode in MODES]
    rows = [(part, *(f"{some[k]:.2f}" for some in found)) for k, part in enumerate(PARTS)]
    return table(("part of twice the loss", *MODES), rows, "What each part counts. Evidence: recomputed")

"""The partition function: what cancels, what does not, and what a fit without it ends at."""

import pytest
import torch

from mmhallu_core.methods.ic_vco.partition import (
    Comparison,
    closed_log_probs,
    fitted,
    judged,
    log_partition,
    margins,
    optimum,
)
from mmhallu_core.models.tiny_random import build
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.preference_losses import LogProbs, dpo_loss
from tests.preference_data import picture

REF = torch.tensor([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1]], dtype=torch.float64).log()  # pictures m and m', three answers
REWARD = torch.tensor(
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64
)  # the first is true of m, the second of m'
BETA = 0.5
TEXT = [judged(REWARD, (0, 0), (0, 1)), judged(REWARD, (1, 1), (1, 0))]
SWAP = [judged(REWARD, (0, 0), (1, 0)), judged(REWARD, (1, 1), (0, 1))]


def test_one_context_cancels_and_two_leave_the_ratio():
    best = optimum(REF, REWARD, BETA)
    assert torch.allclose(best.exp().sum(-1), torch.ones(2, dtype=torch.float64))
    assert margins(best, REF, TEXT, BETA).tolist() == pytest.approx([1.0, 1.0])
    by_hand = [sum(p * (2.718281828459045 ** (r / BETA)) for p, r in zip(ps, rs, strict=True))
               for ps, rs in zip(REF.exp().tolist(), REWARD.tolist(), strict=True)]  # fmt: skip
    bias = BETA * (torch.tensor(by_hand[0]) / by_hand[1]).log().item()
    assert (BETA * log_partition(REF, REWARD, BETA).diff()).item() == pytest.approx(-bias) and abs(bias) > 0.1
    assert margins(best, REF, SWAP, BETA).tolist() == pytest.approx([1 - bias, 1 + bias])


def test_a_constant_in_a_context_moves_the_ratio_and_not_the_policy():
    moved = REWARD + torch.tensor([[3.0], [-1.0]])
    assert torch.allclose(optimum(REF, moved, BETA), optimum(REF, REWARD, BETA))
    change = BETA * (log_partition(REF, moved, BETA) - log_partition(REF, REWARD, BETA))
    assert change.tolist() == pytest.approx([3.0, -1.0])


def test_fits_end_at_the_labels_whatever_the_ratio_is():
    best = optimum(REF, REWARD, BETA)
    text, swap = (fitted(REF, some, BETA)[-1] for some in (TEXT, SWAP))
    assert margins(text, REF, TEXT, BETA).tolist() == pytest.approx([1.0, 1.0], abs=1e-3)
    assert margins(swap, REF, SWAP, BETA).tolist() == pytest.approx([1.0, 1.0], abs=1e-3)
    assert (swap - best).abs().max() > 0.05, "the image-swapping fit is another policy"


def test_a_hard_label_is_the_loss_of_dpo():
    policy = torch.tensor([[0.5, 0.4, 0.1], [0.2, 0.7, 0.1]], dtype=torch.float64).log()
    z = margins(policy, REF, [Comparison((0, 0), (1, 0))], BETA)
    rows = LogProbs(policy[0, :1], policy[1, :1], REF[0, :1], REF[1, :1])
    assert dpo_loss(rows, BETA).item() == pytest.approx(-torch.nn.functional.logsigmoid(z).item())


@pytest.mark.long
def test_closed_answers_are_whole_sequences(tmp_path):
    vlm = Vlm.load(build("llava", tmp_path / "llava"), "cpu")
    images = [picture(0), picture(1)]
    contexts = [((0,), "Is it red?"), ((1,), "Is it red?"), ((0, 1), "Is it red?")]
    found = closed_log_probs(vlm, images, contexts, ["Yes.", "No."])
    alone = closed_log_probs(vlm, images, contexts[1:2], ["No."])
    assert found.shape == (3, 2) and (found.exp().sum(-1) < 1).all()
    assert alone.item() == pytest.approx(found[1, 1].item(), abs=1e-4)

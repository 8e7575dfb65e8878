"""Preference losses against sums written out by hand in float64, their gradients against finite differences."""

import math

import numpy as np
import pytest
import torch

from mmhallu_core.train.preference_losses import (
    LogProbs,
    Weights,
    anchor_loss,
    dpo_loss,
    ic_vco_loss,
    mdpo_loss,
    svco_loss,
    symmpo_loss,
    vcdist_gates,
    vcdist_loss,
    vdpo_loss,
)

BETA = 0.1


def nls(x):
    """-log sigmoid(x), by the formula."""
    return np.log1p(np.exp(-x))


def rows(seed, count=4, batch=5):
    """Random sums of log-probabilities, as numpy and as tensors that learn (the first half) or not."""
    values = np.random.default_rng(seed).uniform(-60, -1, (count, batch))
    return values, [torch.tensor(one, dtype=torch.float64, requires_grad=True) for one in values]


def log_probs(seed):
    values, tensors = rows(seed)
    return values, LogProbs(*tensors[:2], *(one.detach() for one in tensors[2:]))


def margin(v):
    return (v[0] - v[2]) - (v[1] - v[3])


def anchored(v, delta=0.0):
    return nls(BETA * (v[0] - v[2]) - delta).mean()


def dpo(v):
    return nls(BETA * margin(v)).mean()


def distilled(single, multi, threshold=0.5):
    """The published formula, of probabilities."""
    teacher, student = (1 / (1 + np.exp(-BETA * margin(one))) for one in (multi, single))
    on = (teacher > threshold) & (student < teacher)
    each = -(teacher * np.log(student) + (1 - teacher) * np.log(1 - student))
    return each[on].sum() / on.sum() if on.any() else 0.0


def of_ic_vco(s, m):
    """As the paper has it, with the mean over two branches of its code."""
    return (1.75 * (dpo(s) + anchored(s)) + 0.4 * distilled(s, m) + 0.75 * (dpo(m) + anchored(m))) / 2


def of_ic_vco_shipped(s, m):
    return (1.75 * dpo(s) + 3.5 * anchored(s) + 0.4 * distilled(s, m) + 0.75 * dpo(m) + 1.5 * anchored(m)) / 2


def of_vdpo(v, c, r):
    guided = [1.5 * v[0] - 0.5 * c, 1.5 * v[1] - 0.5 * r, v[2], v[3]]
    return dpo(guided)


def of_symmpo(text, image, mirror):
    a, b = margin(image), margin(mirror)
    return (
        nls(BETA * margin(text)) + 0.5 * nls(BETA * a) + 0.5 * nls(BETA * b)
        + nls(BETA * (image[0] - image[2])) + nls(BETA * (mirror[0] - mirror[2])) + 1e-4 * (a - b) ** 2
    ).mean()  # fmt: skip


LOSSES = {
    "dpo": (1, dpo_loss, dpo),
    "anchor": (1, lambda a: anchor_loss(a.policy_chosen, a.ref_chosen, BETA, 0.3), lambda v: anchored(v, 0.3)),
    "vcdist": (2, vcdist_loss, distilled),
    "ic-vco": (2, ic_vco_loss, of_ic_vco),
    "ic-vco as shipped": (2, lambda s, m: ic_vco_loss(s, m, mode="as_shipped"), of_ic_vco_shipped),
    "mdpo": (2, mdpo_loss, lambda t, i: dpo(t) + dpo(i) + anchored(t)),
    "svco": (4, svco_loss, lambda *some: sum(map(dpo, some))),
    "symmpo": (3, symmpo_loss, of_symmpo),
}


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_and_its_gradient(name):
    count, loss, by_hand = LOSSES[name]
    for seed in range(5):
        made = [log_probs(10 * seed + k) for k in range(count)]
        found = loss(*(lp for _, lp in made))
        assert found.item() == pytest.approx(by_hand(*(values for values, _ in made)), abs=1e-9)
        found.backward()
        teacher = name == "vcdist"  # its gradient is stopped, and a finite difference would see it
        for values, lp in made[: 1 if teacher else count]:
            for side, tensor in enumerate((lp.policy_chosen, lp.policy_rejected)):
                _compare(name, made, values, side, tensor, by_hand)


def _compare(name, made, values, side, tensor, by_hand, step=1e-6):
    """The gradient of one tensor against a difference on either side, in which IC-VCO's teacher must stand still."""
    gradient = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
    if name.startswith("ic-vco") and values is made[1][0]:
        by_hand = {"ic-vco": _without_teacher(1), "ic-vco as shipped": _without_teacher(2)}[name]
    for place in range(len(tensor)):
        difference = 0.0
        for sign in (1, -1):
            values[side, place] += sign * step
            difference += sign * by_hand(*(one for one, _ in made)) / (2 * step)
            values[side, place] -= sign * step
        assert gradient[place].item() == pytest.approx(difference, abs=1e-7)


def _without_teacher(anchors):
    return lambda s, m: 0.75 * (dpo(m) + anchors * anchored(m)) / 2


def test_vdpo_is_guided_and_with_gamma_one_is_dpo():
    values, lp = log_probs(1)
    blind, tensors = rows(2, count=2)
    tensors = [one.detach() for one in tensors]
    assert vdpo_loss(lp, *tensors, gamma=1.5).item() == pytest.approx(of_vdpo(values, *blind), abs=1e-9)
    assert vdpo_loss(lp, *tensors).item() == dpo_loss(lp).item()


# Of numpy.random.default_rng(20).uniform(-60, -1, (4, 6)), by `DPOTrainer.dpo_loss` of trl 0.26.0, which IC-VCO forked,
# with loss_type "sigmoid", beta 0.1, no smoothing and the reverse KL divergence. trl 1.16.0 has the same formula.
TRL = (
    0.2553308152443374, 3.053771455348864, 1.259867091868918, 1.092263012409051, 2.963297357488135, 0.9199631841196999,
)  # fmt: skip


def test_trl_computed_the_same():
    values = np.random.default_rng(20).uniform(-60, -1, (4, 6))
    for row, expected in zip(values.T, TRL, strict=True):
        lp = LogProbs(*(torch.tensor([one], dtype=torch.float64) for one in row))
        assert dpo_loss(lp).item() == pytest.approx(expected, abs=1e-9)


def test_a_row_without_tokens_costs_log_two_and_moves_nothing():
    """An empty mask makes both sums zero, under the policy and the reference; equal answers have equal sums."""
    zero = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    lp = LogProbs(zero * 0.0, zero * 0.0, torch.zeros(3).double(), torch.zeros(3).double())
    loss = dpo_loss(lp)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2)) and torch.equal(zero.grad, torch.zeros(3).double())


def test_gates_that_never_open_cost_nothing_and_move_nothing():
    _, single = log_probs(3)
    wrong = LogProbs(*(torch.full((5,), x, dtype=torch.float64) for x in (-9.0, -1.0, -1.0, -1.0)))
    assert not vcdist_gates(single, wrong).any(), "a teacher that prefers the rejected answer"
    surer = LogProbs(*(torch.full((5,), x, dtype=torch.float64) for x in (-1.0, -9.0, -5.0, -5.0)))
    surer.policy_chosen.requires_grad_()
    unsure = LogProbs(*(torch.full((5,), x, dtype=torch.float64) for x in (-4.0, -6.0, -5.0, -5.0)))
    assert not vcdist_gates(surer, unsure).any(), "a student that is surer than its teacher"
    loss = vcdist_loss(surer, unsure)
    loss.backward()
    assert loss.item() == 0 and torch.equal(surer.policy_chosen.grad, torch.zeros(5).double())


def test_distillation_divides_by_open_rows_and_teaches_the_student_alone():
    single = LogProbs(*(torch.full((2,), -5.0).double().requires_grad_() for _ in range(4)))
    taught = torch.tensor([-1.0, -9.0]).double().requires_grad_()
    multi = LogProbs(taught, *(torch.full((2,), -5.0).double() for _ in range(3)))
    loss = vcdist_loss(single, multi)
    teacher = 1 / (1 + math.exp(-0.4))
    assert loss.item() == pytest.approx(math.log(2)), "of the open row alone: the student says one half"
    loss.backward()
    assert single.policy_chosen.grad.tolist() == pytest.approx([BETA * (0.5 - teacher), 0.0])
    assert multi.policy_chosen.grad is None
    whole = vcdist_loss(single, multi, active=torch.tensor(2.0))
    assert whole.item() == pytest.approx(math.log(2) / 2)


def test_distillation_stays_finite_where_probabilities_round_to_one():
    for dtype in (torch.bfloat16, torch.float32):
        single = LogProbs(*(torch.tensor([x], dtype=dtype) for x in (-4000.0, -1.0, -1.0, -1.0)))
        single.policy_chosen.requires_grad_()
        multi = LogProbs(*(torch.tensor([x], dtype=dtype) for x in (-1.0, -4000.0, -1.0, -1.0)))
        loss = vcdist_loss(single, multi)
        loss.backward()
        assert loss.item() == pytest.approx(399.9, rel=0.01) and torch.isfinite(single.policy_chosen.grad).all()


def test_bfloat16_sums_are_compared_in_float32():
    exact = [torch.tensor([x]) for x in (-100.5, -101.5, -100.0, -100.0)]
    assert dpo_loss(LogProbs(*(one.bfloat16() for one in exact))).dtype == torch.float32
    assert dpo_loss(LogProbs(*(one.bfloat16() for one in exact))) == dpo_loss(LogProbs(*exact))


def test_parts_that_are_left_out():
    (s, single), (_, multi) = log_probs(5), log_probs(6)
    bare = ic_vco_loss(single, multi, Weights(multi=0.0, anchor=0.0, vcdist=0.0), mode="as_shipped")
    assert bare.item() == pytest.approx(1.75 * dpo(s) / 2, abs=1e-12)

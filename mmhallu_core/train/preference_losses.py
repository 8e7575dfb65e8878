"""Losses of preference learning with pictures: DPO, and six ways to let a second picture say something.

All are pure functions of summed log-probabilities. A row holds four of them: log pi(y|c) under the model that learns
(the *policy*) and under the model as it was before (the *reference*), for the answer that is preferred (*chosen*) and
the one that is not (*rejected*). What a method compares is decided by the context c of either side. Below,
D(c, y) = log pi_policy(y|c) - log pi_ref(y|c); sums run over an answer's tokens, or over those that a mask keeps.

Where a paper and its code disagree the docstring says so. `as_shipped` computes what the code of IC-VCO computes.
Sources, by name of the repository: trl; IC-VCO (arXiv 2605.31312, OPPO-Mente-Lab/IC-VCO, trainers/vco_trainer.py);
mDPO (arXiv 2406.11839, mdpo_trainer.py); V-DPO (arXiv 2411.02712, llava_trainer.py); S-VCO (arXiv 2502.13928,
trainer.py); SymMPO (Liuwq-bit/SymMPO, muffin/train/trainers.py).
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

Rows = Float[Tensor, " batch"]
Scalar = Float[Tensor, ""]
AnchorMode = Literal["paper", "as_shipped"]
BETA = 0.1  # of all six repositories


@dataclass(frozen=True)
class LogProbs:
    """Summed log-probabilities of the two sides of each row.

    Attributes:
        policy_chosen, policy_rejected: under the model that learns.
        ref_chosen, ref_rejected: under the model as it was; they carry no gradient.
    """

    policy_chosen: Rows
    policy_rejected: Rows
    ref_chosen: Rows
    ref_rejected: Rows

    @property
    def margin(self) -> Rows:
        """D(chosen) - D(rejected) of each row, in float32 at least: two sums of a hundred logs differ by little."""
        chosen = _wide(self.policy_chosen) - _wide(self.ref_chosen)
        return chosen - (_wide(self.policy_rejected) - _wide(self.ref_rejected))


def dpo_loss(lp: LogProbs, beta: float = BETA) -> Scalar:
    """-log sigmoid(beta (D(c, y_w) - D(c, y_l))), the mean over rows (Rafailov et al., arXiv 2305.18290, equation 7).

    With two pictures in place of two answers it is what mDPO calls conditional preference. Then the two sides have
    different contexts, and the derivation of DPO, which cancels one Z(c), no longer applies. TRL's `sigmoid` loss is
    the same.
    """
    return -logsigmoid(beta * lp.margin).mean()


def anchor_loss(policy: Rows, ref: Rows, beta: float = BETA, delta: float = 0.0) -> Scalar:
    """-log sigmoid(beta D(c, y_w) - delta): the chosen answer must not become less likely than it was (mDPO's).

    mDPO's paper writes a delta; all repositories take 0.
    """
    return -logsigmoid(beta * (_wide(policy) - _wide(ref)) - delta).mean()


def vcdist_gates(
    single: LogProbs, multi: LogProbs, beta: float = BETA, threshold: float = 0.5
) -> Bool[Tensor, " batch"]:
    """Which rows distil: the teacher is right, p_multi > threshold, and surer than the student, p_single < p_multi.

    Both are asked of logits: two probabilities near 1 are the same number long before their logits are.
    """
    teacher, student = (beta * lp.margin.detach() for lp in (multi, single))
    return (teacher > math.log(threshold / (1 - threshold))) & (student < teacher)


def vcdist_loss(
    single: LogProbs,
    multi: LogProbs,
    beta: float = BETA,
    threshold: float = 0.5,
    active: Float[Tensor, ""] | None = None,
) -> Scalar:
    """IC-VCO's distillation from two pictures to one: cross-entropy of p_single to sg(p_multi) where both gates open.

    p = sigmoid(beta margin), sg stops the gradient. The mean is over the rows whose gates are open; with none it is 0,
    and so is its gradient. The paper writes an expectation over all rows; its code divides by the open ones, as here.
    Its code takes the cross-entropy of probabilities, which is 100 where p_single rounds to 0 or 1; here it is taken
    of logits.

    Args:
        single: the branch that learns, masked or not.
        multi: the branch that teaches.
        beta: of both.
        threshold: of the first gate, between 0 and 1.
        active: what to divide by instead, where these rows are a part of a larger batch.
    """
    teacher, student = torch.sigmoid(beta * multi.margin.detach()), beta * single.margin
    open_ = vcdist_gates(single, multi, beta, threshold)
    rows = torch.where(open_, softplus(student) - teacher * student, 0.0)
    return rows.sum() / (open_.sum().to(rows) if active is None else active.to(rows)).clamp(min=1e-6)


@dataclass(frozen=True)
class Weights:
    """What each part of IC-VCO's loss counts (its config.py and scripts/train.sh).

    Attributes:
        single: the one-picture branch; the paper's lambda.
        multi: the two-picture branch. The paper has no number here; the code says 0.75.
        anchor: the anchor of either branch, relative to it; the paper's eta.
        vcdist: the distillation; the paper's gamma.
    """

    single: float = 1.75
    multi: float = 0.75
    anchor: float = 1.0
    vcdist: float = 0.4


def ic_vco_loss(
    single: LogProbs,
    multi: LogProbs,
    weights: Weights = Weights(),
    beta: float = BETA,
    mode: AnchorMode = "paper",
    threshold: float = 0.5,
    active: Float[Tensor, ""] | None = None,
) -> Scalar:
    """1/2 [single (DPO_s + anchor Anc_s) + vcdist VCD + multi (DPO_m + anchor Anc_m)] (arXiv 2605.31312, eq. 13).

    `as_shipped` counts both anchors twice: the code adds the anchor in place (`total_loss += ...`) to the tensor that
    it also hands on as the DPO loss, and adds it again in the sum. With its default weights it computes
    1/2 [1.75 DPO_s + 3.5 Anc_s + 0.4 VCD + 0.75 DPO_m + 1.5 Anc_m]. The half, a mean over the two branches, is in the
    code alone.

    Args:
        single: rows of one picture each; its sums may be masked. One row for either picture of an example.
        multi: the same rows in the shared context of both pictures.
        weights, beta, threshold, active: see `Weights` and `vcdist_loss`.
        mode: how often the anchors count.
    """
    anchor = weights.anchor * (2 if mode == "as_shipped" else 1)

    def branch(lp: LogProbs) -> Tensor:
        return dpo_loss(lp, beta) + anchor * anchor_loss(lp.policy_chosen, lp.ref_chosen, beta)

    distilled = weights.vcdist * vcdist_loss(single, multi, beta, threshold, active)
    return (weights.single * branch(single) + distilled + weights.multi * branch(multi)) / 2


def mdpo_loss(text: LogProbs, image: LogProbs, beta: float = BETA, delta: float = 0.0) -> Scalar:
    """DPO of the two answers, DPO of the chosen answer with and without most of its picture, and the anchor.

    -log sigmoid(beta [D(m, y_w) - D(m, y_l)]) - log sigmoid(beta [D(m, y_w) - D(crop, y_w)])
    - log sigmoid(beta D(m, y_w) - delta).

    Args:
        text: both answers with the picture m.
        image: the chosen answer with m (chosen) and with the cropped picture (rejected).
        beta, delta: of all parts.
    """
    return dpo_loss(text, beta) + dpo_loss(image, beta) + anchor_loss(text.policy_chosen, text.ref_chosen, beta, delta)


def vdpo_loss(lp: LogProbs, blind_chosen: Rows, blind_rejected: Rows, beta: float = BETA, gamma: float = 1.0) -> Scalar:
    """DPO of guided log-probabilities: gamma log pi(y|m, x) - (gamma - 1) log pi(y|blank, x) in place of the policy's.

    The guided sums are not normalized. The code has a switch that does it token by token. Its training script leaves
    gamma at 1, and then this is `dpo_loss` to the last bit.

    Args:
        lp: rows whose two sides differ in their answers, or in their pictures.
        blind_chosen, blind_rejected: the reference's sums with a blank picture.
        beta, gamma: see above.
    """
    guided = [
        gamma * _wide(policy) - (gamma - 1) * _wide(blind)
        for policy, blind in ((lp.policy_chosen, blind_chosen), (lp.policy_rejected, blind_rejected))
    ]
    return dpo_loss(LogProbs(*guided, _wide(lp.ref_chosen), _wide(lp.ref_rejected)), beta)


def svco_loss(
    attend: LogProbs, reject: LogProbs, mirror_attend: LogProbs, mirror_reject: LogProbs, beta: float = BETA
) -> Scalar:
    """An answer prefers its picture to none, and none to the picture that contradicts it; and the other answer, too.

    -log sigmoid(beta [D(m, y) - D(none, y)]) - log sigmoid(beta [D(none, y) - D(m', y)]), and the same two for y' with
    m' and m in each other's place. No two answers are compared, and there is no anchor. The paper has a beta for each
    part; all are 0.1.

    Args:
        attend: y with m (chosen) and without a picture (rejected).
        reject: y without a picture (chosen) and with m' (rejected).
        mirror_attend, mirror_reject: the same for y' and m'.
        beta: of all four.
    """
    return sum(dpo_loss(lp, beta) for lp in (attend, reject, mirror_attend, mirror_reject))


def symmpo_loss(
    text: LogProbs, image: LogProbs, mirror: LogProbs, beta: float = BETA, weight: float = 0.5, square: float = 1e-4
) -> Scalar:
    """Each picture prefers its own answer, by margins that should be alike; with the answers of one picture, anchored.

    With a = D(1, w) - D(1, 2) and b = D(2, 2) - D(2, w):
    -log sigmoid(beta [D(1, w) - D(1, l)]) - weight [log sigmoid(beta a) + log sigmoid(beta b)]
    - log sigmoid(beta D(1, w)) - log sigmoid(beta D(2, 2)) + square (a - b)^2.

    The paper has a second beta for the mirrored side; the code takes the first for b, and both are 0.1.

    Args:
        text: the first picture's right answer w and its wrong one l.
        image: with the first picture, w (chosen) and the second picture's right answer (rejected).
        mirror: with the second picture, its own right answer (chosen) and w (rejected).
        beta, weight, square: see above.
    """
    anchors = [anchor_loss(lp.policy_chosen, lp.ref_chosen, beta) for lp in (image, mirror)]
    pairs = weight * (dpo_loss(image, beta) + dpo_loss(mirror, beta))
    return dpo_loss(text, beta) + pairs + sum(anchors) + square * (image.margin - mirror.margin).square().mean()


def _wide(values: Rows) -> Rows:
    """At least float32."""
    return values if values.dtype == torch.float64 else values.float()

"""The partition function of DPO, summed exactly: what is left when the two sides of a comparison have two contexts.

DPO begins with a reward r(c, y) of answer y in context c (pictures and question). The best policy that stays near the
reference is pi*(y|c) = pi_ref(y|c) exp(r(c, y) / beta) / Z(c), where Z(c) is the sum of the numerator over *all*
answers. So beta D*(c, y) = r(c, y) - beta log Z(c), with D = log pi - log pi_ref. Two answers in one context: Z(c)
cancels. One answer with two pictures: beta log Z(m, x) / Z(m', x) is left (arXiv 2605.31312, section 3.1).

Nobody can sum over all sentences. With a closed set of answers the sum has a few terms. Here the model's probabilities
of these answers are computed as whole sequences and made to sum to one, so that all of the argument can be added up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.preference_batch import PreferenceCollator
from mmhallu_core.train.preference_tokens import leaf_sums
from mmhallu_core.train.records import Leaf, PreferenceExample
from mmhallu_core.train.trie import answer_log_probs

Table = Float[Tensor, "contexts answers"]
Context = tuple[tuple[int, ...], str]  # numbers of pictures, and the question about them


@torch.no_grad()
def closed_log_probs(
    vlm: Vlm, images: Sequence[Image.Image], contexts: Sequence[Context], answers: Sequence[str]
) -> Table:
    """log pi(y|c) of every answer in every context, each a whole sequence with its end; float64, not normalized.

    The exponentials of a row add up to the share of the model's probability that falls on these answers. `log_softmax`
    of a row is the model as it answers when it must choose one of them.

    Args:
        vlm: the model.
        images: the pictures that contexts name by number.
        contexts: pictures and question of each.
        answers: the closed set, all different.
    """
    leaves = tuple(Leaf(pictures, question, answer) for pictures, question in contexts for answer in answers)
    batch = PreferenceCollator(vlm)([PreferenceExample("closed", tuple(images), leaves)])
    told = batch.pop("answers")
    sums = leaf_sums(answer_log_probs(vlm.model, vlm.model, batch, told), told, len(leaves))
    return sums.double().cpu().view(len(contexts), len(answers))


def log_partition(ref: Table, reward: Table, beta: float) -> Float[Tensor, " contexts"]:
    """log Z(c) = log of the sum over y of pi_ref(y|c) exp(r(c, y) / beta).

    Args:
        ref: log-probabilities of the reference; each row's exponentials add up to one.
        reward: r(c, y).
        beta: see above.
    """
    return (ref + reward / beta).logsumexp(-1)


def optimum(ref: Table, reward: Table, beta: float) -> Table:
    """log pi*(y|c), the policy that DPO looks for. A reward that differs by a constant in a context gives the same."""
    return ref + reward / beta - log_partition(ref, reward, beta)[:, None]


@dataclass(frozen=True)
class Comparison:
    """One preference between two places of a table, each (context, answer).

    Attributes:
        chosen, rejected: the places.
        label: the probability that somebody prefers the first, sigmoid of the difference of their rewards; 1 for a hard
            label.
    """

    chosen: tuple[int, int]
    rejected: tuple[int, int]
    label: float = 1.0


def judged(reward: Table, chosen: tuple[int, int], rejected: tuple[int, int]) -> Comparison:
    """A comparison by somebody who judges as Bradley and Terry's model says: the better, the more often preferred."""
    return Comparison(chosen, rejected, float(torch.sigmoid(reward[chosen] - reward[rejected])))


def margins(policy: Table, ref: Table, comparisons: Sequence[Comparison], beta: float) -> Float[Tensor, " n"]:
    """beta (D(chosen) - D(rejected)) of each comparison."""
    gained = beta * (policy - ref)
    return torch.stack([gained[one.chosen] - gained[one.rejected] for one in comparisons])


def fitted(
    ref: Table, comparisons: Sequence[Comparison], beta: float, steps: int = 400, lr: float = 0.1
) -> list[Table]:
    """A policy that is nothing but a table, trained with DPO's loss on the comparisons: log pi(y|c) after each step.

    The loss is -label log sigmoid(z) - (1 - label) log sigmoid(-z), z as in `margins`: of a hard label it is
    `preference_losses.dpo_loss`. There is no partition function in it. That is the point.

    Args:
        ref: where training begins, too.
        comparisons: what is learned; their mean loss.
        beta: see above.
        steps, lr: of Adam, on the logits.
    """
    logits = ref.clone().requires_grad_()
    adam = torch.optim.Adam([logits], lr)
    labels = torch.tensor([one.label for one in comparisons], dtype=ref.dtype)
    found = [ref]
    for _ in range(steps):
        adam.zero_grad()
        z = margins(logits.log_softmax(-1), ref, comparisons, beta)
        torch.nn.functional.binary_cross_entropy_with_logits(z, labels).backward()
        adam.step()
        found.append(logits.detach().log_softmax(-1))
    return found

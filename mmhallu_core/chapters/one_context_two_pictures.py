"""The partition function in numbers, the gradient of distillation, and how alike three kinds of negatives are.

Numbers, figures and the widget of the chapter *One context, two pictures*.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from mmhallu_core.chapters.preference_from_pictures import Images, pairs_from
from mmhallu_core.edit.stages.similarity import TinyClipEmbedder, similarities
from mmhallu_core.edit.truth import png
from mmhallu_core.methods.ic_vco.pairs import Pairs
from mmhallu_core.methods.ic_vco.partition import (
    Table,
    closed_log_probs,
    fitted,
    judged,
    log_partition,
    margins,
    optimum,
)
from mmhallu_core.methods.ic_vco.photos import histogram
from mmhallu_core.methods.ic_vco.recipes import Objective, example_of, order_of
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.preference_batch import PreferenceCollator
from mmhallu_core.train.preference_losses import LogProbs, Weights, dpo_loss, vcdist_loss
from mmhallu_core.types import Preference
from mmhallu_core.viz.player import Player
from mmhallu_core.viz.states import Control, State
from mmhallu_core.viz.style import BLUE, GREEN, ORANGE
from mmhallu_core.viz.twins import Twin, one_panel, table, with_twin, wrapping
from mmhallu_core.world.scene import Scene

REWARD = torch.eye(2, dtype=torch.float64)  # of two answers: 1 where it is true of the picture, 0 where not
TEXT = [judged(REWARD, (0, 0), (0, 1)), judged(REWARD, (1, 1), (1, 0))]  # two answers about one picture
SWAP = [judged(REWARD, (0, 0), (1, 0)), judged(REWARD, (1, 1), (0, 1))]  # one answer about two pictures
BETAS, MARGINS = (0.05, 0.1, 0.2, 0.5), (-20, -5, 0, 5, 20, 60)
KINDS = ("edited", "synthetic", "retrieved")


def leaves_table(record: Preference, images: Images, objective: Objective) -> Twin:
    """What IC-VCO asks of one record, in the order of its loss."""
    names, rows = ("m", "m'"), []
    for leaf in example_of(record, images, objective).leaves:
        shown = " then ".join(names[k] for k in leaf.pictures)
        part = "all words" if leaf.spans is None else "words that differ"
        rows.append((shown, leaf.question, "y" if leaf.answer == record.chosen else "y'", part))
    first = names[order_of(record, objective)[0]]
    return wrapping(table(("pictures", "asked", "answer", "what counts"), rows, f"Eight answers; {first} stands first"))


def cost_table(vlm: Vlm, record: Preference, images: Images, objective: Objective) -> Twin:
    """Tokens and pictures of one example, as separate sequences and as a trie."""
    example, rows = example_of(record, images, objective), []
    for name, apart in (("eight sequences", True), ("a trie", False)):
        batch = PreferenceCollator(vlm, rows=apart)([example])
        tokens = batch["attention_mask"].sum().item() if apart else batch["input_ids"].numel()
        rows.append((name, str(tokens), str(len(batch["pixel_values"]))))
    return table(("as", "tokens", "pictures through the tower"), rows, "What one example costs")


# ---------------------------------------------------------------- the partition function


@dataclass(frozen=True)
class Closed:
    """A question whose answer the edit turns round, and what a model says to it.

    Attributes:
        question: about either picture.
        answers: true of the first and of the second picture.
        ref: log-probabilities of the two answers (columns) about the two pictures (rows); a row's add up to one.
        share: how much of the model's probability falls on the two answers, the mean over pictures.
    """

    question: str
    answers: tuple[str, str]
    ref: Table
    share: float

    def bias(self, beta: float) -> float:
        """beta log Z(m, x) / Z(m', x), what an image-swapping comparison does not cancel. A right answer earns 1."""
        first, second = (beta * log_partition(self.ref, REWARD, beta)).tolist()
        return first - second


def closed(vlm: Vlm, n: int) -> list[Closed]:
    """Questions of the first pairs that have one with two short answers.

    Args:
        vlm: the reference.
        n: how many.
    """
    found: list[Closed] = []
    for _, records, images in pairs_from(0):
        for record in records[1:]:
            answers = (record.chosen, record.rejected)
            logs = closed_log_probs(vlm, images, [((0,), record.prompt), ((1,), record.prompt)], answers)
            share = logs.exp().sum(-1).mean().item()
            found.append(Closed(record.prompt, answers, logs.log_softmax(-1), share))
        if len(found) >= n:
            break
    return found[:n]


def partition_table(some: Sequence[Closed], beta: float, rows: int = 6) -> Twin:
    """The ratio that is left for some questions, largest first, and a last row for all of them."""
    order = sorted(some, key=lambda one: -abs(one.bias(beta)))
    told = []
    for one in order[:rows]:
        right = one.ref.exp().diagonal().tolist()
        told.append((one.question, *(f"{p:.2f}" for p in right), f"{one.bias(beta):+.2f}", "0"))
    sizes = [abs(one.bias(beta)) for one in some]
    rights = [sum(one.ref[k, k].exp().item() for one in some) / len(some) for k in (0, 1)]
    told.append(("mean of all, without the sign", *(f"{p:.2f}" for p in rights), f"{sum(sizes) / len(sizes):.2f}", "0"))
    heads = ("question", "p of the truth, m", "p of the truth, m'", "left when pictures are swapped", "in one context")
    title = (
        f"What is left of the partition function, {len(some)} questions. A right answer is worth 1. Evidence: diorama"
    )
    return wrapping(table(heads, told, title))


def fits_figure(one: Closed, beta: float) -> Twin:
    """Two fits without a partition function, and where DPO's own policy lies, for one question.

    One fit compares two answers about one picture, the other one answer about two pictures. Shown is the margin that
    swapping pictures is about: of the first answer, about m minus about m'.
    """
    best = margins(optimum(one.ref, REWARD, beta), one.ref, SWAP, beta)[0].item()
    lines = {}
    for name, some in (("answers compared", TEXT), ("pictures swapped", SWAP)):
        lines[name] = [margins(policy, one.ref, SWAP, beta)[0].item() for policy in fitted(one.ref, some, beta)]
    figure, axes = one_panel(2.8)
    for (name, values), colour, dashes in zip(lines.items(), (BLUE, ORANGE), ("solid", "dashed"), strict=True):
        axes.plot(values, color=colour, linewidth=2, linestyle=dashes, label=name)
    axes.axhline(best, color=GREEN, linewidth=2, linestyle="dotted", label="DPO's own policy")
    axes.set(xlabel="step of the fit", ylabel="margin of y: m minus m'")
    figure.legend(loc="outside lower center", ncols=2)
    ends = {name: values[-1] for name, values in lines.items()}
    alt = (
        f"The margin of the first answer between the two pictures. Where answers are compared it ends at "
        f"{ends['answers compared']:.2f}, where pictures are swapped at {ends['pictures swapped']:.2f}. "
        f"In DPO's own policy it is {best:.2f}."
    )
    rows = [("DPO's own policy", f"{best:.2f}", *_right(optimum(one.ref, REWARD, beta)))]
    for name, some in (("answers compared", TEXT), ("pictures swapped", SWAP)):
        rows.append((name, f"{ends[name]:.2f}", *_right(fitted(one.ref, some, beta)[-1])))
    heads = ("policy", "margin of y: m minus m'", "p of the truth, m", "p of the truth, m'")
    return with_twin(figure, alt, table(heads, rows, f"{one.question} beta {beta:g}"))


def _right(policy: Table) -> list[str]:
    return [f"{p:.3f}" for p in policy.exp().diagonal().tolist()]


def constants_table(constants: Sequence[float], margin: float = 0.0) -> Twin:
    """What a constant in the margin does to a hard label's gradient: its size changes, and never its direction."""
    usual = 1 / (1 + math.exp(margin))
    rows = [(f"{one:+.2f}", f"{1 / (1 + math.exp(margin + one)) / usual:.2f}") for one in constants]
    return table(("constant in the margin", "the gradient is multiplied by"), rows, f"At a margin of {margin:g}")


# ---------------------------------------------------------------- the widget


def slopes(beta: float, teacher: float, student: float) -> dict[str, float]:
    """What IC-VCO's loss asks of the margin D(y) - D(y') with one picture: minus its gradient, part by part.

    Args:
        beta: of all comparisons.
        teacher: the margin with both pictures.
        student: the margin with one picture.
    """
    margin = torch.tensor([student], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(1, dtype=torch.float64)
    single, multi = LogProbs(margin, zero, zero, zero), LogProbs(zero + teacher, zero, zero, zero)
    weights, found = Weights(), {}
    for name, loss in (
        ("DPO", weights.single * dpo_loss(single, beta)),
        ("distillation", weights.vcdist * vcdist_loss(single, multi, beta)),
    ):
        found[name] = -torch.autograd.grad(loss / 2, margin)[0].item()
    return {name: value + 0.0 for name, value in found.items()}  # so that nothing is -0


def gradient_dial(scene: Scene) -> Player:
    """A widget: beta, the margin with both pictures, and the margin with one; it shows gates and gradient."""

    def state(beta: float, teacher: float, student: float) -> State:
        found = slopes(beta, teacher, student)
        p_multi, p_single = (1 / (1 + math.exp(-beta * one)) for one in (teacher, student))
        right, surer = teacher > 0, student < teacher
        gates = f"The teacher is {'' if right else 'not '}right, and {'' if surer else 'not '}surer than the student: "
        gates += "both gates are open." if right and surer else "distillation is off."
        said = {
            "Both pictures": f"the right answer is preferred with p = {p_multi:.3f}",
            "One picture": f"the right answer is preferred with p = {p_single:.3f}",
            "Gates": gates,
            "Push on the margin with one picture": (
                f"DPO {found['DPO']:+.4f}, distillation {found['distillation']:+.4f}, "
                f"together {found['DPO'] + found['distillation']:+.4f}"
            ),
        }
        return State(scene, {name: Twin(text, text) for name, text in said.items()})

    def students(beta: float, teacher: float) -> Control:
        options = {str(one): state(beta, teacher, one) for one in MARGINS}
        return Control("Margin with one picture", options, start=2, dial=True)

    def teachers(beta: float) -> Control:
        options = {str(one): students(beta, one) for one in MARGINS}
        return Control("Margin with both pictures", options, start=4, dial=True)

    control = Control("beta", {f"{beta:g}": teachers(beta) for beta in BETAS}, start=1, dial=True)
    note = (
        "A margin is how much more the trained model prefers the right answer than the reference did, in log-"
        "probability. A push above zero makes it larger in the next step. DPO and distillation have IC-VCO's weights."
    )
    return Player("What the loss asks of the margin with one picture", control, note)


# ---------------------------------------------------------------- negatives


def alike_by_kind(n: int) -> dict[str, dict]:
    """How alike the two pictures are in `n` pairs of each kind of negatives; see `photos.histogram`."""
    embedder, found = TinyClipEmbedder(), {}
    for kind in KINDS:
        some = islice(pairs_from(0, Pairs(1, seed=7, negative=kind)), n)
        pairs = [(png(images[0]), png(images[1])) for _, _, images in some]
        found[kind] = histogram(similarities(embedder, pairs))
    return found


def alike_figure(kinds: Mapping[str, dict]) -> Twin:
    """The histograms of `alike_by_kind`, and their medians."""
    figure, axes = one_panel(2.6)
    for (name, one), colour, dashes in zip(
        kinds.items(), (BLUE, ORANGE, GREEN), ("solid", "dashed", "dotted"), strict=True
    ):
        axes.stairs(one["counts"], one["edges"], color=colour, linewidth=2, linestyle=dashes, label=name)
    axes.set(xlabel="cosine of the two pictures", ylabel="pairs")
    figure.legend(loc="outside lower center", ncols=3)
    told = "; ".join(f"{name} {one['median']:.3f}" for name, one in kinds.items())
    rows = [(name, str(one["n"]), *(f"{f(one['values']):.3f}" for f in (min, max)), f"{one['median']:.3f}")
            for name, one in kinds.items()]  # fmt: skip
    alt = f"How alike the two pictures of a pair are, for three kinds of negatives. Medians: {told}."
    return with_twin(figure, alt, table(("negatives", "pairs", "least", "most", "median"), rows, "Cosine by tiny-clip"))

"""What each method compares: the answers of an example, in the order in which its loss takes them.

A record has two pictures m and m', and two answers to one prompt: y (chosen) is true of m, y' (rejected) of m'. Every
method makes its comparisons of these:

| method | compares |
|---|---|
| dpo | y and y' about m |
| mdpo | the same; and y about m with y about a small part of m (`crop`), or about m' |
| vdpo | y and y' about m; and y about m with y about m', both guided by a blank picture |
| svco | y about m, about no picture, about m'; and y' the other way round |
| symmpo | y and y' about m; y' and y about m' |
| ic-vco | y and y' about m, y' and y about m' (each alone); and the same about both pictures together |

In IC-VCO the order of the two pictures is drawn for each example from its id and a seed. Its code draws it once from
Python's global generator without a seed. The record's spans mask the branch with one picture alone, as in its code.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from mmhallu_core.data.chats import open_picture
from mmhallu_core.train.preference import PreferenceRecipe
from mmhallu_core.train.preference_losses import (
    BETA,
    AnchorMode,
    LogProbs,
    Weights,
    dpo_loss,
    ic_vco_loss,
    mdpo_loss,
    svco_loss,
    symmpo_loss,
    vcdist_gates,
    vdpo_loss,
)
from mmhallu_core.train.pretrain.speak import WHICH
from mmhallu_core.train.records import Leaf, PreferenceExample
from mmhallu_core.types import CannotRun, Preference

CROP = (0.01, 0.20)  # mDPO's share of the picture that is left, as in its code (RandomResizedCrop)
GREY = (128, 128, 128)  # V-DPO's blank: zeros after normalization, which is the mean colour
Sums = Float[Tensor, "examples leaves"]


@dataclass(frozen=True)
class Objective:
    """A method and its switches.

    Attributes:
        method: one of `METHODS`.
        beta: of every comparison.
        mode: `preference_losses.AnchorMode`; ic-vco.
        two_images, distil, mask, anchors: whether ic-vco has the part.
        crop: whether mdpo's other picture is a small part of m, as in its code; else m', see `presets.UNSAID`.
        gamma: of vdpo.
        seed: of IC-VCO's order of pictures, of mDPO's crop, and of the order of examples.

    Raises:
        CannotRun: when there is no such method, or it has no such switch.
    """

    method: str
    beta: float = BETA
    mode: AnchorMode = "paper"
    two_images: bool = True
    distil: bool = True
    mask: bool = True
    anchors: bool = True
    crop: bool = True
    gamma: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise CannotRun(f"there is no method {self.method!r}; there is {', '.join(METHODS)}")
        for name in ("mode", "two_images", "distil", "mask", "anchors", "crop", "gamma"):
            owner = {"crop": "mdpo", "gamma": "vdpo"}.get(name, "ic-vco")
            if self.method != owner and getattr(self, name) != type(self).__dataclass_fields__[name].default:
                raise CannotRun(f"{name} is a switch of {owner}, and not of {self.method}")

    @property
    def weights(self) -> Weights:
        """IC-VCO's weights, 0 for the parts that are left out."""
        usual = Weights()
        return Weights(
            usual.single, usual.multi * self.two_images, usual.anchor * self.anchors,
            usual.vcdist * (self.distil and self.two_images),
        )  # fmt: skip


@dataclass(frozen=True)
class Method:
    """A method.

    Attributes:
        pictures: how many a record must have, at least.
        leaves: (record, objective) gives its answers.
        loss: (sides, objective) gives the loss; `sides(i, j)` are answers i (chosen) and j (rejected) of each example.
        third: makes a third picture of the first one, None for methods without.
    """

    pictures: int
    leaves: Callable[[Preference, Objective], list[Leaf]]
    loss: Callable[["Sides", Objective], Tensor]
    third: Callable[[Image.Image, str], Image.Image] | None = None


@dataclass(frozen=True)
class Sides:
    """The summed log-probabilities of some examples' answers."""

    policy: Sums
    ref: Sums

    def __call__(self, chosen: int, rejected: int) -> LogProbs:
        """Two of them as the sides of a comparison."""
        return LogProbs(self.policy[:, chosen], self.policy[:, rejected], self.ref[:, chosen], self.ref[:, rejected])


def stacked(*some: LogProbs) -> LogProbs:
    """The rows of several comparisons as one."""
    names = ("policy_chosen", "policy_rejected", "ref_chosen", "ref_rejected")
    return LogProbs(*(torch.cat([getattr(one, name) for one in some]) for name in names))


def _plain(*shown: tuple[Sequence[int], bool]) -> Callable[[Preference, Objective], list[Leaf]]:
    """Answers without a mask: for each the pictures, and whether it is the chosen one."""

    def leaves(record: Preference, objective: Objective) -> list[Leaf]:
        return [
            Leaf(tuple(pictures), record.prompt, record.chosen if right else record.rejected)
            for pictures, right in shown
        ]

    return leaves


def _mdpo_leaves(record: Preference, objective: Objective) -> list[Leaf]:
    """The two answers about m, and the chosen one about the picture that does not show what it says."""
    return _plain(((0,), True), ((0,), False), ((2 if objective.crop else 1,), True))(record, objective)


def order_of(record: Preference, objective: Objective) -> tuple[int, int]:
    """Which picture of a record stands first in IC-VCO's shared context, and which second."""
    return (0, 1) if random.Random(f"{objective.seed}/{record.id}/order").random() < 0.5 else (1, 0)


def _ic_vco_leaves(record: Preference, objective: Objective) -> list[Leaf]:
    """For the picture that stands first, then for the other: its answer and the wrong one, alone and in both."""
    said = (record.chosen, record.rejected)
    spans = (record.chosen_spans, record.rejected_spans) if objective.mask else (None, None)
    order, found = order_of(record, objective), []
    for target, which in zip(order, WHICH, strict=True):
        sides = (target, 1 - target)
        found += [Leaf((target,), record.prompt, said[side], spans[side]) for side in sides]
        if objective.two_images:
            found += [Leaf(order, f"{record.prompt} {which}", said[side]) for side in sides]
    return found


def _ic_vco(sides: Sides, objective: Objective) -> Tensor:
    step = 4 if objective.two_images else 2
    single = stacked(sides(0, 1), sides(step, step + 1))
    multi = stacked(sides(2, 3), sides(6, 7)) if objective.two_images else single  # then its weight is 0
    active = _of_all_processes(vcdist_gates(single, multi, objective.beta).sum().to(single.margin))
    return ic_vco_loss(single, multi, objective.weights, objective.beta, objective.mode, active=active)


def _of_all_processes(count: Tensor) -> Tensor:
    """The mean over processes: so a batch counts as one, however it is shared out."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        count = count.clone()
        torch.distributed.all_reduce(count)
        count /= torch.distributed.get_world_size()
    return count


def _vdpo(sides: Sides, objective: Objective) -> Tensor:
    blind_chosen, blind_rejected = sides.ref[:, 3], sides.ref[:, 4]
    blind = torch.cat([blind_chosen, blind_chosen]), torch.cat([blind_rejected, blind_chosen])
    return vdpo_loss(stacked(sides(0, 1), sides(0, 2)), *blind, objective.beta, objective.gamma)


def crop(image: Image.Image, name: str) -> Image.Image:
    """A small part of a picture in its full size, drawn from `name`: `CROP` of its area, at most 4:3 or 3:4."""
    rng = random.Random(f"{name}/crop")
    share, ratio = rng.uniform(*CROP), math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
    width = min(image.width, max(1, round(math.sqrt(share * image.width * image.height * ratio))))
    height = min(image.height, max(1, round(math.sqrt(share * image.width * image.height / ratio))))
    x, y = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    return image.crop((x, y, x + width, y + height)).resize(image.size, Image.Resampling.BILINEAR)


def blank(image: Image.Image, name: str) -> Image.Image:
    """A grey picture of the same size."""
    return Image.new("RGB", image.size, GREY)


METHODS: dict[str, Method] = {
    "dpo": Method(1, _plain(((0,), True), ((0,), False)), lambda sides, o: dpo_loss(sides(0, 1), o.beta)),
    "mdpo": Method(
        1, _mdpo_leaves,
        lambda sides, o: mdpo_loss(sides(0, 1), sides(0, 2), o.beta), crop,
    ),
    "vdpo": Method(
        2, _plain(((0,), True), ((0,), False), ((1,), True), ((2,), True), ((2,), False)), _vdpo, blank,
    ),
    "svco": Method(
        2, _plain(((0,), True), ((), True), ((1,), True), ((1,), False), ((), False), ((0,), False)),
        lambda sides, o: svco_loss(sides(0, 1), sides(1, 2), sides(3, 4), sides(4, 5), o.beta),
    ),
    "symmpo": Method(
        2, _plain(((0,), True), ((0,), False), ((1,), False), ((1,), True)),
        lambda sides, o: symmpo_loss(sides(0, 1), sides(0, 1), sides(2, 3), o.beta),
    ),
    "ic-vco": Method(2, _ic_vco_leaves, _ic_vco),
}  # fmt: skip


def recipe(objective: Objective, references: Path | None = None) -> PreferenceRecipe:
    """A method as the trainer takes it; see `train.preference.PreferenceRecipe`."""
    method = METHODS[objective.method]
    probe = Preference("probe", "?", "a", "b", ("x", "y"))
    leaves = len(method.leaves(probe, objective))

    def loss(policy: Sums, ref: Sums) -> tuple[Tensor, dict[str, float]]:
        sides = Sides(policy, ref)
        margin = sides(0, 1).margin.detach()
        told = {"margin": margin.mean().item(), "accuracy": (margin > 0).float().mean().item()}
        return method.loss(sides, objective), told

    return PreferenceRecipe(asdict(objective), leaves, loss, references)


def example_of(record: Preference, images: Sequence[Image.Image], objective: Objective) -> PreferenceExample:
    """A record with its opened pictures as the method's example.

    Raises:
        CannotRun: when it has fewer pictures than the method compares.
    """
    method = METHODS[objective.method]
    least = method.pictures if objective.crop else 2
    if len(images) < least:
        raise CannotRun(f"sample {record.id}: {objective.method} compares {least} pictures, and it has one")
    shown = [images[0], images[min(1, len(images) - 1)]]  # with one picture the second is never asked for
    if method.third is not None:
        shown.append(method.third(images[0], f"{objective.seed}/{record.id}"))
    return PreferenceExample(record.id, tuple(shown), tuple(method.leaves(record, objective)))


@dataclass(frozen=True)
class PreferenceExamples:
    """The examples of a file of preferences: each once an epoch, in an order drawn from the objective's seed."""

    records: Sequence[Preference]
    folder: Path
    objective: Objective

    def __len__(self) -> int:
        """Examples of one epoch."""
        return len(self.records)

    def __call__(self, i: int) -> PreferenceExample:
        """Example number i, from 0. Its pictures are opened now.

        Raises:
            CannotRun: when a picture cannot be used, or one is missing.
        """
        epoch, place = divmod(i, len(self))
        order = list(range(len(self)))
        random.Random(f"{self.objective.seed}/{epoch}").shuffle(order)
        record = self.records[order[place]]
        return example_of(
            record, [open_picture(one, self.folder, record.id).image for one in record.images], self.objective
        )

    def pictures(self) -> list[Any]:
        """All pictures that the records name, in their order."""
        return [picture for record in self.records for picture in record.images]

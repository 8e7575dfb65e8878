"""The study of IC-VCO: six ways to learn a preference from the same pairs of pictures, from one fine-tuned base.

The headline is `ic-vco` minus each of `mdpo`, `symmpo` and `dpo` over five seeds, and minus `control`: as many steps of
supervised fine-tuning on the same pictures and answers. All begin with the run `sft`, the paper's first stage, and a
seed gives all methods the same pairs. Three seeds have IC-VCO without shared context, without distillation, and with
anchors counted twice (`as-shipped`). What no printed number speaks of has one: V-DPO, S-VCO, IC-VCO without mask and
without anchors; and synthetic negatives. mDPO's other picture is the pair's second one: the paper has mDPO on both
kinds of negatives. The rule of every verdict stands in `engine/study.py`; all checks are corrected together.

The paper's outcomes are accuracies on five benchmarks, and `overall` their mean. Here they are asked of the benchmarks'
twins in Diorama, but for R-Bench's: its questions are AMBER's, about marked things. Captions and POPE ask whether the
ability with one picture is kept.
"""

import functools
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmhallu_core.data.decode import decode
from mmhallu_core.evaluate.benchmark import read_answer
from mmhallu_core.evaluate.diorama import choices, twin, yes_no
from mmhallu_core.methods.ic_vco.pairs import Failed, Negative, Pairs, pair_of, records_of
from mmhallu_core.methods.ic_vco.presets import OURS, PRINTED, PRINTED_BASE
from mmhallu_core.methods.ic_vco.recipes import Objective, example_of, recipe
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.studies.engine import study as engine
from mmhallu_core.studies.engine.exam import about_one
from mmhallu_core.studies.engine.outcomes import ABOUT_ONE, Answers, Outcome, Pair
from mmhallu_core.studies.engine.study import Check, Claim, Study, Tell
from mmhallu_core.train.pretrain.speak import WHICH
from mmhallu_core.train.records import Make, PreferenceExample, TrainingExample, Turn, separate
from mmhallu_core.train.run import train as train_run
from mmhallu_core.train.spec import TrainSpec
from mmhallu_core.types import Preference
from mmhallu_core.world.render import render

SEEDS, FEWER = range(5), range(3)
BASE, SFT = "base-tiny-llava", "sft"
SFT_SEED = 1000  # of its pairs: no later run has the same
HEADLINE = ("dpo", "mdpo", "symmpo", "ic-vco")
WITHOUT = {"two-images": "two_images", "distillation": "distil", "mask": "mask", "anchors": "anchors"}
DECIDE = ("two-images", "distillation")  # claims of the paper: over `FEWER` seeds
SYNTHETIC = ("dpo", "mdpo", "symmpo", "ic-vco")
TOKENS = 8  # of an answer to a twin's question
ASKED = {"hallusionbench": 400, "amber-discriminative": 400, "crpe": 400, "blink": 300}  # twins, and how many questions
KINDS = {"amber-discriminative": "kind", "crpe": "category"}  # what a twin calls its kinds of questions
AMBER, CRPE = tuple(yes_no.AMBER), tuple(f"crpe-{name}" for name in choices.CRPE)
GROUPS = (("hallusionbench",), AMBER, CRPE, ("blink",))  # of letters, over which the paper's Overall is a mean


@dataclass(frozen=True)
class Numbers:
    """Every number of a run. Steps fill the time there is; the rates wait for a trial on the base that can compare.

    Attributes:
        steps, batch, lr: of preference learning, and of the control.
        steps_sft, lr_sft: of the first stage.
        scenes: captions, and six POPE questions each.
        seconds_exam: what asking is expected to take with one thread; for training see `SECONDS`.
    """

    steps: int = 200
    batch: int = 4
    lr: float = 5e-4
    steps_sft: int = 300
    lr_sft: float = 2e-3
    scenes: int = 200
    seconds_exam: float = 100.0


NUMBERS = Numbers()
SECONDS = {  # of a step with one thread, all included: dpo and ic-vco measured, the others by their tokens
    "dpo": 0.27, "mdpo": 0.35, "vdpo": 0.5, "svco": 0.45, "symmpo": 0.4, "ic-vco": 0.6, "sft": 0.3, "control": 0.3,
}  # fmt: skip


@dataclass(frozen=True)
class Run(engine.Run):
    """A run of this study.

    Attributes:
        method: of `recipes.METHODS`; "sft" for the first stage, "control" for more of it; None to ask a model as it is.
        left_out: a part of IC-VCO that is switched off, a value of `WITHOUT`.
        shipped: whether anchors count twice, as in IC-VCO's code.
        negative: how the second picture of a pair is made.
    """

    method: str | None = None
    left_out: str | None = None
    shipped: bool = False
    negative: Negative = "edited"

    @property
    def trains(self) -> bool:
        """Whether something is trained."""
        return self.method is not None


def runs() -> list[Run]:
    """All runs, those that decide first; the headline comes seed by seed, so that a stop leaves whole contrasts."""
    found = [Run(BASE, "the model before any of this"), Run(SFT, "the paper's first stage", method="sft")]
    found += [
        Run(f"{method}-{seed}", "the headline: methods, and a control", seed, of=SFT, method=method)
        for seed in SEEDS
        for method in (*HEADLINE, "control")
    ]
    ic_vco = Run("", "a part left out", of=SFT, method="ic-vco")
    for seed in FEWER:
        found += [replace(ic_vco, id=f"no-{name}-{seed}", seed=seed, left_out=WITHOUT[name]) for name in DECIDE]
        found.append(replace(ic_vco, id=f"as-shipped-{seed}", why="anchors twice", seed=seed, shipped=True))
    found += [
        Run(f"synthetic-{method}-0", "negatives drawn anew", of=SFT, method=method, negative="synthetic")
        for method in SYNTHETIC
    ]
    found += [Run(f"{one}-0", "two more methods", of=SFT, method=one) for one in ("vdpo", "svco")]
    found += [replace(ic_vco, id=f"no-{name}-0", left_out=WITHOUT[name]) for name in WITHOUT if name not in DECIDE]
    return found


def seconds(run: Run, numbers: Numbers) -> float:
    """How long a run is expected to take with one thread."""
    return numbers.seconds_exam + (SECONDS[run.method] * spec_of(run, numbers).steps if run.trains else 0.0)


def spec_of(run: Run, numbers: Numbers) -> TrainSpec:
    """The training of a run."""
    first = run.method == "sft"
    return replace(
        OURS, steps=numbers.steps_sft if first else numbers.steps, micro_batch=numbers.batch,
        lr=numbers.lr_sft if first else numbers.lr, seed=run.seed,
    )  # fmt: skip


@functools.lru_cache(maxsize=1)
def material(pairs: Pairs) -> list[tuple[Preference, tuple[Image.Image, Image.Image]]]:
    """The first `pairs.n` preferences of a seed, with their pictures."""
    found, i = [], 0
    while len(found) < pairs.n:
        try:
            pair = pair_of(i, pairs)
            images = (render(pair.before).image, render(pair.after, style=pair.style).image)
            found += [(record, images) for record in records_of(i, pair, pairs, ("before", "after"))]
        except Failed:
            pass
        i += 1
    return found[: pairs.n]


def make_of(run: Run, numbers: Numbers) -> Make:
    """The examples of a run."""
    spec = spec_of(run, numbers)
    drawn = material(Pairs(spec.steps * numbers.batch, SFT_SEED if run.method == "sft" else run.seed, run.negative))
    if run.method in ("sft", "control"):
        return lambda i: told(*drawn[i])
    objective = objective_of(run)

    def make(i: int) -> PreferenceExample:
        return example_of(*drawn[i], objective)

    return make


def told(record: Preference, images: tuple[Image.Image, Image.Image]) -> TrainingExample:
    """A pair for supervised fine-tuning: both pictures in one context, each with its answer, or one of them alone."""
    rng, said = random.Random(f"{record.id}/told"), (record.chosen, record.rejected)
    if rng.random() < 0.5:
        turns = [Turn(f"{record.prompt} {which}", answer) for which, answer in zip(WHICH, said, strict=True)]
        return separate(record.id, images, turns)
    target = rng.randrange(2)
    return separate(record.id, (images[target],), [Turn(record.prompt, said[target])])


def objective_of(run: Run) -> Objective:
    """The method of a run with its switches."""
    switches: dict[str, Any] = {} if run.left_out is None else {run.left_out: False}
    switches |= {"crop": False} if run.method == "mdpo" else {}
    return Objective(run.method, mode="as_shipped" if run.shipped else "paper", seed=run.seed, **switches)


def train(run: Run, vlm: Vlm, folder: Path, numbers: Numbers, tell: Tell) -> tuple[Vlm, dict[str, Any]]:
    """Trains; the reference's log-probabilities are shared by all runs of the study."""
    if run.of is not None:
        vlm = Vlm.load(folder.parent / run.of)  # by its name, which the new adapter gives as its base
    made = None if run.method in ("sft", "control") else recipe(objective_of(run), folder.parent / "references")
    (folder / "run.json").unlink(missing_ok=True)  # of a run that was stopped while it was asked: it starts anew
    done = train_run(
        vlm, make_of(run, numbers), spec_of(run, numbers), folder, STUDY.command(run), recipe=made,
        progress=lambda step, steps: tell(f"step {step} of {steps}"),
    )  # fmt: skip
    kept = ("sha256", "data_sha256", "seconds", "trainable", "loss", "steps")
    record = {name: done.record[name] for name in kept}
    return done.vlm(), record | {"trainable": sum(record["trainable"].values())}


def ask(vlm: Vlm, run: Run, numbers: Numbers, progress: bool) -> dict[str, Any]:
    """Asks a model the twins' questions (1 where it is right), and captions and POPE."""
    found: dict[str, Any] = {}
    for name, count in ASKED.items():
        asked = twin(name, count, seed=1)
        pictures = [[decode(picture).image for picture in one.images] for one in asked]
        bar = name if progress else None
        for one, text in zip(asked, vlm.answer(pictures, [q.prompt for q in asked], TOKENS, progress=bar), strict=True):
            key = one.about[KINDS[name]] if name in KINDS else name
            key = f"crpe-{key}" if name == "crpe" else key
            found[key] = found.get(key, "") + ("1" if read_answer(one, text) == one.truth else "0")
    return found | about_one(vlm, numbers.scenes, progress)


def _bits(answers: Answers, name: str) -> np.ndarray:
    return np.array([one == "1" for one in answers[name]], dtype=float)


def _mean(label: str, *groups: tuple[str, ...], small: float | None = None) -> Outcome:
    """The mean over groups of the mean over their kinds of the accuracy; each question has its weight in it."""

    def parts(answers: Answers) -> Pair:
        marks = [(_bits(answers, name), len(group)) for group in groups for name in group]
        weights = [np.full(len(bits), 1 / (kinds * len(bits))) for bits, kinds in marks]
        return np.concatenate([bits for bits, _ in marks]) * np.concatenate(weights), np.concatenate(weights)

    return Outcome(label, tuple(name for group in groups for name in group), parts, small=small)


def _both(label: str, *halves: tuple[int, int]) -> Outcome:
    """HallusionBench's sets of four questions: the share of halves in which both are right."""

    def parts(answers: Answers) -> Pair:
        sets = _bits(answers, "hallusionbench").reshape(-1, 4)
        both = np.concatenate([sets[:, a] * sets[:, b] for a, b in halves])
        return both, np.ones(len(both))

    return Outcome(label, ("hallusionbench",), parts)


OUTCOMES = {
    "overall": _mean("mean of four twins", *GROUPS, small=0.01),
    "aacc": _mean("HallusionBench's twin, aAcc", GROUPS[0], small=0.02),
    "facc": _both("HallusionBench's twin, fAcc", (0, 1), (2, 3)),
    "qacc": _both("HallusionBench's twin, qAcc", (0, 2), (1, 3)),
    "amber_attribute": _mean("AMBER's twin, attributes", tuple(name for name in AMBER if "attribute" in name)),
    "crpe_existence": _mean("CRPE's twin, existence", ("crpe-existence",)),
    "blink": _mean("BLINK's twin", ("blink",), small=0.02),
    **{name: ABOUT_ONE[name] for name in ("chair_matched", "recall", "pope_adversarial_f1")},
}
CONTRASTS = {
    **{f"ic-vco - {one}": (one, "ic-vco") for one in ("dpo", "mdpo", "symmpo", "vdpo", "svco", "control", SFT, BASE)},
    **{f"{one} - sft": (SFT, one) for one in ("dpo", "mdpo", "symmpo", "control")},
    **{f"without {name} - ic-vco": ("ic-vco", f"no-{name}") for name in WITHOUT},
    "as shipped - ic-vco": ("ic-vco", "as-shipped"),
    **{f"edited - synthetic, {one}": (f"synthetic-{one}", one) for one in SYNTHETIC},
}

TABLE = dict(zip(("aacc", "amber_attribute", "crpe_existence", "blink", "overall"), PRINTED, strict=True))
EDITED = {method: list(both) for method, both in PRINTED["Overall"].items()}  # Overall: synthetic, edited
SMALLEST = 0.0038  # of the gains by edited negatives


def _claim(id: str, claim: str, reported: Any, holds_if: str, *checks: Check, seeds: int = 5, asks="paper") -> Claim:
    return Claim(f"ic-vco-{id}", "main table and ablation", claim, asks, reported, holds_if, checks, seeds)


def _beats(outcome: str) -> Claim:
    """That IC-VCO is better than both baselines by the smaller of its printed leads."""
    name = TABLE[outcome]
    printed = {"base": PRINTED_BASE[name], **{method: edited for method, (_, edited) in PRINTED[name].items()}}
    bar = round(printed["IC-VCO"] - max(printed["mDPO"], printed["SymMPO"]), 2) / 100
    return _claim(
        outcome.replace("_", "-"), f"IC-VCO is better than mDPO and SymMPO by {name}.", printed,
        f"{OUTCOMES[outcome].label}: ic-vco minus mdpo, and minus symmpo, exceeds {100 * bar:.2f} points (its lead)",
        Check("ic-vco - mdpo", outcome, bar), Check("ic-vco - symmpo", outcome, bar),
    )  # fmt: skip


CLAIMS = (
    *(_beats(outcome) for outcome in TABLE),
    _claim("control", "It is the preference that helps, not more training on the same pictures.",
           "the paper has no control with the same pictures, answers and steps",
           "mean of four twins and HallusionBench's aAcc: ic-vco minus control exceeds 1 and 2 points",
           Check("ic-vco - control", "overall"), Check("ic-vco - control", "aacc"), asks="control"),
    _claim("edited-negatives", "Edited negatives are better than synthetic ones for every method.",
           {"Overall, synthetic and edited": EDITED},
           "mean of four twins, three methods: edited minus synthetic exceeds the smallest printed gain, 0.38 points",
           *(Check(f"edited - synthetic, {one}", "overall", SMALLEST) for one in SYNTHETIC[1:]), seeds=1),
    _claim("two-images", "Without the shared context IC-VCO loses.", "a sentence: about as mDPO",
           "mean of four twins: without the two-picture branch, a fall by more than 1 point",
           Check("without two-images - ic-vco", "overall", falls=True), seeds=3),
    _claim("distillation", "Without distillation HallusionBench gets worse.", "a sentence: it drops most",
           "HallusionBench's aAcc: without distillation, a fall by more than 2 points",
           Check("without distillation - ic-vco", "aacc", falls=True), seeds=3),
)  # fmt: skip

STUDY = Study(
    "ic-vco", "arXiv 2605.31312", runs, NUMBERS, seconds, train, ask, OUTCOMES, ("overall", "aacc", "blink"), CONTRASTS,
    CLAIMS,
)  # fmt: skip

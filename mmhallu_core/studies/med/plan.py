"""What is asked, what would count, and the runs that answer it: written before the first of them.

Primary outcomes, corrected together (Holm), for `med` minus `clean` over five seeds:

1. CHAIR_i at matched recall (`evaluate/matched_recall.py`); less is better;
2. F1 of POPE's adversarial questions, by the strict reading;
3. macro accuracy on MED-tiny by likelihood (the sum); what the model writes as a letter stands beside it.

An effect *holds in Diorama* when it has the claimed sign, its interval leaves zero out, and its corrected p is below
0.05. It *does not hold* when the interval lies on the other side of zero, or within `SMALL` of zero on both sides.
Everything else is *open*. The interval counts training runs and pictures both (`summary.py`). The same is asked
of `med` minus `shuffled`, `noisy` and the base, which are not primary.

Secondary, without verdicts of their own: both orders right; right answers that stay right when the pictures are
swapped; the same picture twice, and a difference asserted; told apart, that is, a difference asserted of a pair and
denied of its first picture twice (who always says that nothing differs passes the question before, and not this one);
questions about the first or the second of two pictures, both right; plain CHAIR_i, CHAIR_s and recall.

What to expect was known from trials, on scenes and questions of other names: a run of this size makes captions and
answers about single pictures better, and does not teach tiny-llava to compare two; nor did ten times as many pairs,
with every weight trained. So MED-tiny is asked in order to see whether five seeds say the same.

What is asked of one seed alone is shown and not decided. What the paper leaves open and these runs leave open too:
models whose image and text tokens are one vocabulary, models of billions of parameters, and photos.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmhallu_core.train.adapt import How, Kind
from mmhallu_core.train.med_loss import Mode
from mmhallu_core.types import CATEGORIES

SEEDS, FEWER = range(5), range(3)
BASES = ("tiny-llava", "tiny-llava-control")  # asked as they are
MORE_BASES = ("tiny-llava-seed1", "tiny-llava-seed2")  # the base recipe from two more seeds; trained further, too
PRIMARY = ("chair_matched", "pope_adversarial_f1", "med_tiny")
SMALL = {"chair_matched": 0.01, "pope_adversarial_f1": 0.01, "med_tiny": 0.02}  # what nobody would miss
ETAS = (0.1, 0.2, 0.4, 0.8)  # shares of captions written from habit; the first training had 0.7
LEFT_OUT = ("Counting", "Part Relation")  # one category of groups and one of a single thing, chosen beforehand
LOOKS = ("real", "inpainted", "two-step")  # see `other_pairs.py`


@dataclass(frozen=True)
class Numbers:
    """Every number of a run.

    Attributes:
        steps: a step of two edits takes 0.4 to 0.5 seconds with one thread, and two threads are slower. So two
            processes with OMP_NUM_THREADS=1 each use two cores best, and share the list: a run takes 300 seconds of
            one core, or 150 of both, which is what a study run may.
        edits: a step. Each gives four examples in `med`, so a batch is eight; six trials before the plan used that.
        lr, rank, alpha: of those trials (twice this rate cost recall and POPE); alpha twice the rank, as MED.
        lr_full: full training moves every weight and diverges at LoRA's rate; a tenth is the usual step down.
        scenes: captions, and six POPE questions each, take 29 of the 60 seconds that may go to questions.
        per_category: of MED-tiny, asked in both orders by likelihood and in one by letters: 26 seconds. A single
            run's interval is then about six points to either side; five runs of each arm share the questions.
        same: questions with the same picture twice, and as many with the pair.
        routed: an edit of each category, so many times: questions about the first or the second of two pictures.
        seconds_train, seconds_exam: what a run is expected to take with one thread.
    """

    steps: int = 600
    edits: int = 2
    lr: float = 2e-3
    rank: int = 16
    alpha: int = 32
    lr_full: float = 2e-4
    scenes: int = 300
    per_category: int = 24
    same: int = 66
    routed: int = 4
    seconds_train: float = 300.0
    seconds_exam: float = 64.0


NUMBERS = Numbers()


@dataclass(frozen=True)
class Run:
    """One run: a model trained and asked, or only asked.

    Attributes:
        id: its name, and its folder's.
        why: what it is for.
        arm: of `methods.med.arms`; None for a model that is asked as it is.
        seed: of adapter, edits and words. Runs with the same seed see the same edits.
        base: the model that is trained.
        vision_tower, decoder, kind: see `train.adapt.Adapt`.
        consistency: see `train.med_loss.Consistency`.
        eta: share of captions written from habit.
        left_out: categories without edits in training.
        clip: whether pairs pass MED's CLIP filter.
        look: with which other pairs the run `of` is asked; it trains nothing.
        of: the id of the run whose adapter is looked at.
    """

    id: str
    why: str
    arm: str | None = None
    seed: int = 0
    base: str = "tiny-llava"
    vision_tower: How = "lora"
    decoder: How = "lora"
    kind: Kind = "lora"
    consistency: Mode = "none"
    eta: float | None = None
    left_out: tuple[str, ...] = ()
    clip: bool = False
    look: str | None = None
    of: str | None = None

    @property
    def categories(self) -> tuple[str, ...]:
        """Those that are trained on."""
        return tuple(one for one in CATEGORIES if one not in self.left_out)

    def seconds(self, numbers: Numbers = NUMBERS) -> float:
        """How long it is expected to take with one thread."""
        if self.look:
            return numbers.seconds_exam / 3
        return numbers.seconds_exam + (numbers.seconds_train if self.arm else 0.0)


def runs() -> list[Run]:
    """All runs, those that decide first; the headline comes seed by seed, so that a stop leaves whole contrasts."""
    found = [Run(f"base-{name}", "a model before any of this", base=name) for name in BASES]
    headline = [
        Run(f"{arm}-{seed}", "the headline: fine-tuned, and three controls", arm, seed)
        for seed in SEEDS
        for arm in ("med", "clean", "shuffled", "noisy")
    ]
    found += headline
    for name in MORE_BASES:
        found.append(Run(f"base-{name}", "another base before any of this", base=name))
        found += [Run(f"{arm}-on-{name}", "the headline on another base", arm, base=name) for arm in ("med", "clean")]
    med = Run("", "", "med")
    parts = {"vision": {"decoder": "frozen"}, "decoder": {"vision_tower": "frozen"}}
    for name, change in parts.items():
        found += _seeds(replace(med, why=f"the paper's table 3: {name} only", **change), name)
    for mode in ("global", "masked"):
        found += _seeds(replace(med, why="the consistency loss", consistency=mode), mode)
    found += [replace(med, id=f"eta-{eta:g}", why="noise in the captions (equations 4 to 7)", eta=eta) for eta in ETAS]
    found += [
        replace(med, id="full", why="every weight learns", vision_tower="full", decoder="full"),
        replace(med, id="loha", why="another adapter with as many numbers", kind="loha"),
        replace(med, id="left-out", why="two categories held out", left_out=LEFT_OUT),
        replace(med, id="clip", why="pairs that pass the CLIP filter", clip=True),
    ]
    asked = ["base-tiny-llava", *(f"{arm}-{seed}" for seed in FEWER for arm in ("med", "clean"))]
    known = {run.id: run for run in found}
    found += [
        Run(f"{look}-{one}", "other pairs, without training", seed=known[one].seed, look=look, of=one)
        for look in LOOKS
        for one in asked
    ]
    return found


def _seeds(run: Run, name: str) -> list[Run]:
    return [replace(run, id=f"{name}-{seed}", seed=seed) for seed in FEWER]


def chosen(only: Sequence[str]) -> list[Run]:
    """The runs of some ids, in the plan's order; all of them for none.

    Raises:
        KeyError: names the ids that are in no plan.
    """
    all_runs = runs()
    strange = sorted(set(only) - {run.id for run in all_runs})
    if strange:
        raise KeyError(", ".join(strange))
    return [run for run in all_runs if not only or run.id in only]


def as_rows(numbers: Numbers = NUMBERS) -> list[dict[str, Any]]:
    """The list, to print: id, why, and minutes with one thread."""
    return [{"id": run.id, "why": run.why, "minutes": round(run.seconds(numbers) / 60, 1)} for run in runs()]

"""The study of ALEAHallu: an edit of the located place beside edits of other places, LoRA, and Nullu.

The headline is `located` (the mode `scale` names the place) over five seeds, minus `random` (a place drawn by lot) and
minus `lora` (as many numbers, in all layers, fine-tuned on the same grounded responses with as many steps). A seed
gives all of them the same pairs. Each layer is edited in turn as well (`layer-0` to `layer-3`): so what any mode of
locating is worth can be read from what it says of the base, which the base's own record holds. Besides: two and all
places, no prefix and a longer one, one round, the released code's numbers, and Nullu's projection.

The paper prints CHAIR_s and recall of LLaVA-1.5 and its share of attention on the picture; the last has no definition
there, ours is `methods.aleahallu.measure.attention_shares`. The rule of every verdict stands in `engine/study.py`.
"""

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from mmhallu_core.methods.aleahallu.edit import Learning, in_order
from mmhallu_core.methods.aleahallu.nullu import nullu_edit
from mmhallu_core.methods.aleahallu.pairs import world_pairs
from mmhallu_core.methods.aleahallu.recipe import CODE, Recipe, edit_model
from mmhallu_core.models.adapter_folders import base_hash
from mmhallu_core.models.edits import EditStack
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.studies.aleahallu_exam import OUTCOMES, SPLIT, Sizes, asked
from mmhallu_core.studies.engine import study as engine
from mmhallu_core.studies.engine.study import Check, Claim, Study, Tell
from mmhallu_core.train.adapt import Adapt
from mmhallu_core.train.run import train as train_run
from mmhallu_core.train.spec import TrainSpec
from mmhallu_core.types import ResponsePair

SEEDS, FEWER, BASE, LAYERS = range(5), range(3), "base-tiny-llava", 4
How = Literal["edit", "code", "lora", "nullu"]


@dataclass(frozen=True)
class Numbers:
    """Every number of a run.

    Attributes:
        recipe: of the edits; a run says what it changes.
        pairs, code_pairs: that are learned from; the released code's numbers take more steps for each pair.
        rank, lr: of LoRA; with this rank as many numbers learn as are in one edited matrix.
        sizes: of the exam.
        seconds_prefix, seconds_edit: what a step of each is expected to take with one thread.
        seconds_exam: and all questions.
    """

    recipe: Recipe = Recipe(
        objective="neglect", rounds=2, prefix=Learning(20, lr=1e-2), edit=Learning(30, lr=2e-3),
    )  # fmt: skip
    pairs: int = 192
    code_pairs: int = 48
    rank: int = 6
    lr: float = 2e-3
    sizes: Sizes = Sizes()
    seconds_prefix: float = 0.45
    seconds_edit: float = 0.3
    seconds_exam: float = 52.0


NUMBERS = Numbers()


@dataclass(frozen=True)
class Run(engine.Run):
    """A run of this study; None leaves a number to the recipe.

    Attributes:
        how: what is done to the base; None asks it as it is.
        mode: how a place is located.
        layers: that are edited instead of what is located.
        top: how many places.
        tokens: of the prefix.
        rounds: of prefix and edit in turn.
    """

    how: How | None = None
    mode: str = "scale"
    layers: tuple[int, ...] = ()
    top: int | None = None
    tokens: int | None = None
    rounds: int | None = None

    @property
    def trains(self) -> bool:
        """Whether something is changed."""
        return self.how is not None


def runs() -> list[Run]:
    """All runs, those that decide first; the headline comes seed by seed, so that a stop leaves whole contrasts."""
    found, edit = [Run(BASE, "the model before any of this")], Run("", "", how="edit")
    for seed in SEEDS:
        one = replace(edit, why="the headline: located, a random place, and LoRA", seed=seed)
        found += [replace(one, id=f"located-{seed}"), replace(one, id=f"random-{seed}", mode="random"),
                  replace(one, id=f"lora-{seed}", how="lora")]  # fmt: skip
    for seed in FEWER:
        one = replace(edit, seed=seed)
        found += [
            replace(one, id=f"layer-{layer}-{seed}", why="each layer in turn", layers=(layer,))
            for layer in range(LAYERS)
        ]
        found += [
            replace(one, id=f"all-{seed}", why="all layers", layers=tuple(range(LAYERS))),
            replace(one, id=f"no-prefix-{seed}", why="without the adversary", tokens=0),
            replace(one, id=f"two-{seed}", why="two places", top=2),
            replace(one, id=f"one-round-{seed}", why="one round instead of two", rounds=1),
            replace(one, id=f"nullu-{seed}", why="Nullu's projection", how="nullu"),
        ]
    return [
        *found,
        replace(edit, id="long-0", why="a prefix of 20 tokens", tokens=20),
        replace(edit, id="code-0", why="the released code's numbers, its faults too", how="code"),
    ]


def recipe_of(run: Run, numbers: Numbers) -> Recipe:
    """The numbers of a run's edit."""
    said = {name: getattr(run, name) for name in ("top", "tokens", "rounds") if getattr(run, name) is not None}
    return replace(CODE if run.how == "code" else numbers.recipe, **{"mode": run.mode, **said} if run.how == "edit"
                   else {}, seed=run.seed)  # fmt: skip


def seconds(run: Run, numbers: Numbers) -> float:
    """How long a run is expected to take with one thread."""
    made = recipe_of(run, numbers)
    pairs = numbers.code_pairs if run.how == "code" else numbers.pairs
    attack = made.prefix.count(pairs) * numbers.seconds_prefix if made.tokens and run.how in ("edit", "code") else 0.0
    steps = made.edit.count(pairs) * numbers.seconds_edit * made.edit.batch / numbers.recipe.edit.batch
    taken = {None: 0.0, "nullu": 15.0, "lora": made.rounds * steps}
    return numbers.seconds_exam + taken.get(run.how, made.rounds * (attack + steps))


def pairs_for(run: Run, numbers: Numbers) -> list[ResponsePair]:
    """The pairs of a seed, the same for all ways."""
    count = numbers.code_pairs if run.how == "code" else numbers.pairs
    return list(islice(world_pairs(f"{SPLIT}/{run.seed}"), count))


def train(run: Run, vlm: Vlm, folder: Path, numbers: Numbers, tell: Tell) -> tuple[Vlm, dict[str, Any]]:
    """Edits the base, or trains LoRA beside it."""
    pairs, recipe = pairs_for(run, numbers), recipe_of(run, numbers)
    (folder / "run.json").unlink(missing_ok=True)  # of a run that was stopped while it was asked: it starts anew
    progress = lambda step, steps: tell(f"step {step} of {steps}")  # noqa: E731
    if run.how == "lora":
        steps = recipe.rounds * recipe.edit.steps
        spec = TrainSpec(steps, Adapt("frozen", "frozen", "lora", numbers.rank, 2 * numbers.rank),
                         micro_batch=recipe.edit.batch, lr=numbers.lr, seed=run.seed)  # fmt: skip
        make = in_order(pairs, "grounded", Path(), f"{run.seed}/lora")
        done = train_run(vlm, make, spec, folder, STUDY.command(run), progress=progress)
        kept = {name: done.record[name] for name in ("sha256", "seconds", "loss", "steps")}
        return done.vlm(), kept | {"trainable": sum(done.record["trainable"].values())}
    if run.how == "nullu":
        edit = nullu_edit(vlm, pairs)
        edit.write(folder)
        record: dict[str, Any] = {"places": list(edit.deltas)}
    else:
        places = [(layer, recipe.part) for layer in run.layers]
        made = edit_model(vlm, pairs, recipe, folder, STUDY.command(run), places=places, progress=progress)
        record = {name: made[name] for name in ("sha256", "seconds", "trainable", "stages", "measured", "located")}
        record["places"] = list(made["places"])
    vlm.edits = EditStack(vlm.model, base_hash(vlm.model, vlm.adapters), [folder])
    return vlm, record


def ask(vlm: Vlm, run: Run, numbers: Numbers, progress: bool) -> dict[str, Any]:
    """The exam; of the base also what each mode says of its places."""
    return asked(vlm, run.base, numbers.sizes, locates=run.how is None)


CONTRASTS = {
    "located - base": (BASE, "located"),
    "located - random": ("random", "located"),
    "located - lora": ("lora", "located"),
    "located - no prefix": ("no-prefix", "located"),
    "located - last layer": (f"layer-{LAYERS - 1}", "located"),
    "located - all": ("all", "located"),
    "located - nullu": ("nullu", "located"),
    "two places - located": ("located", "two"),
    "one round - located": ("located", "one-round"),
    "long prefix - located": ("located", "long"),
    **{f"{name} - base": (BASE, name) for name in ("random", "lora", "no-prefix", "all", "nullu", "code",
                                                   *(f"layer-{layer}" for layer in range(LAYERS)))},
}  # fmt: skip

PRINTED = {"CHAIR_s": 39.3, "recall": 74.2}
PRINTED_SHARE = {"attention on the picture, before": 29.71, "after": 33.72}
GAIN = 0.0401  # of the printed share


def _claim(
    id: str, source: str, claim: str, reported: Any, holds_if: str, *checks: Check, seeds: int = 5, asks="control"
) -> Claim:
    return Claim(f"aleahallu-{id}", source, claim, asks, reported, holds_if, checks, seeds)


NO_CONTROL = "the paper has no such control"
CLAIMS = (
    _claim("captions", "abstract", "The edit lowers hallucination in captions, and recall stays.", PRINTED,
           "located minus base: CHAIR_s falls by more than 1 point, so does CHAIR_i at matched recall, and recall does "
           "not fall by more than 1 point",
           Check("located - base", "chair_s", 0.01), Check("located - base", "chair_matched"),
           Check("located - base", "recall", -0.01), asks="paper"),
    _claim("attention", "abstract", "The edited model gives more of its attention to the picture.", PRINTED_SHARE,
           f"located minus base: the share rises by more than the printed {100 * GAIN:.2f} points (our definition)",
           Check("located - base", "share", GAIN), asks="paper"),
    _claim("random-control", "our question", "The located place is a better one to edit than a random one.", NO_CONTROL,
           "CHAIR_i at matched recall: located below random by more than 1 point",
           Check("located - random", "chair_matched")),
    _claim("lora-control", "our question", "Editing the place is better than LoRA of its size on the same pairs.",
           NO_CONTROL, "CHAIR_i at matched recall: located below lora by more than 1 point",
           Check("located - lora", "chair_matched")),
    _claim("last-control", "our question", "The located place is better than the last layer, for which distances vote.",
           NO_CONTROL, "CHAIR_i at matched recall: located below the last layer by more than 1 point",
           Check("located - last layer", "chair_matched"), seeds=3),
    _claim("prefix", "ablation", "The adversarial prefix makes the edit better.", "a sentence",
           "CHAIR_i at matched recall: located below the same without a prefix by more than 1 point",
           Check("located - no prefix", "chair_matched"), asks="paper", seeds=3),
    _claim("nullu-control", "our question", "The edit does more than Nullu's projection, which trains nothing.",
           NO_CONTROL, "CHAIR_i at matched recall: located below nullu by more than 1 point",
           Check("located - nullu", "chair_matched"), seeds=3),
    _claim("ability-control", "our question", "What should stay stays.", "general ability is kept: a sentence",
           "located minus base: adversarial POPE, counting, spatial questions and those about two pictures do not fall "
           "by more than 2 points",
           *(Check("located - base", name, -0.02) for name in ("pope_adversarial_f1", "counting", "spatial",
                                                               "difference"))),
)  # fmt: skip

STUDY = Study(
    "aleahallu", "arXiv 2512.21999", runs, NUMBERS, seconds, train, ask, OUTCOMES,
    ("chair_matched", "chair_s", "recall", "share", "lie_odds"), CONTRASTS, CLAIMS,
)  # fmt: skip

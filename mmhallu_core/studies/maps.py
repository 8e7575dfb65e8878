"""The study of heat maps: which methods give a true map of a small model, and by which test.

No model is trained. Three bases of one recipe, which differ in their seed, read the same true captions of scenes that
no training has seen. A word is asked about where exactly one thing is meant, so that its exact mask is known. Each
method is a run on each base, and so are two controls that know nothing of the model: a blob in the centre and an edge
detector. The third, the same value everywhere, only shows what the tests do with no map at all.

| outcome | what it says |
|---|---|
| pointing, energy | whether the map lies on the thing; a thing covers `area` of its picture |
| insertion, deletion | what happens to the word's probability when cells are shown or covered, the largest first |
| change | one minus the rank correlation with the map of the same model with shuffled layers |
| agreement | rank correlation with the map of the next base, which had another seed and the same data |

The words are true and the captions are not the model's own. So nothing here speaks about hallucinated words; the study
`looking` does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool

from mmhallu_core.evaluate.diorama.exam import DESCRIBE, scenes_alone
from mmhallu_core.explain.maps import Map
from mmhallu_core.explain.randomize import alike, randomization
from mmhallu_core.explain.reading import Reading, Target, read
from mmhallu_core.explain.run import explain_all
from mmhallu_core.explain.truth import area, curves, energy, pointing
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.studies.baselines import BASES, train
from mmhallu_core.studies.engine import study as engine
from mmhallu_core.studies.engine.outcomes import Answers, Outcome, Pair
from mmhallu_core.studies.engine.study import Check, Claim, Study
from mmhallu_core.world.language import describe
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene

SCENES = "explain/maps"  # names the scenes
METHODS: dict[str, dict[str, Any]] = {
    "gradcam": {"method": "gradcam"},
    "gradcam-connector": {"method": "gradcam", "layer": "connector"},
    "attention": {"method": "attention"},
    "rollout": {"method": "attention", "how": "rollout"},
    "attention-gradient": {"method": "attention", "how": "gradient"},
    "input-x-gradient": {"method": "input-x-gradient"},
    "ig": {"method": "ig", "steps": 16, "most": 16},
    "occlusion": {"method": "occlusion"},
    "rise": {"method": "rise", "masks": 150},
    "centre": {"method": "centre"},
    "edges": {"method": "edges"},
    "constant": {"method": "constant"},
}
MANY = ("ig", "occlusion", "rise")  # ask the model again and again
CONTROLS = ("centre", "edges")
FILLS = ("grey", "blur")
PARTS = ("decoder", "connector", "vision")  # shuffled one after the other; the last layer of each is what is read


@dataclass(frozen=True)
class Numbers:
    """Every number of a run.

    Attributes:
        scenes: with two or three words each.
        shuffled: of these, how many are read again after each shuffled layer; nine times on tiny-llava.
        agreed: of these, how many the next base reads, too.
        near: pixels beside the thing that still count as on it; half the side of tiny-llava's cells.
        steps: of insertion and deletion.
        seconds: what a run is expected to take with one thread, by a trial of four scenes.
        seconds_many: of the methods in MANY.
    """

    scenes: int = 40
    shuffled: int = 5
    agreed: int = 20
    near: float = 6.0
    steps: int = 8
    seconds: float = 32.0
    seconds_many: float = 125.0


NUMBERS = Numbers()


@dataclass(frozen=True)
class Run(engine.Run):
    """A run of this study.

    Attributes:
        method: a name of METHODS.
        beside: the base whose maps are compared.
    """

    method: str = ""
    beside: str = ""

    @property
    def trains(self) -> bool:
        """Nothing is trained here."""
        return False


def runs() -> list[Run]:
    """All runs, base by base, so that a stop leaves whole contrasts; the base's number is the seed."""
    found = []
    for seed, base in enumerate(BASES):
        plain = Run("", "", seed, base, beside=BASES[(seed + 1) % len(BASES)])
        for name in METHODS:
            why = "a control" if name in (*CONTROLS, "constant") else "a method"
            found.append(replace(plain, id=f"{name}-{seed}", why=why, method=name))
    return found


def seconds(run: Run, numbers: Numbers) -> float:
    """How long a run is expected to take with one thread."""
    return numbers.seconds_many if run.method in MANY else numbers.seconds


def words_of(vlm: Vlm, scene: Scene) -> tuple[Reading, list[Target], list[Bool[np.ndarray, "height width"]]]:
    """A scene's true caption as a model reads it, the words that mean exactly one visible thing, and its pixels."""
    drawn, said = render(scene), describe(scene)
    reading = read(vlm, drawn.image, DESCRIBE, said.text)
    masks = {thing.id: mask for thing, mask in zip(scene.things, drawn.masks, strict=True) if mask.any()}
    some = [one for one in said.mentions if len(one.thing_ids) == 1 and one.thing_ids[0] in masks]
    return reading, [reading.at((one.start, one.end)) for one in some], [masks[one.thing_ids[0]] for one in some]


def ask(vlm: Vlm, run: Run, numbers: Numbers, progress: bool) -> dict[str, Any]:
    """One method's maps of all words, tested.

    Returns:
        For each scene `words`, how many there are, and sums over them: `hits`, `energy`, `area`, `insertion_FILL`,
        `deletion_FILL`; of the first scenes `agreement` with another base; and `kept`, of still fewer, for each name in
        `stages` the sums of the rank correlation with the model's own map.
    """
    how = METHODS[run.method]

    def maps(reading: Reading, targets: Sequence[Target]) -> list[Map]:
        return explain_all(reading, targets, **how)

    names = ("hits", "energy", "area", *(f"{kind}_{fill}" for fill in FILLS for kind in ("insertion", "deletion")))
    found: dict[str, Any] = {name: [] for name in ("words", *names, "agreement")} | {"kept": [], "stages": []}
    other = Vlm.load(run.beside)
    for scene in scenes_alone(2 * numbers.scenes, SCENES).values():
        if (number := len(found["words"])) == numbers.scenes:
            break
        reading, targets, masks = words_of(vlm, scene)
        if not targets:
            continue
        own = maps(reading, targets)
        asked = list(zip(own, masks, strict=True))
        sums = {
            "words": len(own),
            "hits": sum(pointing(one, [mask], numbers.near) for one, mask in asked),
            "energy": sum(energy(one, [mask]) for one, mask in asked),
            "area": sum(float(mask.mean()) for mask in masks),
        }
        for fill in FILLS:
            inserted, deleted = area(curves(reading, targets, own, fill, numbers.steps)).sum(0).tolist()
            sums |= {f"insertion_{fill}": inserted, f"deletion_{fill}": deleted}
        if number < numbers.agreed:
            theirs = maps(*words_of(other, scene)[:2])
            sums["agreement"] = sum(alike(*pair) for pair in zip(own, theirs, strict=True))
        if number < numbers.shuffled:
            found["stages"], kept = randomization(reading, targets, maps, seed=number)
            found["kept"].append([round(float(one), 4) for one in kept.sum(1)])
        for name, value in sums.items():
            found[name].append(round(value, 4))
    return found


def _mean(name: str) -> Callable[[Answers], Pair]:
    """A sum over words, over how many words there are."""
    return lambda a: (np.asarray(a[name], float), np.asarray(a["words"][: len(a[name])], float))


def _change(part: str) -> Callable[[Answers], Pair]:
    """How much maps change when everything down to a part is shuffled."""

    def parts(a: Answers) -> Pair:
        last = max(i for i, name in enumerate(a["stages"]) if name.partition(":")[0] == part)
        kept, words = np.array([row[last] for row in a["kept"]]), np.asarray(a["words"][: len(a["kept"])], float)
        return words - kept, words

    return parts


OUTCOMES = {
    "pointing": Outcome("pointing game", ("hits", "words"), _mean("hits")),
    "energy": Outcome("energy on the thing", ("energy", "words"), _mean("energy"), small=0.05),
    "area": Outcome("area of the thing", ("area", "words"), _mean("area")),
    **{f"insertion_{fill}": Outcome(f"insertion, {fill}", (f"insertion_{fill}", "words"), _mean(f"insertion_{fill}"),
                                    small=0.02) for fill in FILLS},
    **{f"deletion_{fill}": Outcome(f"deletion, {fill}", (f"deletion_{fill}", "words"), _mean(f"deletion_{fill}"),
                                   less=True, small=0.02) for fill in FILLS},
    **{f"change_{part}": Outcome(f"change when shuffled down to the {part}", ("kept", "stages", "words"),
                                 _change(part)) for part in PARTS},
    "agreement": Outcome("agreement with another seed", ("agreement", "words"), _mean("agreement")),
}  # fmt: skip

CONTRASTS: dict[str, tuple[str | None, str]] = {
    **{name: (None, name) for name in METHODS},
    **{f"{name} - {control}": (control, name) for control in CONTROLS for name in METHODS
       if name not in (*CONTROLS, "constant")},
    "rise - gradcam": ("gradcam", "rise"),
}  # fmt: skip


def _claim(
    id: str, source: str, claim: str, reported: str, holds_if: str, *checks: Check, control: bool = False
) -> Claim:
    return Claim(id, source, claim, "control" if control else "paper", reported, holds_if, checks, len(BASES))


CAM, SANITY, RISE = "Grad-CAM (arXiv 1610.02391)", "Sanity checks (arXiv 1810.03292)", "RISE (arXiv 1806.07421)"
CLAIMS = (
    _claim("maps-gradcam-on-the-thing", f"{CAM}, abstract", "Grad-CAM lights up what the word names.",
           "a sentence; localization errors on ILSVRC-15", "energy on the thing's exact pixels, gradcam minus each of "
           "the two controls, exceeds 5 points (another outcome than the paper's)",
           Check("gradcam - centre", "energy"), Check("gradcam - edges", "energy")),
    _claim("maps-attention-on-the-thing", "our question about attention maps",
           "The words of a caption attend to what they name.", "no number known to us",
           "energy on the thing's exact pixels, attention minus each of the two controls, exceeds 5 points",
           Check("attention - centre", "energy"), Check("attention - edges", "energy"), control=True),
    _claim("maps-gradcam-randomization", SANITY, "Grad-CAM passes the randomization test.",
           "figures; the rank correlation falls towards 0", "one minus the rank correlation, with every layer "
           "shuffled, exceeds 0.5", Check("gradcam", "change_vision", 0.5)),
    _claim("maps-rise-insertion", f"{RISE}, abstract", "RISE finds what the model needs better than Grad-CAM.",
           "a sentence (matches or exceeds other methods); insertion of RISE on ImageNet is 0.727",
           "insertion over grey, rise minus gradcam, exceeds 2 points", Check("rise - gradcam", "insertion_grey")),
)  # fmt: skip

STUDY = Study(
    "maps", "arXiv 1610.02391, arXiv 1806.07421 and arXiv 1810.03292", runs, NUMBERS, seconds, train, ask, OUTCOMES,
    ("pointing", "energy", "insertion_grey", "deletion_grey", "change_vision", "agreement"), CONTRASTS, CLAIMS,
)  # fmt: skip

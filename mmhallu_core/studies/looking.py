"""The study of looking: what heat maps, attention and heads say about hallucinated words, and about MED's fine-tuning.

Three kinds of run, none of which trains anything:

- `words-N`: base N captions scenes, and every object that it names is looked at (`explain.mentions`).
- `whole-N` and `knocked-N`: captions of base N, and of it without one head. The head is picked on other scenes, where
  each is knocked out in turn (`explain.heads`).
- `base`, and `ARM-N`: the base, and what the study of MED made of it, read true sentences about pairs of pictures that
  differ by one edit. An adapter is taken from that study's folder beside this one's, as `../med/ARM-N`.

MED trains the vision tower, too, so that it sees small differences. If it does, the map of the sentence should move
onto the region that was edited. `decoder` is the same fine-tuning with the tower frozen, `clean` has the tower
unfrozen and no differences to learn.

Each base is a seed, and so is each adapter. Effects on attention and Grad-CAM are in standard deviations over all
mentions of a run.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmhallu_core.evaluate.chair import chair_mentions
from mmhallu_core.evaluate.diorama.exam import CAPTION_TOKENS, DESCRIBE, HeldOut, caption, held_out, world_vocabulary
from mmhallu_core.evaluate.matched_recall import marks
from mmhallu_core.explain.heads import heads_of, knocked_out, picked, table
from mmhallu_core.explain.mentions import NUMBERS as COLUMNS
from mmhallu_core.explain.mentions import Pairs, auroc, look, matched
from mmhallu_core.explain.reading import read
from mmhallu_core.explain.run import explain_all
from mmhallu_core.explain.truth import energy
from mmhallu_core.models.adapter_folders import WEIGHTS
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import sha256
from mmhallu_core.studies.baselines import BASES
from mmhallu_core.studies.engine import study as engine
from mmhallu_core.studies.engine.outcomes import ABOUT_ONE, Answers, Outcome, Pair
from mmhallu_core.studies.engine.run import Skipped
from mmhallu_core.studies.engine.study import Check, Claim, Study, Tell
from mmhallu_core.world.edits import edit_mask, sample_edit
from mmhallu_core.world.language import DIFFERENCE_PROMPTS, difference
from mmhallu_core.world.render import render

SCENES, PICKING, PAIRS = "looking/words", "looking/picking", "looking/pairs"  # name scenes that nothing else has
EDITED = ("Counting", "Spatial Relation")
ARMS = {"med": 5, "clean": 5, "decoder": 3}  # of the study of MED, and how many seeds it has of each
MAPS = ("gradcam", "attention")


@dataclass(frozen=True)
class Numbers:
    """Every number of a run.

    Attributes:
        scenes: captioned, by a whole base and without a head.
        picking: captioned without each head in turn; tiny-llava has twenty.
        pairs: edits of each of two categories.
        seconds: what a run is expected to take with one thread, by its part; by a trial of twelve scenes.
    """

    scenes: int = 300
    picking: int = 60
    pairs: int = 80
    seconds: tuple[tuple[str, float], ...] = (("words", 60.0), ("whole", 10.0), ("knocked", 50.0), ("edits", 20.0))


NUMBERS = Numbers()


@dataclass(frozen=True)
class Run(engine.Run):
    """A run of this study.

    Attributes:
        part: what is asked.
        adapter: the run of the study of MED whose adapter is put on.
    """

    part: Literal["words", "whole", "knocked", "edits"] = "words"
    adapter: str | None = None

    @property
    def trains(self) -> bool:
        """Whether a recorded adapter is put on; nothing is trained."""
        return self.adapter is not None


def runs() -> list[Run]:
    """All runs; those that need no adapter come first."""
    why = {"words": "every object that captions name", "whole": "captions", "knocked": "captions without one head"}
    found = [Run(f"{part}-{seed}", why[part], seed, base, part=part)
             for seed, base in enumerate(BASES) for part in why]  # fmt: skip
    edits = Run("base", "edited pairs, before any fine-tuning", part="edits")
    found.append(edits)
    for arm, count in ARMS.items():
        tuned = replace(edits, why=f"edited pairs, after {arm}")
        found += [replace(tuned, id=f"{arm}-{seed}", seed=seed, adapter=f"{arm}-{seed}") for seed in range(count)]
    return found


def seconds(run: Run, numbers: Numbers) -> float:
    """How long a run is expected to take with one thread."""
    return dict(numbers.seconds)[run.part]


def train(run: Run, vlm: Vlm, folder: Path, numbers: Numbers, tell: Tell) -> tuple[Vlm, dict[str, Any]]:
    """Puts a recorded adapter on; nothing is trained.

    Raises:
        Skipped: when it is not in the folder of the study of MED, beside this one's.
    """
    made = folder.resolve().parent.parent / "med" / str(run.adapter)
    if not (made / WEIGHTS).is_file():
        raise Skipped(f"{run.id} needs the adapter in {made}: make it with `mmhallu study med --only {run.adapter}`")
    record = json.loads((made / "run.json").read_text(encoding="utf-8"))
    return vlm.with_adapter(made), {"adapter_sha256": sha256(made / WEIGHTS), "command": record["command"]}


def ask(vlm: Vlm, run: Run, numbers: Numbers, progress: bool) -> dict[str, Any]:
    """What a run's part asks.

    Returns:
        For `words`: `scenes`, and `mentions`, columns with an entry for each. For `whole` and `knocked`: `captions` and
        `there`, as in `engine/exam.py`, and for `knocked` the head and `heads`, the table of all. For `edits`: for each
        pair `energy_METHOD`, `area` and `category`.
    """
    if run.part == "edits":
        return _edits(vlm, numbers.pairs)
    data = held_out(numbers.scenes, SCENES)
    if run.part == "words":
        return {"scenes": numbers.scenes, "mentions": _mentions(vlm, data)}
    if run.part == "whole":
        return _marked(vlm, data)
    others = held_out(numbers.picking, PICKING)
    whole = _marked(vlm, others)
    without = {}
    for layer, head in heads_of(vlm):
        with knocked_out(vlm, [(layer, head)]):
            without[f"{layer}.{head}"] = _marked(vlm, others)["captions"]
    rows = table(whole["captions"], without, whole["there"])
    layer, head = picked(rows)
    with knocked_out(vlm, [(layer, head)]):
        return {**_marked(vlm, data), "head": [layer, head], "heads": rows}


def _marked(vlm: Vlm, data: HeldOut) -> dict[str, Any]:
    said, truth = caption(vlm, data, None), data.truth
    return {"captions": [marks(one.answer, truth[one.id], world_vocabulary()) for one in said],
            "there": [len(truth[one.id]) for one in said]}  # fmt: skip


def _mentions(vlm: Vlm, data: HeldOut) -> dict[str, list[Any]]:
    """Columns of every mention; a scene's other picture is the next one of another place."""
    names = list(data.scenes)
    texts = vlm.answer(list(data.images.values()), [DESCRIBE] * len(names), CAPTION_TOKENS)
    found: dict[str, list[Any]] = {name: [] for name in ("scene", "wrong", "word", "kind", *COLUMNS)}
    for number, (name, text) in enumerate(zip(names, texts, strict=True)):
        place = data.scenes[name].place
        other = next(one for one in (*names[number:], *names) if data.scenes[one].place != place)
        mentions = chair_mentions(text, data.truth[name], world_vocabulary(), "fixed")
        reading = read(vlm, data.images[name], DESCRIBE, text) if mentions else None
        for one, row in zip(mentions, look(reading, mentions, data.images[other]) if reading else (), strict=True):
            about = {"scene": number, "wrong": int(one.hallucinated), "word": one.word, "kind": one.object}
            for column, value in {**about, **{key: round(value, 4) for key, value in row.items()}}.items():
                found[column].append(value)
    return found


def _edits(vlm: Vlm, each: int) -> dict[str, list[Any]]:
    """The map of a true sentence about two pictures: how much of it lies where they differ."""
    found: dict[str, list[Any]] = {name: [] for name in (*(f"energy_{one}" for one in MAPS), "area", "category")}
    for number in range(each):
        for category in EDITED:
            edit = sample_edit(category, f"{PAIRS}/{number}")
            images = [render(scene).image for scene in (edit.before, edit.after)]
            reading, mask = read(vlm, images, DIFFERENCE_PROMPTS[0], difference(edit).text), edit_mask(edit)
            for method in MAPS:
                (one,) = explain_all(reading, [reading.find(None)], method)
                found[f"energy_{method}"].append(round(energy(one, [mask, mask]), 4))
            found["area"].append(round(float(mask.mean()), 4))
            found["category"].append(category)
    return found


def _of(statistic: Callable[..., Pairs], *names: str) -> Callable[[Answers], Pair]:
    return lambda a: statistic(a["mentions"], a["scenes"], *names)


def _where(method: str, category: str | None = None) -> Callable[[Answers], Pair]:
    def parts(a: Answers) -> Pair:
        here = np.array([category in (None, one) for one in a["category"]], float)
        return np.asarray(a[f"energy_{method}"], float) * here, here

    return parts


SAID, SEEN = ("mentions", "scenes"), ("energy_gradcam", "energy_attention", "category")
LOOKS = {"share": "image attention share", "heat": "Grad-CAM's heat"}
DETECTORS = {"share": "attention share", "sure": "probability", "over_grey": "gain over a grey picture",
             "over_other": "gain over another place's picture"}  # fmt: skip
OUTCOMES = {
    **{f"{name}{end}": Outcome(f"{label}{' of the word before' * bool(end)}, hallucinated less grounded", SAID,
                               _of(matched, name + end), less=True, small=0.2)
       for name, label in LOOKS.items() for end in ("", "_before")},
    **{f"auroc_{name}": Outcome(f"AUROC of {label}", SAID, _of(auroc, name)) for name, label in DETECTORS.items()},
    **{f"gain_less_{name}": Outcome(f"AUROC of {DETECTORS['over_other']}, less that of {DETECTORS[name]}", SAID,
                                    _of(auroc, "over_other", name), small=0.02) for name in ("share", "sure")},
    **{name: ABOUT_ONE[name] for name in ("chair_matched", "chair_i", "recall")},
    **{f"edited_{method}": Outcome(f"{method}: energy where the pictures differ", SEEN, _where(method), small=0.02)
       for method in MAPS},
    "edited_area": Outcome("area where the pictures differ", ("area",),
                           lambda a: (np.asarray(a["area"], float), np.ones(len(a["area"])))),
    **{f"edited_{category.split()[0].lower()}": Outcome(f"gradcam: energy where {category} differs", SEEN,
                                                        _where("gradcam", category)) for category in EDITED},
}  # fmt: skip

CONTRASTS: dict[str, tuple[str | None, str]] = {
    "words": (None, "words"),
    "without a head - whole": ("whole", "knocked"),
    "base": (None, "base"),
    **{f"{arm} - base": ("base", arm) for arm in ARMS},
    "med - clean": ("clean", "med"),
    "med - decoder": ("decoder", "med"),
}


def _claim(id: str, source: str, claim: str, holds_if: str, *checks: Check) -> Claim:
    return Claim(id, source, claim, "control", "no number known to us", holds_if, checks, len(BASES))


MED, AROUND = "our question about MED (arXiv 2506.07227)", "our question about attention in captions"
CLAIMS = (
    _claim("looking-share", AROUND, "A hallucinated word is one that looked away from the picture.",
           "image attention share of hallucinated mentions, below that of grounded ones that match in position and "
           "frequency by more than 0.2 standard deviations", Check("words", "share")),
    _claim("looking-heat", AROUND, "The picture speaks less for a hallucinated word.",
           "Grad-CAM's heat of hallucinated mentions, below that of matched grounded ones by more than 0.2 standard "
           "deviations", Check("words", "heat")),
    _claim("looking-detector", "our question", "What the picture adds to a word finds hallucinated ones.",
           "AUROC of the log-probability's gain over another place's picture exceeds 0.7",
           Check("words", "auroc_over_other", 0.7)),
    _claim("looking-detector-control", "our question", "It finds more of them than probability and attention alone.",
           "its AUROC exceeds that of plain probability, and that of the attention share, by more than 2 points each",
           Check("words", "gain_less_sure"), Check("words", "gain_less_share")),
    _claim("looking-heads", "our question", "One head carries hallucination.",
           "CHAIR_i at matched recall without the head that other scenes picked, below the whole model's by more than "
           "1 point", Check("without a head - whole", "chair_matched")),
    _claim("looking-med-tower", MED, "Fine-tuning with the tower unfrozen moves the map onto the edited region.",
           "Grad-CAM's energy there, for counting and spatial edits, med minus base, med minus clean and med minus "
           "decoder only, each exceeds 2 points", Check("med - base", "edited_gradcam"),
           Check("med - clean", "edited_gradcam"), Check("med - decoder", "edited_gradcam")),
)  # fmt: skip

STUDY = Study(
    "looking", "arXiv 2506.07227", runs, NUMBERS, seconds, train, ask, OUTCOMES,
    ("share", "heat", "auroc_over_other", "auroc_sure", "chair_matched", "edited_gradcam"), CONTRASTS, CLAIMS,
)  # fmt: skip

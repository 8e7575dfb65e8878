"""The study of repairs without training: how each writes beside plain greedy search, and what that costs.

No model is trained. Three bases of one recipe, which differ in their seed, caption scenes and answer POPE questions in
each way of writing. A repair that changes how often yes is said has a control of its own: `yes-as-NAME`, greedy search
with a shift towards yes that makes it say yes as often as NAME does, to the same questions. Their truth has no part in
finding the shift.

What is claimed for 7B models on photos, by drawing tokens, is asked here of small models in Diorama, greedily. So a
verdict says whether the claim holds there. The numbers of each repair are the released ones; PAI's layers are counted
from 2, as there, and tiny-llava has only layers 2 and 3 behind that.

Cost is a ratio: seconds per token, over those of greedy search in the same process, a few scenes of each in turn. So a
difference of 40 points is 40% more time. Pictures are read once for each answer, twice by a contrast. At this size
much of the time is Python's.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmhallu_core.evaluate.answers import strict
from mmhallu_core.evaluate.diorama.exam import CAPTION_TOKENS, DESCRIBE
from mmhallu_core.evaluate.paired import Exam
from mmhallu_core.methods.baselines import decoding
from mmhallu_core.methods.baselines.controls import YesBias, matching_shift, yes_margins
from mmhallu_core.models.greedy import Decoding
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.studies.engine import study as engine
from mmhallu_core.studies.engine.exam import about_one, scenes_of
from mmhallu_core.studies.engine.outcomes import ABOUT_ONE, Answers, Outcome, Pair
from mmhallu_core.studies.engine.study import Check, Claim, Study, Tell
from mmhallu_core.types import CannotRun

BASES = ("tiny-llava", "tiny-llava-seed1", "tiny-llava-seed2")
REPAIRS = {
    "vcd": "VCD, as released",
    "no-picture": "VCD with no picture in place of a disturbed one",
    "amplify": "PAI's first half: more attention to the picture",
    "pai": "PAI, as released: both halves",
}
MATCHED = ("vcd", "no-picture", "pai")
GREEDY, LIKE = "greedy", "yes-as-"
TIMED = "baselines/timed"  # names the scenes of the cost


@dataclass(frozen=True)
class Numbers:
    """Every number of a run; those of the repairs stand in `methods/baselines`, and each record repeats its own.

    Attributes:
        scenes: captions, and six POPE questions each.
        rounds, timed: the cost is measured so many times, on so many scenes each.
        seconds_plain, seconds_double: what a run is expected to take, of one branch and of two.
    """

    scenes: int = 300
    rounds: int = 5
    timed: int = 8
    seconds_plain: float = 60.0
    seconds_double: float = 110.0


NUMBERS = Numbers()


@dataclass(frozen=True)
class Run(engine.Run):
    """A run of this study.

    Attributes:
        decode: the way of writing, by its name.
        like: the repair whose share of yes is matched.
    """

    decode: str = GREEDY
    like: str | None = None

    @property
    def trains(self) -> bool:
        """Nothing is trained here."""
        return False


def runs() -> list[Run]:
    """All runs, base by base, so that a stop leaves whole contrasts; the base's number is the seed."""
    found = []
    for seed, base in enumerate(BASES):
        plain = Run("", "", seed, base)
        found.append(replace(plain, id=f"{GREEDY}-{seed}", why="plain greedy search"))
        found += [replace(plain, id=f"{name}-{seed}", why=why, decode=name) for name, why in REPAIRS.items()]
        found += [
            replace(plain, id=f"{LIKE}{name}-{seed}", why=f"yes as often as {name}", decode=YesBias.name, like=name)
            for name in MATCHED
        ]
        found.append(replace(plain, id=f"cut-{seed}", why="the plausibility cut alone", decode="cut"))
    return found


def seconds(run: Run, numbers: Numbers) -> float:
    """How long a run is expected to take with one thread."""
    return numbers.seconds_double if run.decode in MATCHED or run.like else numbers.seconds_plain


def train(run: Run, vlm: Vlm, folder: Path, numbers: Numbers, tell: Tell) -> tuple[Vlm, dict[str, Any]]:
    """Raises CannotRun: there is nothing to train."""
    raise CannotRun(f"{run.id} is asked as it is: this study trains nothing")


def ask(vlm: Vlm, run: Run, numbers: Numbers, progress: bool) -> dict[str, Any]:
    """Captions, POPE answers and the cost, in a run's way of writing."""
    vlm.decoding = as_often(vlm, run.like, numbers.scenes) if run.like else decoding(run.decode)
    found = about_one(vlm, numbers.scenes, progress)
    return {**found, "decoding": vlm.decoding.about, "cost": cost(vlm, numbers.rounds, numbers.timed)}


def as_often(vlm: Vlm, name: str, scenes: int) -> YesBias:
    """The shift that makes greedy search say yes as often as a repair does, to the questions of `about_one`."""
    exam = scenes_of(scenes)
    pictures = [exam.data.images[one.image_id] for one in exam.questions]
    texts = [one.question for one in exam.questions]
    vlm.decoding = decoding(name)
    said = vlm.answer(pictures, texts, 4, 64)
    vlm.decoding = Decoding()
    share = float(np.mean([strict(text) == "yes" for text in said]))
    return YesBias(matching_shift(yes_margins(vlm, pictures, texts), share))


def cost(vlm: Vlm, rounds: int, scenes: int) -> dict[str, list[float]]:
    """Seconds per token of captions, a round each: of greedy search, and of the model's way of writing.

    A sentence's end is a token, too. The two take turns at going first.
    """
    exam, found = Exam.draw(rounds * scenes, TIMED), {GREEDY: [], "own": []}
    images, ways = list(exam.data.images.values()), {GREEDY: Decoding(), "own": vlm.decoding}
    for number in range(rounds):
        some = images[number * scenes : (number + 1) * scenes]
        for name in sorted(ways, reverse=number % 2 == 1):
            vlm.decoding, began = ways[name], time.perf_counter()
            said = vlm.answer(some, [DESCRIBE] * len(some), CAPTION_TOKENS, len(some))
            taken = time.perf_counter() - began
            found[name].append(taken / sum(len(vlm.processor.tokenizer.tokenize(text)) + 1 for text in said))
    vlm.decoding = ways["own"]
    return found


def _costs(answers: Answers) -> Pair:
    return np.asarray(answers["cost"]["own"]), np.asarray(answers["cost"][GREEDY])


def _yes(answers: Answers) -> Pair:
    rows: Sequence[str] = answers["pope"]
    return np.array([t.count("t") + t.count("f") for t in rows], float), np.array([len(t) for t in rows], float)


OUTCOMES = ABOUT_ONE | {
    "pope_yes": Outcome("share of yes, adversarial POPE", ("pope",), _yes),
    "cost": Outcome("seconds per token, over those of greedy search", ("cost",), _costs, less=True),
}

CONTRASTS = {
    **{f"{name} - greedy": (GREEDY, name) for name in (*REPAIRS, "cut")},
    **{f"{name} - as many yes": (f"{LIKE}{name}", name) for name in MATCHED},
    **{f"as many yes as {name} - greedy": (GREEDY, f"{LIKE}{name}") for name in MATCHED},
    "vcd - no-picture": ("no-picture", "vcd"),
    "pai - amplify": ("amplify", "pai"),
}

SENTENCE = "a sentence; the released code draws tokens, at temperature 1"
GREEDILY = "by greedy search, which is not the paper's way of writing"
VCD, PAI, MIRAGE = "VCD (arXiv 2311.16922)", "PAI (arXiv 2407.21771)", "arXiv 2504.10020"


def _claim(
    id: str, source: str, claim: str, reported: str, holds_if: str, *checks: Check, control: bool = False
) -> Claim:
    return Claim(id, source, claim, "control" if control else "paper", reported, holds_if, checks, len(BASES))


CLAIMS = (
    _claim("vcd-pope", f"{VCD}, abstract", "VCD reduces object hallucination.", SENTENCE,
           f"F1 of adversarial questions, vcd minus greedy, exceeds 1 point ({GREEDILY})",
           Check("vcd - greedy", "pope_adversarial_f1")),
    _claim("vcd-captions", f"{VCD}, abstract", "VCD reduces object hallucination (captions).", SENTENCE,
           f"CHAIR_i at matched recall, vcd below greedy by more than 1 point ({GREEDILY})",
           Check("vcd - greedy", "chair_matched")),
    _claim("pai-captions", f"{PAI}, abstract", "PAI reduces hallucination in captions.", "a sentence",
           "CHAIR_i at matched recall, pai below greedy by more than 1 point",
           Check("pai - greedy", "chair_matched")),
    _claim("pai-attention", f"{PAI}, abstract", "More attention to the picture alone reduces it, too.", "a sentence",
           "CHAIR_i at matched recall, amplify below greedy by more than 1 point",
           Check("amplify - greedy", "chair_matched")),
    _claim("vcd-pope-control", f"{MIRAGE}, abstract", "VCD does more on POPE than to move answers between yes and no.",
           "the paper claims the contrary", "F1 of adversarial questions, vcd minus greedy search that says yes as "
           "often, exceeds 1 point", Check("vcd - as many yes", "pope_adversarial_f1"), control=True),
    _claim("vcd-disturbed-control", f"our question about {VCD}", "A disturbed picture is a better contrast than none.",
           "no number known to us", "F1 of adversarial questions, vcd minus no-picture, exceeds 1 point",
           Check("vcd - no-picture", "pope_adversarial_f1"), control=True),
)  # fmt: skip

STUDY = Study(
    "baselines", "arXiv 2311.16922 and arXiv 2407.21771", runs, NUMBERS, seconds, train, ask, OUTCOMES,
    ("chair_matched", "recall", "pope_adversarial_f1", "pope_yes", "cost"), CONTRASTS, CLAIMS,
)  # fmt: skip

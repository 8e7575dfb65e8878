"""What the study of ALEAHallu asks every model, and what is read from its answers.

Captions and POPE questions are those of all studies (`engine/exam.py`). Besides: the log-odds of lies that no training
saw; the share of attention on the picture while a model writes; captions that were true before; and what an edit should
leave as it is: another drawing style, counting, spatial questions, questions about two pictures, text alone.
"""

import functools
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from mmhallu_core.data.decode import decode
from mmhallu_core.evaluate.benchmark import read_answer
from mmhallu_core.evaluate.benchmarks.med_tiny import REAL_STYLE
from mmhallu_core.evaluate.diorama import twin
from mmhallu_core.evaluate.diorama.exam import CAPTION_TOKENS, DESCRIBE, world_vocabulary
from mmhallu_core.evaluate.matched_recall import marks
from mmhallu_core.evaluate.paired import run_evaluation
from mmhallu_core.methods.aleahallu.locate import MODES, locate
from mmhallu_core.methods.aleahallu.measure import attention_shares, lie_odds, spoiled, text_kl
from mmhallu_core.methods.aleahallu.pairs import world_pairs
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.studies.engine.exam import about_one, by_likelihood, pairs_of, scenes_of
from mmhallu_core.studies.engine.outcomes import ABOUT_ONE, Answers, Outcome, Pair
from mmhallu_core.world.language import describe
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render

TWINS = {"counting": "counting", "spatial": "spatialsense"}  # questions, and of which twin
TOKENS = 8  # of an answer to one of them
SPLIT = "study"  # begins the names of all scenes


@dataclass(frozen=True)
class Sizes:
    """How much is asked.

    Attributes:
        scenes: captions, and six POPE questions each.
        styled: captions of scenes in a style that no training has seen.
        lies: pairs whose log-odds are asked.
        shares: captions whose attention is looked at.
        twins, per_category: questions of each twin, and of MED-tiny's each category.
        texts: without pictures, for the divergence from the base.
    """

    scenes: int = 200
    styled: int = 60
    lies: int = 60
    shares: int = 32
    twins: int = 120
    per_category: int = 8
    texts: int = 48


@functools.lru_cache(maxsize=1)
def before(base: str, scenes: int) -> tuple[Vlm, list[str]]:
    """A base, and its captions of the scenes of `about_one` as `matched_recall.marks` has them."""
    vlm, exam = Vlm.load(base), scenes_of(scenes)
    said = vlm.answer(list(exam.data.images.values()), [DESCRIBE] * scenes, CAPTION_TOKENS, 50)
    return vlm, [
        marks(text, there, world_vocabulary()) for text, there in zip(said, exam.data.truth.values(), strict=True)
    ]


def asked(vlm: Vlm, base: str, sizes: Sizes, locates: bool = False) -> dict[str, Any]:
    """The answers of a model, by name; see `OUTCOMES`.

    Args:
        vlm: the model.
        base: the name of what it was before.
        sizes: how much is asked.
        locates: whether each mode of locating is asked about its places, too: `modes`.
    """
    exam = scenes_of(sizes.scenes)
    said = run_evaluation(vlm, exam, False)
    found = about_one(vlm, sizes.scenes, False, said)
    first, marked = before(base, sizes.scenes)
    found["spoiled"] = spoiled(marked, found["captions"])
    found["odds"] = lie_odds(vlm, lies := list(islice(world_pairs(f"{SPLIT}-lies"), sizes.lies)))
    pictures, texts = list(exam.data.images.values()), [one.answer for one in said.captions]
    shares = attention_shares(vlm, pictures[: sizes.shares], DESCRIBE, texts[: sizes.shares])
    found |= {"share": shares.mean((1, 2)).tolist(), "share_by_head": shares.mean(0).tolist()}
    scenes = [sample_scene(f"{SPLIT}-styled/{i}") for i in range(sizes.styled)]
    drawn = [render(scene, 96, REAL_STYLE).image for scene in scenes]
    styled = vlm.answer(drawn, [DESCRIBE] * len(drawn), CAPTION_TOKENS, 50)
    found["styled"] = [marks(text, s.kinds(), world_vocabulary()) for text, s in zip(styled, scenes, strict=True)]
    for name, of in TWINS.items():
        questions = twin(of, sizes.twins, seed=1)
        shown = [[decode(picture).image for picture in one.images] for one in questions]
        replies = vlm.answer(shown, [one.prompt for one in questions], TOKENS)
        right = [read_answer(one, text) == one.truth for one, text in zip(questions, replies, strict=True)]
        found[name] = "".join("1" if one else "0" for one in right)
    found["sum"] = by_likelihood(vlm, pairs_of(sizes.per_category), None)["sum"]
    plain = [describe(sample_scene(f"{SPLIT}-texts/{i}"), "normal").text for i in range(sizes.texts)]
    found["text_kl"] = text_kl(first, vlm, plain)
    if locates:
        told = locate(vlm, lies, tuple(MODES), ("mlp",))
        found["modes"] = {mode: one.to_dict() | {"first": one.ranking()[0][0]} for mode, one in told.items()}
    return found


def _bits(name: str) -> Any:
    """1 and 0 count, other letters do not."""

    def parts(answers: Answers) -> Pair:
        said = answers[name]
        return np.array([one == "1" for one in said], float), np.array([one in "01" for one in said], float)

    return parts


def _numbers(name: str) -> Any:
    def parts(answers: Answers) -> Pair:
        return np.asarray(answers[name], dtype=float), np.ones(len(answers[name]))

    return parts


def _styled(answers: Answers) -> Pair:
    texts = answers["styled"]
    return np.array([one.count("x") for one in texts], float), np.array([len(one) for one in texts], float)


OUTCOMES = ABOUT_ONE | {
    "share": Outcome("attention on the picture", ("share",), _numbers("share")),
    "lie_odds": Outcome("log-odds of lies", ("odds",), _numbers("odds"), less=True),
    "spoiled": Outcome("true captions that lie now", ("spoiled",), _bits("spoiled"), less=True),
    "styled_chair_i": Outcome("CHAIR_i, unseen style", ("styled",), _styled, less=True),
    "counting": Outcome("counting", ("counting",), _bits("counting"), small=0.02),
    "spatial": Outcome("spatial questions", ("spatial",), _bits("spatial"), small=0.02),
    "difference": Outcome("MED-tiny, by likelihood", ("sum",), _bits("sum"), small=0.02),
    "text_kl": Outcome("KL to the base, text alone", ("text_kl",), _numbers("text_kl"), less=True),
}

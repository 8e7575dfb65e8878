"""Scores of a model in Diorama, on models whose right answer is known."""

import numpy as np
import pytest

from maintenance.checkpoint_scores import evaluate, place_share
from mmhallu_core.evaluate.diorama.exam import held_out
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import Answer
from mmhallu_core.world.language import describe
from mmhallu_core.world.prior import TYPICAL, imagined_kind
from mmhallu_core.world.vocabulary import KINDS


class Oracle(Vlm):
    """Answers from the truth; with a habit, also sees the most typical missing thing."""

    def __init__(self, data, habit):
        self.name, self.habit = "oracle", habit
        self.scenes = {id(image): data.scenes[name] for name, image in data.images.items()}

    def answer(self, images, questions, *_args, **_options):
        said = []
        for image, question in zip(images, questions, strict=True):
            scene = self.scenes[id(image)]
            imagined = imagined_kind(scene) if self.habit else None
            if question.startswith("Describe"):
                extra = f" There is a red {imagined}." if imagined else ""
                said.append(describe(scene).text + extra)
            else:
                kind = question.split()[3]
                said.append("Yes." if kind in scene.kinds() or kind == imagined else "No.")
        return said


@pytest.fixture(scope="module")
def data():
    return held_out(60, split="oracle")


def test_a_model_that_tells_the_truth_scores_perfectly(data):
    scores = evaluate(Oracle(data, habit=False), data, progress=False)
    assert scores["chair"]["chair_i"] == 0 and scores["chair"]["recall"] == 1
    assert all(one["strict"]["accuracy"] == 1 for one in scores["pope"].values())
    assert scores["place"]["n"] == 0


def test_a_model_with_a_habit_hallucinates_what_the_place_makes_likely(data):
    scores = evaluate(Oracle(data, habit=True), data, progress=False)
    wrong = sum(imagined_kind(scene) is not None for scene in data.scenes.values())
    assert scores["chair"]["hallucinated"] == wrong
    assert scores["place"]["observed"] == 1 and scores["place"]["ratio"] > 2
    assert scores["adversarial_gap"] > 0.05


def test_chance_of_a_likely_kind_equals_a_simulation(data):
    """Kinds drawn by frequency among the absent ones are likely for their place as often as `expected` says."""
    rng = np.random.default_rng(0)
    frequency = {kind: sum(kind in kinds for kinds in data.truth.values()) for kind in KINDS}
    hits, captions = [], []
    for name, scene in data.scenes.items():
        absent = [kind for kind in KINDS if kind not in scene.kinds() and frequency[kind]]
        weights = np.array([frequency[kind] for kind in absent], dtype=float)
        draws = rng.choice(absent, size=400, p=weights / weights.sum())
        hits.append(np.mean([kind in TYPICAL[scene.place] for kind in draws]))
        captions.append(Answer(name, f"There is a {absent[0]}."))  # one hallucination a caption
    share = place_share(captions, data)
    assert share["n"] == len(captions)
    assert share["expected"] == pytest.approx(np.mean(hits), abs=0.02)

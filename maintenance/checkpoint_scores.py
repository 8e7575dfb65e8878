"""What the shipped models get right and wrong in Diorama, on scenes that no training has seen.

Captions by CHAIR, existence by POPE's three samplings, short answers, and differences between two pictures; whether a
hallucinated thing is one that the place makes likely; and how tiny-clip orders pictures. Truth is exact, so no judge
is needed.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from mmhallu_core.evaluate.chair import chair_mentions, score_chair
from mmhallu_core.evaluate.diorama.exam import HeldOut, caption, world_vocabulary
from mmhallu_core.evaluate.pope import SAMPLINGS, sample_questions, score_pope
from mmhallu_core.models.tiny_clip import TinyClip
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.statistics import auc, ratio, ratio_interval, wilson_interval
from mmhallu_core.types import Answer, YesNoQuestion
from mmhallu_core.world.edits import CATEGORIES, sample_edit
from mmhallu_core.world.language import difference, difference_questions, questions
from mmhallu_core.world.prior import TYPICAL, sample_scene
from mmhallu_core.world.render import render

SAME = "Are the two images the same?"


def place_share(captions: Sequence[Answer], data: HeldOut) -> dict[str, Any]:
    """How often a hallucinated kind is one that the place makes likely, against what chance would give.

    Chance: the kind is drawn by its frequency in all scenes, among the kinds absent from this one. `ratio` above 1
    means that hallucinations follow the place.
    """
    frequency = Counter(kind for kinds in data.truth.values() for kind in kinds)
    likely, expected = [], []
    for one in captions:
        present, typical = set(data.truth[one.id]), TYPICAL[data.scenes[one.id].place]
        absent = {kind: count for kind, count in frequency.items() if kind not in present}
        chance = sum(absent.get(kind, 0) for kind in typical) / sum(absent.values())
        for mention in chair_mentions(one.answer, present, world_vocabulary(), "fixed"):
            if mention.hallucinated:
                likely.append(mention.object in typical)
                expected.append(chance)
    if not likely:
        return {"n": 0, "observed": None, "expected": None, "ratio": None, "ci": None}
    return {
        "n": len(likely),
        "observed": float(np.mean(likely)),
        "expected": float(np.mean(expected)),
        "ratio": ratio(float(np.sum(likely)), float(np.sum(expected))),
        "ci": ratio_interval(np.array(likely, dtype=float), np.array(expected)),
    }


def pope(model: Vlm, data: HeldOut, progress: str | None = "questions") -> dict[str, Any]:
    """POPE with random, popular and adversarial sampling; a question that stands in several is asked once."""
    samples = {sampling: sample_questions(data.truth, sampling) for sampling in SAMPLINGS}
    unique = list({(q.image_id, q.question) for questions in samples.values() for q in questions})
    unique.sort()
    said = model.answer([data.images[image] for image, _ in unique], [q for _, q in unique], 4, 64, progress=progress)
    answers = dict(zip(unique, said, strict=True))

    def score(questions: list[YesNoQuestion]) -> dict[str, Any]:
        return score_pope(questions, [Answer(q.id, answers[q.image_id, q.question]) for q in questions])

    return {sampling: score(questions) for sampling, questions in samples.items()}


def evaluate(model: Vlm, data: HeldOut, progress: bool = True) -> dict[str, Any]:
    """All scores of one model, each with its interval.

    Returns:
        `chair` (see `score_chair`), `place` (see `place_share`), `pope` (sampling to `score_pope`), and
        `adversarial_gap`, accuracy under random minus under adversarial sampling.
    """
    captions = caption(model, data, "captions" if progress else None)
    scores = pope(model, data, "questions" if progress else None)
    return {
        "model": model.name,
        "scenes": len(data.scenes),
        "chair": score_chair(captions, data.truth, world_vocabulary(), "fixed"),
        "place": place_share(captions, data),
        "pope": scores,
        "adversarial_gap": scores["random"]["strict"]["accuracy"] - scores["adversarial"]["strict"]["accuracy"],
    }


# ---------------------------------------------------------------- short answers, and two pictures


def _rows(right: dict[str, list[bool]]) -> dict[str, Any]:
    return {
        name: {"n": len(hits), "accuracy": sum(hits) / len(hits), "ci": wilson_interval(sum(hits), len(hits))}
        for name, hits in sorted(right.items())
    }


def short_answers(model: Vlm, data: HeldOut) -> dict[str, Any]:
    """Accuracy by kind of question, exact match with the true answer.

    Returns:
        kind of question to `{n, accuracy, ci}`.
    """
    asked: list[tuple[Image.Image, Any]] = []
    for name, scene in data.scenes.items():
        rng = random.Random(f"0/{name}")
        asked += [(data.images[name], question) for question in questions(scene, rng, 4)]
    said = model.answer([image for image, _ in asked], [q.text for _, q in asked], 24, 64, progress="short answers")
    right: dict[str, list[bool]] = defaultdict(list)
    for (_, question), answer in zip(asked, said, strict=True):
        right[question.kind].append(answer == question.answer)
        right["all"].append(answer == question.answer)
    return _rows(right)


def differences(model: Vlm, per_category: int = 30) -> dict[str, Any]:
    """Two pictures, one micro-edit: the free answer (exact), the lettered one, and whether they are the same.

    Returns:
        `free`, `lettered` and `same` with `{n, accuracy, ci}`, and `by_category` for free answers.
    """
    pairs, texts, wanted, names = [], [], [], []
    for category in CATEGORIES:
        for number in range(per_category):
            edit = sample_edit(category, f"test/difference/{number}")
            rng = random.Random(f"test/{category}/{number}")
            before, after = (render(scene, 96).image for scene in (edit.before, edit.after))
            lettered = difference_questions(edit, rng)[1]
            rows = (
                ("free", (before, after), "What is different between the two images?", difference(edit).text),
                ("lettered", (before, after), lettered.text, lettered.answer),
                ("same", (before, after), SAME, "No."),
                ("same", (before, before), SAME, "Yes."),
            )
            for name, images, text, answer in rows:
                names.append((name, category))
                pairs.append(images)
                texts.append(text)
                wanted.append(answer)
    said = model.answer(pairs, texts, 40, 32, progress="differences")
    right: dict[str, list[bool]] = defaultdict(list)
    by_category: dict[str, list[bool]] = defaultdict(list)
    for (name, category), answer, true in zip(names, said, wanted, strict=True):
        right[name].append(answer == true)
        if name == "free":
            by_category[category].append(answer == true)
    return {**_rows(right), "by_category": _rows(by_category)}


def clip_order(clip: TinyClip, per_category: int = 40, split: str = "test") -> dict[str, Any]:
    """Does tiny-clip order pictures rightly: the same picture above a micro-edit, a micro-edit above another scene?

    Args:
        clip: the model.
        per_category: micro-edits in each of the eleven categories.
        split: names the scenes; no split shares one with training.

    Returns:
        `n`; `mean` similarity of `identical`, `redrawn` (drawn at twice the size, then reduced), `edited` and
        `other` (another scene) pairs; `auc` of `identical_over_edited`, `redrawn_over_edited`,
        `edited_over_other`; `edited_over_other_by_category`.
    """
    pictures: dict[str, list] = {"before": [], "redrawn": [], "edited": [], "other": []}
    categories = []
    for category in CATEGORIES:
        for number in range(per_category):
            edit = sample_edit(category, f"{split}/clip/{number}")
            other = sample_scene(f"{split}/clip/{category}/{number}/other")
            pictures["before"].append(render(edit.before, 96).image)
            pictures["redrawn"].append(render(edit.before, 192).image)
            pictures["edited"].append(render(edit.after, 96).image)
            pictures["other"].append(render(other, 96).image)
            categories.append(category)
    embedded = {name: clip.embed_images(images) for name, images in pictures.items()}
    similarity = {name: (embedded["before"] * embedded[name]).sum(-1).double().numpy() for name in embedded}
    similarity["identical"] = similarity.pop("before")

    def of(name: str, category: str):
        return similarity[name][[i for i, one in enumerate(categories) if one == category]]

    return {
        "n": len(categories),
        "mean": {name: float(values.mean()) for name, values in similarity.items()},
        "auc": {
            "identical_over_edited": auc(similarity["identical"], similarity["edited"]),
            "redrawn_over_edited": auc(similarity["redrawn"], similarity["edited"]),
            "edited_over_other": auc(similarity["edited"], similarity["other"]),
        },
        "edited_over_other_by_category": {
            category: auc(of("edited", category), similarity["other"]) for category in CATEGORIES
        },
    }

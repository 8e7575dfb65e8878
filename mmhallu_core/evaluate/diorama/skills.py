"""Short answers and two-picture differences in Diorama: what tiny-llava can do besides captions."""

import random
from collections import defaultdict
from typing import Any

from PIL import Image

from mmhallu_core.evaluate.diorama.exam import HeldOut
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.statistics import wilson_interval
from mmhallu_core.world.edits import CATEGORIES, sample_edit
from mmhallu_core.world.language import difference, difference_questions, questions
from mmhallu_core.world.prior import PRIOR
from mmhallu_core.world.render import render

SAME = "Are the two images the same?"


def _rows(right: dict[str, list[bool]]) -> dict[str, Any]:
    return {
        name: {"n": len(hits), "accuracy": sum(hits) / len(hits), "ci": wilson_interval(sum(hits), len(hits))}
        for name, hits in sorted(right.items())
    }


def short_answers(model: Vlm, data: HeldOut, per_image: int = 4, seed: int = 0) -> dict[str, Any]:
    """Accuracy by kind of question, exact match with the true answer.

    Returns:
        kind of question to `{n, accuracy, ci}`.
    """
    asked: list[tuple[Image.Image, Any]] = []
    for name, scene in data.scenes.items():
        rng = random.Random(f"{seed}/{name}")
        asked += [(data.images[name], question) for question in questions(scene, rng, per_image)]
    said = model.answer([image for image, _ in asked], [q.text for _, q in asked], 24, 64, progress="short answers")
    right: dict[str, list[bool]] = defaultdict(list)
    for (_, question), answer in zip(asked, said, strict=True):
        right[question.kind].append(answer == question.answer)
        right["all"].append(answer == question.answer)
    return _rows(right)


def differences(model: Vlm, per_category: int = 30, split: str = "test", prior: float = PRIOR) -> dict[str, Any]:
    """Two pictures, one micro-edit: the free answer (exact), the lettered one, and whether they are the same.

    Returns:
        `free`, `lettered` and `same` with `{n, accuracy, ci}`, and `by_category` for free answers.
    """
    pairs, texts, wanted, names = [], [], [], []
    for category in CATEGORIES:
        for number in range(per_category):
            edit = sample_edit(category, f"{split}/difference/{number}", prior=prior)
            rng = random.Random(f"{split}/{category}/{number}")
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

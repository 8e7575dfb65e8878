"""POPE: is there a dog in the image? The rules, and why the three samplings differ, are in `evaluate/pope.py`.

Source: Li et al., "Evaluating Object Hallucination in Large Vision-Language Models", arXiv 2305.10355. Each published
file has 3,000 questions about 500 photos of COCO val2014; a question's number comes again in each file. So where all
three are read together, ids are `random/1`, `popular/1`, ...
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mmhallu_core.data.pope import SPLITS, pope_questions, read_questions
from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.answers import YES_NO, Reading
from mmhallu_core.evaluate.answers import strict as strict_reading
from mmhallu_core.evaluate.benchmark import Benchmark, Metric, Metrics, guessing, rate
from mmhallu_core.evaluate.pope import parts
from mmhallu_core.types import YesNoQuestion


def read(path: Path | None) -> list[Question]:
    """Reads one file of questions, or the three published ones from the data folder.

    Raises:
        RecordError: names file and line of what is wrong.
        MissingFile: when no path is given and the files are not in the data folder.
    """
    if path is not None:
        return [as_question(one) for one in read_questions(path)]
    return [as_question(one, split) for split in SPLITS for one in pope_questions(split)]


def as_question(one: YesNoQuestion, split: str = "") -> Question:
    """POPE's record as a question to ask; COCO's picture numbers become file names."""
    name = f"COCO_val2014_{int(one.image_id):012d}.jpg" if one.image_id.isdigit() else one.image_id
    about = {"split": split} if split else {}
    return Question(f"{split}/{one.id}" if split else one.id, one.question, one.label, (name,), (), about)


def _scores(questions: Sequence[Question], texts: Sequence[str], read_text: Callable[[str], Reading]) -> Metrics:
    said = np.array([read_text(text) or "" for text in texts])
    label = np.array([question.truth == "yes" for question in questions])
    pictures = [question.picture for question in questions]
    counted = parts(label, said == "yes", said == "no")
    return {name: Metric(top, bottom, pictures) for name, (top, bottom) in counted.items()}


def official(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """The five metrics by the published reading, under which what is not a no is a yes."""
    return _scores(questions, texts, YES_NO["POPE"])


def strict(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """The five metrics by the strict reading, and the share of answers that it cannot read."""
    unparsed = [strict_reading(text) is None for text in texts]
    return {**_scores(questions, texts, strict_reading), "unparsed": rate(unparsed, questions)}


BENCHMARKS = (
    Benchmark(
        name="pope",
        title="POPE: yes/no questions about single objects, three samplings of the absent ones",
        home="https://github.com/AoiDragon/POPE",
        licence="MIT",
        form="yes_no",
        headline="accuracy",
        read=read,
        official=official,
        strict=strict,
        chance=guessing,
    ),
)

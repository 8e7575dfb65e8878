"""POPE: is there a dog in the image? The rules, and why the three samplings differ, are in `evaluate/pope.py`.

Source: Li et al., "Evaluating Object Hallucination in Large Vision-Language Models", arXiv 2305.10355. Each published
file has 3,000 questions about 500 photos of COCO val2014; a question's number comes again in each file. So where all
three are read together, ids are `random/1`, `popular/1`, ...
"""

from pathlib import Path

from mmhallu_core.data.pope import SPLITS, pope_questions, read_questions
from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.benchmark import Benchmark
from mmhallu_core.evaluate.pope import as_question, official, strict


def read(path: Path | None) -> list[Question]:
    """Reads one file of questions, or the three published ones from the data folder.

    Raises:
        RecordError: names file and line of what is wrong.
        MissingFile: when no path is given and the files are not in the data folder.
    """
    if path is not None:
        return [as_question(one) for one in read_questions(path)]
    return [as_question(one, split) for split in SPLITS for one in pope_questions(split)]


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
    ),
)

"""POPE and CHAIR as benchmarks: the same numbers as their own commands give."""

import json
import os

import pytest
from bench_contract import answered, check

from mmhallu_core.data.pope import read_questions
from mmhallu_core.evaluate.benchmark import score
from mmhallu_core.evaluate.benchmarks.chair import with_words
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.evaluate.diorama.exam import world_vocabulary
from mmhallu_core.evaluate.pope import METRICS, score_pope
from mmhallu_core.types import Answer

needs_data = pytest.mark.skipif(not os.environ.get("MMHALLU_DATA"), reason="MMHALLU_DATA is not set: no public data")


def written(folder):
    """A file in POPE's published form."""
    path = folder / "questions.json"
    rows = [
        {"question_id": n, "image": f"COCO_val2014_{n // 3:012d}.jpg", "text": f"Is there a {name} in the image?",
         "label": "yes" if n % 2 else "no"}
        for n, name in enumerate(("dog", "cat", "car", "cup", "bus", "bed"), start=1)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_pope_contract(tmp_path):
    pope = benchmark("pope")
    check(pope, pope.read(written(tmp_path)))


def test_pope_equals_its_own_command(tmp_path):
    pope, path = benchmark("pope"), written(tmp_path)
    questions = pope.read(path)
    said = answered(questions, lambda q: ["Yes", "no way", "NO", ""][int(q.id) % 4])
    found, own = score(pope, questions, said), score_pope(read_questions(path), said)
    for rule in ("official", "strict"):
        for metric in METRICS:
            assert found[rule][metric] == own[rule][metric]
            assert found["ci"][rule][metric] == own["ci"][rule][metric]


@needs_data
def test_the_three_published_files_together():
    pope = benchmark("pope")
    questions = pope.read(None)
    assert len(questions) == 9000 and len({question.images for question in questions}) == 500
    found = score(pope, questions, answered(questions, lambda q: "Yes"), draws=20)
    assert found["official"] == {"accuracy": 0.5, "precision": 0.5, "recall": 1.0, "f1": 2 / 3, "yes_ratio": 1.0}


def test_chair_contract_and_by_hand(tmp_path):
    truth = {"a": ["dog", "tree"], "b": ["cat"], "c": []}
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth), encoding="utf-8")
    chair = with_words(world_vocabulary())
    questions = chair.read(path)
    check(chair, questions)
    captions = [Answer("a", "A dog beside a car."), Answer("b", "A cat."), Answer("c", "")]
    found = score(chair, questions, captions, draws=20)
    assert found["strict"]["chair_i"] == pytest.approx(1 / 3) and found["strict"]["chair_s"] == pytest.approx(1 / 3)
    assert found["strict"]["recall"] == pytest.approx(2 / 3) and found["strict"]["unparsed"] == pytest.approx(1 / 3)

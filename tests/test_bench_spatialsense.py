"""SpatialSense: accuracy over the test split and over each relation."""

import json
import random

import pytest
from bench_contract import answered, check

from mmhallu_core.evaluate.benchmark import score
from mmhallu_core.evaluate.benchmarks.spatialsense import RELATIONS, read
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.types import CannotRun, RecordError

ODD = ["", "Yes", "No", "yes.", "NO", "True", "Not really, no.", "yes and no", "It is", "unknown", "Yes: on top"]


def written(folder, relations=RELATIONS, label=None):
    """`annotations.json` in its published form: a list of pictures, each with its relations."""
    dice = random.Random(0)
    pictures = [
        {
            "url": f"https://farm.example/{number}.jpg" if number % 2 else f"images/nyu/{number}.png",
            "nsid": "1@N03", "height": 500, "width": 281, "split": ("train", "valid", "test", "test")[number % 4],
            "annotations": [
                {
                    "_id": f"{number:02x}{place:02x}", "predicate": dice.choice(relations),
                    "subject": {"name": "cat ", "x": 1, "y": 2, "bbox": [1, 5, 1, 5]},
                    "object": {"name": "wooden table", "x": 1, "y": 2, "bbox": [1, 5, 1, 5]},
                    "label": dice.random() < 0.5 if label is None else label,
                }
                for place in range(4)
            ],
        }
        for number in range(24)
    ]  # fmt: skip
    path = folder / "annotations.json"
    path.write_text(json.dumps(pictures), encoding="utf-8")
    return path


def by_hand(path, texts):
    """The published measure read once more: counts of right and wrong, overall and by relation."""
    counts = {}
    for picture in json.loads(path.read_text(encoding="utf-8")):
        if picture["split"] != "test":
            continue
        for one in picture["annotations"]:
            text = texts[one["_id"]].lower()
            words = text.replace(".", "").replace(",", "").split()  # a colon stays with its word
            said = {(True, False): True, (False, True): False}.get(("yes" in words, "no" in words))
            for key in ("overall", one["predicate"]):
                right, wrong = counts.get(key, (0, 0))
                hit = said is not None and said == one["label"]
                counts[key] = (right + hit, wrong + (not hit))
    return {key: right / (right + wrong) for key, (right, wrong) in counts.items()}


def test_contract(tmp_path):
    bench = benchmark("spatialsense")
    questions = bench.read(written(tmp_path))
    assert len(questions) == 48 == len(read(tmp_path)) and len(read(tmp_path, "train")) == 24
    check(bench, questions)


@pytest.mark.parametrize("seed", range(10))
def test_scores_are_the_published_measure(tmp_path, seed):
    bench, path, dice = benchmark("spatialsense"), written(tmp_path), random.Random(seed)
    questions = bench.read(path)
    said = answered(questions, lambda q: dice.choice(ODD if seed else [""]))
    found = score(bench, questions, said, draws=20)["official"]
    expected = by_hand(path, {one.id: one.answer for one in said})
    assert found == {{"overall": "accuracy"}.get(key, key.replace(" ", "_")): value for key, value in expected.items()}


def test_a_relation_becomes_a_question(tmp_path):
    question = benchmark("spatialsense").read(written(tmp_path, ["to the left of"]))[0]
    assert question.prompt == "Is the cat to the left of the wooden table? Please answer yes or no."
    assert question.about == {"relation": "to the left of", "subject": "cat", "object": "wooden table"}
    assert question.images == (str(tmp_path / "images" / "nyu" / "2.png"),)
    assert benchmark("spatialsense").read(tmp_path)[4].images == (str(tmp_path / "images" / "flickr" / "3.jpg"),)


def test_files_of_another_form_are_refused(tmp_path):
    bench = benchmark("spatialsense")
    with pytest.raises(CannotRun, match="mmhallu data get"):
        bench.read(None)
    with pytest.raises(RecordError, match="no relation 'beside'"):
        bench.read(written(tmp_path, ["beside"]))
    with pytest.raises(RecordError, match="must be true or false, got 'True'"):
        bench.read(written(tmp_path, label="True"))
    with pytest.raises(RecordError, match="no questions of the split 'dev'"):
        read(written(tmp_path), "dev")

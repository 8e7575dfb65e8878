"""R-Bench: the mean over five drawn subsets, by POPE's reading."""

import io
import json
import random

import numpy as np
import pytest
from bench_contract import answered, check, right_answer
from PIL import Image

from mmhallu_core.evaluate.benchmark import score
from mmhallu_core.evaluate.benchmarks.rbench import with_boxes
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.types import Answer, CannotRun, RecordError

ODD = [
    "",
    "Yes",
    "No",
    "yes",
    "no.",
    "NO",
    "Not sure",
    "There is no cat",
    "Yes. No.",
    "No, but yes",
    "None",
    "yes, not",
]


def written(folder, level="image", number=40, seed=0):
    """The published form: a file of questions, and five files of drawn ids, one of them with an id that comes twice."""
    dice = random.Random(seed)
    questions = [
        {
            "question_id": name, "image": f"{name // 4}.jpg", "text": "Is the Man holding the red ball?",
            "label": dice.choice(["Yes", "yes", "No", "no"]), "qtype": "positive", "subject": "Red ball",
            "object": "man", "sub_box": [0.1, 0.1, 0.5, 0.5], "obj_box": [0.5, 0.25, 0.9, 0.75],
        }
        for name in range(number)
    ]  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / f"{level}-level_filterd.json").write_text(json.dumps(questions), encoding="utf-8")
    for subset in range(1, 6):
        ids = dice.sample(range(number), number // 2) + [3, 3] * (subset == 2)
        name = f"nocaps_{level}-level_rel_ids_{subset}.json" if level == "image" else f"{level}-level_ids_{subset}.json"
        (folder / name).write_text(json.dumps(ids), encoding="utf-8")
    return folder


def by_hand(folder, texts):
    """The published rule read once more; `texts` by question id."""
    rows = json.loads((folder / "image-level_filterd.json").read_text(encoding="utf-8"))
    label = {row["question_id"]: "no" not in row["label"].lower() for row in rows}
    results = []
    for subset in range(1, 6):
        path = folder / f"nocaps_image-level_rel_ids_{subset}.json"
        tp = fp = tn = fn = 0
        for name in json.loads(path.read_text(encoding="utf-8")):
            if name not in texts:
                continue
            words = texts[name].split(".")[0].replace(",", "").split(" ")
            yes = not ("No" in words or "not" in words or "no" in words)
            tp, fp = tp + (yes and label[name]), fp + (yes and not label[name])
            tn, fn = tn + (not yes and not label[name]), fn + (not yes and label[name])
        precision, recall = tp / (tp + fp + 0.00001), tp / (tp + fn + 0.00001)
        f1 = 2 * precision * recall / (precision + recall + 0.00001)
        n = tp + fp + tn + fn
        results.append([(tp + tn) / n, precision, recall, f1, (tp + fp) / n])
    means = np.round(np.mean(np.array(results) * 100, axis=0), decimals=2)
    return dict(zip(("accuracy", "precision", "recall", "f1", "yes_ratio"), means.tolist(), strict=True))


@pytest.mark.parametrize("level", ["image", "instance"])
def test_contract(tmp_path, level):
    bench = benchmark({"image": "rbench", "instance": "rbench-instance"}[level])
    questions = bench.read(written(tmp_path, level))
    assert len(questions) == 40 and questions[3].about["subsets"][1] >= 2
    check(bench, questions)


@pytest.mark.parametrize("seed", range(20))
def test_scores_are_the_published_rule_to_the_last_digit(tmp_path, seed):
    bench, dice, folder = benchmark("rbench"), random.Random(seed), written(tmp_path, seed=seed)
    questions = bench.read(folder)
    kinds = [ODD, ["Yes"], ["No"], [""]][seed % 4]
    said = {name: dice.choice(kinds) for name in range(len(questions)) if dice.random() < 0.9}  # some go unanswered
    answers = [Answer(str(name), text) for name, text in said.items()]
    found = score(bench, questions, answers, subset=True, draws=20)["official"]
    for name, value in by_hand(folder, said).items():
        assert round(100 * found[name], 2) == value, name


def test_strict_scores_are_means_over_subsets_too(tmp_path):
    bench = benchmark("rbench")
    questions = bench.read(written(tmp_path))
    found = score(bench, questions, answered(questions, lambda _: "It is hard to say"), draws=20)["strict"]
    assert found["accuracy"] == found["recall"] == found["yes_ratio"] == 0
    assert found["unparsed"] == 1 and found["precision"] == found["f1"] == 0  # beside a no it is a false yes
    half = score(bench, questions, answered(questions, lambda q: "Yes" if q.truth == "yes" else "?"), draws=20)[
        "strict"
    ]
    assert half["recall"] == 1 and half["precision"] == pytest.approx(half["accuracy"]) and half["f1"] < 1
    shares = []
    for subset in range(5):
        drawn = [(one, one.about["subsets"][subset]) for one in questions]
        hits = sum(times for one, times in drawn if one.truth == "yes")
        shares.append(hits / sum(times for _, times in drawn))
    always = score(bench, questions, answered(questions, lambda _: "Yes"), draws=20)
    assert always["strict"]["accuracy"] == always["blind"]["always_yes"] == pytest.approx(sum(shares) / 5)
    assert always["strict"]["all_accuracy"] == sum(one.truth == "yes" for one in questions) / len(questions)


def test_without_the_files_of_ids_all_questions_are_one_subset(tmp_path):
    bench, folder = benchmark("rbench"), written(tmp_path)
    for path in folder.glob("*ids_*.json"):
        path.unlink()
    questions = bench.read(folder / "image-level_filterd.json")
    dice = random.Random(1)
    found = score(bench, questions, answered(questions, lambda q: dice.choice(ODD)), draws=20)["strict"]
    assert found["accuracy"] == pytest.approx(found["all_accuracy"])


def test_the_boxes_that_a_question_speaks_of_are_drawn(tmp_path):
    questions = benchmark("rbench-instance").read(written(tmp_path, "instance"))
    assert questions[0].prompt == "Is the Man holding the red ball in red bounding box?"  # "Man" is not "man"
    assert with_boxes(questions[0]) is questions[0]  # the picture is not here: the runner will say so
    (tmp_path / "images").mkdir()
    Image.new("RGB", (200, 100), "white").save(tmp_path / "images" / "0.jpg")
    drawn = with_boxes(questions[0])
    assert drawn.picture == questions[0].picture and drawn.prompt == questions[0].prompt
    with Image.open(io.BytesIO(drawn.images[0])) as picture:
        assert picture.getpixel((20, 30)) == (255, 0, 0) and picture.getpixel((100, 60)) == (0, 128, 0)
        assert picture.getpixel((60, 30)) == (255, 255, 255)


def test_files_of_another_form_are_refused(tmp_path):
    bench, folder = benchmark("rbench"), written(tmp_path)
    with pytest.raises(CannotRun, match="mmhallu data get"):
        bench.read(None)
    (folder / "nocaps_image-level_rel_ids_5.json").write_text("[1, 4000]", encoding="utf-8")
    with pytest.raises(RecordError, match="no questions of these drawn ids: 4000"):
        bench.read(folder)
    (folder / "nocaps_image-level_rel_ids_5.json").unlink()
    with pytest.raises(RecordError, match="expected five files of image-level ids"):
        bench.read(folder)


def test_a_perfect_model_has_all_but_the_constant(tmp_path):
    bench = benchmark("rbench")
    questions = bench.read(written(tmp_path))
    found = score(bench, questions, answered(questions, right_answer), draws=50)
    assert found["official"]["f1"] == 1 and found["strict"]["f1"] == 1
    assert found["ci"]["strict"]["f1"] == pytest.approx([1, 1])

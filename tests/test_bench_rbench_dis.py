"""R-Bench-Dis and R-Bench-Ref: lettered questions in VLMEvalKit's table."""

import base64
import csv
import io
import random

import pytest
from bench_contract import answered, check
from PIL import Image

from mmhallu_core.evaluate.benchmark import score
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.types import CannotRun, RecordError

WORDS = ("Cat", "Red bus", "Two", "Left")


def written(folder, answer=None):
    png = io.BytesIO()
    Image.new("RGB", (2, 2)).save(png, "PNG")
    path, dice = folder / "R-bench-dis.tsv", random.Random(0)
    with open(path, "w", encoding="utf-8", newline="") as out:
        table = csv.DictWriter(out, ["index", "question", *"ABCD", "answer", "image"], delimiter="\t")
        table.writeheader()
        for number in range(12):
            options = dict(zip("ABCD"[: 2 + number % 3], dice.sample(WORDS, 4), strict=False))
            right = answer or dice.choice(list(options))
            image = base64.b64encode(png.getvalue()).decode()
            row = {"index": number, "question": "What is it?", "answer": right, "image": image}
            table.writerow({**dict.fromkeys("ABCD", ""), **row, **options})
    return path


def by_hand(question, text):
    """VLMEvalKit's reading once more, for texts without a refusal."""
    spaced = "".join(" " if mark in ".()[],:;!*#{}" else mark for mark in text)
    words = spaced.split()
    letters = [letter for letter in question.choices if words.count(letter)]
    if len(letters) == 1:
        return letters[0] if words.index(letters[0]) > len(words) - 5 else _named(question, text)
    return _named(question, text) if letters or "Z" not in words else None


def _named(question, text):
    if len(text) > 2 * sum(len(option) for option in question.choices.values()):
        return None
    named = [letter for letter, option in question.choices.items() if option.lower() in text.lower()]
    return named[0] if len(named) == 1 else None


@pytest.mark.parametrize("name", ["rbench-dis", "rbench-ref"])
def test_contract(tmp_path, name):
    questions = benchmark(name).read(written(tmp_path))
    assert {len(one.options) for one in questions} == {2, 3, 4} and questions[0].images[0].startswith(b"\x89PNG")
    check(benchmark(name), questions)


@pytest.mark.parametrize("seed", range(10))
def test_accuracy_is_vlmevalkits(tmp_path, seed):
    bench, dice = benchmark("rbench-dis"), random.Random(seed)
    questions = bench.read(written(tmp_path))
    odd = [
        "",
        "A",
        "B.",
        "(C)",
        "D: Left",
        "A or B",
        "Z",
        "It is a cat",
        "red bus",
        "A cat that I see over there",
        "two",
    ]
    said = answered(questions, lambda q: dice.choice(odd))
    right = [by_hand(q, a.answer) == q.truth for q, a in zip(questions, said, strict=True)]
    assert score(bench, questions, said, draws=20)["official"]["accuracy"] == sum(right) / 12


def test_vlmevalkit_reads_a_stated_letter_since_june_2026(tmp_path):
    """A letter far from the end, and options' texts that a long answer cannot be searched for."""
    bench = benchmark("rbench-dis")
    questions = bench.read(written(tmp_path))
    said = answered(questions, lambda q: f"The correct answer is **{q.truth}**, {'which is plain to see ' * 9}")
    found = score(bench, questions, said, draws=20)["official"]
    assert (found["accuracy"], found["accuracy_june_2026"]) == (0, 1)


def test_files_of_another_form_are_refused(tmp_path):
    with pytest.raises(CannotRun, match="mmhallu data get"):
        benchmark("rbench-ref").read(None)
    with pytest.raises(RecordError, match="line 2: `answer` 'E' is no option"):
        benchmark("rbench-ref").read(written(tmp_path, answer="E"))

"""BLINK: subtasks of different sizes, questions with different numbers of options, several pictures."""

import json
import random

import pytest
from bench_contract import answered, check

from mmhallu_core.data.picture_cells import picture
from mmhallu_core.evaluate.benchmark import score
from mmhallu_core.evaluate.benchmarks import benchmark
from mmhallu_core.types import CannotRun, RecordError

SAID = ["A", "(B)", "( c )", "The answer is B", "D.", "", "(((A", "1. B", "b) yes", "Éa", "E", "  (D", "not sure"]


def rows(n=17):
    found = []
    for number in range(n):
        choices = ["left", "right", "up", "down", "none"][: 2 + number % 4]
        task = ("Counting", "Art_Style", "Multi-view_Reasoning")[0 if number % 2 else number % 3]
        row = {"idx": f"val_{task}_{number}", "sub_task": task, "choices": choices, "question": "?", "explanation": ""}
        row |= {f"image_{k}": f"{number}_{k}.jpg" if k <= 1 + number % 4 else None for k in range(1, 5)}
        prompt = "Which? " + " ".join(f"({letter}) {text}" for letter, text in zip("ABCDE", choices, strict=False))
        found.append(row | {"prompt": prompt, "answer": f"({'ABCDE'[number % len(choices)]})"})
    return found


def written(folder, n=17):
    path = folder / "val.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows(n)), encoding="utf-8")
    return path


def first_letter(text):
    """lmms-eval's rule: brackets and blanks are skipped, then a plain letter must stand there."""
    rest = text.strip()
    while rest and (rest[0] == "(" or rest[0].isspace()):
        rest = rest[1:]
    return rest[0].upper() if rest and rest[0].upper() in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" and rest[0].isascii() else None


def test_contract(tmp_path):
    blink = benchmark("blink")
    questions = blink.read(written(tmp_path))
    check(blink, questions)
    assert questions[2].images == ("2_1.jpg", "2_2.jpg", "2_3.jpg")  # not there: --images says where
    (tmp_path / "2_2.jpg").write_bytes(b"")
    assert blink.read(written(tmp_path))[2].images == ("2_1.jpg", str(tmp_path / "2_2.jpg"), "2_3.jpg")
    assert questions[3].truth == "D" and len(questions[3].choices) == 5


@pytest.mark.parametrize("seed", range(3))
def test_the_official_rule_against_a_second_reading(tmp_path, seed):
    blink, dice = benchmark("blink"), random.Random(seed)
    questions = blink.read(written(tmp_path))
    said = {row["idx"]: dice.choice(SAID) for row in rows()}
    found = score(blink, questions, answered(questions, lambda q: said[q.id]), draws=20)
    tasks = {}
    for row in rows():
        tasks.setdefault(row["sub_task"], []).append(first_letter(said[row["idx"]]) == row["answer"][1])
    every = [hit for hits in tasks.values() for hit in hits]
    assert found["official"]["accuracy"] == pytest.approx(sum(every) / len(every), abs=1e-12)
    by_hand = sum(sum(hits) / len(hits) for hits in tasks.values()) / len(tasks)
    assert found["official"]["mean_of_subtasks"] == pytest.approx(by_hand, abs=1e-12)
    assert found["official"]["multi_view_reasoning"] == pytest.approx(
        sum(tasks["Multi-view_Reasoning"]) / len(tasks["Multi-view_Reasoning"]), abs=1e-12
    )


def test_chance_is_the_mean_over_subtasks_too(tmp_path):
    blink = benchmark("blink")
    tasks = {}
    for row in rows():
        tasks.setdefault(row["sub_task"], []).append(1 / len(row["choices"]))
    by_hand = sum(sum(one) / len(one) for one in tasks.values()) / len(tasks)
    assert blink.chance(blink.read(written(tmp_path))) == pytest.approx(by_hand, abs=1e-12)
    assert by_hand > 0.25


def test_the_answer_is_a_t_to_the_official_rule(tmp_path):
    blink = benchmark("blink")
    questions = blink.read(written(tmp_path))
    found = score(blink, questions, answered(questions, lambda q: f"The answer is {q.truth}"), draws=20)
    assert found["official"]["accuracy"] == 0 and found["strict"]["accuracy"] == 1


def test_a_folder_of_subtasks_is_read_and_the_test_set_refused(tmp_path):
    import pyarrow
    import pyarrow.parquet

    blink = benchmark("blink")
    with pytest.raises(CannotRun, match="val"):
        blink.read(tmp_path)
    for task in ("Counting", "Art_Style"):
        (tmp_path / task).mkdir()
        kept = [row for row in rows() if row["sub_task"] == task]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(kept), tmp_path / task / "val-00000-of-00001.parquet")
    found = blink.read(tmp_path)
    assert {question.id for question in found} == {row["idx"] for row in rows() if "view" not in row["sub_task"]}
    with pytest.raises(CannotRun, match="BLINK-Benchmark/BLINK"):
        blink.read(None)
    path = tmp_path / "test.jsonl"
    path.write_text(json.dumps(rows()[0] | {"answer": "hidden"}), encoding="utf-8")
    with pytest.raises(RecordError, match="not published"):
        blink.read(path)
    path.write_text(json.dumps(rows()[0] | {"image_1": "no picture"}), encoding="utf-8")
    with pytest.raises(RecordError, match="neither a picture"):
        blink.read(path)


def test_cells_with_pictures(tmp_path):
    assert picture({"bytes": b"x", "path": "a.png"}, "row 1", tmp_path) == b"x"
    assert picture({"bytes": None, "path": "a.png"}, "row 1", tmp_path) == "a.png"
    assert picture(None, "row 1", tmp_path) is picture({"bytes": None, "path": None}, "row 1", tmp_path) is None
    for cell in ("7", "bm8gcGljdHVyZQ==", 7):
        with pytest.raises(RecordError, match="row 1: neither a picture"):
            picture(cell, "row 1", tmp_path)

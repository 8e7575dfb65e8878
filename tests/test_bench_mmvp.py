"""MMVP: pairs count as one."""

import csv
import itertools

import pytest
from bench_contract import answered, check, right_answer

from mmhallu_core.evaluate.benchmark import score
from mmhallu_core.evaluate.benchmarks import benchmark
from mmhallu_core.types import RecordError


def written(folder, pairs=6):
    """A file in the published form; the two questions of a pair have different answers."""
    path = folder / "Questions.csv"
    with open(path, "w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(["lndex", "Question", "Options", "Correct Answer"])
        for number in range(1, 2 * pairs + 1):
            table.writerow([number, "Is the door open?", "(a) Open (b) Closed", "(a)" if number % 2 else "(b)"])
    return path


def test_contract(tmp_path):
    mmvp = benchmark("mmvp")
    check(mmvp, mmvp.read(written(tmp_path)))


def test_a_pair_counts_when_both_its_questions_are_right(tmp_path):
    mmvp = benchmark("mmvp")
    questions = mmvp.read(written(tmp_path, pairs=2))
    for wrong in itertools.product([False, True], repeat=4):
        flipped = {question.id for question, bad in zip(questions, wrong, strict=True) if bad}
        said = answered(questions, lambda q, f=flipped: right_answer(q) if q.id not in f else "BA"[q.truth == "B"])
        found = score(mmvp, questions, said, draws=50)
        by_hand = [not wrong[0] and not wrong[1], not wrong[2] and not wrong[3]]
        for rule in ("official", "strict"):
            assert found[rule]["pair_accuracy"] == sum(by_hand) / 2
            assert found[rule]["accuracy"] == 1 - sum(wrong) / 4


def test_a_subset_scores_whole_pairs_alone(tmp_path):
    mmvp = benchmark("mmvp")
    questions = mmvp.read(written(tmp_path, pairs=2))
    found = score(mmvp, questions, answered(questions[:3], right_answer), subset=True, draws=50)
    assert found["official"]["pair_accuracy"] == 1 and found["coverage"] == 3 / 4


def test_the_article_a_is_a_letter_to_the_official_rule_alone(tmp_path):
    mmvp = benchmark("mmvp")
    questions = mmvp.read(written(tmp_path))
    found = score(mmvp, questions, answered(questions, lambda _: "It is a door."), draws=50)
    assert found["official"]["accuracy"] == 0.5 and found["strict"]["unparsed"] == 1


def test_a_file_of_another_form_is_refused(tmp_path):
    path = written(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("(b)", "/"), encoding="utf-8")
    with pytest.raises(RecordError, match="line 2"):
        benchmark("mmvp").read(path)

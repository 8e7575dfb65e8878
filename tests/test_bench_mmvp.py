"""MMVP: pairs count as one."""

import csv
import itertools

import pytest
from bench_contract import answered, check, right_answer

from mmhallu_core.evaluate.benchmark import score
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.types import Answer, RecordError


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
        judged = answered(questions, lambda q, f=flipped: "no" if q.id in f else "yes")
        found = score(mmvp, questions, said, judged, draws=50)
        by_hand = [not wrong[0] and not wrong[1], not wrong[2] and not wrong[3]]
        for rule, prefix in (("official", ""), ("strict", ""), ("strict", "lmms_eval_"), ("strict", "svco_")):
            assert found[rule][f"{prefix}pair_accuracy"] == sum(by_hand) / 2
            assert found[rule][f"{prefix}accuracy"] == 1 - sum(wrong) / 4


def test_the_official_rule_is_a_judge(tmp_path):
    """Without verdicts it says nothing. With them, what the answers say does not matter, and yes alone counts."""
    mmvp = benchmark("mmvp")
    questions = mmvp.read(written(tmp_path, pairs=4))
    right = answered(questions, right_answer)
    assert score(mmvp, questions, right, draws=20)["official"] is None
    verdicts = ["yes", "YES", "Yes", "yes.", "no", "yes", "Yes, it does", "yes\n"]
    judged = [Answer(question.id, text) for question, text in zip(questions, verdicts, strict=True)]
    found = score(mmvp, questions, right, judged, draws=20)
    assert found["official"]["accuracy"] == 4 / 8 and found["official"]["pair_accuracy"] == 1 / 4
    assert found["strict"]["accuracy"] == 1


def test_pairs_with_wrong_labels_are_scored_with_and_without(tmp_path):
    """150 pairs, of which two, by number (99, 100) and (279, 280), have their answers the wrong way round."""
    mmvp = benchmark("mmvp")
    questions = mmvp.read(written(tmp_path, pairs=150))
    bad = {"99", "100", "279", "280"}
    seen = answered(questions, lambda q: "BA"["AB".index(q.truth)] if q.id in bad else q.truth)  # what pictures show
    judged = answered(questions, lambda q: "no" if q.id in bad else "yes")
    found = score(mmvp, questions, seen, judged, draws=20)
    for rule in ("official", "strict"):
        assert found[rule]["pair_accuracy"] == pytest.approx(148 / 150)
        assert found[rule]["accuracy"] == pytest.approx(296 / 300)
        assert found[rule]["pair_accuracy_without_wrong_labels"] == found[rule]["accuracy_without_wrong_labels"] == 1
    assert found["strict"]["lmms_eval_pair_accuracy"] == 1  # its copy of the questions has them corrected
    assert found["strict"]["svco_pair_accuracy"] == pytest.approx(148 / 150)


def test_a_subset_scores_whole_pairs_alone(tmp_path):
    mmvp = benchmark("mmvp")
    questions = mmvp.read(written(tmp_path, pairs=2))
    found = score(mmvp, questions, answered(questions[:3], right_answer), subset=True, draws=50)
    assert found["strict"]["pair_accuracy"] == 1 and found["coverage"] == 3 / 4


# Answer, then what lmms-eval and S-VCO read: the article "a" is a letter to the one, four characters all to the other.
READ = [("A", "AA"), ("(b)", "BB"), ("It is a door.", "A-"), ("B.", "B-"), (" ( a ) Open", "AA"), ("", "--")]


@pytest.mark.parametrize("text, expected", READ)
def test_two_harnesses_by_name(tmp_path, text, expected):
    mmvp = benchmark("mmvp")
    questions = mmvp.read(written(tmp_path))
    found = score(mmvp, questions, answered(questions, lambda _: text), draws=20)["strict"]
    half = {"A": 0.5, "B": 0.5, "-": 0}
    assert found["lmms_eval_accuracy"] == half[expected[0]] and found["svco_accuracy"] == half[expected[1]]


def test_a_file_of_another_form_is_refused(tmp_path):
    path = written(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("(b)", "/"), encoding="utf-8")
    with pytest.raises(RecordError, match="line 2"):
        benchmark("mmvp").read(path)

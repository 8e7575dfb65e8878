"""`score BENCH`, `audit` and `eval` on the command line: promised keys, and clear errors."""

import json
import os

import pytest
from bench_contract import right_answer
from test_bench_blink import written as blink_file
from test_bench_mmvp import written
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.evaluate.diorama import benchmark

needs_data = pytest.mark.skipif(not os.environ.get("MMHALLU_DATA"), reason="MMHALLU_DATA is not set: no public data")


def run(*words):
    """Runs a command; gives exit code, standard output and standard error."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def files(tmp_path):
    """A published file of MMVP, and answers that are all right."""
    questions = benchmark("mmvp").read(written(tmp_path))
    lines = [json.dumps({"question_id": question.id, "text": right_answer(question)}) for question in questions]
    (tmp_path / "answers.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def test_score_takes_a_benchmark_by_name(files):
    words = ["score", "mmvp", "--questions", files / "Questions.csv", "--answers", files / "answers.jsonl"]
    code, out, _ = run(*words, "--json")
    result = json.loads(out)
    assert code == 0 and set(result) >= {"n", "coverage", "official", "strict", "chance", "blind", "ci"}
    assert result["official"] is None and result["strict"]["pair_accuracy"] == 1 and result["blind"]["always_a"] == 0
    code, out, _ = run(*words)
    assert code == 0 and "pair_accuracy %" in out and "guessing gives 0.250" in out and "--verdicts" in out
    lines = [json.dumps({"question_id": str(number), "text": "yes" if number > 1 else "no"}) for number in range(1, 13)]
    (files / "verdicts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    code, out, _ = run(*words, "--verdicts", files / "verdicts.jsonl", "--json")
    assert code == 0 and json.loads(out)["official"]["pair_accuracy"] == pytest.approx(5 / 6)


def test_it_is_said_how_many_answers_wait_for_a_judge(tmp_path):
    questions, said = blink_file(tmp_path, 4), ["A", "(B)", "The first one.", "no idea"]
    ids = [question.id for question in benchmark("blink").read(questions)]
    lines = [json.dumps({"question_id": name, "text": text}) for name, text in zip(ids, said, strict=True)]
    (tmp_path / "answers.jsonl").write_text("\n".join(lines), encoding="utf-8")
    code, out, _ = run("score", "blink", "--questions", questions, "--answers", tmp_path / "answers.jsonl")
    assert code == 0 and "50.0% of the answers need a judge" in out and "--verdicts" in out


def test_wrong_files_are_refused_with_a_reason(files):
    def fault(text, *more):
        (files / "bad.jsonl").write_text(text, encoding="utf-8")
        words = ["score", "mmvp", "--questions", files / "Questions.csv", "--answers", files / "bad.jsonl", *more]
        code, out, err = run(*words, "--json")
        assert code == 2 and err == f"mmhallu: {json.loads(out)['error']}\n" and err.count("\n") == 1
        return err

    lines = (files / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    assert "no answers in it" in fault("")
    assert "line 1: not JSON" in fault("yes")
    assert "already used in line 1" in fault("\n".join([lines[0], *lines]))
    assert "1 questions without an answer: 1 " in fault("\n".join(lines[1:]))
    assert "answers to no question" in fault("\n".join([*lines, '{"id": "x", "answer": "A"}']))
    assert "cannot be joined by position" in fault("\n".join(lines[1:]), "--by-position")
    words = ["score", "mmvp", "--questions", files / "answers.jsonl", "--answers", files / "answers.jsonl"]
    assert "no `Index` or `lndex`" in run(*words)[2]
    assert "get Questions.csv from" in run("score", "mmvp", "--answers", files / "answers.jsonl")[2]


def test_a_subset_says_how_much_it_covers(files):
    lines = (files / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    (files / "part.jsonl").write_text("\n".join(lines[:4]), encoding="utf-8")
    words = ["score", "mmvp", "--questions", files / "Questions.csv", "--answers", files / "part.jsonl", "--subset"]
    assert json.loads(run(*words, "--json")[1])["coverage"] == pytest.approx(4 / 12)
    assert "(33.3% of all)" in run(*words)[1]


@needs_data
@pytest.mark.parametrize("name, rule, percent", [
    ("med-bench", "most_similar_jaccard", 60.6), ("med-bench", "most_similar_edit", 61.8),
    ("med-bench", "whitespace_then_jaccard", 68.5), ("med-bench", "majority_letter", 31.5),
    ("med-real", "longest", 82.9),
])  # fmt: skip
@pytest.mark.long
def test_audit_of_the_released_files(name, rule, percent):
    code, out, _ = run("audit", name, "--json")
    result = json.loads(out)
    assert code == 0 and set(result) >= {"n", "chance", "rules", "ties", "ci"}
    assert 100 * result["rules"][rule] == pytest.approx(percent, abs=0.1)


@needs_data
def test_audit_of_yes_no_questions():
    code, out, _ = run("audit", "pope", "--json")
    result = json.loads(out)
    assert code == 0 and set(result["rules"]) == {"always_yes", "always_no", "object_prior"}
    assert result["rules"]["always_yes"] == 0.5 and result["chance"] == 0.5


def test_audit_of_an_unknown_benchmark_lists_those_that_there_are():
    code, _, err = run("audit", "nothing")
    assert code == 2 and "no benchmark 'nothing'; there are" in err and "mmvp" in err


@pytest.mark.long
def test_eval_of_a_twin_goes_on_where_it_was_and_scores(tmp_path):
    words = ["eval", "pope-diorama", "--model", "tiny-llava", "--out", tmp_path, "--limit", 40, "--json"]
    code, out, _ = run(*words)
    result = json.loads(out)
    assert code == 0 and (result["n"], result["errors"], result["benchmark"]) == (40, 0, "pope-diorama")
    everything = len(benchmark("pope-diorama").read(None))
    assert result["coverage"] == 40 / everything < 1, "what was not asked is not covered"
    assert result["model"] == "tiny-llava" and result["strict"]["accuracy"] > 0.6
    before = (tmp_path / "answers.jsonl").read_bytes()
    again = json.loads(run(*words)[1])
    assert again["vision_calls"] == result["vision_calls"] and (tmp_path / "answers.jsonl").read_bytes() == before
    assert json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["strict"] == result["strict"]


@pytest.mark.long
def test_pictures_in_a_folder_are_only_for_files(tmp_path):
    words = ["eval", "pope-diorama", "--model", "tiny-llava", "--out", tmp_path / "out", "--images", tmp_path]
    assert "--images is only for pictures that are files" in run(*words)[2]


@pytest.mark.long
def test_eval_without_any_picture_says_where_the_reasons_are(files):
    words = ["eval", "mmvp", "--questions", files / "Questions.csv", "--model", "tiny-llava", "--out", files / "run"]
    code, _, err = run(*words)
    assert code == 2 and "none of the 12 questions could be asked" in err
    assert "there is no picture at" in (files / "run" / "errors.jsonl").read_text(encoding="utf-8")

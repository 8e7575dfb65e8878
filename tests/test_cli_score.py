"""The `score` and `data` commands: the promised keys, tables for people, and exit codes 0, 1 and 2."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmhallu_core.cli import app

needs_data = pytest.mark.skipif(not os.environ.get("MMHALLU_DATA"), reason="MMHALLU_DATA is not set: no public data")

TRUTH = {
    "objects": {"0007": ["dog"], "0008": ["dog", "bus"]},
    "vocabulary": {"terms": {"dog": "dog", "puppy": "dog", "bus": "bus", "cat": "cat"}, "doubles": {}},
}
CAPTIONS = [{"image_id": "0007", "caption": "A puppy and a cat."}, {"image_id": "0008", "caption": "A bus."}]
QUESTIONS = [
    {"question_id": 1, "image": "a.jpg", "text": "Is there a dog in the image?", "label": "yes"},
    {"question_id": 2, "image": "a.jpg", "text": "Is there a cat in the image?", "label": "no"},
]


def run(*words):
    """Runs a command; gives exit code, standard output and standard error."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def files(tmp_path):
    """Small files of every kind that the commands read."""
    contents = {"truth": TRUTH, "captions": CAPTIONS, "questions": QUESTIONS}
    contents["answers"] = [{"question_id": "2", "text": "No."}, {"question_id": "1", "text": "I think so"}]
    for name, content in contents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def test_score_chair_prints_the_promised_keys(files):
    words = ["score", "chair", "--answers", files / "captions.json", "--gt", files / "truth.json", "--json"]
    code, out, _ = run(*words, "--rules", "fixed")
    result = json.loads(out)
    assert code == 0
    assert set(result) >= {"n", "chair_i", "chair_s", "recall", "mean_length", "empty", "rules", "ci"}
    assert (result["n"], result["rules"]) == (2, "fixed")
    assert result["chair_i"] == pytest.approx(1 / 3) and result["chair_s"] == 0.5
    assert result["recall"] == pytest.approx(2 / 3)
    assert json.loads(run(*words)[1])["recall"] == pytest.approx(1 / 3)  # the 2018 rules are the default and lose "bus"


def test_score_chair_prints_a_table_for_people(files):
    code, out, _ = run("score", "chair", "--answers", files / "captions.json", "--gt", files / "truth.json")
    assert code == 0
    assert "chair_s %" in out and "50.00" in out and "95%" in out


def test_score_pope_prints_the_promised_keys(files):
    words = ["score", "pope", "--questions", files / "questions.json", "--answers", files / "answers.json"]
    code, out, _ = run(*words, "--json")
    result = json.loads(out)
    five = {"accuracy", "precision", "recall", "f1", "yes_ratio"}
    assert code == 0 and result["n"] == 2
    assert set(result["official"]) == five and set(result["strict"]) == five | {"unparsed"}
    assert result["official"]["accuracy"] == 1.0 and result["strict"]["accuracy"] == 0.5
    assert result["strict"]["unparsed"] == 0.5 and result["strict"]["precision"] is None
    code, out, _ = run(*words)
    assert code == 0 and "official reading" in out and "unparsed %" in out and "-" in out


@pytest.mark.parametrize(
    "words, fault",
    [
        (["score", "chair", "--gt", "truth.json", "--answers", "nothing.json"], "cannot use .*nothing.json: No such"),
        (["score", "chair", "--gt", "truth.json", "--answers", "answers.json"], "2 of 2 images are not in the ground"),
        (["score", "chair", "--answers", "captions.json"], "mmhallu data get chair"),
        (["score", "pope", "--questions", "answers.json", "--answers", "answers.json"], "line 1"),
        (["score", "pope", "--questions", "questions.json", "--answers", "captions.json"], "do not match by id"),
        (["data", "verify", "imagenet"], "there are med_bench"),
        (["data", "get", "imagenet"], "there are med_bench"),
        (["data", "get", "pope"], "MMHALLU_OFFLINE is set"),
        (["data", "get", "chair"], "MMHALLU_OFFLINE is set"),
    ],
)
def test_what_cannot_run_says_so_and_exits_with_2(words, fault, files, monkeypatch):
    monkeypatch.setenv("MMHALLU_DATA", str(files / "none"))
    monkeypatch.setenv("MMHALLU_CACHE", str(files / "cache"))
    monkeypatch.setenv("MMHALLU_OFFLINE", "1")
    monkeypatch.chdir(files)
    code, out, error = run(*words)
    assert code == 2 and out == ""
    assert re.search(f"(?m)^mmhallu: .*{fault}", error)


def test_verify_exits_with_1_when_a_check_fails(files, monkeypatch):
    monkeypatch.setenv("MMHALLU_DATA", str(files / "none"))
    code, out, _ = run("data", "verify", "pope", "--json")
    result = json.loads(out)
    assert code == 1 and result["ok"] is False and len(result["bad"]) == result["files"] == 8
    assert set(result["bad"].values()) == {"missing"}
    code, out, _ = run("data", "verify", "pope")
    assert code == 1 and "mmhallu data get pope" in out


def test_list_shows_size_licence_and_presence(files, monkeypatch):
    monkeypatch.setenv("MMHALLU_DATA", str(files / "none"))
    code, out, _ = run("data", "list")
    assert code == 0 and "not here" in out and "BSD-3" in out and "MB" in out
    rows = json.loads(run("data", "list", "--json")[1])
    assert rows["pope"]["here"] is False and rows["med_bench"]["bytes"] > 60_000_000


@pytest.mark.long
@needs_data
def test_the_installed_program_scores_real_captions():
    captions = Path(os.environ["MMHALLU_DATA"]) / "pope" / "captions" / "Instruction1_instructblip.json"
    program = [sys.executable, "-m", "mmhallu_core.cli", "score", "chair", "--answers", str(captions), "--json"]
    result = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["chair_i"] == pytest.approx(0.025, abs=0.0006)


def test_help_answers_without_loading_torch():
    check = "import sys; from mmhallu_core import cli; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], timeout=60, check=False).returncode == 0
    assert run("--help")[0] == 0 and run("score", "--help")[0] == 0

"""`mmhallu new benchmark NAME`: two files that run at once."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.evaluate import benchmarks

ROOT = Path(__file__).resolve().parents[1]


QUESTIONS = [{"id": n, "image": f"{n}.png", "question": "Is it day?", "answer": ("no", "yes")[n % 2]} for n in range(4)]
ANSWERS = [{"question_id": n, "text": "Yes."} for n in range(4)]


def run(*words):
    return call("new", "benchmark", *words)


def call(*words):
    result = CliRunner().invoke(app, [*map(str, words)])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def scoring(tmp_path):
    """The words that score four answers to day-or-night, two of them right."""
    (tmp_path / "asked.json").write_text(json.dumps(QUESTIONS), encoding="utf-8")
    (tmp_path / "said.json").write_text(json.dumps(ANSWERS), encoding="utf-8")
    files = ["--questions", str(tmp_path / "asked.json"), "--answers", str(tmp_path / "said.json")]
    return ["score", "day-or-night", *files, "--json"]


@pytest.fixture
def its_file(tmp_path, monkeypatch):
    """The one file of day-or-night, in a folder that counts as the benchmarks' folder too."""
    folder = tmp_path / "mmhallu_core" / "evaluate" / "benchmarks"
    folder.mkdir(parents=True)
    (tmp_path / "tests").mkdir()
    assert run("day-or-night", "--out", tmp_path)[0] == 0
    monkeypatch.setattr(benchmarks, "__path__", [*benchmarks.__path__, str(folder)])
    yield folder / "day_or_night.py"
    sys.modules.pop("mmhallu_core.evaluate.benchmarks.day_or_night", None)


def test_there_is_no_such_benchmark_before(scoring):
    assert "No such command" in json.loads(call(*scoring)[1])["error"]


def test_one_file_makes_a_benchmark_known_to_every_command(scoring, its_file):
    code, out, _ = call(*scoring)
    assert code == 0 and json.loads(out)["official"]["accuracy"] == 0.5
    assert "day-or-night" in call("score", "--help")[1]
    assert "Did you mean 'day-or-night'" in " ".join(call("score", "day-or-nite", "--json")[1].split())
    assert "day-or-night" in call("eval", "no-such", "--out", its_file.parent / "out")[2]
    code, out, _ = call("audit", "day-or-night", *scoring[2:4], "--json")
    assert code == 0 and json.loads(out)["n"] == 4


def test_a_benchmark_whose_file_does_not_load_is_a_sentence(scoring, its_file, monkeypatch):
    its_file.write_text("this is no Python", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["mmhallu", *scoring])
    code, out, err = call(*scoring)
    assert code == 2 and "day_or_night.py" in json.loads(out)["error"] and "Traceback" not in err


@pytest.mark.long
def test_the_skeleton_passes_its_own_test_and_is_scored(tmp_path, scoring):
    shutil.copytree(ROOT / "mmhallu_core", tmp_path / "mmhallu_core", ignore=shutil.ignore_patterns("checkpoints"))
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "bench_contract.py", tmp_path / "tests")
    code, out, _ = run("day-or-night", "--out", tmp_path)
    assert code == 0 and "test_bench_day_or_night.py" in out
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr
    words = [sys.executable, "-m", "mmhallu_core.cli", *scoring]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and json.loads(done.stdout)["official"]["accuracy"] == 0.5, done.stderr


def test_a_taken_or_impossible_name_and_a_wrong_folder_are_refused(tmp_path):
    assert run("mmvp", "--out", ROOT)[0] == 2
    assert "there already" in run("mmvp", "--out", ROOT)[2]
    assert "cannot name a benchmark" in run("Day or night", "--out", ROOT)[2]
    assert "not a clone" in run("night", "--out", tmp_path)[2]

"""`mmhallu new benchmark NAME`: two files that run at once."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmhallu_core.cli import app

ROOT = Path(__file__).resolve().parents[1]


def run(*words):
    result = CliRunner().invoke(app, ["new", "benchmark", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.long
def test_the_skeleton_passes_its_own_test(tmp_path):
    shutil.copytree(ROOT / "mmhallu_core", tmp_path / "mmhallu_core", ignore=shutil.ignore_patterns("checkpoints"))
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "bench_contract.py", tmp_path / "tests")
    code, out, _ = run("day-or-night", "--out", tmp_path)
    assert code == 0 and "test_bench_day_or_night.py" in out
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr


def test_a_taken_or_impossible_name_and_a_wrong_folder_are_refused(tmp_path):
    assert run("mmvp", "--out", ROOT)[0] == 2
    assert "there already" in run("mmvp", "--out", ROOT)[2]
    assert "cannot name a benchmark" in run("Day or night", "--out", ROOT)[2]
    assert "not a clone" in run("night", "--out", tmp_path)[2]

"""The scripts in findings/ keep their form, and nothing but a person runs them or packs them."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from setuptools import find_packages

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "findings"
SCRIPTS = sorted(FOLDER.glob("*.sh"))


def test_there_is_a_readme_and_scripts_and_nothing_else():
    assert SCRIPTS and {path.name for path in FOLDER.iterdir()} == {"README.md", *(path.name for path in SCRIPTS)}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_finding_has_the_form_that_the_readme_states(script):
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n# ")
    head = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    for word in ("Expected:", "Seen:"):
        assert word in head, f"the comment at the top does not say what was {word}"
    for part in ("\nset -euo pipefail\n", "mktemp -d", "rm -rf", "pip install", "=="):
        assert part in text, part
    assert "mmhallu" not in text, "a finding runs without our code"
    assert subprocess.run(["bash", "-n", script], capture_output=True).returncode == 0


@pytest.mark.long
def test_no_package_no_test_and_no_check_takes_findings_along():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    packed = find_packages(str(ROOT), **settings["setuptools"]["packages"]["find"])
    assert "mmhallu_core" in packed and not [name for name in packed if "findings" in name]
    for name in ("MANIFEST.in", "setup.py", "tasks.py", ".ci/run"):
        assert "findings" not in (ROOT / name).read_text(encoding="utf-8"), name
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "findings"]
    assert "no tests" in subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout

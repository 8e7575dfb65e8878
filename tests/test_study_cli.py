"""`mmhallu study`: what only reads writes nothing, and an option that cannot act is refused."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.store import PACKAGE


def listed(folder):
    """Every file below a folder with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.long
def test_a_summary_writes_nothing_unless_asked(tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    for name in ("base-tiny-llava", "med-0", "clean-0"):  # all 69 take half a minute
        shutil.copy(PACKAGE.parent / "results" / "med" / "runs" / f"{name}.json", runs)
    before, words = listed(tmp_path), ["study", "med", "--out", str(runs), "--summary"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0 and listed(tmp_path) == before and "--keep FOLDER" in shown.stdout
    kept = CliRunner().invoke(app, [*words, "--keep", str(tmp_path / "new" / "kept"), "--json"])
    assert kept.exit_code == 0 and listed(runs) == {name.removeprefix("runs/"): one for name, one in before.items()}
    (name,) = listed(tmp_path).keys() - before.keys()
    assert name == str(Path("new", "kept", "summary.json"))
    found = json.loads((tmp_path / name).read_text(encoding="utf-8"))
    assert found == json.loads(kept.stdout)
    (runs / "torn.json").write_text('{"answers": ', encoding="utf-8")
    torn = CliRunner().invoke(app, words)
    assert torn.exit_code == 2 and "torn.json is not JSON" in torn.stderr


@pytest.mark.parametrize(
    "more, idle",
    [
        (["--list", "--out", "x"], "--out"),
        (["--list", "--only", "med-0"], "--only"),
        (["--list", "--summary"], "--summary"),
        (["--out", "x", "--summary", "--only", "med-0"], "--only"),
        (["--out", "x", "--claims", "y"], "--claims"),
    ],
)
def test_options_that_cannot_act_are_refused(tmp_path, monkeypatch, more, idle):
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(app, ["study", "med", *more])
    assert refused.exit_code == 2 and f"{idle} cannot act" in refused.stderr and not list(tmp_path.iterdir())

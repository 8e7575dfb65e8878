"""What README promises to a person with Python: every snippet runs as it stands, and the map of the tree is true."""

import re
from pathlib import Path

import pytest

import mmhallu_core

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S)


LONG = [number for number, code in enumerate(SNIPPETS) if "train(" in code]


@pytest.mark.parametrize(
    "number", [pytest.param(n, marks=pytest.mark.long) if n in LONG else n for n in range(len(SNIPPETS))]
)
def test_a_snippet_is_short_and_runs(number, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = SNIPPETS[number]
    assert len(code.splitlines()) <= 10
    exec(compile(code, f"README, snippet {number}", "exec"), {})
    said = capsys.readouterr().out
    if "score_chair" in code:
        assert said == "0.5 1.0\n"
    elif "train(" in code:
        assert mmhallu_core.Vlm.load("mine").name == "mine"
    else:
        assert len(said) > 20


def test_the_public_surface_loads_and_a_wrong_name_says_so():
    for name in mmhallu_core.PUBLIC:
        assert getattr(mmhallu_core, name).__doc__
    with pytest.raises(AttributeError, match="no public name 'Nothing'; there are Vlm"):
        mmhallu_core.Nothing  # noqa: B018


def test_the_map_names_every_folder_and_nothing_else():
    block = README.split("## Where things are")[1].split("```")[1]
    top, library = set(), set()
    for line in block.strip().splitlines():
        names = [
            word for word in line.split("  ")[1 if line.startswith("  ") else 0].split() if re.search(r"[/.]", word)
        ]
        (library if line.startswith("  ") else top).update(name.rstrip("/") for name in names)
    shown = {path.name for path in (ROOT / "mmhallu_core").iterdir()} - {"__init__.py", "__pycache__"}
    assert library == shown - {"comparison.py", "power.py"}  # which stand beside statistics.py, in its line
    assert all((ROOT / name).exists() for name in top)
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))}
    assert folders - {"dist", "build", "runs", "mmhallu.egg-info"} <= top

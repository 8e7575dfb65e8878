"""Building the book: a fault on a page fails the build, the first time and again."""

import shutil
import sys
from pathlib import Path

import pytest
from page_header import HEADER

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def tasks(monkeypatch):
    """tasks.py as a module, pointed at the environment that runs the tests."""
    monkeypatch.syspath_prepend(str(ROOT))
    import tasks

    monkeypatch.setattr(tasks, "VENV", Path(sys.prefix))
    return tasks


PAGE = (
    HEADER
    + """# A page

```{{code-cell}} ipython3
{code}
```
{after}
"""
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "code, after, fault",
    [
        ("print(6 * 7)", "", None),
        ("1 / 0", "", "ZeroDivisionError"),
        ("print(6 * 7)", "A link to [nowhere](nowhere.md).", "nowhere.md"),
    ],
    ids=["sound", "failing cell", "broken link"],
)
def test_a_fault_on_a_page_fails_the_build_each_time(tasks, tmp_path, capfd, code, after, fault):
    for name in ("_config.yml", "_static", "_ext", "references.bib"):
        copy = shutil.copytree if (ROOT / "book" / name).is_dir() else shutil.copy
        copy(ROOT / "book" / name, tmp_path / name)
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: page\n", encoding="utf-8")
    (tmp_path / "page.md").write_text(PAGE.format(code=code, after=after), encoding="utf-8")
    for _ in range(2):  # the second build must not pass because the first one left something behind
        assert tasks.render(tmp_path) == (0 if fault is None else 1)
        assert fault is None or fault in capfd.readouterr().err
    if fault is None:
        assert "42" in (tmp_path / "_build" / "html" / "page.html").read_text(encoding="utf-8")

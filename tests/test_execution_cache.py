"""A page is executed again exactly when its cells changed, or something that they reach through imports."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_cache.base import CacheBundleIn
from myst_nb.core.read import read_myst_markdown_notebook

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "book" / "_tools"))

import depends  # noqa: E402
import execute  # noqa: E402
import executions  # noqa: E402
from page_header import HEADER  # noqa: E402

TOP = f"{HEADER}# A page\n\n"
FILES = {
    "constraints.txt": "numpy==2.0.0\n",
    "mmhallu_core/__init__.py": "",
    "mmhallu_core/config.py": "model = 'tiny-llava'\n",
    "mmhallu_core/audit.py": "path = folder / 'third'\n",
    "results/third/part/three.json": "{}",
    "book/audits.md": "from mmhallu_core import audit\n",
    "mmhallu_core/draw/__init__.py": "",
    "mmhallu_core/draw/boat.py": "from . import shapes\n",
    "mmhallu_core/draw/shapes.py": "def circle():\n    from mmhallu_core.late import paint\n",
    "mmhallu_core/late.py": "def paint(): ...\n",
    "mmhallu_core/count.py": "def table(): return open('table.json'), f'study/{1}'\n",
    "mmhallu_core/table.json": "{}",
    "mmhallu_core/families/__init__.py": "from importlib import import_module\n",
    "mmhallu_core/families/llava.py": "",
    "mmhallu_core/checkpoints/tiny-llava/model": "weights",
    "mmhallu_core/checkpoints/tiny-llava-control/model": "weights",
    "results/study/one.json": "{}",
    "results/other/two.json": "{}",
    "book/draws.md": "from mmhallu_core.draw.boat import x\n%matplotlib inline\n",
    "book/counts.md": "import mmhallu_core.count\n",
    "book/chapters/asks.md": "def f():\n    from mmhallu_core import config, families\n",
    "book/plain.md": None,
}
EVERY = ["audits.md", "chapters/asks.md", "counts.md", "draws.md"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A small project with three pages that have cells; no downloaded data."""
    for name in [name for name in os.environ if re.match("MMHALLU_|LIVE$", name)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MMHALLU_DATA", str(tmp_path / "data"))
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.startswith("book/"):
            cell = f"```{{code-cell}} ipython3\n:tags: [setup]\n\n{text}```\n" if text else ""
            text = f"{TOP}{cell}"
        path.write_text(text, encoding="utf-8")
    (tmp_path / "book" / "_build").mkdir()
    return tmp_path


def build(project: Path) -> list[str]:
    """What a build does to the cache, with a stub in place of the execution. Returns the pages it had to execute."""
    book = project / "book"
    executions.drop(book, project)
    cache, executed = executions.cache_of(book), []
    for page in depends.pages(book):
        notebook = read_myst_markdown_notebook(page.read_text(encoding="utf-8"))
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            cache.cache_notebook_bundle(CacheBundleIn(notebook, str(page)), check_validity=False)
            executed.append(page.relative_to(book).as_posix())
    executions.stamp(book, project)
    return executed


def test_nothing_changed_nothing_is_executed(project):
    assert build(project) == EVERY
    assert build(project) == [] and build(project) == []


@pytest.mark.parametrize(
    "file, pages",
    [
        ("mmhallu_core/__init__.py", EVERY),
        ("mmhallu_core/draw/__init__.py", ["draws.md"]),
        ("mmhallu_core/draw/shapes.py", ["draws.md"]),  # a relative import
        ("mmhallu_core/late.py", ["draws.md"]),  # an import inside a function of a module further down
        ("mmhallu_core/count.py", ["counts.md"]),
        ("mmhallu_core/table.json", ["counts.md"]),  # read by its name
        ("mmhallu_core/config.py", ["chapters/asks.md"]),  # an import inside a function of a cell
        ("mmhallu_core/families/llava.py", ["chapters/asks.md"]),  # imported by a name made at run time
        ("mmhallu_core/checkpoints/tiny-llava/model", ["chapters/asks.md"]),
        ("mmhallu_core/checkpoints/tiny-llava-control/model", []),  # another model, though its name begins alike
        ("results/study/one.json", ["counts.md"]),
        ("results/third/part/three.json", ["audits.md"]),  # a path made from parts
        ("results/other/two.json", []),
        ("constraints.txt", EVERY),
        ("book/plain.md", []),
    ],
)
def test_an_edit_executes_the_pages_that_reach_it(project, file, pages):
    build(project)
    with open(project / file, "a", encoding="utf-8") as out:
        out.write("\n")
    assert build(project) == pages
    assert build(project) == []


def test_settings_and_data_count_for_every_page(project, monkeypatch):
    build(project)
    monkeypatch.setenv("LIVE", "1")
    assert build(project) == EVERY
    (project / "data").mkdir()
    (project / "data" / "new.json").touch()
    assert build(project) == EVERY
    monkeypatch.setenv("MMHALLU_PROFILE", "small")
    assert build(project) == EVERY and build(project) == []


def test_a_page_with_new_cells_is_executed_alone_and_one_with_new_words_not_at_all(project):
    build(project)
    page = project / "book" / "counts.md"
    old = page.read_text(encoding="utf-8")
    page.write_text(old.replace("import mmhallu_core.count", "import mmhallu_core.draw"), encoding="utf-8")
    assert build(project) == ["counts.md"]
    with open(page, "a", encoding="utf-8") as out:
        out.write("More words.\n")
    assert build(project) == []


def test_a_listed_file_counts(project):
    (project / "notes.txt").touch()
    page = project / "book" / "draws.md"
    with open(page, "a", encoding="utf-8") as out:
        out.write("\n## Files used\n\n`notes.txt`, `results/other`, `mmhallu_core/count.py`\n\n## Further reading\n")
    build(project)
    for name in ("notes.txt", "results/other/two.json"):
        (project / name).write_text("new", encoding="utf-8")
        assert build(project) == ["draws.md"]


def test_a_library_that_changes_during_a_build_is_not_trusted(project):
    book = project / "book"
    build(project)
    (project / "mmhallu_core" / "count.py").write_text("a = 1\n", encoding="utf-8")
    executions.drop(book, project)
    page = book / "counts.md"
    notebook = read_myst_markdown_notebook(page.read_text(encoding="utf-8"))
    executions.cache_of(book).cache_notebook_bundle(CacheBundleIn(notebook, str(page)), check_validity=False)
    (project / "mmhallu_core" / "count.py").write_text("a = 2\n", encoding="utf-8")
    assert executions.stamp(book, project) == []
    assert build(project) == ["counts.md"]


def test_a_stopped_build_leaves_nothing_that_is_trusted(project):
    build(project)
    (project / "book" / "_build" / "executions.json").unlink()
    assert build(project) == EVERY


def test_two_edits_of_the_real_library():
    reached = {page.stem: depends.reached(page) for page in depends.pages(ROOT / "book")}

    def reaching(name: str) -> set[str]:
        return {page for page, files in reached.items() if ROOT / name in files}

    profile, pairs = reaching("mmhallu_core/evaluate/profile.py"), reaching("mmhallu_core/chapters/edits.py")
    assert "count-it" in profile and "edits" not in profile
    assert "edits" in pairs and "count-it" not in pairs
    assert reaching("mmhallu_core/__init__.py") == set(reached)
    assert "count-it" not in reaching("mmhallu_core/cli/world.py")
    assert "count-it" in reaching("results/count-it/photos.json")
    by_name = depends.modules("mmhallu_core.Vlm", ROOT)  # loaded when it is asked for
    assert by_name[-1] == ROOT / "mmhallu_core" / "models" / "vlm.py"


@pytest.mark.parametrize("name", ["world.edits", "chapters.count_it", "cli"])
def test_the_graph_misses_nothing_that_python_loads(name):
    code = f"""import sys, mmhallu_core.{name}
print(*[module.__file__ for name, module in list(sys.modules.items()) if name.startswith("mmhallu_core")], sep="\\n")"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {Path(line).resolve() for line in done.stdout.splitlines()}
    waiting, found = set(depends.modules(f"mmhallu_core.{name}", ROOT)), set()
    while waiting:
        found.add(file := waiting.pop())
        waiting |= depends.next_modules(file, ROOT) - found
    assert loaded and loaded <= found


def test_a_page_that_fails_is_left_to_the_build(tmp_path):
    (tmp_path / "_build").mkdir()
    (tmp_path / "_config.yml").write_text("execute:\n  timeout: 60\n", encoding="utf-8")
    for name, code in {"good": "print(6 * 7)", "bad": "1 / 0"}.items():
        text = f"{TOP}```{{code-cell}} ipython3\n{code}\n```\n"
        (tmp_path / f"{name}.md").write_text(text, encoding="utf-8")
    seconds = execute.execute(tmp_path, at_once=2)
    assert seconds[tmp_path / "bad.md"] is None and seconds[tmp_path / "good.md"] > 0
    assert list(execute.left(tmp_path)) == [tmp_path / "bad.md"]
    notebook = read_myst_markdown_notebook((tmp_path / "good.md").read_text(encoding="utf-8"))
    _, found = executions.cache_of(tmp_path).merge_match_into_notebook(notebook)
    assert found.cells[-1].outputs[0].text == "42\n"
    assert list(execute.execute(tmp_path, at_once=2)) == [tmp_path / "bad.md"]


@pytest.mark.slow
def test_jupyter_book_executes_what_changed_and_nothing_else(tmp_path, monkeypatch, capfd):
    monkeypatch.syspath_prepend(str(ROOT))
    import tasks

    monkeypatch.setattr(tasks, "VENV", Path(sys.prefix))
    book = tmp_path / "book"
    (book / "_build").mkdir(parents=True)
    (tmp_path / "mmhallu_core").mkdir()
    (tmp_path / "mmhallu_core" / "__init__.py").touch()
    for name in ("one", "two"):
        (tmp_path / "mmhallu_core" / f"{name}.py").touch()
        (book / f"{name}.md").write_text(
            f"{TOP}```{{code-cell}} ipython3\nname = 'mmhallu_core.{name}'\n```\n", encoding="utf-8"
        )
    (book / "_config.yml").write_text("execute:\n  execute_notebooks: cache\n  timeout: 60\n", encoding="utf-8")
    (book / "_toc.yml").write_text("format: jb-book\nroot: one\nchapters:\n- file: two\n", encoding="utf-8")

    def executed() -> list[str]:
        executions.drop(book, tmp_path)
        assert tasks.render(book) == 0
        said = "".join(capfd.readouterr())
        stamped = executions.stamp(book, tmp_path)
        assert len(re.findall(r"^\[\d/\d\] ", said, re.M)) == len(stamped)
        assert "Executing notebook using" not in said  # by the build itself: it found all of them in the cache
        return stamped

    assert executed() == ["one.md", "two.md"]
    assert executed() == []
    (tmp_path / "mmhallu_core" / "two.py").write_text("changed = True\n", encoding="utf-8")
    assert executed() == ["two.md"]

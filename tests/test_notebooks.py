"""Notebooks match the chapters and run from the wheel alone; the check of an exercise tells a solution from none."""

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "book" / "_tools"))

import exercises  # noqa: E402
import wheel_check  # noqa: E402
import write_notebooks  # noqa: E402
from page_header import HEADER  # noqa: E402
from plain_markdown import CODE, LINK, Unknown, plain  # noqa: E402

CHAPTERS = sorted(path.stem for path in (ROOT / "book" / "chapters").glob("*.md"))
SOLVED = {path.stem: path for path in sorted((ROOT / "notebooks" / "solved").glob("*.ipynb"))}
EXERCISES = [(name, label) for name, path in SOLVED.items() for label in exercises.labels(nbformat.read(path, 4))]


# ---------------------------------------------------------------- the notebooks are the chapters


def test_notebooks_match_the_chapters_byte_for_byte():
    assert not write_notebooks.differences(), "run `python tasks.py notebooks` and commit what it writes"
    assert sorted(SOLVED) == CHAPTERS


def test_a_notebook_that_does_not_match_is_named(project):
    assert len(write_notebooks.differences(project)) == 2  # none is written yet
    write_notebooks.write(project)
    assert write_notebooks.differences(project) == []
    stray = project / "notebooks" / "gone.ipynb"
    stray.write_text("{}", encoding="utf-8")
    changed = project / "notebooks" / "solved" / "count.ipynb"
    changed.write_bytes(changed.read_bytes().replace(b"\n", b"\r\n"))
    assert write_notebooks.differences(project) == ["notebooks/gone.ipynb", "notebooks/solved/count.ipynb"]
    write_notebooks.write(project)
    assert write_notebooks.differences(project) == [] and not stray.exists()


@pytest.mark.parametrize("name", CHAPTERS)
def test_what_a_notebook_holds(name):
    opened, solved = (nbformat.read(ROOT / "notebooks" / part / f"{name}.ipynb", 4) for part in ("", "solved"))
    for notebook in (opened, solved):
        first, *rest = notebook.cells
        assert first.source == (ROOT / "book" / "_tools" / "first_cell.py").read_text(encoding="utf-8").strip()
        assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
        for cell in rest:
            assert cell.cell_type == "markdown" or (not cell.outputs and cell.execution_count is None)
            if cell.cell_type == "markdown":
                markup = [line for line in cell.source.splitlines() if line.startswith(("```{", ":::", "% "))]
                assert not markup
    code = [[cell for cell in one.cells if cell.cell_type == "code"] for one in (opened, solved)]
    assert code[0] == [cell for cell in code[1] if "solution" not in cell.metadata.get("tags", [])] != code[1]
    assert "Solution of exercise" not in "".join(cell.source for cell in opened.cells)
    assert "Solution of exercise" in "".join(cell.source for cell in solved.cells)


@pytest.mark.parametrize("name", CHAPTERS)
def test_links_lead_somewhere(name):
    for part in ("notebooks", "notebooks/solved"):
        path = ROOT / part / f"{name}.ipynb"
        for cell in nbformat.read(path, 4).cells:
            if cell.cell_type == "markdown":
                for _, target in LINK.findall(CODE.sub("", cell.source)):
                    if not target.startswith(("https://", "http://", "#")):
                        assert (path.parent / target).is_file(), f"{path}: {target}"


# ---------------------------------------------------------------- from MyST to plain Markdown

CHAPTER = (
    HEADER
    + """# Count

(here)=
## A place

See [welcome](../welcome.md#top), {doc}`../ask`, {ref}`here`, {ref}`that <there>`, {cite}`li2023`, {term}`caption`.

```{code-cell} ipython3
:tags: [setup]

start = 1
```

```{exercise} Two
:label: two

Make `two` two.
```

```{code-cell} ipython3
:tags: [exercise]

two = start
print("Done" if two == 2 else "Not yet")
```

```{solution-start} two
:class: dropdown
```

Count on.

```{code-cell} ipython3
:tags: [solution]

two = start + 1
print("Done" if two == 2 else "Not yet")
```

```{solution-end}
```

```{code-cell} ipython3
raise RuntimeError("no check may execute this")
```
"""
)
BIB = (
    "@misc{li2023, author = {Li, Yifan and Du, Yifan and Zhou, Kun}, title = {T}, year = {2023}, url = {https://a.b/c}}"
)


@pytest.fixture
def project(tmp_path):
    """A small book with one chapter to read and one to point at."""
    book = tmp_path / "book"
    (book / "chapters").mkdir(parents=True)
    (book / "welcome.md").write_text("# Welcome\n\n(there)=\n## There\n", encoding="utf-8")
    (book / "ask.md").write_text("# Ask it\n", encoding="utf-8")
    (book / "references.bib").write_text(BIB, encoding="utf-8")
    (book / "chapters" / "count.md").write_text(CHAPTER, encoding="utf-8")
    return tmp_path


def test_links_and_references(project):
    made = write_notebooks.notebook(project / "book" / "chapters" / "count.md", True, project)
    assert made.cells[1].source == (
        "# Count\n\n## A place\n\n"
        "See [welcome](../../book/welcome.md), [Ask it](../../book/ask.md), [A place](#A-place), "
        "[that](../../book/welcome.md), [Li et al., 2023](https://a.b/c), caption."
    )


def test_a_link_between_chapters_is_a_link_between_notebooks(project):
    chapters = project / "book" / "chapters"
    (chapters / "other.md").write_text(CHAPTER.split("(here)=")[0] + "Go [on](count.md#a-place).\n", encoding="utf-8")
    for solved in (False, True):
        made = write_notebooks.notebook(chapters / "other.md", solved, project)
        assert made.cells[1].source.endswith("Go [on](count.ipynb).")


def test_an_exercise_becomes_readable(project):
    page = project / "book" / "chapters" / "count.md"
    opened, solved = (write_notebooks.notebook(page, answer, project) for answer in (False, True))
    said = [cell.source for cell in opened.cells]
    assert "**Exercise 1: Two**\n\nMake `two` two." in said
    assert "A solution is in [solved/count.ipynb](solved/count.ipynb)." in said
    assert not any("Count on." in text for text in said)
    assert "**Solution of exercise 1**\n\nCount on." in [cell.source for cell in solved.cells]


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("A `{term}` in code, {term}`box <boxes>` out.", "A `{term}` in code, box out."),
        ("```{note}\nOne.\n\nTwo.\n```", "> **Note**\n>\n> One.\n>\n> Two."),
        (":::{admonition} Look\n:class: tip\nOne.\n:::", "> **Look**\n>\n> One."),
        ("```{math}\n:label: one\nx^2\n```", "$$\nx^2\n$$"),
        ("% nobody\n(label)=\n# Title", "# Title"),
        ("```text\n% code\n[a](b.md)\n```", "```text\n% code\n[a](b.md)\n```"),
        ("[a\nb](c.md), ![d](e.png)", "[a\nb](C.MD), ![d](e.png)"),
    ],
)
def test_plain_markdown(text, wanted):
    assert plain(text, links=str.upper) == wanted


@pytest.mark.parametrize(
    "text", ["```{table}\n```", "{glue}`x`", "term\n: meaning", "a[^1]", "{{ x }}", "```{note}\nnever closed"]
)
def test_markup_without_a_form_is_refused(text):
    with pytest.raises(Unknown):
        plain(text, links=str)


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("../welcome.md", "../nowhere.md", "nowhere.md#top, which is not there"),
        ("{ref}`here`", "{ref}`elsewhere`", "elsewhere, which is not in the book"),
        ("li2023", "li2024", "not in references.bib"),
        (":label: two", ":class: two", "needs a :label:"),
        ("solution-start} two", "solution-start} three", "does not follow"),
        ("[solution]", "[exercise]", "stands in another place"),
        ("[setup]", "[exercise]", "stands in another place"),
    ],
)
def test_a_fault_in_a_chapter_is_named(project, old, new, message):
    page = project / "book" / "chapters" / "count.md"
    page.write_text(CHAPTER.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(Unknown, match=f"count.md: .*{message}"):
        write_notebooks.notebook(page, True, project)


# ---------------------------------------------------------------- exercises


@pytest.fixture(scope="module")
def kernel():
    """One for all exercises. `python tasks.py wheel-check` runs every notebook in a kernel of its own."""
    with exercises.kernel() as client:
        yield client


@pytest.mark.kernel
def test_a_check_executes_set_up_and_its_own_cells_alone(project, kernel):
    solved = write_notebooks.notebook(project / "book" / "chapters" / "count.md", True, project)
    assert exercises.labels(solved) == ["two"]
    exercises.printed(kernel, "left = 1", 60)
    assert exercises.verdicts(kernel, solved, "two") == [("exercise", "Not yet"), ("solution", "Done")]
    left = exercises.printed(kernel, "print('left' in globals(), 'two' in globals())", 60)
    assert left == "False True\n", "what an earlier check left behind is gone"
    solved.cells = [cell for cell in solved.cells if "setup" not in cell.metadata.get("tags", [])]
    with pytest.raises(RuntimeError, match="'start' is not defined"):
        exercises.verdicts(kernel, solved, "two")


def test_every_chapter_has_an_exercise():
    assert {name for name, _ in EXERCISES} == set(CHAPTERS)


@pytest.mark.kernel
@pytest.mark.parametrize("name, label", EXERCISES)
def test_the_check_fails_unsolved_and_passes_solved(name, label, kernel):
    """One run shows both: what the open notebook's check executes is the beginning of what the solved one's does."""
    opened, solved = (nbformat.read(ROOT / "notebooks" / part / f"{name}.ipynb", 4) for part in ("", "solved"))
    unsolved_cells, solved_cells = (
        [cell.source for cell in exercises.cells_of(one, label)] for one in (opened, solved)
    )
    assert solved_cells[: len(unsolved_cells)] == unsolved_cells and len(solved_cells) > len(unsolved_cells)
    found = exercises.verdicts(kernel, solved, label)
    assert [verdict for tag, verdict in found if tag == "exercise"] == ["Not yet"]
    assert [verdict for tag, verdict in found if tag == "solution"] == ["Done"]


# ---------------------------------------------------------------- the first cell


def first_cell(monkeypatch, folder: Path, versions: dict[str, str], source: str = "", status: int = 0) -> list[str]:
    """Runs the set-up cell where only `versions` are installed. Returns the command that it would run."""
    ran: list[str] = []
    code = (ROOT / "book" / "_tools" / "first_cell.py").read_text(encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in versions else None)
    monkeypatch.setattr(importlib.metadata, "version", versions.__getitem__)
    monkeypatch.setattr(subprocess, "run", lambda line: ran.extend(line) or SimpleNamespace(returncode=status))
    exec(compile(code.replace('SOURCE = ""', f"SOURCE = {source!r}"), "first_cell", "exec"), {})
    return ran


def test_nothing_is_installed_where_mmhallu_is(monkeypatch, tmp_path):
    assert first_cell(monkeypatch, tmp_path, {"mmhallu_core": "0.1", "torch": "2.11.0"}) == []


def test_an_installed_torch_is_left_alone(monkeypatch, tmp_path):
    versions = {"torch": "2.11.0+cu128", "torchvision": "0.26.0+cu128"}
    address = "git+https://example.org/mmhallu"
    command = first_cell(monkeypatch, tmp_path, versions, address)
    assert command[:4] == [sys.executable, "-m", "pip", "install"] and address in command
    assert {"torch==2.11.0+cu128", "torchvision==0.26.0+cu128"} <= set(command)
    assert not {"--upgrade", "-U", "--force-reinstall", "--ignore-installed", "-I"} & set(command)


def test_without_torch_pip_is_free_to_choose_one(monkeypatch, tmp_path):
    assert not [part for part in first_cell(monkeypatch, tmp_path, {}, "mmhallu.whl") if "torch" in part]


def test_a_clone_or_a_wheel_nearby_is_found(monkeypatch, tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "mmhallu_core").mkdir()
    assert str(tmp_path) in first_cell(monkeypatch, tmp_path / "notebooks", {})
    (tmp_path / "mmhallu_core").rmdir()
    wheel = tmp_path / "notebooks" / "mmhallu-0.1.0-py3-none-any.whl"
    wheel.touch()
    assert str(wheel) in first_cell(monkeypatch, tmp_path / "notebooks", {})


def test_the_set_up_says_what_to_do_when_it_cannot(monkeypatch, tmp_path):
    with pytest.raises(ModuleNotFoundError, match="Write into SOURCE"):
        first_cell(monkeypatch, tmp_path, {})
    with pytest.raises(RuntimeError, match=r"nothing was replaced: torch==2\.9\.0"):
        first_cell(monkeypatch, tmp_path, {"torch": "2.9.0"}, "mmhallu.whl", status=1)


@pytest.mark.slow
def test_pip_agrees_that_torch_stays(tmp_path):
    """pip itself, asked what it would install beside the torch of this environment: not a torch, not a torchvision."""
    wheel = wheel_check.build_wheel(tmp_path)
    kept = [f"{name}=={importlib.metadata.version(name)}" for name in ("torch", "torchvision")]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-index", "--report", "-"]
    report = subprocess.run([*command, str(wheel), *kept], capture_output=True, text=True, check=True).stdout
    assert {item["metadata"]["name"] for item in json.loads(report)["install"]} <= {"mmhallu"}
    refused = subprocess.run([*command, str(wheel), "torch==2.9.0"], capture_output=True, text=True)
    assert refused.returncode != 0


# ---------------------------------------------------------------- the wheel


@pytest.mark.slow
def test_the_wheel_holds_the_results_and_the_checkpoints(tmp_path):
    names = set(zipfile.ZipFile(wheel_check.build_wheel(tmp_path)).namelist())
    for path in (ROOT / "results").rglob("*.json"):
        assert f"mmhallu_core/{path.relative_to(ROOT).as_posix()}" in names
    for path in (ROOT / "mmhallu_core").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.relative_to(ROOT).as_posix() in names
    assert not [name for name in names if name.startswith(("tests/", "book/", "results/"))]


@pytest.mark.slow
def test_every_notebook_runs_from_the_wheel_in_an_empty_folder(capsys):
    assert wheel_check.main([]) == 0
    assert capsys.readouterr().out.count(": ran in") == len(SOLVED)

"""The pages around the chapters: all of them in the list, every link, command, term and sum in them right."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import typer
import yaml

from mmhallu_core import __version__
from mmhallu_core.cli import app
from mmhallu_core.store import checkpoint_folder, sha256

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
PAGES = sorted(page for page in BOOK.rglob("*.md") if not any(part.startswith("_") for part in page.parts))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
FENCE = re.compile(r"^(`{3,})([^\n]*)\n(.*?)^\1$", re.M | re.S)


def name_of(path: Path) -> str:
    """A page as the table of contents and the links call it."""
    return path.relative_to(BOOK).with_suffix("").as_posix()


def prose(path: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


@pytest.fixture(params=TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def page(request):
    return request.param


def listed(entry) -> list[str]:
    """Every page that the table of contents names, at any depth."""
    if isinstance(entry, list):
        return [name for one in entry for name in listed(one)]
    own = [entry[key] for key in ("root", "file") if key in entry]
    return own + [name for key in ("parts", "chapters", "sections") for name in listed(entry.get(key, []))]


def test_the_list_has_every_page_once():
    names = listed(yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8")))
    assert len(names) == len(set(names))
    assert set(names) == {name_of(page) for page in PAGES}


def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*\]\([^`\n]*`", "", prose(page))):
        if not re.match(r"[a-z]+:|#", target):
            assert (page.parent / target.split("#")[0]).exists(), f"{page.name} links to {target}"
    for target in re.findall(r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`", prose(page)):
        path = BOOK / target.lstrip("/") if target.startswith("/") else page.parent / target
        assert path.with_name(path.name + ".md").is_file(), f"{page.name} links to the page {target}"


MOST_WORDS = 40  # in a sentence; readers may have learned English at school


def sentences(path: Path) -> list[str]:
    """The sentences of a page, without code, tables and formulas; a colon or a semicolon ends none."""
    text = re.sub(r"\A---\n.*?\n---\n", "", path.read_text(encoding="utf-8"), flags=re.S)
    told = ("{exercise", "{note", "{tip", "{warning", "{glossary")
    text = FENCE.sub(lambda block: block[3] if block[2].startswith(told) else "", text)
    text = re.sub(r"\$\$.*?\$\$", "\n\n", text, flags=re.S)
    text = re.sub(r"^(?:```.*|:\w+:.*|[|#<].*)$", "\n", text, flags=re.M)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    parts = [" ".join(part.split()) for part in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d\.) )", text)]
    return [one for part in parts for one in re.split(r"(?<=[.!?])[*\"')]*\s+", part)]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda path: path.name)
def test_no_sentence_is_too_long_to_follow(page):
    assert [one for one in sentences(page) if len(one.split()) > MOST_WORDS] == []


# ---------------------------------------------------------------- commands

PROGRAM = re.compile(r"^(?:\S*/)?mmhallu(?:\.exe)?$")


def find(words: list[str]):
    """The command that words such as ["score", "chair", "--json"] name, and the words after its name."""
    command = typer.main.get_command(app)
    while hasattr(command, "get_command") and words and not re.match(r"-|[A-Z]+$", words[0]):
        command, words, said = command.get_command(None, words[0]), words[1:], " ".join(words)
        assert command is not None, f"there is no command `mmhallu {said}`"
    return command, words


def shown_commands(text: str) -> list[str]:
    """Whole commands: the lines of shell blocks that begin with the program."""
    blocks = [body for _, kind, body in FENCE.findall(text) if kind.strip() in ("sh", "bash", "console")]
    lines = [line.split(" # ")[0].strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines = [re.sub(r"^(?:[A-Z_]+=\S+ +)+", "", line) for line in lines]  # MMHALLU_PROFILE=small mmhallu ...
    return [line for line in lines if line and PROGRAM.match(line.split()[0])]


def check_whole(line: str) -> None:
    """Parses a whole command as the program would, and does not run it."""
    command, words = find(shlex.split(line)[1:])
    if "--help" not in words:
        command.make_context("mmhallu", words)


def check_mention(text: str) -> None:
    """A command inside a sentence may leave words out; what it names must exist."""
    words = [word.strip("[]") for word in text.replace("\\", "/").split()[1:]]
    command, words = find(words)
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    for word in words:
        if word.startswith("-"):
            assert word.split("=")[0] in known, f"`{text}` has no option {word}"


def test_every_command_shown_is_one_that_the_program_takes(page):
    for line in shown_commands(page.read_text(encoding="utf-8")):
        check_whole(line)
    for text in re.findall(r"`((?:\S*[/\\])?mmhallu [^`]+)`", prose(page).replace("\n", " ")):
        check_mention(text)


@pytest.mark.parametrize("wrong", ["mmhallu pope", "mmhallu ask --style", "mmhallu data fetch NAME"])
def test_a_wrong_mention_is_noticed(wrong):
    with pytest.raises(AssertionError):
        check_mention(wrong)


@pytest.mark.parametrize("wrong", ["mmhallu score chair", "mmhallu world sample --n x --out y", "mmhallu doctor now"])
def test_a_wrong_command_is_noticed(wrong):
    with pytest.raises(Exception, match=r"(?i)missing|valid|unexpected"):
        check_whole(wrong)


def test_tasks_named_on_a_page_exist(page, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    import tasks

    text = page.read_text(encoding="utf-8")
    for word in re.findall(r"(?:\bpython[\d.]* tasks\.py|`make|^make) ([a-z]+)\b", text, re.M):
        assert f"\n    {word} " in tasks.__doc__, f"{page.name} names the task {word}"


def test_what_is_called_missing_is_missing():
    """`Your own pictures` says that a command does not exist; on the day it does, the page must change."""
    text = " ".join((BOOK / "your-own-pictures.md").read_text(encoding="utf-8").split())
    commands = typer.main.get_command(app).commands
    assert ("no command yet that trains on your file" in text) == ("train" not in commands)


# ---------------------------------------------------------------- terms, papers, sums


def defined() -> set[str]:
    """The terms of the glossary, in small letters."""
    body = next(body for _, kind, body in FENCE.findall((BOOK / "glossary.md").read_text(encoding="utf-8")))
    return {line.lower() for line in body.splitlines() if line and line[0] not in " :"}


def test_terms_that_pages_use_are_in_the_glossary(page):
    text = page.read_text(encoding="utf-8")
    for term in re.findall(r"\{term\}`(?:[^`<]*<)?([^`<>]+)>?`", text):
        assert " ".join(term.lower().split()) in defined(), f"{page.name} uses the term {term}"


def test_the_glossary_names_each_term_once():
    body = (BOOK / "glossary.md").read_text(encoding="utf-8")
    terms = [line.lower() for line in body.split("```{glossary}")[1].splitlines() if re.match(r"[A-Za-z]", line)]
    assert len(terms) == len(set(terms)) > 40


def test_works_that_pages_cite_are_in_the_bibliography(page):
    keys = set(re.findall(r"^@\w+\{(\S+),", (BOOK / "references.bib").read_text(encoding="utf-8"), re.M))
    for cited in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", page.read_text(encoding="utf-8")):
        assert {key.strip() for key in cited.split(",")} <= keys


def test_lesson_plans_add_up():
    sections = re.split(r"^##+ ", (BOOK / "teaching.md").read_text(encoding="utf-8"), flags=re.M)
    totals = []
    for section in sections:
        total = re.search(r"^\*\*Total: (\d+) minutes\*\*$", section, re.M)
        parts = [int(minutes) for minutes in re.findall(r"^\| (\d+) \|", section, re.M)]
        assert bool(total) == bool(parts)
        if total:
            assert sum(parts) == int(total.group(1)), section.splitlines()[0]
            totals.append(sum(parts))
    assert totals == [90, 210, 300, 360]  # ninety minutes, half a day, two days


def test_messages_that_troubleshooting_quotes_are_said_somewhere():
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "mmhallu_core").rglob("*.py"))
    for name in ("tasks.py", "tests/conftest.py"):
        source += (ROOT / name).read_text(encoding="utf-8")
    text = (BOOK / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^`([^`]+)`$", text, re.M)
    assert len(quoted) >= 8
    assert [quote for quote in quoted if quote not in source and not quote.startswith("make:")] == []


def test_axes_of_the_notation_are_used():
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "mmhallu_core").rglob("*.py"))
    used = set(" ".join(re.findall(r'(?:Float|Int|Bool|UInt8|Shaped)\[[\w.]+, "([^"]*)"\]', source)).split())
    rows = re.findall(r"^\| ((?:`[^`]+`(?:, )?)+)", (BOOK / "notation.md").read_text(encoding="utf-8"), re.M)
    for name in re.findall(r"`([^`]+)`", "".join(rows)):
        assert name in used, f"no signature has the axis {name}"


# ---------------------------------------------------------------- README, citation, library pages


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__ and citation["license"] == ["Apache-2.0", "CC-BY-4.0"]
    cite = (BOOK / "cite.md").read_text(encoding="utf-8")
    for words in (f"version = {{{__version__}}}", f"title = {{{citation['title']}}}", citation["authors"][0]["name"]):
        assert words in cite


def test_the_readme_maps_every_chapter():
    names = listed(yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8")))
    linked = re.findall(r"\(book/([\w/-]+)\.md\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert {name for name in names if name.startswith("chapters/")} <= set(linked)


def test_every_subpackage_has_its_page():
    names = {path.name.removesuffix(".py") for path in (ROOT / "mmhallu_core").iterdir()}
    commands = {name for name in names if name == "cli" or name.startswith("cli_")}
    names -= {"__init__", "__pycache__", "checkpoints"} | commands
    index = (BOOK / "api" / "index.md").read_text(encoding="utf-8")
    for name in names:
        assert f"```{{subpackage}} {name}\n" in (BOOK / "api" / f"{name}.md").read_text(encoding="utf-8")
        assert f"[`{name}`]({name}.md)" in index, f"book/api/index.md does not list {name}"


def test_subpackages_are_listed_in_the_order_in_which_data_flows():
    from test_setup import SUBPACKAGES

    index = (BOOK / "api" / "index.md").read_text(encoding="utf-8")
    places = [SUBPACKAGES.index(name) for name in re.findall(r"\[`(\w+)`\]\(\1\.md\)", index)]
    assert places == sorted(places)


@pytest.fixture
def reference(monkeypatch):
    monkeypatch.syspath_prepend(str(BOOK / "_ext"))
    import reference_pages

    yield reference_pages
    sys.modules.pop("reference_pages")


DOCSTRING = """Divides `a` by `b_`s; *never* by zero_, |x| or **y.

Two things:
* one `*code*` and
  its second line
- another

| a | b |
|---|---|
| 1 | 2 |

    >>> indented

Args:
    a: the first,
        told in two lines.
    b: the second.

Returns:
    A number, or `None`.

Raises:
    ValueError: when `b` is 0.
"""


def test_a_docstring_becomes_clean_restructured_text(reference):
    import docutils.core

    text = "\n".join(reference.converted(DOCSTRING.splitlines()))
    html = docutils.core.publish_string(
        text, writer_name="html", settings_overrides={"report_level": 1, "halt_level": 1}
    )
    html = html.decode("utf-8").split("<body>")[1]
    for wanted in (
        "<em>never</em>",
        "zero_, |x| or **y",
        ">*code*</",
        "<li>",
        "|---|---|",
        "<strong>Arguments</strong>",
    ):
        assert wanted in html
    assert "the first, told in two lines." in re.sub(r"<[^>]+>", "", html)


@pytest.mark.slow  # the build of the book finds the same, later
def test_every_docstring_of_the_library_becomes_clean_restructured_text(reference):
    import ast

    import docutils.core

    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    lines = []
    for path in sorted((ROOT / "mmhallu_core").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, kinds) and ast.get_docstring(node):
                lines += [*reference.converted(ast.get_docstring(node).splitlines()), ""]
    quiet = {"report_level": 5, "halt_level": 5}  # faults are collected below, all of them, not only the first
    tree = docutils.core.publish_doctree("\n".join(lines), settings_overrides=quiet)
    faults = [fault.astext() for fault in tree.findall(docutils.nodes.system_message) if fault["level"] >= 2]
    assert not faults


def test_the_readme_shows_the_shipped_model():
    picture = (BOOK / "_static" / "first-look.svg").read_text(encoding="utf-8")
    assert len(picture) < 200_000
    real = sha256(checkpoint_folder("tiny-llava") / "model.safetensors")
    assert real in picture, "another tiny-llava is shipped now: python -m maintenance.first_look"
    assert "book/_static/first-look.svg" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_shows_what_was_measured():
    measured = json.loads((ROOT / "results" / "hardware" / "tiny.json").read_text(encoding="utf-8"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for row in measured["rows"]:
        cells = f"| {row['cpu_seconds']:.0f} s | {row['peak_gib']:.1f} GiB |"
        assert re.search(rf"^\| .*{re.escape(row['what'])}.* {re.escape(cells)}$", readme, re.M), row["what"]

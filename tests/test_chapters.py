"""Every chapter keeps the form of the book, and what *Count it* says in words is what was measured."""

import ast
import json
import re
from pathlib import Path

import pytest

from mmhallu_core import store
from mmhallu_core.chapters import count_it
from mmhallu_core.chapters.count_it import REPORTED
from mmhallu_core.data.sources import source
from mmhallu_core.evaluate.profile import QUESTIONS, agreement
from mmhallu_core.recorded import recorded
from mmhallu_core.store import checkpoint_folder, sha256
from mmhallu_core.types import CannotRun

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted((ROOT / "book" / "chapters").glob("*.md"))
HEADINGS = ("goal", "idea", "try it", "exercise", "take-away", "files used", "further reading")
MOST_WORDS, MOST_CELLS = 2000, 12
BLOCK = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.M | re.S)


def cells(chapter: Path) -> list[str]:
    """The code of every code cell, without the options above it."""
    blocks = BLOCK.findall(chapter.read_text(encoding="utf-8"))
    return [re.sub(r"\A(?:---\n.*?---\n|(?::[^\n]*\n)+)", "", block, flags=re.S) for block in blocks]


def prose(chapter: Path) -> str:
    """What is left for a reader: no header, no code, no formulas, no addresses."""
    text = re.sub(r"\A---\n.*?\n---\n", "", chapter.read_text(encoding="utf-8"), flags=re.S)
    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$", " ", BLOCK.sub(" ", text), flags=re.S)
    text = re.sub(r"^(?:```.*|:.*)$", " ", text, flags=re.M)
    return re.sub(r"`[^`\n]+`|\]\([^)]*\)", " ", text)


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request):
    return request.param


def test_form(chapter):
    text = chapter.read_text(encoding="utf-8")
    assert text.startswith("---\njupytext:") and "\nkernelspec:" in text
    headings = [heading.lower() for heading in re.findall(r"^## (.+)$", text, re.M)]
    places = [next((n for n, h in enumerate(headings) if wanted in h), None) for wanted in HEADINGS]
    assert None not in places, f"missing among {HEADINGS}: see {headings}"
    assert places == sorted(places)
    assert "**Time:**" in text and "**What you need:**" in text
    formula = re.search(r"\$\$|^\w+ = ", text.split("```{code-cell}")[0], re.M)
    assert not formula, "a picture comes before any equation"
    assert len(cells(chapter)) <= MOST_CELLS
    assert len(prose(chapter).split()) <= MOST_WORDS


@pytest.mark.parametrize(
    ("page", "headline"),
    [("welcome", "Blind rule: 62% right"),
     ("chapters/the-wrong-word", "Best rule by wording: most_similar_edit, 61.8%"),
     ("chapters/cannot-be-gamed", "The rule that reads the wording of the options has 61.8%"), ("does-med-hold", None)],
)  # fmt: skip
@pytest.mark.long
def test_the_headline_is_the_rule_that_the_text_explains(page, headline, capsys):
    """On each page that audits MED-bench. What reads blanks or the answer key stands in the table, or below it."""
    (code,) = [cell for cell in cells(ROOT / "book" / f"{page}.md") if "audit_or_recorded" in cell]
    shown: list[str] = []
    *before, last = ast.parse(code).body
    space = {"display": lambda twin: shown.append(str(twin))}
    exec(compile(ast.Module(before, []), page, "exec"), space)
    exec(compile(ast.Interactive([last]), page, "single"), space)
    told = "\n".join([*shown, capsys.readouterr().out])
    tables = [line for line in told.splitlines() if line.startswith(("take the one option without", "Apart stands"))]
    said = "\n".join(line for line in told.splitlines() if line not in tables)
    assert headline is None or headline in said
    assert "68.5" not in said and "31.5" not in said and "majority" not in told
    if page != "welcome":
        assert any("68.5 [61.0, 75.1]" in line for line in tables)
        assert any("always says D" in line and "31.5 [" in line for line in tables)


def test_an_exercise_does_not_accept_somebody_who_knows_the_sentence():
    (code,) = [cell for cell in cells(ROOT / "book" / "chapters" / "the-wrong-word.md") if "def check(" in cell]
    page: dict = {}
    exec(code, page)
    remembered: list[str] = []

    def most_seen(options):
        """Remembers all that it was shown: the true sentence comes in every question."""
        remembered.extend(options)
        return max(range(4), key=lambda number: remembered.count(options[number]))

    known = {
        "the sentence": lambda options: options.index(page["TRUE"]) if page["TRUE"] in options else 0,
        "its changes": lambda options: next(
            (n for n, one in enumerate(options) if not set(one.split()) & set(page["CHANGES"].values())), 0
        ),
        "what it saw before": most_seen,
    }
    for name, choose in known.items():
        assert page["check"](choose).startswith("Not yet"), name
    assert "200 of 200" not in page["check"](known["the sentence"])


def test_every_exercise_has_a_hidden_solution(chapter):
    text = chapter.read_text(encoding="utf-8")
    asked = re.findall(r"^```\{exercise\}.*?:label: (\S+)", text, re.M | re.S)
    solved = re.findall(r"^```\{solution-start\} (\S+)\n:class: dropdown", text, re.M)
    assert asked and asked == solved and text.count("{solution-end}") == len(solved)


def test_numbers_come_from_cells(chapter):
    text = re.sub(r"^ *\d+\. ", " ", prose(chapter), flags=re.M)  # numbers of list items
    names = r"\[arXiv \d+\.\d+|\b(?:19|20)\d\d\b|\btable \d+\b|\b95% interval"  # papers, years, tables, a convention
    names += r"|\b[A-Z]\w*[A-Za-z]\d[\d.]*-VL\b|\bLLaVA-\d\.\d"  # models
    text = re.sub(names, " ", text)
    assert not re.findall(r"[^\n]*\d[^\n]*", text), "print it in a cell, or take it from results/"


def test_cells_use_what_the_library_has(chapter):
    for code in cells(chapter):
        for node in ast.walk(ast.parse(code)):
            if not isinstance(node, ast.ImportFrom) or not node.module.startswith("mmhallu_core"):
                continue
            path = ROOT / node.module.replace(".", "/")
            path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            known = path.read_text(encoding="utf-8")
            for alias in node.names:
                inside = path.parent / alias.name
                module = path.name == "__init__.py" and (inside.is_dir() or inside.with_suffix(".py").is_file())
                pattern = rf"^(?:def|class) {alias.name}\b|^{alias.name}\b.*=|^from .* import .*\b{alias.name}\b"
                assert module or re.search(pattern, known, re.M), f"{node.module} has no {alias.name}"


def test_code_reads_without_scrolling(chapter):
    assert not [line for code in cells(chapter) for line in code.splitlines() if len(line) > 79]


def test_figures_come_with_words(chapter):
    """Figures are twins of the library, which cannot be made without words; a cell that draws by itself states its."""
    for block in re.findall(r"^```\{code-cell\}.*?^```$", chapter.read_text(encoding="utf-8"), re.M | re.S):
        draws = re.search(r"matplotlib|seaborn|\bplt\.|imshow", block)
        assert not draws or re.search(r"alt: \S{3}", block)


def test_files_used_are_there(chapter):
    section = chapter.read_text(encoding="utf-8").split("## Files used")[1].split("\n## ")[0]
    named = re.findall(r"`([\w./-]+/[\w./-]+)`", section)
    assert named
    for name in named:
        assert (ROOT / name).exists(), name


# ---------------------------------------------------------------- Count it


@pytest.fixture
def photos():
    return recorded("count-it/photos")


def test_the_published_table_comes_out(photos):
    assert photos["kind"] == "recomputed" and set(photos["models"]) == set(REPORTED)
    for name, one in photos["models"].items():
        for score in ("chair_i", "chair_s"):
            assert abs(100 * one["chair"][score] - REPORTED[name][score]) <= 0.06
            low, high = one["chair"]["ci"][score]
            assert low <= one["chair"][score] <= high


def test_the_lowest_score_has_the_shortest_captions(photos):
    chair = {name: one["chair"] for name, one in photos["models"].items()}
    lowest, shortest = (min(chair, key=lambda name: chair[name][score]) for score in ("chair_i", "mean_length"))
    assert lowest == shortest


def strings(value):
    """All texts in a JSON value."""
    if isinstance(value, dict):
        yield from value
        for one in value.values():
            yield from strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("name", ["photos", "diorama"])
def test_records_hold_numbers_and_no_captions(name):
    record = recorded(f"count-it/{name}")
    assert {"kind", "command", "commit", "versions", "inputs"} <= set(record)
    assert max(len(text) for text in strings(record)) <= 80
    assert not {"answer", "caption", "captions", "text"} & set(strings(record))


def test_profiles_are_of_the_same_making(photos):
    ours = recorded("count-it/diorama")["models"]["tiny-llava"]["profile"]
    for one in (ours, *(row["profile"] for row in photos["models"].values())):
        assert one["rules"] == "fixed" and set(QUESTIONS) <= set(one)
        for question in QUESTIONS:
            assert 0 <= one[question]["chance"] <= 1 and 2 <= len(one[question]["fifths"]) <= 5
    assert set(agreement([row["profile"] for row in photos["models"].values()], ours)) == set(QUESTIONS)


def test_the_prose_says_what_was_measured(photos):
    """The paragraphs below the table of verdicts speak of these; a new checkpoint that changes one must change them."""
    ours = recorded("count-it/diorama")["models"]["tiny-llava"]["profile"]
    verdicts = agreement([row["profile"] for row in photos["models"].values()], ours)
    assert verdicts == {"length": "disagrees", "position": "agrees", "frequency": "open", "company": "agrees"}
    text = (ROOT / "book" / "chapters" / "count-it.md").read_text(encoding="utf-8")
    for question, verdict in verdicts.items():
        said = {"open": "is open"}.get(verdict, verdict)
        assert f"- **{question.capitalize()}** {said}" in text


def test_the_records_are_of_the_shipped_model():
    name = "checkpoints/tiny-llava/model.safetensors"
    shipped = sha256(checkpoint_folder("tiny-llava") / "model.safetensors")
    assert recorded("count-it/diorama")["inputs"] == {name: shipped}
    assert recorded("tiny-llava/base")["weights_sha256"] == shipped


def test_without_a_control_the_dial_is_not_measured(monkeypatch, tmp_path):
    kept = {"scores": {"scenes": 7}}
    (tmp_path / "tiny-llava").mkdir()
    (tmp_path / "tiny-llava" / "base.json").write_text(json.dumps(kept), encoding="utf-8")
    monkeypatch.setattr("mmhallu_core.recorded.results_folder", lambda: tmp_path)
    monkeypatch.setattr(store, "PACKAGE", tmp_path)
    assert count_it.dial()[0] == {"dial on": kept["scores"]} and count_it.dial()[1].startswith("NOT MEASURED")
    (tmp_path / "tiny-llava" / "control.json").write_text(json.dumps(kept), encoding="utf-8")
    assert "dial off" not in count_it.dial()[0]  # a record alone is not enough: the chapter also runs the model
    (tmp_path / "checkpoints" / "tiny-llava-control").mkdir(parents=True)
    (tmp_path / "checkpoints" / "tiny-llava-control" / "config.json").touch()
    columns, note = count_it.dial()
    assert set(columns) == {"dial on", "dial off"} and "NOT" not in note


def test_a_missing_record_stops_the_chapter():
    with pytest.raises(CannotRun, match="no recorded result"):
        recorded("count-it/never-measured")


@pytest.mark.slow
def test_photos_computed_now_equal_the_record(photos):
    from mmhallu_core.chapters.count_it import photos as measure
    from mmhallu_core.store import MissingFile

    try:
        now = measure(progress=False)
    except MissingFile as missing:
        pytest.skip(f"needs {source('pope').title}: {missing}")
    assert now["inputs"] == photos["inputs"]
    assert rounded(now["models"]) == rounded(photos["models"])


def rounded(value):
    """A JSON value with numbers cut to nine digits: two machines may differ in the last of sixteen."""
    return json.loads(json.dumps(value), parse_float=lambda digits: round(float(digits), 9))


def test_the_first_pair_of_build_micro_edits_changes_one_look_of_one_thing():
    """The numbers stand in the chapter; a change of colour would change the colour of a part with it."""
    from mmhallu_core.edit.world import WorldSource

    text = (ROOT / "book" / "chapters" / "build-micro-edits.md").read_text(encoding="utf-8")
    seed, drafts, number = map(int, re.search(r"SEED, DRAFTS, NUMBER = (\d+), (\d+), (\d+)", text).groups())
    edit = WorldSource(seed, drafts).edit(number)
    before, after = ({thing.id: thing for thing in scene} for scene in (edit.before, edit.after))
    assert edit.before.place == edit.after.place and before.keys() == after.keys()
    (changed,) = (name for name in before if before[name] != after[name])
    looks = ("kind", "colour", "pattern", "size", "pose", "part")
    differ = [look for look in looks if getattr(before[changed], look) != getattr(after[changed], look)]
    assert differ == ["pattern"]

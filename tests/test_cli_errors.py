"""Whatever goes wrong in a command: one sentence, exit code 2, with `--json` one object. Every number has bounds."""

import inspect
import json
import os
import pkgutil
import subprocess
import sys
import typing

import pytest
import typer
from quick_cli import run as run_quick
from typer.testing import CliRunner

from mmhallu_core import cli
from mmhallu_core.cli import app
from mmhallu_core.cli.base import AsJson, command
from mmhallu_core.types import CannotRun


def run(*words):
    """Runs a command; gives exit code, standard output and standard error."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def commands(group=app, name="mmhallu"):
    """The words and the function of every command."""
    for one in group.registered_commands:
        yield f"{name} {one.name}", one.callback
    for one in group.registered_groups:
        yield from commands(one.typer_instance, f"{name} {one.name}")


def options(function):
    """(name, kind, typer's description) of every option that a command has."""
    for name, hint in typing.get_type_hints(function, include_extras=True).items():
        if name != "return":
            kinds = typing.get_args(hint)
            described = [one for one in getattr(hint, "__metadata__", ()) if hasattr(one, "min")]
            yield name, {kinds[0], *typing.get_args(kinds[0])} if kinds else {hint}, described[:1]


NUMBERS = [
    (words, name, described[0])
    for words, function in commands()
    for name, kinds, described in options(function)
    if kinds & {int, float}
]


def test_the_walk_finds_the_numbers():
    found = {f"{words} --{name}" for words, name, _ in NUMBERS}
    assert {"mmhallu eval --limit", "mmhallu train sft --lr", "mmhallu judge --workers"} <= found and len(found) > 30


@pytest.mark.parametrize("words, name, option", NUMBERS, ids=[f"{one[0]} --{one[1]}" for one in NUMBERS])
def test_every_number_has_bounds_and_keeps_them(words, name, option):
    assert option.min is not None and option.max is not None
    said = option.param_decls[0] if option.param_decls else f"--{name.replace('_', '-')}"
    needed = {"mmhallu ask": ["a.png", "q"], "mmhallu eval": ["pope-diorama"], "mmhallu pretrain": ["tiny-llava"]}
    needed |= {"mmhallu study": ["med"], "mmhallu judge": ["mmhal"], "mmhallu data export": ["no.jsonl"]}
    for value in (option.min - 1, option.max + 1, "9" * 5000, "nan", "inf", "-inf", "", "one", "0x10"):
        code, out, err = run_quick(*words.split()[1:], *needed.get(words, []), said, value, "--json")
        assert code == 2 and set(json.loads(out)) == {"error"} and "Traceback" not in err
        assert said in json.loads(out)["error"], "the option is named"


@pytest.fixture(scope="module")
def alone():
    """What came of importing each file of the command line before any other of them, in one new interpreter."""
    tried = """
import importlib, json, pkgutil, sys
import mmhallu_core.cli as cli
found = {}
for name in [one.name for one in pkgutil.iter_modules(cli.__path__) if one.name != "__main__"]:
    for loaded in [one for one in sys.modules if one.startswith("mmhallu_core.cli")]:
        del sys.modules[loaded]
    sys.modules["mmhallu_core.cli"] = type(sys)("mmhallu_core.cli")  # else the package would load all of them
    sys.modules["mmhallu_core.cli"].__path__ = cli.__path__
    try:
        importlib.import_module(f"mmhallu_core.cli.{name}")
        found[name] = ""
    except Exception as error:
        found[name] = repr(error)
print(json.dumps(found))
"""
    return json.loads(subprocess.run([sys.executable, "-c", tried], capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("name", [one.name for one in pkgutil.iter_modules(cli.__path__) if one.name != "__main__"])
def test_each_file_can_be_imported_first(alone, name):
    assert alone[name] == ""


def test_every_command_can_print_json():
    for words, function in commands():
        assert "as_json" in inspect.signature(function).parameters, words


def test_the_options_offer_what_the_library_knows():
    from mmhallu_core.data.check_rules import KINDS
    from mmhallu_core.edit.engine.run import ENGINES
    from mmhallu_core.evaluate.chair import RULES
    from mmhallu_core.models.fit import FITS
    from mmhallu_core.world.styles import STYLES

    known = {"data check kind": KINDS, "med build engine": ENGINES, "score chair rules": RULES, "ask fit": FITS,
             "med build fit": FITS, "med bench style": STYLES, "world sample style": STYLES}  # fmt: skip
    offered = {f"{words.removeprefix('mmhallu ')} {name}": kinds for words, function in commands()
               for name, kinds, _ in options(function)}  # fmt: skip
    for name, words in known.items():
        assert {one for one in offered[name] if isinstance(one, str)} == set(words), name


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """Adds `mmhallu broken`, which raises what it is given; gives the folder of log files."""
    monkeypatch.setenv("MMHALLU_CACHE", str(tmp_path / "cache"))
    before = list(app.registered_commands)
    raised = []

    @command(app, "broken")
    def fail(as_json: AsJson = False, part: float = 0.5) -> None:
        raise raised[0]

    yield raised
    app.registered_commands[:] = before


@pytest.mark.parametrize("error, said", [
    (CannotRun("there is no tea; make some"), "there is no tea; make some"),
    (FileNotFoundError(2, "No such file or directory", "a.txt"), "cannot use a.txt: No such file or directory"),
    (OSError("path 'a.parquet' is a directory"), "path 'a.parquet' is a directory"),
    (OSError(28, "No space left on device", "a/b"), "the disk of a/b is full. Make room"),
    (OSError(28, "No space left on device"), "the disk is full. Make room"),
])  # fmt: skip
def test_trouble_outside_the_program_is_one_sentence(broken, error, said):
    broken.append(error)
    code, out, err = run("broken")
    assert code == 2 and out == "" and err.startswith(f"mmhallu: {said}") and err.count("\n") == 1
    code, out, err = run("broken", "--json")
    assert code == 2 and json.loads(out)["error"].startswith(said) and err.startswith(f"mmhallu: {said}")


@pytest.mark.parametrize("error", [KeyError("x"), RecursionError(), MemoryError(), UnicodeEncodeError("utf-8", "\ud800",
                         0, 1, "surrogates not allowed"), ValueError("two\nlines"), AssertionError()])  # fmt: skip
def test_a_fault_of_the_program_is_a_sentence_and_a_log_file(broken, tmp_path, monkeypatch, error):
    monkeypatch.setenv("MMHALLU_API_KEY", "sk-very-secret")
    error.add_note("the key is sk-very-secret")
    broken.append(error)
    code, out, err = run("broken", "--json")
    [log] = (tmp_path / "cache" / "errors").iterdir()
    said = json.loads(out)["error"]
    assert code == 2 and err.count("\n") == 1 and "Traceback" not in err
    assert type(error).__name__ in said and str(log) in said
    text = log.read_text(encoding="utf-8")
    assert "Traceback" in text and "in fail" in text and "sk-very-secret" not in text and "<MMHALLU_API_KEY>" in text


def test_a_log_that_cannot_be_written_is_said(broken, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be", encoding="utf-8")
    broken.append(KeyError("x"))
    code, _, err = run("broken")
    assert code == 2 and "The details could not be written" in err and err.count("\n") == 1


def test_exits_and_stops_are_left_alone(broken):
    for error, code in ((typer.Exit(1), 1), (typer.Exit(0), 0), (typer.Abort(), 1), (KeyboardInterrupt(), 130)):
        broken[:] = [error]
        assert run("broken")[0] == run("broken", "--json")[0] == code


def test_no_option_takes_what_is_no_number(broken):
    broken.append(CannotRun("not reached"))
    for value in ("nan", "inf", "-inf"):
        code, _, err = run("broken", "--part", value)
        assert code == 2 and "--part must be a finite number" in err


@pytest.mark.parametrize("words, said", [
    (["nothing"], "nothing"), (["eval"], "BENCH"), (["eval", "pope-diorama", "--limit"], "--limit"),
    (["score", "chair", "--answers", "x", "--rules", "2019"], "'2019' is not one"),
    (["data", "check", "x", "--no-such"], "--no-such"), ([], "Usage"), (["data"], "Usage"),
])  # fmt: skip
def test_wrong_words_are_an_object_too(words, said):
    code, out, err = run(*words, "--json")
    assert code == 2 and set(json.loads(out)) == {"error"} and out.count("\n") == 1
    code, out, err = run(*words)
    assert code == 2 and said in out + err, "and without --json they are told as ever"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no device that is always full")
def test_a_full_disk_is_named(tmp_path):
    """A real one: what is written there meets ENOSPC."""
    talk = {"id": "a", "images": ["a.png"], "question": "What?", "answer": "A dog."}
    (tmp_path / "talks.jsonl").write_text(json.dumps(talk), encoding="utf-8")
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mmhallu.jsonl").symlink_to("/dev/full")
    code, out, err = run("data", "export", tmp_path / "talks.jsonl", "--as", "llamafactory", "--out", tmp_path / "out")
    assert code == 2 and f"the disk of {tmp_path / 'out'} is full" in err


@pytest.mark.long
def test_what_the_terminal_cannot_show_is_shown_in_escapes(tmp_path):
    import subprocess

    words = [sys.executable, "-m", "mmhallu_core.cli", "audit", "no-\u00e9\u4e2d"]
    plain = {**os.environ, "PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "0"}
    done = subprocess.run(words, capture_output=True, env=plain, timeout=120)
    assert done.returncode == 2 and b"Traceback" not in done.stderr and rb"no-\xe9\u4e2d" in done.stderr


def test_a_profile_and_a_device_that_there_are_not(monkeypatch, tmp_path):
    monkeypatch.setenv("MMHALLU_PROFILE", "tinny")
    words = ["eval", "pope-diorama", "--limit", "1", "--out", tmp_path]
    assert "there is no profile 'tinny'; set MMHALLU_PROFILE to one of: tiny, small, full" in run(*words)[2]
    assert "there is no profile 'tin'; give --profile one of: tiny, small, full" in run(*words, "--profile", "tin")[2]

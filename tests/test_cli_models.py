"""`doctor`, `ask` and `tour` as commands: the promised JSON, clear errors, exit codes 0, 1 and 2."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from mmhallu_core import doctor
from mmhallu_core.cli import app
from mmhallu_core.store import PACKAGE
from mmhallu_core.tour import run as tour_run
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render

PLACE = "Where was this picture taken?"


def run(*words):
    """Runs a command; gives exit code, standard output and standard error."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name, place in (("beach", "beach"), ("night", "night")):
        render(sample_scene(f"ask/{name}", place=place)).image.save(folder / f"{name}.png")
    return folder


def test_ask_answers_from_the_picture(pictures):
    assert run("ask", pictures / "beach.png", PLACE) == (0, "On a beach.\n", "")
    code, out, _ = run("ask", pictures / "night.png", PLACE, "--json")
    assert code == 0
    assert json.loads(out) == {
        "model": "tiny-llava", "images": [str(pictures / "night.png")], "question": PLACE, "answer": "At night.",
        "generation": {"kept": False, "settings": {}}, "fit": "processor", "cut": 0.0, "picture_notes": [],
    }  # fmt: skip


def test_ask_takes_several_pictures(pictures):
    pair = pictures / "beach.png", pictures / "night.png"
    code, out, _ = run("ask", *pair, "Are the two images the same?", "--json")
    assert code == 0 and json.loads(out)["answer"] in ("Yes.", "No.") and len(json.loads(out)["images"]) == 2


def refused(*words):
    code, out, err = run(*words)
    assert code == 2 and out == "" and err.startswith("mmhallu: ") and err.count("\n") == 1
    return err


def test_ask_refuses_clearly(pictures, tmp_path):
    beach = pictures / "beach.png"
    assert "name a picture" in refused("ask", PLACE)
    assert "no picture at nowhere.png" in refused("ask", "nowhere.png", PLACE)
    assert "in quotes" in refused("ask", beach, "Where", "is", "it?")
    assert "last word is the question" in refused("ask", beach, beach)
    assert "neither a shipped model" in refused("ask", beach, PLACE, "--model", "tiny-lava")
    corrupt = tmp_path / "corrupt.png"
    corrupt.write_bytes(beach.read_bytes()[:200])
    assert "cannot be read as a picture" in refused("ask", corrupt, PLACE)
    text = tmp_path / "text.png"
    text.write_text("no picture", encoding="utf-8")
    assert "cannot be read as a picture" in refused("ask", text, PLACE)
    assert "Give fewer" in refused("ask", *[beach] * 17, PLACE)


def test_a_long_question_is_no_file_name(pictures):
    for long in ("Where was this picture taken? " * 20, "Where\0was it?"):  # more than 255 bytes; a zero byte
        code, out, err = run("ask", pictures / "beach.png", long)
        assert code == 0 and out.strip() and err == ""
    assert "no picture at" in refused("ask", "x" * 300, PLACE)


def test_a_model_folder_without_its_processor_is_refused(pictures, tmp_path):
    for name in ("config.json", "model.safetensors", "generation_config.json"):
        shutil.copy(PACKAGE / "checkpoints" / "tiny-llava" / name, tmp_path)
    assert "does not load" in refused("ask", pictures / "beach.png", PLACE, "--model", tmp_path)


def test_doctor_prints_lines_or_one_object(monkeypatch):
    line = {"what": "torch", "state": "missing", "found": "not installed", "do": "Install it."}
    report = {"ok": False, "profile": "tiny", "device": "", "lines": [line], "summary": "Missing: torch."}
    monkeypatch.setattr(doctor, "examine", lambda: report)
    code, out, _ = run("doctor")
    assert code == 1 and "missing" in out and "Install it." in out and out.endswith("Missing: torch.\n")
    code, out, _ = run("doctor", "--json")
    assert code == 1 and json.loads(out) == report
    report["ok"] = True
    assert run("doctor")[0] == 0


def test_tour_hands_its_choices_on_and_prints_one_object(monkeypatch, tmp_path):
    asked = []

    def fake(out, voice):
        voice.say("told")
        asked.append((out, voice.plain))
        return {"n": 150}

    monkeypatch.setattr(tour_run, "run_tour", fake)
    assert run("tour", "--text", "--out", tmp_path) == (0, "told\n", "")
    assert run("tour", "--json", "--out", tmp_path) == (0, '{"n": 150}\n', "told\n")
    monkeypatch.setenv("MMHALLU_CACHE", str(tmp_path))
    run("tour")
    assert asked == [(tmp_path, True), (tmp_path, False), (tmp_path / "tour", False)]


@pytest.mark.slow
def test_the_whole_tour_from_the_command_line(tmp_path):
    code, out, _ = run("tour", "--text", "--json", "--out", tmp_path)
    result = json.loads(out)
    assert code == 0 and result["n"] == 150 and sum(result["seconds"].values()) < 300
    assert (tmp_path / "tour.html").stat().st_size < 3e6
    assert result["differences"]["shipped"]["chair_i"]["ci"] is not None

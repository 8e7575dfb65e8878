"""`mmhallu world`: what it writes can be read back and is the same every time; mistakes get one clear sentence."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.world.edits import CATEGORIES, classify, slug
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene, facts


def run(*words):
    """Runs a command; gives exit code, standard output and standard error."""
    result = CliRunner().invoke(app, ["world", *(str(word) for word in words)])
    return result.exit_code, result.stdout, result.stderr


def truth_in(folder):
    return json.loads((folder / "truth.json").read_text(encoding="utf-8"))


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_sample_writes_pictures_masks_and_truth(tmp_path):
    code, out, _ = run("sample", "--n", 2, "--seed", 5, "--size", 64, "--style", "sketch", "--out", tmp_path, "--json")
    assert code == 0
    assert json.loads(out) == {"n": 2, "seed": 5, "size": 64, "style": "sketch", "out": str(tmp_path)}
    assert sorted(contents(tmp_path)) == [
        f"000{number}/{name}" for number in (0, 1) for name in ("image.png", "masks.npz", "truth.json")
    ]
    for number in (0, 1):
        folder = tmp_path / f"000{number}"
        truth = truth_in(folder)
        scene = Scene.from_dict(truth["scene"])
        again = render(scene, 64, "sketch")
        assert np.array_equal(pixels(folder / "image.png"), np.asarray(again.image))
        assert truth["facts"] == [fact.to_dict() for fact in facts(scene)]
        assert truth["caption"].startswith(("This is", "There"))
        with np.load(folder / "masks.npz") as masks:
            assert set(masks) == {thing.id for thing in scene} == set(truth["boxes"])
            for name in masks:
                rows, columns = np.nonzero(masks[name])
                box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else None
                assert masks[name].shape == (64, 64) and truth["boxes"][name] == box


def test_same_seed_same_files(tmp_path):
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run("sample", "--n", 1, "--seed", seed, "--out", tmp_path / folder)[0] == 0
        assert run("edit", "--category", "Object", "--seed", seed, "--out", tmp_path / folder)[0] == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    one, other = contents(tmp_path / "a"), contents(tmp_path / "c")
    assert all(one[name] != other[name] for name in one)


@pytest.mark.parametrize("category", CATEGORIES)
def test_edit_writes_a_pair_that_differs_inside_its_mask(tmp_path, category):
    name = slug(category) if category < "M" else category  # both spellings are taken
    code, out, _ = run("edit", "--category", name, "--seed", 3, "--out", tmp_path, "--json")
    truth, printed = truth_in(tmp_path), json.loads(out)
    assert code == 0 and {key: printed[key] for key in truth} == truth and printed["seed"] == 3
    assert truth["category"] == category and truth["difference"].endswith(".")
    scenes = [Scene.from_dict(truth[f"scene_{when}"]) for when in ("before", "after")]
    assert classify(*scenes) == [category]
    for scene, when in zip(scenes, ("before", "after"), strict=True):
        assert truth[f"facts_{when}"] == [fact.to_dict() for fact in facts(scene)]
    gone = [fact for fact in truth["facts_before"] if fact not in truth["facts_after"]]
    come = [fact for fact in truth["facts_after"] if fact not in truth["facts_before"]]
    assert (truth["facts_removed"], truth["facts_added"]) == (gone, come) and gone + come
    changed = (pixels(tmp_path / "before.png") != pixels(tmp_path / "after.png")).any(-1)
    mask = pixels(tmp_path / "mask.png")
    assert set(np.unique(mask)) == {0, 255} and changed.any() and (mask[changed] == 255).all()


def test_edit_for_people(tmp_path):
    code, out, _ = run("edit", "--category", "Negation", "--out", tmp_path / "new" / "folder")
    truth = truth_in(tmp_path / "new" / "folder")
    assert code == 0 and out.startswith(f"Negation: {truth['difference']}\n") and truth["caption_before"] in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("edit", "--category", "Colour", "--out", "x"), "Universality"),
        (("edit", "--category", "Scene", "--style", "oil", "--out", "x"), "'oil' is not one"),
        (("sample", "--style", "oil", "--out", "x"), "'oil' is not one"),
        (("sample", "--size", "3", "--out", "x"), "16"),
        (("sample", "--n", "0", "--out", "x"), "1"),
        (("sample", "--n", "2"), "--out"),
    ],
)
def test_mistakes_are_said_and_write_nothing(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*words)
    assert code == 2 and said in err and "Traceback" not in err and out == ""
    assert not contents(tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    for words in (("sample", "--n", 1), ("edit", "--category", "Scene")):
        code, _, err = run(*words, "--out", tmp_path / "file" / "inside")
        assert code == 2 and err.count("\n") == 1 and "file" in err


@pytest.mark.long
def test_from_a_terminal(tmp_path):
    program = [sys.executable, "-m", "mmhallu_core.cli"]
    words = ["world", "edit", "--category", "Counting", "--out", str(tmp_path), "--json"]
    done = subprocess.run([*program, *words], capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["category"] == "Counting" and (tmp_path / "mask.png").is_file()

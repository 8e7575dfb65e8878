"""What a map says: on a grid, in pixels, in words, in files, and from the command line."""

import json

import numpy as np
import pytest
import torch
from explain_cases import ANSWER, QUESTION, noise, vlm_of
from PIL import Image
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.explain.maps import Map, PictureMap, ViewMap
from mmhallu_core.explain.reading import read
from mmhallu_core.explain.run import explain, explain_all
from mmhallu_core.models.image_tokens import WHOLE
from mmhallu_core.types import CannotRun

TWICE = "A red dog and a red cat"


def picture_map(*views, size=(40, 20)):
    return PictureMap(Image.new("RGB", size), tuple(ViewMap(torch.tensor(v), box) for v, box in views))


# ---------------------------------------------------------------- the numbers


def test_one_view_is_its_own_grid():
    one = picture_map(([[1.0, -2.0], [0.0, 4.0]], WHOLE))
    assert one.values.tolist() == [[1, -2], [0, 4]]
    assert one.boxes[1, 0].tolist() == [0, 10, 20, 20]
    assert one.heat.shape == (20, 40) and float(one.heat.sum()) == pytest.approx(5)
    assert float(one.heat[15, 30]) == pytest.approx(4 / 200) and float(one.heat[0, 39]) == 0
    assert one.peak == (30, 15)


def test_tiles_and_the_small_copy_lie_on_each_other():
    tiles = [([[float(i)]], (c / 2, r / 2, (c + 1) / 2, (r + 1) / 2)) for i, (r, c) in
             enumerate([(0, 0), (0, 1), (1, 0), (1, 1)])]  # fmt: skip
    whole = picture_map(*tiles, ([[4.0]], WHOLE))
    assert whole.grid == (2, 2)
    assert whole.values.tolist() == [[1, 2], [3, 4]], "the copy's four are spread over four cells"
    assert float(whole.heat.sum()) == pytest.approx(10)


def test_what_lies_on_padding_is_left_out():
    padded = picture_map(([[1.0], [2.0], [3.0], [4.0]], (0.0, -0.5, 1.0, 1.5)))
    assert padded.values.tolist() == [[2], [3]]
    shifted = picture_map(([[8.0]], (0.25, 0.0, 1.25, 1.0)))
    assert float(shifted.on_grid(1, 4).sum()) == pytest.approx(6)


def test_a_map_in_words_names_the_place_and_draws_it_in_digits():
    values = torch.zeros(3, 3)
    values[0, 2], values[2, 0], values[1, 1] = 3.0, 1.0, -9.0
    found = Map((picture_map((values.tolist(), WHOLE), size=(90, 90)),), "gradcam", "vision:1", "dog", ("dog",), "?",
                "A dog", "m", -0.5)  # fmt: skip
    assert str(found).splitlines() == [
        "gradcam at vision:1 for 'dog' (log-probability -0.50) in the answer 'A dog'",
        "Picture 1: 90 x 90 pixels, 3 rows of 3 cells; largest at x 75, y 15; upper right 75%, lower left 25%",
        ". . 9", ". . .", "3 . .",
    ]  # fmt: skip
    nothing = Map((picture_map(([[-1.0]], WHOLE)),), "ig", "", "dog", ("dog",), "?", "A dog", "m", -0.5)
    assert "no cell speaks for it" in nothing.text
    assert nothing.figure().axes, "a map of nothing can be drawn"


# ---------------------------------------------------------------- which word


def test_words_and_phrases_are_found_token_by_token():
    reading = read(vlm_of("tiny-llava"), noise(96, 96), QUESTION, TWICE)
    assert "".join(reading.tokens).replace(" ", "") == TWICE.replace(" ", "")
    ids = reading.inputs["input_ids"][0, reading.rows + 1]
    decoded = [vlm_of("tiny-llava").processor.tokenizer.decode(one).strip() for one in ids]
    assert decoded == [token.strip() for token in reading.tokens]
    assert [target.text for target in reading.words()] == TWICE.split()
    first, second = reading.find("red", 1), reading.find("RED", 2)
    assert first.text == second.text == "red" and first.tokens < second.tokens
    phrase = reading.find("red cat")
    assert phrase.tokens == second.tokens + reading.find("cat").tokens
    assert reading.find(None).tokens == tuple(range(len(reading.spans)))
    assert reading.find(0).tokens == (0,)
    whole, parts = (reading.scores(reading.inputs, one) for one in ([reading.find(None)], reading.words()))
    assert float(whole.sum()) == pytest.approx(float(parts.sum()), rel=1e-5)


def test_wrong_requests_are_told():
    vlm, image = vlm_of("tiny-llava"), noise(96, 96)
    for options, told in (
        ({"target": "cow"}, "'cow' is not a word of the answer, which is: 'A red dog and a red cat'"),
        ({"target": "re"}, "'re' is not a word"),
        ({"target": "red"}, r"'red' comes 2 times .* nth \(--nth\) 1 to 2"),
        ({"target": "red", "nth": 3}, "there is no number 3"),
        ({"target": 99}, "there is no 99"),
        ({"target": "dog", "method": "magic"}, "no method is called 'magic'; there are gradcam"),
        ({"target": "dog", "method": "ig", "layer": "vision"}, "ig looks at the pictures alone"),
    ):
        with pytest.raises(CannotRun, match=told):
            explain(vlm, image, QUESTION, TWICE, **options)
    with pytest.raises(CannotRun, match="needs a picture"):
        explain(vlm, [], QUESTION, TWICE, "dog")
    with pytest.raises(CannotRun, match="answers nothing"):
        explain(vlm, image, QUESTION, " ", "dog")
    with pytest.raises(CannotRun, match="has no word"):
        explain_all(read(vlm, image, QUESTION, "..."))


@pytest.mark.long
def test_without_an_answer_the_models_own_is_explained():
    vlm, image = vlm_of("tiny-llava"), noise(96, 96)
    found = explain(vlm, image, "Describe the picture.")
    assert found.answer == vlm.answer([image], ["Describe the picture."])[0] == found.target


# ---------------------------------------------------------------- files and the command


def test_a_map_is_saved_without_pickle_and_as_it_is(tmp_path):
    found = explain(vlm_of("tiny-llava"), [noise(96, 96), noise(96, 96, 1)], QUESTION, ANSWER, "red")
    about = found.save(tmp_path / "new")
    assert about == json.loads((tmp_path / "new" / "map.json").read_text(encoding="utf-8"))
    assert about["target"] == "red" and about["layer"] == found.layer and about["text"] == found.text
    for picture, entry in zip(found.pictures, about["pictures"], strict=True):
        values = np.load(tmp_path / "new" / entry["values"], allow_pickle=False)
        assert np.array_equal(values, picture.values.numpy())
        boxes = np.load(tmp_path / "new" / entry["boxes"], allow_pickle=False)
        assert boxes.shape == (*values.shape, 4) and boxes[-1, -1].tolist() == [84, 84, 96, 96]
    with Image.open(tmp_path / "new" / "map.png") as figure:
        assert min(figure.size) > 200


def run(*words):
    return CliRunner().invoke(app, ["explain", *map(str, words)])


@pytest.mark.long
def test_the_command_writes_what_it_prints(tmp_path):
    noise(96, 96).save(tmp_path / "a.png")
    common = ["--image", tmp_path / "a.png", "--prompt", QUESTION, "--answer", TWICE, "--out", tmp_path / "out"]
    done = run("attention", *common, "--token", "red", "--nth", 2, "--layer", "decoder:1", "--head", 0, "--json")
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed == json.loads((tmp_path / "out" / "map.json").read_text(encoding="utf-8"))
    assert printed["layer"] == "decoder:1, head 0" and (tmp_path / "out" / "map.png").exists()
    done = run("gradcam", *common, "--token", "dog")
    assert done.exit_code == 0 and "gradcam at vision:3 for 'dog'" in done.stdout
    for words, told in (
        (["--token", "red"], "comes 2 times"),
        (["--token", "cow"], "is not a word of the answer"),
        (["--token", "dog", "--layer", "vision:9"], "no vision:9"),
        (["--token", "dog", "--masks", 9], "--masks is only for rise"),
        (["--nth", 1], "--nth is only with --token"),
    ):
        done = run("gradcam", *common, *words, "--json")
        assert done.exit_code == 2 and told in json.loads(done.stdout)["error"], done.output
    done = run("gradcam", "--prompt", QUESTION, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 2 and "--image" in json.loads(done.stdout)["error"]

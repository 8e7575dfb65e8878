"""One picture through a model: the parts agree with transformers, and what is shown says what was measured."""

import math
import re

import pytest
import torch
from PIL import Image

from mmhallu_core.chapters.a_vlm_in_one_page import (
    grid_table,
    next_word,
    patches,
    picture_cards,
    seen_and_blind,
    way_table,
    word_map,
)
from mmhallu_core.evaluate.blind import blank, shuffled
from mmhallu_core.evaluate.walk import nearest_words, spell, walk, what_is_where
from mmhallu_core.models.tiny_random import build
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.viz.marked import marked
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render

ASK = "Describe the image."
SCENE = sample_scene("one page")
PICTURE = render(SCENE, 96).image


@pytest.fixture(scope="module")
def tiny():
    return Vlm.load("tiny-llava", "cpu")


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    return Vlm.load(build("qwen2_vl", tmp_path_factory.mktemp("qwen") / "model"), "cpu")


def test_the_way_of_tiny_llava(tiny):
    way = walk(tiny, PICTURE, ASK)
    config = tiny.model.config
    assert way.view.grid == (8, 8) and way.visual_count == 64
    assert way.tokens.count("<image>") == 64 and way.prompt.count("<image>") == 1
    assert way.shapes["pixels"] == (1, 3, 96, 96)
    assert way.shapes["vision tower"] == (1, 65, config.vision_config.hidden_size)
    assert way.shapes["connector"] == (8, 8, config.text_config.hidden_size)
    layers, tokens, width = way.shapes["decoder"]
    assert (layers, width) == (config.text_config.num_hidden_layers, config.text_config.hidden_size)
    assert tokens == len(way.tokens) and way.shapes["next token"] == tuple(way.probabilities.shape)
    assert float(way.probabilities.sum()) == pytest.approx(1, abs=1e-4)


def test_visual_tokens_are_those_that_transformers_gives(tiny):
    inputs = tiny.encode([PICTURE], [tiny.prompt(ASK)])
    with torch.inference_mode():
        features = tiny.model.model.get_image_features(inputs["pixel_values"], return_dict=True).pooler_output[0]
    torch.testing.assert_close(walk(tiny, PICTURE, ASK).visual, features, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size, grid", [((48, 48), (3, 3)), ((64, 32), (2, 4)), ((32, 64), (4, 2))])
def test_another_family_keeps_the_shape_of_the_picture(qwen, size, grid):
    way = walk(qwen, PICTURE.resize(size), ASK)
    assert way.view.grid == grid and way.visual_count == math.prod(grid)
    assert way.shapes["vision tower"][0] == 4 * way.visual_count  # before two by two are merged
    assert len(way.visual) == way.visual_count


def test_nearest_words_against_a_loop(tiny):
    words, visual = ["dog", "tree", "none"], walk(tiny, PICTURE, ASK).visual
    table = tiny.model.get_input_embeddings().weight.detach()
    ids = [tiny.processor.tokenizer(" " + word, add_special_tokens=False)["input_ids"][0] for word in words]
    said = nearest_words(tiny, visual, words)
    for cell in (0, 17, 63):
        fits = [float((visual[cell] * table[i]).sum()) for i in ids]
        assert said[cell] == words[fits.index(max(fits))]


def test_what_is_where_against_the_masks():
    for rows, cols in ((8, 8), (3, 4)):
        kinds, size = what_is_where(SCENE, rows, cols), 24 * max(rows, cols)
        masks = render(SCENE, size).masks
        assert len(kinds) == rows * cols
        for row, col in ((0, 0), (rows - 1, 0), (rows // 2, cols // 2), (rows - 1, cols - 1)):
            down = [y for y in range(size) if y * rows // size == row]
            across = [x for x in range(size) if x * cols // size == col]
            shares = [sum(bool(mask[y, x]) for y in down for x in across) / len(down) / len(across) for mask in masks]
            best = max(range(len(shares)), key=shares.__getitem__)
            assert kinds[row * cols + col] == (SCENE.things[best].kind if shares[best] >= 0.25 else "none")


def test_spelling_gives_the_models_own_answer(tiny):
    steps = spell(tiny, PICTURE, ASK, max_new_tokens=12, others=3)
    (answer,) = tiny.answer([PICTURE], [ASK], max_new_tokens=12)
    assert "".join(step.token for step in steps) == answer.replace(" ", "")
    for step in steps:
        assert len(step.others) == 3 and step.token not in [token for token, _ in step.others]
        assert all(step.probability >= p for _, p in step.others)
        assert step.probability + sum(p for _, p in step.others) <= 1 + 1e-5
    first = walk(tiny, PICTURE, ASK).probabilities
    assert steps[0].probability == pytest.approx(float(first.max()), abs=1e-4)


def test_shuffled_patches_are_the_same_patches():
    mixed = shuffled(PICTURE, 8, 8)
    assert mixed != PICTURE and mixed == shuffled(PICTURE, 8, 8) and mixed != shuffled(PICTURE, 8, 8, seed=1)

    def tiles(image):
        corners = [(x, y) for y in range(0, 96, 12) for x in range(0, 96, 12)]
        return sorted(image.crop((x, y, x + 12, y + 12)).tobytes() for x, y in corners)

    assert tiles(mixed) == tiles(PICTURE)


def test_figures_and_tables_say_what_they_show(tiny, qwen):
    words = ["none"] * 63 + ["dog"]
    told = str(grid_table(words, 8, 8, "Kinds")).splitlines()
    assert told[1].split() == ["row", *"ABCDEFGH"] and told[-1].split() == ["8", *["none"] * 7, "dog"]
    with pytest.raises(ValueError, match="do not fill"):
        grid_table(words, 8, 7, "Kinds")
    assert "none 63, dog 1" in word_map(PICTURE, words, 8, 8, "Kinds").text
    assert "8 rows of 8 square patches" in patches(PICTURE, 8, 8, words, "A dog.").text
    way = str(way_table({"a": walk(tiny, PICTURE, ASK), "b": walk(qwen, blank((32, 32)), ASK)}, "The way"))
    assert re.search(r"of them the picture's +64 +4 ", way) and "1 x 3 x 96 x 96" in way
    step = spell(tiny, PICTURE, ASK, max_new_tokens=1)[0]
    assert f"Chosen: {step.token}." in next_word(step, "", "Next").text
    pair = seen_and_blind(["a", "dog"], [0.9, 0.8], [0.9, 0.1], "Twice").text
    assert "matters most for: dog from 80 to 10" in pair and re.search(r"2\. dog +80\.0 +10\.0", pair)
    cards = picture_cards([("blank", Image.new("RGB", (8, 8)), "Nothing.", marked("A dog.", []))])
    assert 'alt="blank. Nothing."' in cards.html and "A dog." in cards.text

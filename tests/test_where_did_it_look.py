"""What the chapter *Where did it look?* says of words and maps."""

import numpy as np
import pytest
import torch

from mmhallu_core.chapters.where_did_it_look import (
    agreement,
    maps_beside,
    place_of,
    seen_word,
    things_named,
    word_table,
)
from mmhallu_core.evaluate.blind import blank
from mmhallu_core.explain.maps import Map, PictureMap, ViewMap
from mmhallu_core.explain.reading import read
from mmhallu_core.models.image_tokens import WHOLE
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene, Thing

pytestmark = pytest.mark.long

BALL, DOG = Thing("o1", "ball", "red", x=0.2, y=0.95), Thing("o2", "dog", "white", x=0.8, y=0.95, pose="standing")
BEACH = Scene("beach", "beach", (BALL, DOG))


@pytest.fixture(scope="module")
def reading():
    return read(Vlm.load("tiny-llava"), render(BEACH, 96).image, "Describe.", "There is an umbrella and a dog.")


def a_map(values):
    picture = PictureMap(render(BEACH, 96).image, (ViewMap(torch.as_tensor(values, dtype=torch.float64), WHOLE),))
    return Map((picture,), "gradcam", "", "dog", ("dog",), "?", "dog", "tiny-llava", -1.0)


def test_words_for_things_are_found_and_judged(reading):
    named = things_named(reading, BEACH)
    assert [(word.text, there) for word, there in named.items()] == [("umbrella", False), ("dog", True)]
    assert seen_word(reading, BEACH).text == "dog"
    assert seen_word(reading, Scene("empty", "beach", ())).text == "umbrella", "no name is right: the first one"


def test_the_place_of_a_thing_is_the_middle_of_its_pixels():
    left, right = place_of("ball", BEACH), place_of("dog", BEACH)
    assert left[0] == pytest.approx(0.2 * 96, abs=2) and right[0] == pytest.approx(0.8 * 96, abs=4)
    assert place_of("umbrella", BEACH) is None


def test_maps_of_two_grids_are_compared_on_the_coarser_one():
    random = np.random.default_rng(0)
    coarse = random.random((2, 2))
    fine = np.kron(coarse, np.ones((2, 2)))
    rows = [line.split()[-3:] for line in str(agreement({"a": a_map(coarse), "b": a_map(fine), "c": a_map(-fine)}, "t"))
            .splitlines()[2:]]  # fmt: skip
    assert rows == [["1.00", "1.00", "-1.00"], ["1.00", "1.00", "-1.00"], ["-1.00", "-1.00", "1.00"]]


def test_the_words_of_a_figure_say_where_each_map_is_largest():
    corner = np.zeros((4, 4))
    corner[0, 3] = 1
    shown = maps_beside({"one": a_map(corner), "nothing": a_map(-corner)}, "Two maps")
    assert "one, largest at x 84, y 12; nothing, largest at -" in str(shown) and "upper right 100%" in str(shown)


def test_a_table_of_words_has_their_probabilities_with_and_without_the_picture(reading):
    words, grey = things_named(reading, BEACH), blank((96, 96))
    lines = str(word_table(reading, words, grey, "t")).splitlines()[2:]
    (dog,) = [line.split() for line in lines if line.startswith("dog")]
    with torch.no_grad():
        seen, blind = (float(reading.scores(one, [reading.find("dog")]).exp())
                       for one in (reading.inputs, reading.encode([[grey]])))  # fmt: skip
    assert dog[:4] == ["dog", "yes", f"{100 * seen:.1f}", f"{100 * blind:.1f}"]
    assert "names no thing" in str(word_table(reading, {}, grey, "t"))

"""Padding to an editor's shape: undone byte for byte, at the reply's size or another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmhallu_core.edit.editors.editor import RATIOS, plan_padding

pytestmark = pytest.mark.long

SIDES = st.integers(1, 90)
SHAPES = st.lists(st.sampled_from(RATIOS), min_size=1, max_size=10, unique=True)


def photo(width: int, height: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(SIDES, SIDES, SHAPES, st.integers(0, 9))
def test_what_was_padded_comes_back_byte_for_byte(width, height, ratios, seed):
    pixels, padding = photo(width, height, seed), plan_padding((width, height), ratios)
    canvas = padding.pad(pixels)
    assert canvas.shape[1::-1] == padding.canvas
    assert any(a * canvas.shape[0] == b * canvas.shape[1] for a, b in ratios)  # exactly in an allowed shape
    assert padding.undo(canvas).tobytes() == pixels.tobytes()


@given(SIDES, SIDES, SHAPES, st.integers(2, 4))
def test_an_editor_that_enlarges_by_repeating_is_undone_exactly(width, height, ratios, times):
    pixels, padding = photo(width, height, times), plan_padding((width, height), ratios)
    reply = padding.pad(pixels).repeat(times, axis=0).repeat(times, axis=1)
    assert np.array_equal(padding.undo(reply), pixels)


@given(SIDES, SIDES, SHAPES)
def test_no_smaller_canvas_of_an_allowed_shape_holds_the_photo(width, height, ratios):
    canvas = plan_padding((width, height), ratios).canvas
    for a, b in ratios:
        for wide in range(width, canvas[0] * canvas[1] // height):
            if wide * b % a == 0 and wide * b // a >= height:
                assert wide * (wide * b // a) >= canvas[0] * canvas[1]
                break


@pytest.mark.parametrize("size", [(1344, 768), (672, 384), (400, 225), (800, 450), (1920, 1080)])
def test_another_size_brings_every_object_back_to_its_place(size):
    """A smooth picture with a bright disc goes through a reply of another size: the disc keeps its centre."""
    y, x = np.ogrid[:300, :500]
    disc = (x - 123) ** 2 + (y - 211) ** 2 < 40**2
    pixels = np.where(disc[..., None], 230, 40).repeat(3, axis=2).astype(np.uint8)
    padding = plan_padding((500, 300), [(16, 9)])
    reply = np.asarray(Image.fromarray(padding.pad(pixels)).resize(size, Image.Resampling.LANCZOS))
    back = padding.undo(reply)
    assert back.shape == pixels.shape
    rows, columns = np.nonzero(back[..., 0] > 135)
    assert abs(columns.mean() - 123) < 0.6 and abs(rows.mean() - 211) < 0.6
    assert abs(back.astype(int) - pixels).mean() < 2


@pytest.mark.parametrize(
    "size, ratio, canvas",
    [((1024, 768), (4, 3), (1024, 768)), ((640, 427), (3, 2), (642, 428)), ((100, 1000), (9, 16), (567, 1008))],
)
def test_known_shapes(size, ratio, canvas):
    padding = plan_padding(size)
    assert (padding.ratio, padding.canvas) == (ratio, canvas)


def test_shapes_are_taken_in_lowest_terms():
    assert plan_padding((21, 9), [(42, 18)]) == plan_padding((21, 9), [(21, 9)])


def test_margins_continue_the_border():
    canvas = plan_padding((10, 2), [(1, 1)]).pad(photo(10, 2, 0))
    assert (canvas[:4] == canvas[4]).all() and (canvas[6:] == canvas[5]).all()


def test_what_does_not_fit_is_refused():
    padding = plan_padding((500, 300), [(16, 9)])
    with pytest.raises(ValueError, match="not 16:9"):
        padding.undo(photo(100, 100, 0))
    with pytest.raises(ValueError, match="not 16:9"):
        padding.undo(np.zeros((0, 5, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match="is for"):
        padding.pad(photo(300, 500, 0))
    for size, ratios in (((0, 5), RATIOS), ((5, 5), []), ((5, 5), [(0, 1)])):
        with pytest.raises(ValueError, match="positive"):
            plan_padding(size, ratios)

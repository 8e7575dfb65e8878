"""Photos laid over each other: a known shift is found, what does not fit is refused, a change is found in its place."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from mmhallu_core.explain.registered import concentration, feature_difference, pixel_difference, registered
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun


def photo(width=320, height=240, seed=0):
    """Something with details at all scales."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    fine, coarse = (Image.fromarray(noise).filter(ImageFilter.GaussianBlur(radius)) for radius in (2, 12))
    return ImageOps.autocontrast(Image.blend(fine, coarse, 0.5))


@pytest.mark.parametrize("shift", [(0, 0), (5, -3), (-7, 4)])
def test_a_shift_is_found_and_undone(shift):
    before = photo(256, 192)
    after = Image.new("RGB", before.size)
    after.paste(before, shift)  # moved right and down; black where nothing comes in
    found = registered(before, after)
    assert found.shift == (-shift[0], -shift[1])
    assert found.before.size == found.after.size == (256 - abs(shift[0]), 192 - abs(shift[1]))
    assert found.before.tobytes() == found.after.tobytes() and found.likeness == pytest.approx(1)


def test_another_size_is_scaled():
    before = photo()
    found = registered(before, before.resize((512, 390)))
    assert found.before.size == found.after.size and found.shift == (0, 0) and found.likeness > 0.98


def test_what_does_not_fit_is_refused_with_the_reason():
    with pytest.raises(CannotRun, match="width over height differs by 33%"):
        registered(photo(), photo(320, 320).resize((320, 180)))
    with pytest.raises(CannotRun, match="do not lie over each other: their correlation is -?0.[0-6]"):
        registered(photo(seed=0), photo(seed=1))
    with pytest.raises(CannotRun, match="do not lie over each other"):
        registered(Image.new("RGB", (90, 90), "red"), Image.new("RGB", (90, 90), "red"))  # nothing to hold on to


def test_a_painted_patch_is_where_the_difference_is():
    before = photo(256, 256)
    after = before.copy()
    ImageDraw.Draw(after).rectangle((64, 128, 95, 159), fill="white")
    pair = registered(before, after)
    found = pixel_difference(pair, 8, 8)
    assert found.argmax() == 4 * 8 + 2 and (found > 0).sum() == 1
    assert concentration(found) == pytest.approx(1)
    assert concentration(torch.ones(10, 10)) == pytest.approx(0.1)


def test_features_differ_most_where_the_picture_does():
    before = photo(96, 96)
    after = before.copy()
    ImageDraw.Draw(after).rectangle((0, 80, 15, 95), fill="red")
    pair = registered(before, after)
    found = feature_difference(Vlm.load("tiny-llava"), pair)
    assert found.shape == (8, 8) and float(found[6:, :2].mean()) > 2 * float(found[:4, 4:].mean()) > 0
    same = feature_difference(Vlm.load("tiny-llava"), registered(before, before))
    assert float(same.abs().max()) < 1e-5

"""What the chapter *Can you trust the heat map?* measures on few scenes, and the record of photo pairs."""

import numpy as np
import pytest

from mmhallu_core.chapters.can_you_trust_the_heat_map import (
    asked_words,
    curve_figure,
    examine,
    on_the_thing,
    shuffled_figure,
)
from mmhallu_core.chapters.heat_maps_on_photos import photo_table
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.recorded import recorded

pytestmark = pytest.mark.long
EVEN = {"constant": {"method": "constant"}}


@pytest.fixture(scope="module")
def asked():
    return asked_words(Vlm.load("tiny-llava"), 1)


def test_an_even_map_has_of_its_values_on_a_thing_what_the_thing_has_of_the_picture(asked):
    one = examine(asked, EVEN)["constant"]
    assert one.words == [len(asked[0][1])] and one.energy == pytest.approx(one.size)
    assert len(one.inserted) == len(one.deleted) == one.words[0]
    for shown, covered in zip(one.inserted, one.deleted, strict=True):
        assert shown[0] == pytest.approx(covered[-1]) and shown[-1] == pytest.approx(covered[0])
    lines = str(on_the_thing({"constant": one}, "t")).splitlines()
    assert lines[2].split()[-3:] == lines[3].split()[-3:], "the last row is what an even map gets"
    area = 100 * np.trapezoid(np.mean(one.deleted, axis=0), dx=1 / (len(one.deleted[0]) - 1))
    assert f"constant {area:.0f}." in str(curve_figure({"constant": one}, "t"))


def test_what_knows_nothing_fails_the_randomization_test(asked):
    told = str(shuffled_figure(asked[0], EVEN, "t"))
    assert "constant fails" in told and told.splitlines()[-1].split() == ["constant", "1.00", "1.00", "fails"]


def test_the_record_of_photo_pairs_adds_up():
    found = recorded("explain/photos")
    assert found["registered"] + sum(found["reasons"].values()) == found["pairs"]
    assert sum(one["pairs"] for one in found["by_category"].values()) == found["registered"]
    assert not any(".jpg" in str(value) for value in found.values()), "no photo is named"
    numbers = {"likeness": {"all": 0.9}, "concentration": {"all": 0.5}, "rank_correlation": {}}
    few = {
        "pairs": 1,
        "two_sizes": 1,
        "registered": 1,
        "reasons": {},
        "by_category": {"Object": {"all": 0.5}},
    } | numbers
    told = str(photo_table({"all": found, "one": few}, "t"))
    (local,) = [line for line in told.splitlines() if line.startswith("difference in the strongest tenth")]
    assert f"{found['concentration']['median']:.2f} (" in local and local.endswith("0.50")
    (none,) = [line for line in told.splitlines() if line.startswith("pixels against features")]
    assert none.endswith("none")

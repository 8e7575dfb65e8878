"""Are maps true? Each measure against a count by hand; the randomization test against maps that know nothing."""

import itertools
from dataclasses import fields

import numpy as np
import pytest
import torch
from explain_cases import reading_of, vlm_of
from PIL import Image

from mmhallu_core.evaluate.diorama.exam import DESCRIBE
from mmhallu_core.explain.controls import blob, edge_strength
from mmhallu_core.explain.maps import Map, PictureMap, ViewMap
from mmhallu_core.explain.perturb import covered, filled
from mmhallu_core.explain.randomize import alike, passes, randomization, shuffling, stages
from mmhallu_core.explain.reading import Reading, read
from mmhallu_core.explain.run import explain_all
from mmhallu_core.explain.truth import area, curves, energy, pointing
from mmhallu_core.world.language import describe
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render


def map_of(*grids, size=8) -> Map:
    """A map of square pictures, each of one view of the whole."""
    pictures = tuple(
        PictureMap(Image.new("RGB", (size, size)), (ViewMap(torch.tensor(grid).double(), (0.0, 0.0, 1.0, 1.0)),))
        for grid in grids
    )
    return Map(pictures, "by hand", "", "word", ("word",), "?", "word", "nobody", 0.0)


def at(y, x, size=8):
    mask = np.zeros((size, size), bool)
    mask[y, x] = True
    return mask


# ---------------------------------------------------------------- on the thing


def test_energy_counts_what_is_positive_inside_over_all_pictures():
    found = map_of([[4.0, -9.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 12.0]])
    left, nothing = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    left[:, :2] = True  # half of the cell with 4
    assert energy(found, [left, nothing]) == pytest.approx(2 / 16)
    assert energy(found, [left, ~nothing]) == pytest.approx(14 / 16)
    assert energy(map_of([[-1.0, 0.0]]), [~nothing]) == 0


@pytest.mark.parametrize(
    "y, x, near, hit",
    [
        (1, 1, 0.0, True),
        (1, 2, 0.0, True),
        (1, 3, 0.0, False),
        (1, 3, 1.0, True),
        (4, 4, 2.0, False),
        (4, 4, 3.0, True),
    ],
)
def test_pointing_takes_the_middle_of_the_largest_cell(y, x, near, hit):
    """That cell is pixels 0 to 3 of either side, its middle the corner of pixels 1 and 2."""
    assert pointing(map_of([[5.0, 1.0], [1.0, 4.0]]), [at(y, x)], near) is hit


def test_pointing_looks_for_the_largest_value_in_all_pictures():
    found = map_of([[5.0, 1.0], [1.0, 4.0]], [[0.0, 0.0], [0.0, 7.0]])
    assert pointing(found, [at(1, 1), at(6, 6)]) and not pointing(found, [at(1, 1), at(1, 1)])
    assert not pointing(map_of([[0.0, -1.0]]), [~at(0, 0)])


# ---------------------------------------------------------------- covering


class Bright(Reading):
    """A model whose only thought is how bright its picture is: a word's probability is the mean over pixels."""

    def encode(self, groups):
        return torch.tensor([np.mean([np.asarray(image).mean() / 255 for image in group]) for group in groups])

    def scores(self, inputs, targets):
        return (inputs + 1e-9).log()[:, None].repeat(1, len(targets))


def test_curves_of_a_model_that_sums_brightness_are_known():
    light = np.zeros((96, 96, 3), np.uint8)
    light[:24, :24] = 255  # one of 16 cells
    base = reading_of("tiny-llava", [Image.fromarray(light)])
    bright = Bright(*(getattr(base, field.name) for field in fields(Reading)))
    best, worst = torch.zeros(4, 4), torch.ones(4, 4)
    best[0, 0], worst[0, 0] = 1, 0
    maps = [map_of(best.tolist()), map_of(worst.tolist())]
    targets = base.words()[:2]
    found = curves(bright, targets, maps, "black", steps=4)
    share = 1 / 16
    expected = [[[0, 1, 1, 1, 1], [1, 0, 0, 0, 0]], [[0, 0, 0, 0, 1], [1, 1, 1, 1, 0]]]
    np.testing.assert_allclose(found / share, expected, atol=1e-6)
    np.testing.assert_allclose(area(found) / share, [[7 / 8, 1 / 8], [1 / 8, 7 / 8]], atol=1e-6)
    white = curves(bright, targets, maps, "white", steps=4)
    np.testing.assert_allclose(white[0, 0], [1, 13 / 16, 9 / 16, 5 / 16, 1 / 16], atol=1e-6)


def test_curves_are_those_of_a_loop_over_covered_pictures():
    reading = reading_of("tiny-llava", [Image.effect_noise((96, 96), 90).convert("RGB")])
    targets = [reading.find("umbrella"), reading.find("beach")]
    maps = explain_all(reading, targets, "occlusion", grid=(4, 4))
    found = curves(reading, targets, maps, "blur", steps=3, batch_size=5)
    for number, target in enumerate(targets):
        order = sorted(range(16), key=lambda i: -float(maps[number].values[0].flatten()[i]))
        for step in range(4):
            top = torch.zeros(16)
            top[order[: round(16 * step / 3)]] = 1
            for row, shown in enumerate((top, 1 - top)):
                image = covered(reading.images[0], filled(reading.images[0], "blur"), shown.view(4, 4), False)
                with torch.no_grad():
                    score = reading.scores(reading.encode([[image]]), [target])
                assert float(found[number, row, step]) == pytest.approx(float(score.exp()), rel=1e-3)


# ---------------------------------------------------------------- controls, and shuffled weights


def test_controls_know_the_picture_at_most():
    half = np.zeros((16, 16, 3), np.uint8)
    half[:, 9:] = 200
    edges = edge_strength(Image.fromarray(half), 4, 4)
    assert edges[:, 2].tolist() == [50.0] * 4 and float(edges.sum()) == 200  # two of four pixels of the cell change
    middle = blob(Image.fromarray(half), 3, 5)
    assert middle.argmax() == 7 and middle[1, 2] == 1
    torch.testing.assert_close(middle, middle.flip(0, 1))
    assert float(middle[1, 1]) == pytest.approx(np.exp(-(0.2**2) / (2 * 0.25**2)))


def test_alike_is_the_rank_correlation():
    first = map_of([[1.0, 2.0], [3.0, 40.0]])
    assert alike(first, map_of([[-1.0, 0.0], [0.5, 0.6]])) == pytest.approx(1)
    assert alike(first, map_of([[4.0, 3.0], [2.0, 1.0]])) == pytest.approx(-1)
    assert alike(first, map_of([[1.0, 3.0], [2.0, 4.0]])) == pytest.approx(1 - 6 * 2 / (4 * 15))
    even = map_of([[1.0, 1.0], [1.0, 1.0]])
    assert (alike(first, even), alike(even, even)) == (0, 1)


def test_shuffling_goes_from_the_answer_to_the_pixels_and_leaves_no_trace():
    vlm = vlm_of("tiny-llava")
    before = {name: weight.clone() for name, weight in vlm.model.state_dict().items()}
    names, changed = [], []
    with pytest.raises(KeyError), shuffling(vlm) as steps:
        for name in steps:
            names.append(name)
            now = vlm.model.state_dict()
            changed.append({key for key in before if not torch.equal(before[key], now[key])})
            sums = [(float(before[key].double().sum()), float(now[key].double().sum())) for key in changed[-1]]
            np.testing.assert_allclose(*zip(*sums, strict=True), rtol=1e-4, atol=1e-3)
        raise KeyError
    assert names == [name for name, _ in stages(vlm)] and names[4] == "connector"
    assert (names[0], names[-1]) == ("decoder:3", "vision:0") and all(a < b for a, b in itertools.pairwise(changed))
    assert all("layers.3" in key and "language" in key for key in changed[0])
    assert all(torch.equal(before[key], now) for key, now in vlm.model.state_dict().items())


@pytest.mark.long
def test_the_randomization_test_fails_what_does_not_ask_the_model_and_passes_grad_cam():
    vlm, kept = vlm_of("tiny-llava"), {"gradcam": [], "edges": [], "constant": []}
    for number in range(4):
        scene, said = sample_scene(f"explain/test/{number}"), describe(sample_scene(f"explain/test/{number}"))
        reading = read(vlm, render(scene).image, DESCRIBE, said.text)
        nouns = [reading.at((one.start, one.end)) for one in said.mentions]
        for method, found in kept.items():
            found.append(randomization(reading, nouns, lambda *asked, m=method: explain_all(*asked, m))[1])
    verdicts = {method: passes(np.concatenate(found, axis=1)) for method, found in kept.items()}
    assert verdicts == {"gradcam": True, "edges": False, "constant": False}
    assert np.all(kept["edges"][0] == 1)

"""Attention, integrated gradients, occlusion and RISE: against calculations by hand, for every family."""

import numpy as np
import pytest
import torch
from explain_cases import ANSWER, FAMILIES, QUESTION, noise, pictures, reading_of, vlm_of
from PIL import Image

from mmhallu_core.explain.attention import image_attention
from mmhallu_core.explain.perturb import Covering, covered, filled
from mmhallu_core.explain.pixels import repeated
from mmhallu_core.explain.run import explain, explain_all
from mmhallu_core.models.record import record
from mmhallu_core.types import CannotRun

MODELS = ["tiny-llava", *(pytest.param(family, marks=pytest.mark.long) for family in FAMILIES)]


@pytest.fixture(params=MODELS)
def family(request):
    return request.param


# ---------------------------------------------------------------- attention


@torch.no_grad()
def test_shares_of_attention_are_those_of_the_whole_map_and_add_up_to_one(family):
    reading = reading_of(family, pictures(family, 2))
    vlm, found = reading.vlm, image_attention(reading)
    with record(vlm.model, attentions=True) as seen:
        vlm.model(**reading.inputs)
    ids = reading.inputs["input_ids"][0]
    for place, layer in enumerate(found.layers):
        whole = seen.attentions[layer][0]
        for token in range(len(reading.spans)):
            row = whole[:, len(ids) - len(reading.spans) + token - 1]
            shares = found.share[place, :, token]
            if vlm.family.image_positions is None:
                torch.testing.assert_close(found.weights[place, :, token], row)
                torch.testing.assert_close(shares, torch.ones(len(row)))
                continue
            words = sum(row[:, i] for i, one in enumerate(ids.tolist()) if one != vlm.processor.image_token_id)
            torch.testing.assert_close(shares + words, torch.ones(len(row)))
            assert float(shares.min()) >= 0
    parts = sum(found.weights[..., cells.index.flatten()].sum(-1) for cells in found.cells)
    assert float((parts - found.share).max()) < 1e-5, "cells are part of what lies on the pictures"
    assert {cells.picture for cells in found.cells} == {0, 1}


@torch.no_grad()
def test_attention_maps_average_layers_heads_and_tokens():
    reading = reading_of("tiny-llava", pictures("tiny-llava"))
    target, found = reading.find("umbrella"), image_attention(reading)
    assert target.text == "umbrella" and found.weights.shape[2] == len(reading.spans)
    (one,) = explain_all(reading, [target], "attention", "decoder:2", head=3)
    row = found.weights[2, 3, list(target.tokens)].mean(0)
    torch.testing.assert_close(one.values[0], row[found.cells[0].index])
    (every,) = explain_all(reading, [target], "attention")
    mean = sum(found.weights[i, h, t] for i in range(4) for h in range(5) for t in target.tokens)
    mean = mean / (4 * 5 * len(target.tokens))
    torch.testing.assert_close(every.values[0], mean[found.cells[0].index])
    for options, told in (
        ({"head": 5}, "no head 5"), ({"layer": "decoder:4"}, "layer 4 does not attend"), ({"how": "x"}, "not 'x'"),
        ({"layer": "vision"}, "decoder:N"), ({"how": "rollout", "head": 1}, "leave layer and head out"),
    ):  # fmt: skip
        with pytest.raises(CannotRun, match=told):
            explain_all(reading, [target], "attention", **options)


@torch.no_grad()
def test_rollout_is_the_product_of_the_layers():
    reading = reading_of("tiny-llava", pictures("tiny-llava"))
    with record(reading.vlm.model, attentions=True) as seen:
        reading.vlm.model(**reading.inputs)
    product = np.eye(reading.inputs["input_ids"].shape[1])
    for layer in sorted(seen.attentions):
        step = seen.attentions[layer][0].double().mean(0).numpy()
        product = (0.5 * step + 0.5 * np.eye(len(step))) @ product
    np.testing.assert_allclose(product.sum(1), 1, atol=1e-5)
    target = reading.find("red")
    (found,) = explain_all(reading, [target], "attention", how="rollout")
    positions = reading.vlm.image_tokens(reading.inputs, [reading.images])[0][0].views[0].positions
    at = product.shape[0] - len(reading.spans) - 1
    expected = np.mean([product[at + token] for token in target.tokens], axis=0)[positions]
    np.testing.assert_allclose(found.values[0].numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("family", ["tiny-llava", pytest.param("mllama", marks=pytest.mark.long)])
def test_gradient_times_attention_is_that_of_autograd(family):
    reading = reading_of(family, pictures(family))
    target, vlm = reading.find("umbrella"), reading.vlm
    layer = (vlm.family.cross_attention_layers(vlm.model) or (1,))[0]
    with record(vlm.model, layers=(layer,), attentions=True, gradients=True) as seen:
        score = reading.scores(reading.inputs, [target])[0, 0]
    weights = seen.attentions[layer]
    (slope,) = torch.autograd.grad(score, weights)
    product = (weights * slope).clamp(min=0)[0].detach()
    at = reading.inputs["input_ids"].shape[1] - len(reading.spans) - 1
    mean = product[:, [at + token for token in target.tokens]].mean((0, 1))
    (found,) = explain_all(reading, [target], "attention", f"decoder:{layer}", how="gradient")
    if family == "mllama":
        mean = mean.view(4, 5)[:, 1:].reshape(4, 2, 2)  # four tiles of a class token and 2 x 2 patches
        torch.testing.assert_close(torch.stack([view.values for view in found.pictures[0].views]), mean[: len(
            found.pictures[0].views)], atol=1e-6, rtol=1e-3)  # fmt: skip
        assert "cross-attention" in found.note and "Note:" in found.text
        return
    positions = vlm.image_tokens(reading.inputs, [reading.images])[0][0].views[0].positions
    torch.testing.assert_close(found.values[0], mean[positions], atol=1e-6, rtol=1e-3)


# ---------------------------------------------------------------- what repeats the pictures


@torch.no_grad()
def test_repeating_a_prompt_is_a_loop_over_it(family):
    reading = reading_of(family, pictures(family, 2))
    pixels, words = reading.inputs["pixel_values"], [reading.find("red"), reading.find("beach")]
    shades = [pixels, pixels * 0.5, pixels * 0.1 + 0.3]
    together = reading.scores(repeated(reading.inputs, torch.stack(shades)), words)
    for shade, row in zip(shades, together, strict=True):
        alone = reading.scores({**reading.inputs, "pixel_values": shade}, words)[0]
        torch.testing.assert_close(row, alone, atol=2e-4, rtol=1e-4)


@pytest.mark.long
def test_integrated_gradients_are_complete(family):
    reading = reading_of(family, pictures(family, 2))
    (found,) = explain_all(reading, [reading.find("umbrella")], "ig", most=2048)
    with torch.no_grad():
        grey = reading.encode([[filled(image, "grey") for image in reading.images]])
        scores = [float(reading.scores(one, [reading.find("umbrella")])) for one in (reading.inputs, grey)]
    total = sum(float(view.values.double().sum()) for picture in found.pictures for view in picture.views)
    assert total == pytest.approx(scores[0] - scores[1], rel=0.0101), found.facts
    assert found.facts["incompleteness"] <= 0.01 and not found.note


def test_values_that_do_not_add_up_are_said():
    found = explain(vlm_of("tiny-llava"), noise(96, 96), QUESTION, ANSWER, "umbrella", "ig", steps=1, most=1)
    assert found.facts["steps"] == 1 and "add up only to within" in found.note


def test_gradient_times_input_is_that_of_autograd():
    reading = reading_of("tiny-llava", pictures("tiny-llava"))
    pixels = reading.inputs["pixel_values"].clone().requires_grad_()
    score = reading.scores({**reading.inputs, "pixel_values": pixels}, [reading.find("red")])[0, 0]
    product = (torch.autograd.grad(score, pixels)[0] * pixels).detach()[0].sum(0)
    expected = [[float(product[12 * r : 12 * r + 12, 12 * c : 12 * c + 12].sum()) for c in range(8)] for r in range(8)]
    (found,) = explain_all(reading, [reading.find("red")], "input-x-gradient")
    torch.testing.assert_close(found.values[0], torch.tensor(expected), atol=1e-4, rtol=1e-3)


# ---------------------------------------------------------------- what covers the pictures


@pytest.mark.long
@torch.no_grad()
def test_occlusion_is_a_loop_over_windows():
    reading = reading_of("tiny-llava", pictures("tiny-llava", 2))
    words, grey = [reading.find("red"), reading.find("beach")], (127, 127, 127)
    found = explain_all(reading, words, "occlusion", grid=(2, 3), window=1, batch_size=4)
    before = reading.scores(reading.inputs, words)[0]
    for number, image in enumerate(reading.images):
        for row in range(2):
            for col in range(3):
                box = [round(v) for v in found[0].pictures[number].boxes[row, col].tolist()]
                hidden = list(reading.images)
                hidden[number] = image.copy()
                hidden[number].paste(grey, box)
                lost = before - reading.scores(reading.encode([hidden]), words)[0]
                for word in range(2):
                    assert float(found[word].values[number][row, col]) == pytest.approx(float(lost[word]), abs=2e-3)


@pytest.mark.long
def test_rise_finds_the_place_that_a_score_depends_on(monkeypatch):
    """With a score that is known, the brightness of one cell, the map is known too: largest in that cell."""
    reading = reading_of("tiny-llava", [Image.new("RGB", (96, 96), (255, 255, 255))])
    monkeypatch.setattr(type(reading), "scores", lambda self, inputs, targets: (
        inputs["pixel_values"][:, :, 60:72, 24:36].mean((1, 2, 3))[:, None].expand(-1, len(targets))))  # fmt: skip
    (found,) = explain_all(reading, [reading.find("red")], "rise", masks=300, fill="black")
    assert divmod(int(found.values[0].argmax()), 8) == (5, 2)
    again = explain_all(reading, [reading.find("red")], "rise", masks=300, fill="black")[0]
    assert torch.equal(found.values[0], again.values[0])
    other = explain_all(reading, [reading.find("red")], "rise", masks=300, fill="black", seed=1)[0]
    assert not torch.equal(found.values[0], other.values[0])


def test_covering_shows_hides_and_asks_once():
    image, grey = noise(20, 30), filled(noise(20, 30), "grey")
    whole, none = torch.ones(2, 3), torch.zeros(2, 3)
    assert np.array_equal(covered(image, grey, whole, False), image)
    assert np.array_equal(covered(image, grey, none, True), grey)
    half = np.asarray(covered(image, grey, torch.tensor([[1.0, 0.0]]), False))
    assert np.array_equal(half[:, :15], np.asarray(image)[:, :15]) and (half[:, 15:] == 127).all()
    assert np.asarray(filled(image, "blur")).std() < np.asarray(image).std() / 2
    with pytest.raises(CannotRun, match="called 'pink'; there are grey, blur, black, white"):
        filled(image, "pink")
    reading, calls = reading_of("tiny-llava", [noise(96, 96)]), []
    cover = Covering(reading, [reading.find("red")], "grey")
    handle = reading.vlm.model.register_forward_hook(lambda m, a, output: calls.append(len(output.logits)))
    shown = torch.ones(3, 2, 2)
    shown[1] = 0
    first = cover(shown)
    assert calls == [2], "two of the three grids are one"
    assert torch.equal(first, cover(shown)) and calls == [2]
    handle.remove()

"""Grad-CAM: equal to a calculation by hand, in the right place, and gone when it is done."""

import gc
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from explain_cases import ANSWER, FAMILIES, QUESTION, hooks, in_float64, noise, pictures, reading_of, vlm_of

from mmhallu_core.explain.gradcam import grad_cam
from mmhallu_core.explain.places import Place, place
from mmhallu_core.explain.reading import read
from mmhallu_core.explain.run import explain, explain_all
from mmhallu_core.models import tiny_random
from mmhallu_core.models.families import plain
from mmhallu_core.models.image_tokens import WHOLE
from mmhallu_core.models.record import record
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun

MODELS = ["tiny-llava", *(pytest.param(family, marks=pytest.mark.long) for family in FAMILIES)]


def fresh(family):
    """A model of a test's own, to be changed."""
    folder = family if family == "tiny-llava" else tiny_random.build(family, Path(tempfile.mkdtemp()) / family)
    return Vlm.load(folder)


def log_probability(reading, target, logits):
    """Of a word, token by token, from all logits of its row."""
    ids, total = reading.inputs["input_ids"][0], 0.0
    for token in target.tokens:
        at = len(ids) - len(reading.spans) + token
        total = total + logits[0, at - 1].log_softmax(-1)[ids[at]]
    return total


def by_hand(reading, target, layer):
    """Views of Grad-CAM from recorded states: the equation, cell by cell, and the order by its own functions."""
    model, (kind, _, number) = reading.vlm.model, layer.partition(":")
    number = int(number or 0)
    chosen = {"vision": {"vision_layers": (number,)}, "decoder": {"layers": (number,)}}.get(kind, {"connector": True})
    with record(model, **({"layers": ()} | chosen), gradients=True) as seen:
        score = log_probability(reading, target, model(**reading.inputs).logits)
    crossing = reading.vlm.family.image_positions is None
    states = {"vision": lambda: seen.vision[number], "decoder": lambda: seen.states[number],
              "connector": lambda: seen.connector if crossing else seen.embeddings}[kind]()  # fmt: skip
    (slope,) = torch.autograd.grad(score, states)
    views = []
    for values in (states.detach(), slope):
        if kind == "vision" or crossing:
            if kind == "connector":  # [prompts, pictures, tiles, patches, width]: fill up as the tower's layers are
                values = values.flatten(0, 1).flatten(1, 2)
            views.append(reading.vlm.family.raster(model, reading.inputs, values))
        else:
            tokens = reading.vlm.image_tokens(reading.inputs, [reading.images])[0]
            views.append([values[0, view.positions] for image in tokens for view in image.views])
    maps = []
    for activation, gradient in zip(*views, strict=True):
        rows, cols, width = activation.shape
        weights = [sum(gradient[r, c, k] for r in range(rows) for c in range(cols)) / (rows * cols)
                   for k in range(width)]  # fmt: skip
        maps.append(torch.einsum("rck,k->rc", activation, torch.stack(weights)))
    return maps


@pytest.mark.long
@pytest.mark.parametrize("family", MODELS)
def test_grad_cam_is_the_hand_written_one(family):
    vlm = in_float64(fresh(family))
    layers = ["vision:0", "connector"] + ["decoder:0"] * (vlm.family.image_positions is not None)
    last = place(read(vlm, pictures(family), QUESTION, ANSWER), "vision").name
    for images in (pictures(family), pictures(family, 2)):
        reading = read(vlm, images, QUESTION, ANSWER)
        target = reading.find("umbrella")
        for layer in [*layers, last]:
            (found,) = explain_all(reading, [target], "gradcam", layer)
            assert found.layer == layer and found.score == pytest.approx(found.score)
            views = [view.values for picture in found.pictures for view in picture.views]
            expected = by_hand(reading, target, layer)
            scale = max(float(one.abs().max()) for one in expected)
            assert scale > 0
            real = [one for one in expected if family != "mllama" or float(one.abs().max()) > 0][: len(views)]
            if family == "mllama":  # by hand the empty tiles are there too: each picture has four
                used = [len(picture.views) for picture in found.pictures]
                real = [one for i, count in enumerate(used) for one in expected[4 * i : 4 * i + count]]
            assert len(views) == len(real)
            for ours, one in zip(views, real, strict=True):
                torch.testing.assert_close(ours, one.detach(), rtol=0, atol=1e-9 * scale)


def test_all_words_come_from_one_pass_and_are_those_that_come_alone():
    answer = "A red umbrella is beside a small dog on the beach and there is a blue car near the house."
    reading = read(vlm_of("tiny-llava"), noise(96, 96), "Describe.", answer)
    words, calls = reading.words()[:16], []
    handle = reading.vlm.model.register_forward_hook(lambda *_: calls.append(1))
    stacks, scores = grad_cam(
        lambda: reading.scores(reading.inputs, words)[0], place(reading, "vision"), reading.vlm.model, 16
    )
    handle.remove()
    assert len(words) == 16 and len(calls) == 1 and stacks[0].values.shape[0] == 16
    for number in (0, 7, 15):
        (alone,) = explain_all(reading, [words[number]])
        assert alone.score == pytest.approx(float(scores[number]), abs=1e-4)
        torch.testing.assert_close(stacks[0].values[number], alone.pictures[0].views[0].values, atol=1e-5, rtol=1e-3)


def test_the_gradient_ends_at_the_layer_and_parameters_get_none():
    vlm, wanted = vlm_of("tiny-llava"), []
    reading, layers = read(vlm, noise(96, 96), QUESTION, ANSWER), vlm.family.tower_layers(vlm.model)
    handles = [layer.register_forward_hook(lambda m, a, output: wanted.append(
        (output[0] if isinstance(output, tuple) else output).requires_grad)) for layer in layers]  # fmt: skip
    frozen = next(vlm.model.parameters()).requires_grad_(False)
    before = [parameter.requires_grad for parameter in vlm.model.parameters()]
    explain_all(reading, [reading.find("red")], "gradcam", "vision:2")
    assert wanted[: len(layers)] == [number >= 2 for number in range(len(layers))]
    assert [parameter.requires_grad for parameter in vlm.model.parameters()] == before
    assert all(parameter.grad is None for parameter in vlm.model.parameters())
    frozen.requires_grad_(True)
    for handle in handles:
        handle.remove()


def test_an_error_inside_leaves_the_model_as_it_was():
    reading = reading_of("tiny-llava", pictures("tiny-llava"))
    model = reading.vlm.model
    count = hooks(model)

    def broken():
        reading.scores(reading.inputs, reading.words())
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        grad_cam(broken, place(reading, "vision"), model)
    assert hooks(model) == count and all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.long
def test_nothing_is_left_behind_over_forty_calls():
    vlm, image = vlm_of("llava"), noise(32, 32)
    kept = []
    for call in range(40):
        for method in ("gradcam", "attention"):
            explain(vlm, image, QUESTION, ANSWER, "red", method)
        if call in (9, 39):
            gc.collect()
            kept.append((hooks(vlm.model), sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())))
    assert kept[0] == kept[1]


def test_a_model_without_gradients_is_told(monkeypatch):
    reading = reading_of("tiny-llava", pictures("tiny-llava"))
    run = type(reading.vlm.model).forward
    monkeypatch.setattr(type(reading.vlm.model), "forward", torch.no_grad()(run))
    for method in ("gradcam", "ig", "input-x-gradient"):
        with pytest.raises(CannotRun, match="gives no gradients"):
            explain_all(reading, [reading.find("red")], method)


def test_an_inference_block_around_it_does_no_harm():
    image = noise(96, 96)
    outside = explain(vlm_of("tiny-llava"), image, QUESTION, ANSWER, "red")
    with torch.inference_mode():
        inside = explain(vlm_of("tiny-llava"), image, QUESTION, ANSWER, "red")
    torch.testing.assert_close(inside.values[0], outside.values[0])


def test_layers_that_are_not_there_or_not_read_are_told():
    reading = reading_of("llava", pictures("llava"))  # reads the tower's last layer but one
    assert place(reading, "vision:-1").name == place(reading, "vision").name == "vision:1"
    for layer, told in (
        ("vision:2", "no answer depends on what vision:2.*last that counts is vision:1"),
        ("vision:3", "no vision:3; vision layers are numbered 0 to 2"),
        ("vision:-3", "no vision:-3"),
        ("decoder:1", "no answer depends on what decoder:1 gives out at the picture"),
        ("connector:1", "no layer is called"),
        ("head", "no layer is called 'head'; there are vision, vision:N, connector and decoder:N"),
    ):
        with pytest.raises(CannotRun, match=told):
            place(reading, layer)


@pytest.mark.slow
def test_on_the_bare_tower_it_is_pytorch_grad_cams():
    package = pytest.importorskip("pytorch_grad_cam", reason="grad-cam is not installed")
    from pytorch_grad_cam.utils.image import scale_cam_image

    vlm = vlm_of("tiny-llava")
    tower, side = plain(vlm.model).model.vision_tower, 8
    heads = torch.randn(tower.config.hidden_size, 5, generator=torch.Generator().manual_seed(3))

    class Classifier(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.tower = tower

        def forward(self, pixels):
            return self.tower(pixel_values=pixels).last_hidden_state.mean(1) @ heads

    model, layer = Classifier().eval(), tower.encoder.layers[2]
    pixels = vlm.encode([noise(96, 96)], [vlm.prompt("?")])["pixel_values"]

    def laid_out(states):
        return states[:, 1:].reshape(len(states), side, side, -1).permute(0, 3, 1, 2)

    where = Place("bare", layer, False, lambda states: [states[0, 1:].view(side, side, -1)], ((0, WHOLE),))
    stacks, _ = grad_cam(lambda: model(pixels)[0], where, model, 5)
    with package.GradCAM(model=model, target_layers=[layer], reshape_transform=laid_out) as theirs:
        for number in range(5):
            target = [lambda output, number=number: output[number]]
            expected = theirs(input_tensor=pixels, targets=target)
            ours = scale_cam_image(stacks[0].values[number].clamp(min=0)[None].numpy(), (96, 96))
            np.testing.assert_allclose(scale_cam_image(ours), expected, atol=1e-5)
            hooked = theirs.activations_and_grads
            raw = theirs.get_cam_image(
                pixels, layer, target, hooked.activations[0].numpy(), hooked.gradients[0].numpy()
            )[0]  # with its sign, and in its own scale
            np.testing.assert_allclose(stacks[0].values[number].numpy(), raw, atol=1e-5 * np.abs(raw).max())

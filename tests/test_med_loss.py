"""MED's consistency losses and the collapse checks, against numpy, finite differences, and what must not matter."""

import numpy as np
import pytest
import torch

from mmhallu_core.train.collapse import Features, alignment, effective_rank, measure, spread, uniformity, verdict
from mmhallu_core.train.losses import (
    Consistency,
    edited_cells,
    global_consistency,
    masked_consistency,
    med_loss,
    similarity,
)

PAIRS, TOKENS, WIDTH = 3, 5, 4
REAL = torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [True] * 4 + [False]])
EDITED = torch.tensor([[False, True, True, False, False], [True, False, False, False, True], [False] * 5])


@pytest.fixture
def pair():
    """Features of pictures and their edits, near each other, in double precision; where REAL is False, zeros."""
    random = np.random.default_rng(1)
    first = random.normal(size=(PAIRS, TOKENS, WIDTH))
    second = first + 0.5 * random.normal(size=first.shape)
    return [torch.tensor(x * REAL.numpy()[..., None]) for x in (first, second)]


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


def by_hand(first, second, floor, margin):
    """Both losses pair by pair and token by token, in plain numpy; the third pair has no edit."""
    whole, masked = [], []
    for i in range(PAIRS):
        kept = [t for t in range(TOKENS) if REAL[i, t]]
        a, b = first[i].numpy(), second[i].numpy()
        whole.append(max(0.0, float(floor[i]) - cosine(a[kept].mean(0), b[kept].mean(0))))
        outside = [1 - cosine(a[t], b[t]) for t in kept if not EDITED[i, t]]
        inside = [max(0.0, cosine(a[t], b[t]) - margin) for t in kept if EDITED[i, t]]
        masked.append(np.mean(outside) + (np.mean(inside) if inside else 0))
    return np.mean(whole), np.mean(masked)


def test_both_losses_are_what_numpy_makes_of_them(pair):
    floor = torch.tensor([0.99, 1.0, -1.0], dtype=torch.float64)
    whole, masked = by_hand(*pair, floor, 0.2)
    assert whole > 0.001 and masked > 0.1
    assert global_consistency(*pair, floor, REAL).item() == pytest.approx(whole, rel=1e-12)
    assert masked_consistency(*pair, EDITED, 0.2, REAL).item() == pytest.approx(masked, rel=1e-12)
    caption = torch.tensor(2.0, dtype=torch.float64)
    total = med_loss(caption, Consistency("global", 0.3), *pair, floor=floor, real=REAL)
    assert total.item() == pytest.approx(2 + 0.3 * whole, rel=1e-12)
    total = med_loss(caption, Consistency("masked", 0.3, 0.2), *pair, edited=EDITED, real=REAL)
    assert total.item() == pytest.approx(2 + 0.3 * masked, rel=1e-12)


def test_gradients_are_those_of_finite_differences(pair):
    first, second = (features.requires_grad_() for features in pair)
    floor = torch.tensor([0.99, 1.0, 0.98], dtype=torch.float64)
    for loss in (
        lambda a, b: global_consistency(a, b, floor, REAL),
        lambda a, b: masked_consistency(a, b, EDITED, 0.2, REAL),
    ):
        for features, other in ((first, second), (second, first)):
            (found,) = torch.autograd.grad(loss(features, other), features)
            assert found.abs().max() > 1e-3 and (found[~REAL] == 0).all()
            for place in np.ndindex(*features.shape):
                step = torch.zeros_like(features)
                step[place] = 1e-6 * REAL[place[:2]]  # a filled-up row is a kink: no direction there is tried
                with torch.no_grad():
                    slope = (loss(features + step, other) - loss(features - step, other)) / 2e-6
                assert found[place].item() == pytest.approx(slope.item(), abs=1e-6)


def test_the_same_picture_twice_costs_nothing_and_less_similar_costs_more(pair):
    first, _ = pair
    one = torch.ones(PAIRS, dtype=torch.float64)
    nothing_edited = torch.zeros_like(EDITED)
    assert global_consistency(first, first, one, REAL).item() == pytest.approx(0, abs=1e-12)
    assert masked_consistency(first, first, nothing_edited, 0.5, REAL).item() == pytest.approx(0, abs=1e-12)
    # Inside an edit it is the other way round: features that do not tell the pictures apart cost 1 - margin.
    everywhere = REAL.clone()
    assert masked_consistency(first, first, everywhere, 0.5, REAL).item() == pytest.approx(0.5)
    noise = torch.randn(first.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    farther = [global_consistency(first, first + k * noise * REAL[..., None], one, REAL).item() for k in (0.1, 0.5, 2)]
    assert 0 < farther[0] < farther[1] < farther[2]


def test_the_floor_of_the_model_before_training_is_free_and_pulls_only_after_drift(pair):
    first, second = pair
    floor = similarity(first, second, REAL)
    assert global_consistency(first, second, floor, REAL).item() == 0
    drifted = second + 0.3 * (second - first)
    assert global_consistency(first, drifted, floor, REAL).item() > 0
    assert global_consistency(first, (first + second) / 2, floor, REAL).item() == 0  # closer than before is free too


def test_what_must_not_matter_does_not(pair):
    first, second = pair
    floor = torch.ones(PAIRS, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(WIDTH, WIDTH, dtype=torch.float64)).Q
    pairs, tokens = torch.tensor([2, 0, 1]), torch.tensor([3, 1, 4, 0, 2])

    def both(a, b, edited, floor, real):
        return global_consistency(a, b, floor, real).item(), masked_consistency(a, b, edited, 0.2, real).item()

    plain = both(first, second, EDITED, floor, REAL)
    filled = [torch.cat([x, torch.zeros(PAIRS, 2, WIDTH, dtype=torch.float64)], 1) for x in pair]
    more = [torch.cat([mask, torch.zeros(PAIRS, 2, dtype=torch.bool)], 1) for mask in (EDITED, REAL)]
    same = {
        "pictures swapped": both(second, first, EDITED, floor, REAL),
        "all features turned": both(first @ turn, second @ turn, EDITED, floor, REAL),
        "all features longer": both(7 * first, 3 * second, EDITED, floor, REAL),
        "pairs in another order": both(first[pairs], second[pairs], EDITED[pairs], floor[pairs], REAL[pairs]),
        "tokens in another order": both(first[:, tokens], second[:, tokens], EDITED[:, tokens], floor, REAL[:, tokens]),
        "filled up further": both(*filled, more[0], floor, more[1]),
    }
    for what, values in same.items():
        assert values == pytest.approx(plain, rel=1e-9), what


def test_modes_have_names_and_none_is_the_caption_alone(pair):
    caption = torch.tensor(1.7, requires_grad=True)
    assert med_loss(caption, Consistency()) is caption
    assert med_loss(caption, Consistency("masked", weight=0.0)) is caption
    with pytest.raises(ValueError, match="'masked' needs first, second, edited"):
        med_loss(caption, Consistency("masked"))
    with pytest.raises(ValueError, match="'global' needs floor"):
        med_loss(caption, Consistency("global"), *pair)
    with pytest.raises(ValueError, match="margin"):
        Consistency("masked", margin=1.0)


def test_cells_of_an_edit_are_those_that_share_pixels_with_it():
    changed = torch.zeros(10, 12, dtype=torch.bool)
    changed[4, 3:6] = True  # row 4 of 10 lies in cell rows 1 and 2 of 4 (2.5 pixels each) only: 2.5-5; columns 3 to 5
    found = edited_cells(changed, 4, 4, spread=0)  # cells are 2.5 pixels high, 3 wide
    assert found.nonzero().tolist() == [[1, 1]]
    assert edited_cells(changed, 4, 4, spread=1).nonzero().tolist() == [[r, c] for r in range(3) for c in range(3)]
    assert not edited_cells(torch.zeros(10, 12, dtype=torch.bool), 3, 3).any()
    # One pixel over several cells; a grid over the lower half only; a grid over a picture with bars left and right.
    assert edited_cells(torch.tensor([[True, False]]), 4, 4, spread=0).tolist() == [[True, True, False, False]] * 4
    lower = edited_cells(changed, 2, 4, box=(0.0, 0.5, 1.0, 1.0), spread=0)
    assert not lower.any()
    assert edited_cells(changed, 2, 4, box=(0.0, 0.4, 1.0, 1.0), spread=0).nonzero().tolist() == [[0, 1]]
    padded = edited_cells(torch.ones(4, 2, dtype=torch.bool), 4, 4, box=(-0.5, 0.0, 1.5, 1.0), spread=0)
    assert padded.tolist() == [[False, True, True, False]] * 4
    with pytest.raises(ValueError, match="0 x 4 cells"):
        edited_cells(changed, 0, 4)


# ---------------------------------------------------------------- collapse


def healthy(n=200, width=16):
    random = torch.Generator().manual_seed(0)
    first = torch.randn(n, width, generator=random)
    return first, first + 0.3 * torch.randn(n, width, generator=random)


@pytest.mark.long
def test_the_numbers_of_features_whose_numbers_are_known():
    first, second = healthy(2000)
    assert spread(first) == pytest.approx(1, abs=0.02)
    assert effective_rank(first) == pytest.approx(16, abs=0.1)
    three = torch.randn(500, 3, generator=torch.Generator().manual_seed(1)) @ torch.eye(3, 16)
    assert effective_rank(three + 5) == pytest.approx(3, abs=0.02)
    line = torch.arange(1.0, 9)[:, None] * torch.ones(1, 16)
    assert effective_rank(line) == pytest.approx(1, abs=1e-6) and spread(line) == pytest.approx(0, abs=1e-7)
    assert effective_rank(torch.ones(4, 16)) == 1 and uniformity(torch.ones(4, 16)) == pytest.approx(0, abs=1e-12)
    corners = torch.eye(3)  # squared distances 2, so log(exp(-4))
    assert uniformity(corners) == pytest.approx(-4) and alignment(corners, -corners) == pytest.approx(4)
    assert alignment(corners, corners.roll(1, 0)) == pytest.approx(2)
    unit = [(x / x.norm(dim=1, keepdim=True)).numpy() for x in (first, second)]
    assert alignment(first, second) == pytest.approx(((unit[0] - unit[1]) ** 2).sum(1).mean(), rel=1e-5)
    squares = ((unit[0][:, None] - unit[0][None]) ** 2).sum(-1)[np.triu_indices(2000, 1)]
    assert uniformity(first) == pytest.approx(np.log(np.exp(-2 * squares).mean()), rel=1e-4)
    assert uniformity(7 * first) == pytest.approx(uniformity(first)) and spread(7 * first) == pytest.approx(
        spread(first)
    )


@pytest.mark.parametrize(
    "after, collapsed, words",
    [
        (lambda a, b: (a, b), False, "did not collapse"),
        (lambda a, b: (3 * a.roll(1, 1), 3 * b.roll(1, 1)), False, "did not collapse"),
        (lambda a, b: (9 + 0.1 * a, 9 + 0.1 * b), True, "all pictures became alike"),
        (lambda a, b: (a @ torch.eye(16, 4) @ torch.eye(4, 16), b @ torch.eye(16, 4) @ torch.eye(4, 16)), True,
         "fewer directions"),
        (lambda a, b: (a, a + 0.1 * (b - a)), True, "a picture and its edit became alike"),
    ],
    ids=["the same", "turned", "one point", "four directions", "pairs"],
)  # fmt: skip
def test_the_sentence_tells_collapsed_features_from_healthy_ones(after, collapsed, words):
    pairs = healthy()
    found, sentence = verdict(measure(*pairs), measure(*after(*pairs)))
    assert found is collapsed and words in sentence and sentence.endswith(".") and "\n" not in sentence


@pytest.mark.long
def test_training_on_global_alone_collapses_what_masked_keeps():
    """The danger is real: pulled together without a floor, every pair ends alike; masked leaves the edit visible."""
    torch.manual_seed(0)
    pictures = torch.randn(24, 6, 8)
    edits = pictures.clone()
    edits[:, 2] += 1.5 * torch.randn(24, 8)
    edited = torch.zeros(24, 6, dtype=torch.bool)
    edited[:, 2] = True
    start = torch.randn(8, 8) / 3

    def train(loss):
        tower = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([tower], lr=0.03)
        for _ in range(150):
            optimizer.zero_grad()
            loss(pictures @ tower, edits @ tower).backward()
            optimizer.step()
        return tower.detach()

    def seen(tower):
        return measure((pictures @ tower)[:, 2], (edits @ tower)[:, 2])

    pulled = train(lambda a, b: global_consistency(a, b, torch.ones(24)))
    held = train(lambda a, b: masked_consistency(a, b, edited))
    floor = similarity(pictures @ start, edits @ start)
    tethered = train(lambda a, b: global_consistency(a, b, floor))
    before = seen(start)
    assert verdict(before, seen(pulled))[0]
    assert not verdict(before, seen(held))[0] and not verdict(before, seen(tethered))[0]
    assert torch.equal(tethered, start)  # nothing drifted, so nothing was pulled


def test_bad_features_are_refused():
    first, second = healthy(4)
    with pytest.raises(ValueError, match="over several pictures"):
        measure(first[:1], second[:1])
    second[1, 2] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        measure(first, second)
    assert isinstance(measure(first, first), Features)


# ---------------------------------------------------------------- on a model


@pytest.mark.long
def test_on_a_model_the_loss_reaches_the_vision_tower_and_not_the_decoder(tmp_path):
    from PIL import Image, ImageChops

    from mmhallu_core.models.families import family_of
    from mmhallu_core.models.tiny_random import build
    from mmhallu_core.models.vlm import Vlm
    from mmhallu_core.train.adapt import Adapt, adapt, trainable

    vlm = Vlm.load(build("qwen2_vl", tmp_path / "model"), "cpu")
    picture = Image.effect_noise((64, 48), 60).convert("RGB")
    edit = picture.copy()
    edit.paste((255, 0, 0), (0, 0, 15, 15))  # the top left corner
    text = vlm.prompt("What differs between the two pictures?", 2, "The second picture shows a boat.")
    inputs = vlm.encode([[picture, edit]], [text], side="right")
    rows, cols = vlm.image_tokens(inputs, [[picture, edit]])[0][0].views[0].grid
    changed = torch.tensor(np.asarray(ImageChops.difference(picture, edit)).any(-1))
    edited = edited_cells(changed, rows, cols, spread=0).flatten()[None]
    assert edited[0, 0] and 1 <= edited.sum() < rows * cols

    assert len(inputs["pixel_values"]) == 2 * 4 * rows * cols  # four patches make one token

    model, features = adapt(vlm, Adapt(), tell=None), []
    connector = family_of(model).connector_modules(model)[0]
    hook = connector.register_forward_hook(lambda module, given, made: features.append(made))
    model(**inputs)
    hook.remove()
    first, second = features[0].view(2, 1, rows * cols, -1)
    med_loss(torch.tensor(0.0), Consistency("masked", margin=-0.9), first, second, edited).backward()
    reached = {name for name, value in model.named_parameters() if value.grad is not None and value.grad.any()}
    # LoRA's B is zero at first, so A has no gradient yet.
    assert reached == {name for name in trainable(model).names["vision_tower"] if ".lora_B." in name}

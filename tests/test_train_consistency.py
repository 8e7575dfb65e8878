"""The consistency loss in training: whose tokens it compares, what it is worth, and that at weight 0 it is gone."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from mmhallu_core.models.tiny_random import build
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.adapt import Adapt, adapt
from mmhallu_core.train.consistency import Held, changed_pixels, embeddings, pair_inputs, picture_means, require_tokens
from mmhallu_core.train.losses import Consistency
from mmhallu_core.train.records import Turn, separate
from mmhallu_core.train.run import train as train_run
from mmhallu_core.train.spec import TrainSpec
from mmhallu_core.types import CannotRun

pytestmark = pytest.mark.long
NONE, GLOBAL, MASKED = (Consistency(mode, weight=0.5) for mode in ("none", "global", "masked"))


def picture(seed, size=(96, 96)):
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def edit_of(image, box=(0, 0, 24, 24)):
    edited = image.copy()
    edited.paste((255, 0, 0), box)
    return edited


def test_what_changed_is_told_by_a_mask_or_by_the_pictures():
    first = Image.new("RGB", (6, 4), (100, 100, 100))
    second = first.copy()
    second.putpixel((5, 0), (100, 109, 100))
    second.putpixel((0, 3), (108, 92, 100))  # a file format's rounding
    assert changed_pixels(first, second).nonzero().tolist() == [[0, 5]]
    mask = Image.new("L", (3, 2), 0)
    mask.putpixel((0, 1), 255)
    assert changed_pixels(first, second, mask).nonzero().tolist() == [[2, 0], [2, 1], [3, 0], [3, 1]]
    with pytest.raises(ValueError, match="make them alike"):
        changed_pixels(first, second.crop((0, 0, 3, 3)))


# ---------------------------------------------------------------- every family with image tokens


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen3_vl", "llava_next", "idefics3", "internvl"])
def test_the_features_are_those_of_the_two_pictures(family, tmp_path):
    """Against a calculation of its own: the connector's rows of each picture alone, where a family keeps them whole."""
    vlm = Vlm.load(build(family, tmp_path), "cpu")
    one = picture(1, (64, 48))
    groups = [[one], [one, edit_of(one, (0, 0, 8, 8))], [picture(2, (64, 48))] * 2]
    texts = [vlm.prompt("What differs?", len(group), "A boat.") for group in groups]
    inputs = vlm.encode(groups, texts, side="right")
    changed = [None, changed_pixels(*groups[1]), changed_pixels(*groups[2])]
    pairs = pair_inputs(vlm, inputs, groups, changed)
    assert pairs["pair_row"].tolist() == [1, 2] and pairs["pair_real"].all()
    assert pairs["pair_edited"][0].any() and not pairs["pair_edited"][0].all() and not pairs["pair_edited"][1].any()
    read = embeddings(vlm.model, inputs)
    same = [read[2, pairs[f"pair_{name}"][1]] for name in ("first", "second")]
    torch.testing.assert_close(*same, atol=1e-5, rtol=0)  # the same picture twice
    differ = [read[1, pairs[f"pair_{name}"][0]] for name in ("first", "second")]
    assert not torch.allclose(*differ)
    is_image = inputs["input_ids"][1] == vlm.processor.image_token_id
    assert is_image[pairs["pair_first"][0]].all() and is_image[pairs["pair_second"][0]].all()
    assert pairs["pair_first"][0].max() < pairs["pair_second"][0].min()
    means = picture_means(vlm.model, {**inputs, **pairs})
    torch.testing.assert_close(means[1][0], differ[1].mean(0))


def test_qwen3_vl_is_held_wherever_its_decoder_reads_the_picture(tmp_path):
    """Against the vision tower asked directly: its own output, and beside it what later decoder layers get."""
    vlm = Vlm.load(build("qwen3_vl", tmp_path), "cpu")
    pair = [picture(1, (64, 48)), edit_of(picture(1, (64, 48)), (0, 0, 8, 8))]
    inputs = vlm.encode([pair], [vlm.prompt("What differs?", 2, "A boat.")], side="right")
    batch = {**inputs, **pair_inputs(vlm, inputs, [pair], [changed_pixels(*pair)])}
    tower = vlm.model.model.visual(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"])
    expected = torch.cat([tower.pooler_output, *tower.deepstack_features], dim=-1).chunk(2)
    read = embeddings(vlm.model, inputs)[0]
    for name, features in zip(("first", "second"), expected, strict=True):
        torch.testing.assert_close(read[batch[f"pair_{name}"][0]], features)
    assert read.shape[-1] == 2 * vlm.model.config.text_config.hidden_size
    words = inputs["input_ids"][0] != vlm.processor.image_token_id
    assert not read[words][:, vlm.model.config.text_config.hidden_size :].any()

    model = adapt(vlm, Adapt(vision_tower="full", connector="full", decoder="frozen"), tell=None)
    rule = Consistency("masked", weight=0.5, margin=-0.9)
    total, parts = Held(model, rule)(lambda: model(**inputs).logits.mean() * 0, batch)
    total.backward()
    assert parts["consistency"] > 0
    assert all(value.grad.abs().sum() > 0 for value in model.model.visual.deepstack_merger_list.parameters())


def test_without_a_pair_there_is_nothing_to_hold(tmp_path):
    vlm = Vlm.load(build("qwen2_vl", tmp_path), "cpu")
    model = adapt(vlm, Adapt(), tell=None)
    total, parts = Held(model, MASKED)(lambda: torch.tensor(3.0), {})
    assert total.item() == 3.0 and parts == {"answers": 3.0, "consistency": 0.0}


def test_what_cannot_be_held_says_so(tmp_path):
    vlm = Vlm.load(build("mllama", tmp_path / "m"), "cpu")
    with pytest.raises(CannotRun, match="cross-attention.*--consistency none"):
        require_tokens(vlm)
    vlm = Vlm.load(build("qwen2_vl", tmp_path / "q"), "cpu")
    require_tokens(vlm)
    frozen = adapt(vlm, Adapt(vision_tower="frozen"), tell=None)
    with pytest.raises(CannotRun, match="trains the vision tower, which is frozen"):
        Held(frozen, GLOBAL)
    Held(frozen, NONE)
    Held(frozen, Consistency("global", weight=0.0))
    pair = [[picture(1, (64, 48)), picture(1, (48, 64))]]
    inputs = vlm.encode(pair, [vlm.prompt("What differs?", 2)])
    with pytest.raises(CannotRun, match="sample s7: its two pictures become different grids of tokens"):
        pair_inputs(vlm, inputs, pair, [torch.zeros(48, 64, dtype=torch.bool)], ["s7"])


@pytest.mark.parametrize("plan", [Adapt(), Adapt("full", "frozen", "frozen")], ids=["lora", "full"])
def test_the_floor_is_the_similarity_before_training(plan, tmp_path):
    """By hand: the cosine of mean embeddings under the model as it was, minus that of the model as it became."""
    vlm = Vlm.load(build("qwen2_vl", tmp_path), "cpu")
    one = picture(3, (64, 48))
    groups = [[one, edit_of(one)]]
    inputs = vlm.encode(groups, [vlm.prompt("What differs?", 2, "A boat.")], side="right")
    batch = {**inputs, **pair_inputs(vlm, inputs, groups, [changed_pixels(*groups[0])])}

    def cosine(model):
        means = picture_means(model, batch)
        return functional.cosine_similarity(*means).item()

    model = adapt(vlm, plan, tell=None)
    start, held = cosine(model), Held(model, GLOBAL)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.requires_grad and "visual" in name:
                value += 0.5 * torch.randn(value.shape, generator=torch.Generator().manual_seed(len(name)))
    now = cosine(model)
    assert abs(now - start) > 1e-4
    total, parts = held(lambda: model(**inputs).logits.mean(), dict(batch))
    assert parts["consistency"] == pytest.approx(max(0.0, start - now), abs=1e-5)
    assert total.item() == pytest.approx(parts["answers"] + 0.5 * max(0.0, start - now), abs=1e-5)


# ---------------------------------------------------------------- in tiny-llava's fast path


def example(i):
    turns = (Turn("What differs?", "The horse is purple."),)
    first = picture(i)
    if not i % 2:
        return separate(f"e{i}", (first,), turns)
    return separate(f"e{i}", (first, edit_of(first)), turns, changed_pixels(first, edit_of(first)))


SPEC = TrainSpec(steps=3, micro_batch=2, lr=3e-3, warmup=10, packing=True)
WATCHED = [(picture(i), edit_of(picture(i))) for i in range(10, 14)]


def train(out, **changes):
    spec = dataclasses.replace(SPEC, **changes)
    return train_run(Vlm.load("tiny-llava", "cpu"), example, spec, out, "test", watched=WATCHED).record


def test_none_and_weight_0_are_the_same_run_and_the_others_are_not(tmp_path):
    rules = {
        "none": NONE, "zero": Consistency("masked", weight=0.0), "zero-global": Consistency("global", weight=0.0),
        "global": dataclasses.replace(GLOBAL, weight=50.0), "masked": MASKED,
    }  # fmt: skip
    faster = dataclasses.replace(SPEC, lr=1e-2)  # so that features move, and the floor of `global` is felt
    runs = {name: train(tmp_path / name, consistency=rule, lr=faster.lr) for name, rule in rules.items()}
    plain = train_run(Vlm.load("tiny-llava", "cpu"), example, faster, tmp_path / "plain", "test").record
    assert plain["sha256"] == runs["none"]["sha256"], "looking at features changes nothing"
    assert "collapse" not in plain and set(plain["loss"]) == {"first", "final"}
    assert runs["none"]["sha256"] == runs["zero"]["sha256"] == runs["zero-global"]["sha256"]
    assert len({run["sha256"] for run in runs.values()}) == 3
    for name in ("global", "masked"):
        assert {"answers", "consistency"} <= set(runs[name]["loss"]) and runs[name]["loss"]["consistency"] >= 0
    record = json.loads((tmp_path / "masked" / "run.json").read_text(encoding="utf-8"))
    assert record["spec"] == dataclasses.asdict(dataclasses.replace(faster, consistency=MASKED))
    assert set(record["collapse"]) == {"before", "after", "collapsed", "verdict"}
    assert record["collapse"]["before"] == runs["none"]["collapse"]["before"] != record["collapse"]["after"]


@pytest.mark.parametrize(
    ("tower", "decoder", "moved"),
    [
        ("frozen", "lora", {"language_model"}),
        ("lora", "frozen", {"vision_tower"}),
        ("full", "frozen", {"vision_tower"}),
        ("full", "full", {"vision_tower", "language_model", "lm_head"}),
        ("full", "lora", {"vision_tower", "language_model"}),
    ],
)
def test_a_run_moves_the_parts_of_its_plan_and_comes_back(tower, decoder, moved, tmp_path):
    before = {name: value.clone() for name, value in Vlm.load("tiny-llava", "cpu").model.state_dict().items()}
    spec = dataclasses.replace(SPEC, steps=1, adapt=Adapt(tower, "frozen", decoder))
    done = train_run(Vlm.load("tiny-llava", "cpu"), example, spec, tmp_path / "run", "test")
    tuned, record = done.vlm(), done.record
    changed = {name for name, value in tuned.model.state_dict().items() if not torch.equal(value, before[name])}
    parts = ("vision_tower", "multi_modal_projector", "language_model", "lm_head")
    assert {part for part in parts for name in changed if part in name} == moved
    assert sum(record["trainable"].values()) > 0 and record["spec"]["adapt"]["vision_tower"] == tower
    again = Vlm.load(str(tmp_path / "run"), "cpu").model.state_dict()
    assert (tmp_path / "run" / "model.safetensors").exists() == ("lora" not in (tower, decoder))
    for name, value in tuned.model.state_dict().items():
        torch.testing.assert_close(again[name], value, atol=1e-6, rtol=0)


def test_another_kind_of_adapter_learns_as_many_numbers(tmp_path):
    spec = dataclasses.replace(SPEC, steps=2)
    lora = train_run(Vlm.load("tiny-llava", "cpu"), example, spec, tmp_path / "lora", "test").record
    other = dataclasses.replace(spec, adapt=Adapt(kind="loha"))
    done = train_run(Vlm.load("tiny-llava", "cpu"), example, other, tmp_path / "loha", "test")
    tuned, loha = done.vlm(), done.record
    assert loha["trainable"] == lora["trainable"] and loha["sha256"] != lora["sha256"]
    assert loha["loss"]["first"] == pytest.approx(lora["loss"]["first"], abs=1e-5), "both begin as the base model"
    again = Vlm.load(str(tmp_path / "loha"), "cpu").model.state_dict()
    for name, value in tuned.model.state_dict().items():
        torch.testing.assert_close(again[name], value, atol=1e-6, rtol=0)
    with pytest.raises(CannotRun, match="must be even"):
        adapt(Vlm.load("tiny-llava", "cpu"), Adapt(rank=7, kind="loha"), tell=None)

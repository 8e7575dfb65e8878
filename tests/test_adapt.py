"""LoRA and freezing: what is trained is what was planned, for every family, and plain peft brings it back."""

import json

import numpy as np
import peft
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from mmhallu_core.models.tiny_random import FAMILIES, build
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import PACKAGE
from mmhallu_core.train.adapt import Adapt, adapt, merge, trainable
from mmhallu_core.types import CannotRun

pytestmark = pytest.mark.long

# Where the three parts are, written here once more by hand: module paths, in plain names.
TOWER = {
    "llava": "model.vision_tower", "llava_next": "model.vision_tower", "llava_onevision": "model.vision_tower",
    "qwen2_vl": "model.visual", "qwen2_5_vl": "model.visual", "qwen3_vl": "model.visual",
    "mllama": "model.vision_model", "idefics3": "model.vision_model", "smolvlm": "model.vision_model",
    "internvl": "model.vision_tower",
}  # fmt: skip
CONNECTOR = {
    **dict.fromkeys(TOWER, ("model.multi_modal_projector",)),
    **dict.fromkeys(("idefics3", "smolvlm"), ("model.connector",)),
    **dict.fromkeys(("qwen2_vl", "qwen2_5_vl"), ("model.visual.merger",)),
    "qwen3_vl": ("model.visual.merger", "model.visual.deepstack_merger_list"),
    **dict.fromkeys(("llava_next", "llava_onevision"), ("model.multi_modal_projector", "model.image_newline")),
}  # fmt: skip
UNREAD = {  # computed by the tower and never used: LLaVA reads the last layer but one of three, OneVision no last norm
    "llava": ("model.vision_tower.encoder.layers.2.", "model.vision_tower.post_layernorm."),
    "llava_next": ("model.vision_tower.encoder.layers.2.", "model.vision_tower.post_layernorm."),
    "llava_onevision": ("model.vision_tower.post_layernorm.",),
}
TIED = ("smolvlm", "internvl")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapt")
    return {family: build(family, folder / family) for family in FAMILIES}


@pytest.fixture(params=list(TOWER))
def family(request):
    """Each family in turn; a test may ask for one of them by an indirect parameter."""
    return request.param


@pytest.fixture
def load(folders, family):
    """Loads the family's tiny model afresh."""
    return lambda: AutoModelForImageTextToText.from_pretrained(folders[family]).eval()


@pytest.fixture
def batch(folders, family):
    """Two samples with a wide and a tall picture, and labels."""
    processor = AutoProcessor.from_pretrained(folders[family])
    random = np.random.default_rng(0)
    images = [
        [Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))]
        for height, width in ((64, 80), (80, 64))
    ]
    content = [{"type": "image"}, {"type": "text", "text": "What is in the picture?"}]
    chat = [{"role": "user", "content": content}, {"role": "assistant", "content": "A red dog on the beach."}]
    inputs = processor(images=images, text=[processor.apply_chat_template(chat)] * 2, return_tensors="pt", padding=True)
    labels = inputs["input_ids"].masked_fill(inputs["input_ids"] == processor.image_token_id, -100)
    return {**inputs, "labels": labels}


@torch.no_grad()
def logits(model, batch):
    return model(**batch).logits


def weights(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def part_of(family, name):
    if name.startswith(CONNECTOR[family]):
        return "connector"
    return "vision_tower" if name.startswith(TOWER[family]) else "decoder"


def train(model, batch, steps=3):
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()


def expected_names(family, model, plan):
    """The trainable names, from the parts above: every 2-D weight of a layer gets LoRA (the tests' own rule)."""
    lora, full = [], []
    for name, parameter in model.named_parameters():
        how = getattr(plan, part_of(family, name))
        if name.startswith(UNREAD.get(family, ())):
            continue
        if how == "full":
            full.append(name)
        layer = ".layers." in name or ".blocks." in name or ".layer." in name or part_of(family, name) == "connector"
        if how == "lora" and layer and parameter.ndim == 2 and name.endswith(".weight"):
            lora += [f"{name.removesuffix('.weight')}.lora_{matrix}.default.weight" for matrix in "AB"]
    return set(lora), set(full)


def plain_name(name):
    name = name.removeprefix("base_model.model.").replace(".base_layer", "")
    return name.replace(".modules_to_save.default", "").replace(".original_module", "")


ALL_LORA = Adapt(vision_tower="lora", connector="lora", decoder="lora", rank=4)
MIXED = Adapt(vision_tower="full", connector="full", decoder="lora", rank=4)
ALL_FULL = Adapt(vision_tower="full", connector="full", decoder="full")
CONNECTOR_ONLY = Adapt(vision_tower="frozen", connector="full", decoder="frozen")


@pytest.mark.parametrize("plan", [ALL_LORA, MIXED, ALL_FULL], ids=["lora", "mixed", "full"])
def test_exactly_the_plan_is_trainable_and_exactly_that_moves(family, load, batch, plan):
    model = load()
    lora, full = expected_names(family, model, plan)
    if lora:  # an adapter holds modules: the one single parameter of LLaVA's later forms stays as it is
        full -= {"model.image_newline"}
    before = logits(model, batch)
    tuned = adapt(model, plan, tell=None)
    found = {name for name, p in tuned.named_parameters() if p.requires_grad}
    assert {plain_name(name) for name in found} == lora | full and len(found) == len(lora) + len(full)
    assert set().union(*trainable(tuned).names.values()) == found
    torch.testing.assert_close(logits(tuned, batch), before)

    start = weights(tuned)
    train(tuned, batch)
    moved = {name for name, value in weights(tuned).items() if not torch.equal(value, start[name])}
    assert moved <= found, f"moved though frozen: {sorted(moved - found)[:3]}"
    assert found <= moved, f"never moved: {sorted(found - moved)[:3]}"


@pytest.mark.parametrize("family", ["llava"], indirect=True)
def test_lora_starts_as_nothing_and_a_moves_from_the_second_step(load, batch):
    tuned = adapt(load(), Adapt(), tell=None)
    start = weights(tuned)
    train(tuned, batch, steps=1)
    for name, value in weights(tuned).items():
        if "lora_" in name:
            assert torch.equal(value, start[name]) == (".lora_A." in name), name
            assert (start[name] == 0).all() == (".lora_B." in name), name


@pytest.mark.parametrize("plan", [ALL_LORA, MIXED], ids=["lora", "mixed"])
def test_plain_peft_brings_it_back_and_merging_changes_nothing(load, batch, plan, tmp_path):
    base = load()
    before = logits(base, batch)
    tuned = adapt(base, plan, tell=None)
    train(tuned, batch)
    tuned.eval()
    after = logits(tuned, batch)
    assert (after - before).abs().max() > 0.1
    tuned.save_pretrained(tmp_path, save_embedding_layers=False)
    with tuned.disable_adapter():
        torch.testing.assert_close(logits(tuned, batch), before)

    again = peft.PeftModel.from_pretrained(load(), tmp_path)
    torch.testing.assert_close(logits(again, batch), after)
    whole = merge(again)
    assert type(whole) is type(load()) and set(weights(whole)) == set(weights(load()))
    torch.testing.assert_close(logits(whole, batch), after, atol=1e-4, rtol=1e-4)
    whole.save_pretrained(tmp_path / "whole")
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path / "whole")
    torch.testing.assert_close(logits(loaded, batch), after, atol=1e-4, rtol=1e-4)


def test_the_decoder_in_full_beside_lora_needs_two_word_matrices(family, load, batch, tmp_path):
    plan = Adapt(vision_tower="lora", connector="frozen", decoder="full", rank=4)
    if family in TIED:
        model = load()
        with pytest.raises(CannotRun, match="reads and writes words with one matrix"):
            adapt(model, plan)
        assert not isinstance(adapt(model, ALL_FULL, tell=None), peft.PeftModel)
        return
    tuned = adapt(load(), plan, tell=None)
    train(tuned, batch)
    tuned.eval().save_pretrained(tmp_path, save_embedding_layers=False)
    again = peft.PeftModel.from_pretrained(load(), tmp_path)
    torch.testing.assert_close(logits(again, batch), logits(tuned, batch))
    torch.testing.assert_close(logits(merge(again), batch), logits(tuned, batch), atol=1e-4, rtol=1e-4)


# ---------------------------------------------------------------- one family is enough


@pytest.mark.parametrize("family", ["qwen2_vl"], indirect=True)
def test_the_connector_alone_though_it_lies_inside_the_tower(load, batch):
    model = adapt(load(), CONNECTOR_ONLY, tell=None)
    assert not isinstance(model, peft.PeftModel)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {
        f"model.visual.merger.{name}.{kind}" for name in ("ln_q", "mlp.0", "mlp.2") for kind in ("weight", "bias")
    }


@pytest.mark.parametrize("family", ["llava_next"], indirect=True)
def test_the_table_says_what_is_trained_and_what_could_not_be(load):
    told = []
    tuned = adapt(load(), MIXED, tell=told.append)
    rows = {line.split()[0]: line.split()[1:] for line in told[0].splitlines()[1:]}
    assert list(rows) == ["vision_tower", "connector", "decoder"]
    base = load()
    for part, (tensors, numbers, size, share, _) in rows.items():
        mine = [
            p for n, p in tuned.named_parameters() if p.requires_grad and part_of("llava_next", plain_name(n)) == part
        ]
        whole = sum(p.numel() for n, p in base.named_parameters() if part_of("llava_next", n) == part)
        assert int(tensors) == len(mine) and int(numbers.replace(",", "")) == sum(p.numel() for p in mine)
        assert int(size.replace(",", "")) == whole
        assert float(share) == pytest.approx(100 * sum(p.numel() for p in mine) / whole, abs=0.01)
    assert told[1].endswith("model.image_newline")


@pytest.mark.parametrize("family", ["llava"], indirect=True)
def test_what_cannot_be_done_is_a_clear_error(load):
    with pytest.raises(CannotRun, match="nothing would be trained"):
        adapt(load(), Adapt(vision_tower="frozen", decoder="frozen"))
    with pytest.raises(CannotRun, match="has an adapter already"):
        adapt(adapt(load(), Adapt(), tell=None), Adapt())


def test_tiny_llava_gets_the_adapter_that_the_shipped_one_has():
    shipped = PACKAGE / "checkpoints" / "tour-adapter"
    settings = json.loads((shipped / "adapter_config.json").read_text(encoding="utf-8"))
    wanted = {name: tuple(value.shape) for name, value in load_file(shipped / "adapter_model.safetensors").items()}

    torch.manual_seed(3)
    vlm = Vlm.load("tiny-llava", "cpu")
    tuned = adapt(vlm, Adapt(rank=settings["r"], alpha=settings["lora_alpha"]), tell=None)
    found = {n.replace(".default", ""): tuple(p.shape) for n, p in tuned.named_parameters() if p.requires_grad}
    assert found == wanted

    # And the same first values as with the pattern of layer names in the shipped adapter's own settings.
    torch.manual_seed(3)
    layers = peft.LoraConfig(r=settings["r"], target_modules=settings["target_modules"])
    other = peft.get_peft_model(Vlm.load("tiny-llava", "cpu").model, layers)
    for (name, value), (other_name, other_value) in zip(
        tuned.named_parameters(), other.named_parameters(), strict=True
    ):
        assert name == other_name and torch.equal(value, other_value)

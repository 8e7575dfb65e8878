"""Loading: what is damaged, incomplete or absent is refused with advice, never loaded with weights drawn at random."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from mmhallu_core.models import tiny_random
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tiny_random.build("llava", tmp_path_factory.mktemp("loading") / "llava")


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


def test_dtype_and_attention_are_those_asked_for(whole):
    vlm = Vlm.load(whole, device="cpu", dtype="bfloat16", attention="eager")
    assert vlm.model.dtype == torch.bfloat16 and not vlm.model.training
    assert vlm.model.get_submodule(vlm.family.decoder).config._attn_implementation == "eager"
    assert Vlm.load(whole, device="cpu").model.dtype == torch.float32
    assert Vlm.load(whole, device_map={"": "cpu"}).model.device.type == "cpu"


def test_missing_weights_are_not_drawn_at_random(copy):
    weights = load_file(copy / "model.safetensors")
    gone = sorted(name for name in weights if "multi_modal_projector" in name)
    kept = {name: weight for name, weight in weights.items() if name not in gone}
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CannotRun, match=rf"lacks {len(gone)} weights .*multi_modal_projector.*get its files again"):
        Vlm.load(copy, device="cpu")


def test_weights_of_another_size_are_refused(copy):
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    config["text_config"]["intermediate_size"] *= 2
    (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CannotRun, match="does not load as an image-text-to-text model"):
        Vlm.load(copy, device="cpu")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "processor_config.json"])
@pytest.mark.parametrize("share", [0.0, 0.5], ids=["empty", "cut"])
def test_a_damaged_file_is_refused(copy, name, share):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CannotRun, match="get or save its files again"):
        Vlm.load(copy, device="cpu")


def test_a_model_of_another_kind_is_refused(copy):
    (copy / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(CannotRun, match="does not load as an image-text-to-text"):
        Vlm.load(copy, device="cpu")


def test_a_hub_id_is_not_fetched_when_offline(monkeypatch):
    monkeypatch.setenv("MMHALLU_OFFLINE", "1")
    with pytest.raises(CannotRun, match="MMHALLU_OFFLINE is set, so it was not fetched"):
        Vlm.load("nobody/no-such-model")
    monkeypatch.setenv("MMHALLU_OFFLINE", "0")
    with pytest.raises(CannotRun, match="could not be had from the model hub.*check the name"):
        Vlm.load("nobody/no-such-model")
    with pytest.raises(CannotRun, match="neither a shipped model"):
        Vlm.load("tiny-lava")

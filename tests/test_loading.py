"""Loading: what is damaged, incomplete or absent is refused with advice, never loaded with weights drawn at random."""

import io
import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import peft
import pytest
import torch
from PIL import Image
from quick_cli import run
from safetensors.torch import load_file, save_file

from mmhallu_core.evaluate.runner import processes
from mmhallu_core.models import tiny_random
from mmhallu_core.models.vlm import Vlm, pick_device
from mmhallu_core.train.machine import on_cpu
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
    with pytest.raises(CannotRun, match="does not load as an image-text-to-text"):
        Vlm.load(copy, device="cpu")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "processor_config.json"])
@pytest.mark.parametrize("share", [0.0, 0.5], ids=["empty", "cut"])
def test_a_damaged_file_is_refused(copy, name, share):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CannotRun, match="get or save its files again"):
        Vlm.load(copy, device="cpu")


@pytest.mark.parametrize("wrong", [{"text_config": 5}, {"vision_config": []}, {"model_type": None}, {"dtype": "x"}])
def test_a_config_with_wrong_types_is_refused(copy, wrong):
    config = json.loads((copy / "config.json").read_text(encoding="utf-8")) | wrong
    (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CannotRun, match="does not load as an image-text-to-text"):
        Vlm.load(copy, device="cpu")


@pytest.mark.long
def test_an_adapter_on_the_hub_is_not_put_on_unchecked(whole, tmp_path):
    """In the hub's cache, as it is after a download; transformers would put it on by itself."""
    kept = tmp_path / "models--owner--adapter"
    folder = kept / "snapshots" / ("0" * 40)
    shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("model.safetensors"))
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    model = peft.get_peft_model(Vlm.load(whole, "cpu").model, peft.LoraConfig(target_modules=["linear_1"]))
    model.save_pretrained(folder)
    env = os.environ | {"HF_HUB_CACHE": str(tmp_path), "MMHALLU_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    code = "from mmhallu_core.models.vlm import Vlm; Vlm.load('owner/adapter', 'cpu')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=120)
    assert "owner/adapter on the hub is an adapter: download it" in done.stderr


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


@pytest.mark.parametrize("file", ["config.json", "processor_config.json"])
def test_code_from_a_model_folder_is_never_run_and_nobody_is_asked(copy, tmp_path, monkeypatch, file):
    """Real code in a real folder, and a person who says yes to everything."""
    ran = tmp_path / "the-code-ran"
    code = f"from pathlib import Path\nPath({str(ran)!r}).touch()\n"
    code += "from transformers import PreTrainedConfig, ProcessorMixin\n"
    code += "class Theirs(PreTrainedConfig):\n    model_type = 'theirs'\nclass Their(ProcessorMixin):\n    pass\n"
    (copy / "theirs.py").write_text(code, encoding="utf-8")
    settings = json.loads((copy / file).read_text(encoding="utf-8"))
    if file == "config.json":
        settings |= {"model_type": "theirs", "auto_map": {"AutoConfig": "theirs.Theirs"}}
    else:
        settings |= {"processor_class": "Their", "auto_map": {"AutoProcessor": "theirs.Their"}}
    (copy / file).write_text(json.dumps(settings), encoding="utf-8")
    Image.new("RGB", (32, 32)).save(tmp_path / "black.png")
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n" * 9))
    status, out, err = run("ask", tmp_path / "black.png", "What?", "--model", copy)
    assert status == 2 and not ran.exists()
    assert "brings Python code of its own (auto_map" in err and "[y/N]" not in out + err


def test_weights_in_a_form_that_can_hold_code_are_not_opened(copy):
    """The file is a real one, as transformers 4 wrote it."""
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(CannotRun, match=r"\.bin file, which is not opened.*can hold code.*safetensors"):
        Vlm.load(copy, device="cpu")


def test_the_device_that_is_asked_for_is_taken_or_refused(whole, monkeypatch):
    for wrong in ("nonsense", "cuda:x", "cuda:99"):
        monkeypatch.setenv("MMHALLU_DEVICE", wrong)
        with pytest.raises(CannotRun, match="no device"):
            Vlm.load(whole)
    monkeypatch.setenv("MMHALLU_DEVICE", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # as on a machine with a GPU
    assert Vlm.load(whole).model.device.type == pick_device().type == "cpu"
    assert str(pick_device("cpu")) == "cpu"


@pytest.mark.gpu
def test_the_cpu_is_taken_on_request_where_there_is_a_gpu(whole, monkeypatch):
    assert Vlm.load(whole).model.device.type == "cuda"
    monkeypatch.setenv("MMHALLU_DEVICE", "cpu")
    assert Vlm.load(whole).model.device.type == "cpu" and processes().device.type == "cpu"


def test_training_on_another_gpu_than_the_first_is_refused():
    for device, right in (("cpu", True), ("cuda:0", False)):
        assert on_cpu(Vlm("a", SimpleNamespace(device=torch.device(device)), None)) is right
    with pytest.raises(CannotRun, match="CUDA_VISIBLE_DEVICES=1"):
        on_cpu(Vlm("a", SimpleNamespace(device=torch.device("cuda:1")), None))

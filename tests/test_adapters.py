"""Adapters from anywhere: what is loaded is the base plus exactly the file's change, or an error that names tensors.

The files are made by hand, with the names that transformers 4.49 and peft 0.14 gave them (read off adapters that these
two wrote), and the right weights are worked out from the published formulas: LoRA adds alpha / r times B A (Hu et al.),
LoHa alpha / r times the product, number by number, of two such pairs (Hyeon-Woo et al.).
"""

import json
import shutil

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from mmhallu_core.models import tiny_random
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun

pytestmark = pytest.mark.long

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
RANK, ALPHA = 2, 8
# (family, layer as its file names it, the same layer today); decoder, tower, connector
LAYERS = {
    "llava, until transformers 4.51": (
        ("language_model.model.layers.1.self_attn.q_proj", "model.language_model.layers.1.self_attn.q_proj"),
        ("vision_tower.vision_model.encoder.layers.0.mlp.fc1", "model.vision_tower.encoder.layers.0.mlp.fc1"),
        ("multi_modal_projector.linear_1", "model.multi_modal_projector.linear_1"),
    ),
    "llava, from 4.52 on": (
        ("model.language_model.layers.1.self_attn.q_proj", "model.language_model.layers.1.self_attn.q_proj"),
        ("model.vision_tower.vision_model.encoder.layers.0.mlp.fc1", "model.vision_tower.encoder.layers.0.mlp.fc1"),
        ("model.multi_modal_projector.linear_1", "model.multi_modal_projector.linear_1"),
    ),
    "llava_onevision, until transformers 4.51": (
        ("language_model.model.layers.0.mlp.up_proj", "model.language_model.layers.0.mlp.up_proj"),
        ("vision_tower.vision_model.encoder.layers.0.mlp.fc2", "model.vision_tower.encoder.layers.0.mlp.fc2"),
        ("multi_modal_projector.linear_2", "model.multi_modal_projector.linear_2"),
    ),
    "qwen2_vl, until transformers 4.51": (
        ("model.layers.1.self_attn.q_proj", "model.language_model.layers.1.self_attn.q_proj"),
        ("visual.blocks.0.attn.qkv", "model.visual.blocks.0.attn.qkv"),
        ("visual.merger.mlp.0", "model.visual.merger.mlp.0"),
    ),
    "qwen2_5_vl, until transformers 4.51": (
        ("model.layers.1.mlp.down_proj", "model.language_model.layers.1.mlp.down_proj"),
        ("visual.blocks.1.mlp.gate_proj", "model.visual.blocks.1.mlp.gate_proj"),
        ("visual.merger.mlp.2", "model.visual.merger.mlp.2"),
    ),
    "mllama, until transformers 4.51": (
        ("language_model.model.layers.1.cross_attn.q_proj", "model.language_model.layers.1.cross_attn.q_proj"),
        ("vision_model.transformer.layers.0.mlp.fc1", "model.vision_model.transformer.layers.0.mlp.fc1"),
        ("multi_modal_projector", "model.multi_modal_projector"),
    ),
    "idefics3, always": (
        ("model.text_model.layers.1.self_attn.q_proj",) * 2,
        ("model.vision_model.encoder.layers.0.mlp.fc1",) * 2,
        ("model.connector.modality_projection.proj",) * 2,
    ),
}
HEADS = {"qwen2_vl": "lm_head", "qwen2_5_vl": "lm_head", "idefics3": "lm_head"}  # the others: language_model.lm_head


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """The folder of a family's tiny model, made when it is first asked for."""
    home = tmp_path_factory.mktemp("bases")
    return lambda family: home / family if (home / family).is_dir() else tiny_random.build(family, home / family)


def write(folder, base, tensors, kind="LORA", **settings):
    """A folder as peft writes it; no run.json."""
    folder.mkdir()
    config = {"peft_type": kind, "base_model_name_or_path": str(base), "r": RANK, "modules_to_save": None}
    config |= {"lora_alpha": ALPHA} if kind == "LORA" else {"alpha": ALPHA}
    (folder / CONFIG).write_text(json.dumps(config | settings), encoding="utf-8")
    save_file({f"base_model.model.{name}": tensor for name, tensor in tensors.items()}, folder / WEIGHTS)
    return folder


def lora(layer, weight, rank=RANK, seed=0):
    """The two tensors of a layer, and what they add to its weight for alpha / rank = 1."""
    draw = torch.Generator().manual_seed(seed)
    a = torch.randn(rank, weight.shape[1], generator=draw)
    b = torch.randn(weight.shape[0], rank, generator=draw)
    return {f"{layer}.lora_A.weight": a, f"{layer}.lora_B.weight": b}, b @ a


def loha(layer, weight):
    """The four tensors of a layer, and what they add for alpha / rank = 1."""
    draw = torch.Generator().manual_seed(1)
    names = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
    sizes = ((weight.shape[0], RANK), (RANK, weight.shape[1])) * 2
    pieces = [torch.randn(*size, generator=draw) for size in sizes]
    both = (pieces[0] @ pieces[1]) * (pieces[2] @ pieces[3])
    return {f"{layer}.{name}": piece for name, piece in zip(names, pieces, strict=True)}, both


def changed(model, base):
    """By how much each weight of a model differs from its base's; those that do not are left out."""
    before = base.model.state_dict()
    moved = {name: value - before[name] for name, value in model.model.state_dict().items()}
    return {name: by for name, by in moved.items() if by.abs().max() > 1e-6}


@pytest.mark.parametrize("kind", ["LORA", "LOHA"])
@pytest.mark.parametrize("era", LAYERS)
def test_every_part_is_found_under_the_names_of_its_time(era, kind, bases, tmp_path):
    family = era.split(",")[0]
    base = Vlm.load(bases(family), "cpu")
    tensors, right = {}, {}
    for old, new in LAYERS[era]:
        pieces, added = (lora if kind == "LORA" else loha)(old, base.model.get_parameter(f"{new}.weight"))
        tensors |= pieces
        right[f"{new}.weight"] = added * ALPHA / RANK
    folder = write(tmp_path / "a", bases(family), tensors, kind, target_modules=[old for old, _ in LAYERS[era]])
    moved = changed(Vlm.load(folder, "cpu"), base)
    assert set(moved) == set(right)
    for name, by in right.items():
        torch.testing.assert_close(moved[name], by, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("era", [era for era in LAYERS if "from" not in era])
def test_layers_that_were_trained_whole_come_back(era, bases, tmp_path):
    family = era.split(",")[0]
    base = Vlm.load(bases(family), "cpu")
    (decoder, new), _, (connector, connector_new) = LAYERS[era]
    head = HEADS.get(family, "language_model.lm_head")
    embeddings = decoder.split(".layers.")[0] + ".embed_tokens"
    embeddings_new = new.split(".layers.")[0] + ".embed_tokens"
    whole = {head: "lm_head", embeddings: embeddings_new, connector: connector_new}
    tensors, added = lora(decoder, base.model.get_parameter(f"{new}.weight"))
    right = {f"{new}.weight": added * ALPHA / RANK}
    for old, today in whole.items():
        for piece, value in base.model.get_submodule(today).named_parameters():
            tensors[f"{old}.{piece}"] = torch.randn_like(value)
            right[f"{today}.{piece}"] = tensors[f"{old}.{piece}"] - value
    saved = ["lm_head", "embed_tokens", connector.rpartition(".")[2]]
    folder = write(tmp_path / "a", bases(family), tensors, target_modules=decoder, modules_to_save=saved)
    moved = changed(Vlm.load(folder, "cpu"), base)
    assert set(moved) == set(right)
    for name, by in right.items():
        torch.testing.assert_close(moved[name], by.detach(), atol=1e-4, rtol=1e-4)


def test_ranks_and_strengths_of_single_layers_count_by_their_old_names(bases, tmp_path):
    base = Vlm.load(bases("llava"), "cpu")
    (decoder, new), _, (connector, connector_new) = LAYERS["llava, until transformers 4.51"]
    tensors, added = lora(decoder, base.model.get_parameter(f"{new}.weight"))
    pieces, more = lora(connector, base.model.get_parameter(f"{connector_new}.weight"), rank=4)
    settings = {"target_modules": [decoder, connector], "rank_pattern": {connector: 4}}
    settings["alpha_pattern"] = {connector: 32}
    folder = write(tmp_path / "a", bases("llava"), tensors | pieces, **settings)
    moved = changed(Vlm.load(folder, "cpu"), base)
    torch.testing.assert_close(moved[f"{new}.weight"], added * ALPHA / RANK, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(moved[f"{connector_new}.weight"], more * 32 / 4, atol=1e-4, rtol=1e-4)


def test_a_shared_matrix_is_changed_on_the_side_that_the_adapter_stands_beside(bases, tmp_path):
    base = Vlm.load(bases("smolvlm"), "cpu")
    embeddings = "model.text_model.embed_tokens"
    shared = base.model.get_input_embeddings().weight
    assert shared is base.model.get_output_embeddings().weight
    a, b = torch.randn(RANK, shared.shape[0]), torch.randn(shared.shape[1], RANK)
    tensors = {f"{embeddings}.lora_embedding_A": a, f"{embeddings}.lora_embedding_B": b}
    tensors[f"{embeddings}.base_layer.weight"] = shared.detach().clone()  # peft writes it too, untrained
    folder = write(tmp_path / "a", bases("smolvlm"), tensors, target_modules=["embed_tokens"])
    tuned = Vlm.load(folder, "cpu")
    added = (b @ a).T * ALPHA / RANK
    torch.testing.assert_close(tuned.model.get_input_embeddings().weight, shared + added, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(tuned.model.get_output_embeddings().weight, shared, atol=0, rtol=0)
    for part in (tuned.model, tuned.processor):
        part.save_pretrained(tmp_path / "saved")
    again = Vlm.load(tmp_path / "saved", "cpu").model
    torch.testing.assert_close(again.get_output_embeddings().weight, shared, atol=0, rtol=0)
    tensors[f"{embeddings}.base_layer.weight"] += 1  # a trained one would be lost
    with pytest.raises(CannotRun, match="no place for 1 .*embed_tokens"):
        Vlm.load(write(tmp_path / "b", bases("smolvlm"), tensors, target_modules=["embed_tokens"]), "cpu")


OLD, NEW = LAYERS["llava, until transformers 4.51"][0]


@pytest.fixture
def good(bases, tmp_path):
    """An adapter beside one layer of a tiny LLaVA."""
    weight = Vlm.load(bases("llava"), "cpu").model.get_parameter(f"{NEW}.weight")
    return write(tmp_path / "good", bases("llava"), lora(OLD, weight)[0], target_modules=[OLD])


def rewritten(folder, **changes):
    """Changes tensors of an adapter: None takes one away."""
    tensors = load_file(folder / WEIGHTS) | changes
    save_file({name: value for name, value in tensors.items() if value is not None}, folder / WEIGHTS)


def configured(folder, **changes):
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8")) | changes
    (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")


A = f"base_model.model.{OLD}.lora_A.weight"


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda folder: rewritten(folder, **{A: None}), r"lacks 1 .*layers\.1\.self_attn\.q_proj\.lora_A"),
        (lambda folder: rewritten(folder, stray=torch.ones(1)), r"no place for 1 .*stray"),
        (
            lambda folder: rewritten(folder, **{A.replace("layers.1", "layers.77"): torch.ones(2, 64)}),
            r"no place for 1 .*layers\.77",
        ),
        (lambda folder: rewritten(folder, **{A: torch.ones(RANK, 5)}), r"no place for 1 .*lora_A.* of size \(2, 5\)"),
        (lambda folder: configured(folder, target_modules=["q_proj"]), r"lacks \d .*layers\.0\.self_attn\.q_proj"),
        (lambda folder: configured(folder, modules_to_save=["lm_head"]), r"lacks 1 \(lm_head"),
        (lambda folder: configured(folder, peft_type="IA3"), "of kind IA3; those of kind LORA, LOHA, LOKR are read"),
        (lambda folder: configured(folder, r="many"), "peft .* cannot use the adapter"),
        (lambda folder: (folder / CONFIG).write_text("[1]", encoding="utf-8"), "adapter_config.json is damaged"),
        (lambda folder: (folder / CONFIG).write_text("{", encoding="utf-8"), "adapter_config.json is damaged"),
        (lambda folder: (folder / "run.json").write_text("{", encoding="utf-8"), "run.json is damaged"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"\1"), "adapter_model.safetensors is damaged"),
        (lambda folder: (folder / CONFIG).unlink(), "holds no adapter"),
        (lambda folder: (folder / WEIGHTS).unlink(), "holds no adapter"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(good, damage, said):
    damage(good)
    with pytest.raises(CannotRun, match=said):
        Vlm.load(good, "cpu")


def test_a_file_that_can_hold_code_is_not_opened(good):
    (good / WEIGHTS).rename(good / "adapter_model.bin")
    with pytest.raises(CannotRun, match=r"adapter_model.bin is not opened.*can hold code.*save_pretrained"):
        Vlm.load(good, "cpu")


def test_an_adapter_of_another_model_is_refused(good, bases):
    with pytest.raises(CannotRun, match="does not fit this model"):
        Vlm.load(bases("qwen2_vl"), "cpu", adapters=[good])


def test_a_folder_with_an_adapter_is_a_model_on_the_command_line(good, tmp_path):
    from mmhallu_core.cli import app

    Image.new("RGB", (32, 32), "red").save(tmp_path / "red.png")
    ran = CliRunner().invoke(app, ["ask", str(tmp_path / "red.png"), "What?", "--model", str(good), "--json"])
    assert ran.exit_code == 0 and json.loads(ran.stdout)["model"] == str(good)
    configured(good, base_model_name_or_path="")
    ran = CliRunner().invoke(app, ["ask", str(tmp_path / "red.png"), "What?", "--model", str(good)])
    assert ran.exit_code == 2 and "its files name none" in ran.stderr and "base_model_name_or_path" in ran.stderr


def test_the_base_is_found_again_when_folders_move(good, bases, tmp_path, monkeypatch):
    base = shutil.copytree(bases("llava"), tmp_path / "here" / "base")
    adapter = tmp_path / "here" / "runs" / "mine"
    adapter.parent.mkdir()
    good.rename(adapter)
    monkeypatch.chdir(tmp_path / "here")
    for named, moved in (("base", "cwd"), (str(base), "adapter"), ("../../base", "both")):
        configured(adapter, base_model_name_or_path=named)
        if moved == "adapter":
            adapter = adapter.rename(tmp_path / "elsewhere")
        if moved == "both":
            adapter = shutil.move(adapter, tmp_path / "here" / "runs" / "mine")
            (tmp_path / "here").rename(tmp_path / "there")
            adapter = tmp_path / "there" / "runs" / "mine"
            monkeypatch.chdir(tmp_path)
        assert Vlm.load(adapter, "cpu").adapters == (adapter,), moved
    shutil.rmtree(tmp_path / "there" / "base")
    with pytest.raises(CannotRun, match=r"\.\./\.\./base is not here.*Vlm.load\(BASE, adapters="):
        Vlm.load(adapter, "cpu")


def test_training_goes_on_from_an_adapter_and_names_it(bases, tmp_path, monkeypatch):
    from mmhallu_core.train.records import TrainingExample, Turn
    from mmhallu_core.train.run import train as train_run
    from mmhallu_core.train.spec import TrainSpec

    monkeypatch.chdir(tmp_path)
    shutil.copytree(bases("llava"), tmp_path / "base")

    def train(vlm, name):
        picture = (Image.new("RGB", (32, 32), "red"),)
        example = TrainingExample("t", picture, ((Turn("<image>What?", "A red thing."),),))
        train_run(vlm, lambda i: example, TrainSpec(steps=1, lr=1e-2), tmp_path / name, "test", {"sha256": "none"})
        return json.loads((tmp_path / name / "run.json").read_text(encoding="utf-8"))

    assert train(Vlm.load("base", "cpu"), "one")["base"] == "../base"
    first = Vlm.load("one", "cpu")
    assert train(Vlm.load("one", "cpu"), "two")["base"] == "../one"
    second = Vlm.load("two", "cpu")
    assert [folder.name for folder in second.adapters] == ["one", "two"] and second.name == "two"
    assert changed(second, first) and changed(first, Vlm.load("base", "cpu"))
    assert not changed(Vlm.load("base", "cpu", adapters=["one", "two"]), second)
    with pytest.raises(CannotRun, match="could not name 'base with one' as its base model"):
        train(Vlm.load("base", "cpu", adapters=["one"]), "three")
    with pytest.raises(CannotRun, match="trained on other weights"):
        Vlm.load("base", "cpu", adapters=["two"])  # without the first, it is another model
    (tmp_path / "runs").mkdir()
    for name in ("base", "one", "two"):
        (tmp_path / name).rename(tmp_path / "runs" / name)
    assert not changed(Vlm.load(tmp_path / "runs" / "two", "cpu"), second)


def test_adapters_that_name_each_other_are_refused(good, tmp_path):
    other = shutil.copytree(good, tmp_path / "other")
    configured(good, base_model_name_or_path=str(other))
    configured(other, base_model_name_or_path=str(good))
    with pytest.raises(CannotRun, match="name each other"):
        Vlm.load(good, "cpu")

"""MED's presets: every number beside its source, the same step on one GPU, and that step on tiny models."""

import math
from dataclasses import fields
from types import MappingProxyType

import pytest

from mmhallu_core.methods.med.one_gpu import BATCHES, LOADS, one_gpu, plan
from mmhallu_core.methods.med.presets import DISAGREEMENTS, PRESETS, Preset, Source
from mmhallu_core.types import CannotRun

NAMES = list(PRESETS)

# Tables 5 to 7 once more, typed apart from the presets: batch, accumulation, learning rate, unfrozen tower.
PRINTED = {
    "qwen2_vl": (5, 16, 8, 1e-4, True),
    "qwen2_5_vl": (5, 16, 8, 1e-4, True),
    "llava_next": (6, 1, 8, 1e-5, False),
    "mllama": (7, 4, 4, 1e-5, True),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_field_has_a_source(name):
    preset = PRESETS[name]
    assert preset.name == name
    assert set(preset.sources) == {field.name for field in fields(Preset)} - {"sources"}
    table = f"Table {PRINTED[name][0]}"
    for field, source in preset.sources.items():
        assert isinstance(source, Source) and source.paper and source.table and source.row
        if source.table.startswith("Table"):
            assert source.table == table, field
    assert str(preset.sources["lr"]) == f"arXiv 2506.07227, {table}, Learning Rate"
    assert isinstance(preset.sources, MappingProxyType)  # frozen as the rest


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_are_those_of_the_tables(name):
    preset, (_, batch, accumulation, lr, tower) = PRESETS[name], PRINTED[name]
    assert (preset.batch, preset.accumulation, preset.lr, preset.vision_tower) == (batch, accumulation, lr, tower)
    assert (preset.rank, preset.alpha, preset.dropout, preset.target, preset.gpus) == (8, 16, 0.1, "all", 8)
    assert (preset.warmup, preset.scheduler, preset.consistency) == (0.1, "cosine", "none")


def test_what_the_paper_says_twice_is_kept_with_both_sayings():
    stakes = {field for one in DISAGREEMENTS for field in one.about}
    assert {"rank", "target", "vision_tower", "lr", "batch", "consistency"} <= stakes
    for one in DISAGREEMENTS:
        assert set(one.about) <= {field.name for field in fields(Preset)} and set(one.presets) <= set(PRESETS)
        assert one.one != one.other and one.one[0] != one.other[0] and one.why.endswith(".")
        assert str(one.one[0]) != str(one.other[0])
    # They are disagreements in fact: what the presets say is not "consistent", and LLaVA's tower is not tuned.
    assert len({(p.lr, p.effective_batch, p.vision_tower) for p in PRESETS.values()}) == 3
    (frozen,) = [one for one in DISAGREEMENTS if one.about == ("vision_tower",)]
    assert [name for name in NAMES if not PRESETS[name].vision_tower] == list(frozen.presets)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("card", [40, 80])
def test_one_gpu_takes_the_papers_steps_and_fits(name, card):
    form = one_gpu(name, card)
    assert form.effective_batch == PRESETS[name].effective_batch == form.batch * form.accumulation
    assert form.batch == BATCHES[name][card] and form.checkpointing and form.dtype == "bfloat16"
    assert LOADS[name].gigabytes(form.batch) < 0.8 * card  # an estimate: leave a fifth
    assert one_gpu(name, card, native_bf16=False).dtype == "float16"


def test_the_estimate_adds_up():
    load = LOADS["llava_next"]  # by hand, in units of 1e9 bytes
    entering = 2 * (32 * 4096 * 4096 + 24 * 5760 * 1024) / 1e9
    layer = 2 * 4096 * (16 * 4096 + 6 * 11008) / 1e9
    assert load.gigabytes(2) == pytest.approx(14.12 + 2 + 2 * (entering + layer + 10 * 4096 * 32064 / 1e9))


def test_a_wrong_name_or_card_is_a_clear_error():
    with pytest.raises(CannotRun, match="no preset 'llava'; there is qwen2_vl"):
        one_gpu("llava")
    with pytest.raises(CannotRun, match="40 or 80 GB, not 24"):
        one_gpu("mllama", 24)


def test_the_three_ways_to_treat_the_tower():
    from mmhallu_core.train.adapt import Adapt

    qwen, llava = PRESETS["qwen2_vl"], PRESETS["llava_next"]
    assert plan(qwen) == Adapt("lora", "frozen", "lora", 8, 16, 0.1)
    assert plan(llava) == Adapt("frozen", "frozen", "lora", 8, 16, 0.1)
    assert plan(qwen, "full") == Adapt("full", "frozen", "lora", 8, 16, 0.1)
    assert plan(qwen, decoder="frozen") == Adapt("lora", "frozen", "frozen", 8, 16, 0.1)  # table 3, trained-ViT


# ---------------------------------------------------------------- one step on a tiny model of each family

# The matrices of the tiny models that get LoRA, by hand: layers, and paths in a layer.
LLAMA = [f"self_attn.{x}_proj" for x in "qkvo"] + [f"mlp.{x}_proj" for x in ("gate", "up", "down")]
CROSSING = [path.replace("self_attn", "cross_attn") for path in LLAMA]
DECODER = {f"model.language_model.layers.{i}": LLAMA for i in (0, 1)}
BLOCKS = [f"model.visual.blocks.{i}" for i in (0, 1)]
MLLAMA_TOWER = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.fc1", "mlp.fc2"]
TRAINED = {
    "qwen2_vl": {**DECODER, **dict.fromkeys(BLOCKS, ["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"])},
    "qwen2_5_vl": {
        **DECODER,
        **dict.fromkeys(BLOCKS, ["attn.qkv", "attn.proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]),
    },
    "llava_next": DECODER,
    "mllama": {
        "model.language_model.layers.0": LLAMA,
        "model.language_model.layers.1": CROSSING,
        "model.language_model.layers.2": LLAMA,
        **{f"model.vision_model.transformer.layers.{i}": MLLAMA_TOWER for i in (0, 1)},
        "model.vision_model.global_transformer.layers.0": MLLAMA_TOWER,
    },
}


# A whole step of 1,024 examples takes minutes even here: the quick form adds up two batches, the slow one all of them.
QUICK = pytest.param(2, id="two batches", marks=pytest.mark.long)
WHOLE = pytest.param(None, id="all batches", marks=pytest.mark.slow)


@pytest.mark.parametrize("accumulation", [QUICK, WHOLE])
@pytest.mark.parametrize("name", NAMES)
def test_one_step_of_the_preset_moves_exactly_what_it_should(name, accumulation, tmp_path):
    """The way of `mmhallu train sft --preset`: its numbers, its examples, its Trainer, its file."""
    import torch
    from PIL import Image
    from safetensors import safe_open

    from mmhallu_core.methods.med.examples import EditExamples
    from mmhallu_core.methods.med.sft import Sft, spec_of
    from mmhallu_core.models.tiny_random import build
    from mmhallu_core.models.vlm import Vlm
    from mmhallu_core.train.run import train
    from mmhallu_core.types import EditSample

    form = one_gpu(name, 40)
    vlm = Vlm.load(build(name, tmp_path / name), "cpu")
    for place in "ab":
        Image.effect_noise((32, 32), 60).convert("RGB").save(tmp_path / f"{place}.png")
    samples = [
        EditSample("s", "a.png", "b.png", "Object", "Add a boat.", "A beach.", "A boat.", "A boat.", "What differs?",
                   "The second picture shows a boat.")
    ]  # fmt: skip
    examples = EditExamples(samples, tmp_path)
    spec = spec_of(Sft(preset=name, card=40, accumulation=accumulation, steps=1), vlm, len(examples))
    assert (spec.micro_batch, spec.lr, spec.dtype, spec.checkpointing) == (form.batch, form.preset.lr, form.dtype, True)
    assert spec.adapt == plan(form.preset) and spec.scheduler == "cosine" and spec.warmup == 0.1
    assert spec.effective_batch == (form.batch * accumulation if accumulation else form.preset.effective_batch)

    wanted = {
        f"{layer}.{path}.lora_{matrix}.default.weight"
        for layer, paths in TRAINED[name].items() for path in paths for matrix in "AB"
    }  # fmt: skip
    start = {n: p.detach().clone() for n, p in vlm.model.named_parameters()}
    seen = []

    def counted(i):
        seen.append(i)
        return examples(i)

    record = train(vlm, counted, spec, tmp_path / "run", "a test", {"sha256": "0" * 64}).record
    assert seen == list(range(spec.effective_batch)) and record["steps"] == 1  # one step, all of its examples
    assert math.isfinite(record["loss"]["final"])

    now = dict(vlm.model.named_parameters())  # the adapter is in its layers
    assert {n for n, p in now.items() if p.requires_grad} == wanted
    assert {now[n].dtype for n in wanted} == {torch.float32}
    frozen = {n.replace(".base_layer", ""): p for n, p in now.items() if n not in wanted}
    assert {p.dtype for p in frozen.values()} == {torch.bfloat16}
    assert set(frozen) == set(start)
    assert all(torch.equal(p, start[n].to(torch.bfloat16)) for n, p in frozen.items())
    moved = {n for n in wanted if ".lora_B." in n and now[n].any()}
    assert moved == {n for n in wanted if ".lora_B." in n}  # B is zero at first, so A gets its gradient a step later
    with safe_open(tmp_path / "run" / "adapter_model.safetensors", "pt") as written:
        assert set(written.keys()) == {f"base_model.model.{n.replace('.default', '')}" for n in wanted}

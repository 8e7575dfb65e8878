"""ALEAHallu's adversary and edit: where the prefix stands, what learns and what stays, and runs that resume."""

import json
from dataclasses import replace
from itertools import islice

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.data.decode import decode
from mmhallu_core.explain.attention import image_attention
from mmhallu_core.explain.reading import read
from mmhallu_core.methods.aleahallu import planted, recipe
from mmhallu_core.methods.aleahallu.batch import collated, log_likelihoods, without_labels
from mmhallu_core.methods.aleahallu.edit import Editable, Learning, edit_loss, in_order, kl, prefix_loss
from mmhallu_core.methods.aleahallu.pairs import world_pairs
from mmhallu_core.methods.aleahallu.places import places_of
from mmhallu_core.methods.aleahallu.prefix import image_share, insert, response_starts, soft
from mmhallu_core.methods.aleahallu.recipe import PRESETS, edit_model, learn, with_numbers
from mmhallu_core.models.edits import FILE
from mmhallu_core.models.tiny_random import build
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun, write_jsonl

pytestmark = pytest.mark.long  # whole runs, for most families

PAIRS = list(islice(world_pairs("tests"), 6))
FEW = replace(PRESETS["ours"], tokens=3, rounds=2, objective="likelihood", prefix=Learning(3, batch=2, lr=1e-2),
              edit=Learning(4, batch=2, lr=1e-2))  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("families")
    return lambda family: home / family if (home / family).is_dir() else build(family, home / family)


@pytest.fixture
def vlm(folders):
    return Vlm.load(folders("llava"), "cpu")


def read_only(batch):
    return {name: value for name, value in batch.items() if name not in ("labels", "weights")}


# ---------------------------------------------------------------- the prefix


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "mllama"])
def test_the_prefix_is_what_these_words_right_before_the_response_would_be(family, folders):
    vlm = Vlm.load(folders(family), "cpu")
    batch, words = collated(vlm, PAIRS[:2]), torch.tensor([5, 9, 7])
    starts = response_starts(batch)
    wide, where = insert(batch, 3, starts, vlm.processor.tokenizer.pad_token_id)
    for row, start in enumerate(starts.tolist()):
        assert batch["labels"][row, start] != -100 and (batch["labels"][row, :start] == -100).all()
        assert where[row].nonzero()[:, 0].tolist() == [start, start + 1, start + 2]
        assert torch.equal(wide["input_ids"][row][~where[row]], batch["input_ids"][row])
        assert wide["attention_mask"][row][where[row]].all() and (wide["labels"][row][where[row]] == -100).all()
    written = {**read_only(wide), "input_ids": wide["input_ids"].masked_scatter(where, words.repeat(len(where)))}
    with torch.no_grad():
        wanted = vlm.model(**written).logits
        with soft(vlm.model, vlm.model.get_input_embeddings().weight[words].float(), where):
            found = vlm.model(**read_only(wide)).logits
    torch.testing.assert_close(found, wanted)
    real = wide["attention_mask"].bool()
    assert not torch.allclose(vlm.model(**read_only(wide)).logits[real], wanted[real], atol=1e-3)


def test_the_codes_fixed_place_lies_behind_a_short_response_and_inside_a_long_one(vlm):
    """A fault of the code: its soft tokens stand at place 650, whatever the prompt."""
    batch = collated(vlm, PAIRS[:3], ("grounded",))
    model = Editable(vlm, {}, prefix=4, at=650)
    attacked, prefix = model.under_attack(batch)
    lengths = batch["attention_mask"].sum(1)
    assert (lengths < 650).all()
    landed = insert(batch, 4, torch.full((3,), 650), 0)[1]
    assert landed.int().argmax(1).tolist() == lengths.tolist()  # right behind the last response token
    with torch.no_grad(), prefix:
        behind = log_likelihoods(model.logits(attacked), attacked["labels"])
    torch.testing.assert_close(behind, log_likelihoods(model.logits(batch), batch["labels"]))  # and so does nothing
    inside = insert(batch, 4, response_starts(batch) + 2, 0)[0]["labels"][0]
    assert (inside[inside.ne(-100).int().argmax() :][:6] != -100).tolist() == [True, True, *[False] * 4]


@pytest.mark.parametrize("clear, moved", [("step", 6.0), ("epoch", 12.0), ("never", 21.0)])
def test_gradients_that_are_not_cleared_make_steps_grow(clear, moved, vlm):
    """A fault of the code. Six steps of rate 1, gradient 1: 6; by epochs of three 2 (1 + 2 + 3); never 1 + ... + 6."""
    name = places_of(vlm)[0, "mlp"]
    model = Editable(vlm, {name: torch.tensor([0])})
    model.learns("edit", Learning(6, batch=2, clear=clear).every(6))
    model.zero_grad()  # the trainer's first
    optimizer = torch.optim.SGD([model.deltas[0]], lr=1.0)
    for _ in range(6):
        (-model.deltas[0].sum()).backward()
        optimizer.step()
        model.zero_grad()
    assert set(model.deltas[0].detach().flatten().tolist()) == {moved}


def test_the_share_is_a_loop_over_maps_and_the_attack_lowers_it(vlm, tmp_path):
    batch = collated(vlm, PAIRS[:2], ("hallucinated",))
    image = batch["input_ids"] == vlm.processor.image_token_id
    vlm.model.set_attn_implementation("eager")
    with torch.no_grad():
        maps = vlm.model(**read_only(batch), output_attentions=True).attentions
    each = [
        float(layer[row, head, place - 1][image[row]].sum())
        for layer in maps for row in range(2) for head in range(layer.shape[1])
        for place in (batch["labels"][row] != -100).nonzero()[:, 0].tolist()
    ]  # fmt: skip
    model = Editable(vlm, {}, prefix=3)
    share = image_share(vlm, batch, lambda: model.logits(batch))
    torch.testing.assert_close(share, torch.tensor(each).mean())

    def attacked():
        some, prefix = model.under_attack(batch)
        with torch.no_grad(), prefix:
            return float(image_share(vlm, some, lambda: model.logits(some)))

    before, make = attacked(), in_order(PAIRS[:2], "hallucinated", tmp_path, "0")
    learn(model, "prefix", prefix_loss("attention"), Learning(15, batch=2, lr=0.05), make, 2, 0, tmp_path / "c")
    assert attacked() < 0.98 * before


def test_the_image_share_is_that_of_the_maps_of_attention(vlm):
    """Two ways to one number: here in batches and with gradients, in `explain` token by token."""
    pair = PAIRS[0]
    batch = collated(vlm, [pair], ("grounded",))
    shares = image_attention(read(vlm, decode(pair.image).image, pair.prompt, pair.grounded)).share
    end = (batch["labels"][0] != -100).nonzero()[-1]  # the token that ends a response is no part of a map's answer
    batch["labels"][0, end] = -100
    share = image_share(vlm, batch, lambda: vlm.model(**without_labels(batch), use_cache=False))
    torch.testing.assert_close(share, shares.mean())


# ---------------------------------------------------------------- the edit


def test_an_edit_that_is_nothing_diverges_by_nothing_and_its_slope_is_the_losss(vlm):
    name, row = places_of(vlm)[1, "mlp"], torch.tensor([2, 7])
    model, batch = Editable(vlm, {name: row}, prefix=2), collated(vlm, PAIRS[:2], ("grounded",))
    assert float(kl(model.logits(batch, base=True), model.logits(batch)).detach()) == 0.0
    with torch.no_grad():
        model.deltas[0].normal_(std=0.3, generator=torch.Generator().manual_seed(0))
    p, q = (model.logits(batch, base).log_softmax(-1) for base in (True, False))
    torch.testing.assert_close(kl(p, q), nn.functional.kl_div(q, p, log_target=True, reduction="sum"))
    loss = edit_loss(0.2, 1.0)
    value, told = loss(model, **batch)
    assert float(value) == pytest.approx(0.2 * told["nll"] + told["kl"], rel=1e-5) and told["kl"] > 0
    model.learns("edit")
    loss(model, **batch)[0].backward()
    place, step = (1, 5), 1e-2
    with torch.no_grad():
        ends = []
        for side in (step, -2 * step):
            model.deltas[0][place] += side
            ends.append(float(loss(model, **batch)[0]))
    assert float(model.deltas[0].grad[place]) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=0.02, abs=1e-4)
    assert model.prefix.grad is None


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "llava_next", "idefics3", "mllama", "internvl"])
def test_a_run_changes_what_was_located_and_nothing_else(family, folders, tmp_path):
    vlm = Vlm.load(folders(family), "cpu")
    before = {name: value.clone() for name, value in vlm.model.state_dict().items()}
    numbers = replace(FEW, rounds=1, mode="gradient", share=0.1)
    record = edit_model(vlm, PAIRS, numbers, tmp_path / "run", "the command")
    assert all(torch.equal(value, before[name]) for name, value in vlm.model.state_dict().items())
    ((name, rows),) = record["places"].items()
    edited = Vlm.load(folders(family), "cpu", edits=[tmp_path / "run"])
    for key, value in edited.model.state_dict().items():
        moved = (value != before[key]).flatten(1).any(1).nonzero()[:, 0].tolist() if value.dim() > 1 else []
        assert set(moved) <= set(rows) and moved if key == name else torch.equal(value, before[key])
    assert record == json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["measured"]["kl"] > 0 and set(record["stages"]) == {"0-prefix", "0-edit"}
    assert not (tmp_path / "run" / "stages").exists()
    with pytest.raises(CannotRun, match="finished run"):
        edit_model(vlm, PAIRS, numbers, tmp_path / "run", "the command")


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def whole(folders, tmp_path_factory):
    """The folder of a run that nobody killed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    edit_model(Vlm.load(folders("llava"), "cpu"), PAIRS, FEW, out, "c")
    return out


@pytest.mark.parametrize("after", [2, 6, 10, 13])  # of 14 steps: in each of the four stages
def test_a_killed_run_resumes_to_the_same_edit(after, whole, folders, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "SAVE_EVERY", 2)
    steps = iter(range(1, 100))

    def watch(step, of):
        if next(steps) == after:
            raise Killed

    with pytest.raises(Killed):
        edit_model(Vlm.load(folders("llava"), "cpu"), PAIRS, FEW, tmp_path / "cut", "c", progress=watch)
    again = edit_model(Vlm.load(folders("llava"), "cpu"), PAIRS, FEW, tmp_path / "cut", "c")
    one, two = (load_file(folder / FILE) for folder in (whole, tmp_path / "cut"))
    assert all(torch.equal(delta, two[name]) for name, delta in one.items())
    assert again["sha256"] == json.loads((whole / "run.json").read_text(encoding="utf-8"))["sha256"]


def test_the_command_trains_plans_and_locates(folders, tmp_path):
    write_jsonl(tmp_path / "pairs.jsonl", PAIRS)
    given = ["--data", str(tmp_path / "pairs.jsonl"), "--model", str(folders("llava")), "--json"]

    def run(*words):
        found = CliRunner().invoke(app, [*words, *given])
        assert found.exit_code == 0, found.output
        return json.loads(found.stdout)

    chosen = run("aleahallu", "locate", "--mode", "scale", "--n", "2")["modes"]["scale"]
    assert chosen["n"] == 2 and len(chosen["ranking"]) == 4
    code = ["train", "aleahallu", "--preset", "code"]
    told = run(*code, "--plan")
    assert told["steps"] == {"prefix": 6, "edit": 15} and told["trainable"] <= told["parameters"]
    record = run(*code, "--steps", "2", "--layer", "1", "--out", str(tmp_path / "run"))
    assert [name.split(".")[3] for name in record["places"]] == ["1"] and record["data"]["file"] == "pairs.jsonl"
    assert record["recipe"]["edit"] == {"steps": 2, "epochs": 5, "batch": 2, "lr": 1e-3, "optimizer": "sgd",
                                        "clear": "epoch"}  # fmt: skip
    assert with_numbers(PRESETS["ours"]) == PRESETS["ours"]


# ---------------------------------------------------------------- the planted test


def test_a_plant_is_made_scored_and_judged(folders, monkeypatch):
    assert len(planted.plants()) >= 24 and len({one.id for one in planted.plants()}) == len(planted.plants())
    monkeypatch.setattr(planted, "REPAIR", Learning(1, batch=2))
    plant = planted.Plant("p", "attribute", ((1, "mlp"),), 0)
    record = planted.perform(plant, str(folders("llava")), Learning(3, batch=2, lr=5e-2), asked=4)
    assert record["odds"]["planted"] != record["odds"]["base"] and record["elsewhere"] == (0, "mlp")
    found = planted.Located("scale", [(layer, "mlp") for layer in range(4)])
    found.add(torch.tensor([[1.0, 4.0, 2.0, 3.0]]))
    told = planted.scored(found, [(3, "mlp"), (1, "mlp")])
    assert (told["first"], told["auc"], told["last"]) == (True, 1.0, False)
    assert planted.scored(found, [(2, "mlp")])["auc"] == pytest.approx(1 / 3)
    record["odds"] = {"base": 0.0, "planted": 8.0, "repaired": 3.0, "repaired elsewhere": 7.0}
    record["modes"]["scale"]["first"] = True
    summed = planted.summary([record] * 24)
    verdicts = {one["id"]: one["verdict"] for one in summed["claims"]}
    assert verdicts["repaired"] == verdicts["scale-mlp"] == "holds in Diorama"
    assert (verdicts["elsewhere"], verdicts["scale-two"]) == ("does not hold in Diorama", "not run")
    assert summed["groups"]["mlp"]["chance"] == 0.25

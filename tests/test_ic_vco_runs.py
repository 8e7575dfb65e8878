"""IC-VCO and its family: runs and adapters, the command line, and pairs of Diorama."""

import dataclasses
import json

import numpy as np
import peft
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.data.check import read_preferences, read_training_file
from mmhallu_core.methods.ic_vco.fit import Fit, fit, plan_fit, spec_of
from mmhallu_core.methods.ic_vco.pairs import Failed, Pairs, pair_of, points, spans_of, write_pairs
from mmhallu_core.methods.ic_vco.presets import PRESETS
from mmhallu_core.methods.ic_vco.recipes import METHODS, Objective, PreferenceExamples, recipe
from mmhallu_core.models.adapter_folders import WEIGHTS
from mmhallu_core.models.tiny_random import build
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.run import train
from mmhallu_core.types import CannotRun, write_jsonl
from mmhallu_core.world.language import describe, read
from mmhallu_core.world.language.read import known_facts, match
from mmhallu_core.world.prior import sample_scene
from tests.preference_data import SPEC, maker, some

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build("llava", tmp_path_factory.mktemp("base") / "llava")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A file of preferences with their pictures."""
    out = tmp_path_factory.mktemp("data")
    records = []
    for record, images in some():
        names = tuple(f"{record.id}-{side}.png" for side in "ab")
        for name, image in zip(names, images, strict=True):
            image.save(out / name)
        records.append(dataclasses.replace(record, images=names))
    write_jsonl(out / "preferences.jsonl", records)
    return out / "preferences.jsonl"


def run(folder, objective, spec, out):
    """The record of a run on made-up preferences."""
    return train(Vlm.load(folder, "cpu"), maker(objective), spec, out, "a test", recipe=recipe(objective)).record


# ---------------------------------------------------------------- runs


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_to_prefer(method, folder, tmp_path):
    objective = Objective(method)
    spec = dataclasses.replace(SPEC, steps=6, lr=1e-2, micro_batch=4, save_every=100)
    done = train(Vlm.load(folder, "cpu"), maker(objective), spec, tmp_path / method, "a test", recipe=recipe(objective))
    assert done.record["losses"][-1] < done.record["losses"][0] and done.record["loss"]["margin"] > 0
    assert done.record["recipe"] == dataclasses.asdict(objective)
    base = AutoModelForImageTextToText.from_pretrained(folder)
    loaded = peft.PeftModel.from_pretrained(base, tmp_path / method)
    own = load_file(tmp_path / method / WEIGHTS)
    named = {name.replace(".default", ""): value for name, value in loaded.named_parameters()}
    assert own and all(torch.equal(named[name], value) for name, value in own.items())


class Killed(Exception):
    """Stands for a kill."""


def test_a_killed_run_ends_as_an_unbroken_one(folder, tmp_path):
    objective = Objective("ic-vco")
    make, made, spec = maker(objective), recipe(objective), dataclasses.replace(SPEC, accumulation=2, steps=4)

    for last in (6, 14 + 16):  # while the reference is asked, and in the last step, after a checkpoint
        asked = []

        def killed(i, asked=asked, last=last):
            asked.append(i)
            if len(asked) > last:
                raise Killed
            return make(i)

        with pytest.raises(Killed):
            train(Vlm.load(folder, "cpu"), killed, spec, tmp_path / "broken", "a test", recipe=made)
        assert list((tmp_path / "broken" / "references").glob("*.safetensors")), "what was computed is kept"
    whole = train(Vlm.load(folder, "cpu"), make, spec, tmp_path / "whole", "a test", recipe=made).record
    broken = train(Vlm.load(folder, "cpu"), make, spec, tmp_path / "broken", "a test", recipe=made).record
    assert broken["resumed"] and broken["sha256"] == whole["sha256"] and broken["losses"] == whole["losses"]
    other = recipe(Objective("ic-vco", mode="as_shipped"))
    (tmp_path / "broken" / "run.json").unlink()
    with pytest.raises(CannotRun, match="belongs to another run|another run"):
        train(Vlm.load(folder, "cpu"), make, spec, tmp_path / "broken", "a test", recipe=other)


def test_accumulation_takes_the_steps_of_a_large_batch(folder, tmp_path):
    """Up to distillation, whose rows are counted in each micro-batch, as in the code of IC-VCO."""
    objective = Objective("ic-vco", distil=False)
    runs = []
    for name, micro, accumulation in (("one", 4, 1), ("two", 2, 2)):
        spec = dataclasses.replace(SPEC, micro_batch=micro, accumulation=accumulation)
        runs.append(run(folder, objective, spec, tmp_path / name))
    assert runs[0]["losses"] == pytest.approx(runs[1]["losses"], abs=1.5e-4)


# ---------------------------------------------------------------- the command line


def test_train_and_plan_from_the_command_line(folder, data, tmp_path):
    words = ["train", "ic-vco", "--model", str(folder), "--data", str(data), "--micro-batch", "2", "--steps", "2"]
    run = CliRunner().invoke(app, [*words, "--plan", "--json"])
    plan = json.loads(run.stdout)
    assert plan["trainable"]["decoder"] > 0 and plan["trainable"]["vision_tower"] == 0 and plan["memory_gb"] > 0
    assert not (tmp_path / "run").exists()
    words += ["--out", str(tmp_path / "run"), "--mode", "as_shipped", "--no-distil", "--json"]
    run = CliRunner().invoke(app, words)
    assert run.exit_code == 0, run.output
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["recipe"]["mode"] == "as_shipped" and not record["recipe"]["distil"]
    assert record["command"].startswith("mmhallu train ic-vco ") and "--no-distil" in record["command"]
    assert (record["steps"], record["examples"], record["data"]["epoch"]) == (2, 4, 8)
    refused = CliRunner().invoke(app, ["train", "dpo", "--data", str(data), "--gamma", "2", "--out", "x"])
    assert refused.exit_code == 2 and "gamma is a switch of vdpo" in refused.output


def test_presets_are_taken_in_their_steps(folder, data):
    vlm = Vlm.load(folder, "cpu")
    for method, preset in PRESETS.items():
        spec = spec_of(Fit(method, preset="paper"), vlm, 19_453)
        assert spec.effective_batch == preset.batch and spec.lr == preset.lr and spec.adapt == preset.adapt
    assert spec.steps == 304, "IC-VCO on its 19,453 samples"
    with pytest.raises(CannotRun, match="a step of the preset has 64 examples"):
        spec_of(Fit("ic-vco", preset="paper", micro_batch=5), vlm, 100)
    with pytest.raises(CannotRun, match="--data FILE of preferences"):
        fit(Fit("dpo", model=str(folder)), data.parent / "x", "a test")
    with pytest.raises(CannotRun, match="which model"):
        plan_fit(Fit("dpo", data=data))


def test_examples_come_once_an_epoch(data):
    examples = PreferenceExamples(read_preferences(data), data.parent, Objective("dpo"))
    names = [examples(i).id for i in range(16)]
    assert sorted(names[:8]) == sorted(names[8:]) == sorted(f"p{k}" for k in range(8)) and names[:8] != names[8:]


# ---------------------------------------------------------------- pairs of Diorama


def test_each_kind_of_mistake_is_found_and_edited():
    made = {}
    for i in range(60):
        try:
            pair = pair_of(i, Pairs(60))
        except Failed:
            continue
        made[pair.point] = made.get(pair.point, 0) + 1
        false = [fact for fact in match(read(pair.wrong), pair.before).facts if fact not in known_facts(pair.before)]
        assert false, "the answer that began it all is wrong about the first picture"
        for prompt, first, second in pair.turned[:1]:
            for text, scene in ((first, pair.before), (second, pair.after)):
                assert {*match(read(text), scene).facts} <= known_facts(scene), prompt
            assert not {*match(read(second), pair.before).facts} <= known_facts(pair.before)
    assert set(made) == {"existence", "attribute", "relation"} and min(made.values()) >= 5, made


def test_points_are_read_from_the_words():
    scenes = (sample_scene(f"t/{k}", place="snow", count=1) for k in range(99))
    scene = next(one for one in scenes if one.kinds() == ["dog"])
    dog = scene.things[0]
    other = next(colour for colour in ("red", "blue") if colour != dog.colour)
    wrong = describe(scene).text.replace(dog.colour, other) + " There is a green tree."
    assert [(kind, meaning.instruction()) for kind, meaning in sorted(points(wrong, scene), key=str)] == [
        ("attribute", f"change the dog from {dog.colour} to {other}"), ("existence", "add a green tree"),
    ]  # fmt: skip
    assert points(describe(scene).text, scene) == []


def test_spans_are_the_words_that_differ():
    chosen, rejected = "There is a red dog lying. It is day.", "There is a dark blue dog lying. It is day."
    first, second = spans_of(chosen, rejected)
    assert [chosen[a:b] for a, b in first] == ["red"] and [rejected[a:b] for a, b in second] == ["dark blue"]
    assert spans_of("A dog.", "A dog. A cat.") == ((), ((7, 13),))


@pytest.mark.parametrize("negative", ["edited", "synthetic", "retrieved"])
def test_pairs_are_written_and_can_be_trained_on(negative, tmp_path):
    words = ["ic-vco", "pairs", "--source", "world", "--n", "9", "--negative", negative, "--out", str(tmp_path)]
    run = CliRunner().invoke(app, [*words, "--json"])
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    assert found["pairs"] + sum(found["reasons"].values()) == 9 and found["success"] == found["pairs"] / 9
    records = read_preferences(tmp_path / "preferences.jsonl")
    assert len(records) == found["preferences"] >= found["pairs"] > 0
    again = write_pairs(Pairs(9, negative=negative), tmp_path / "again")
    assert again["preferences"] == len(records)
    for name in ("preferences.jsonl", "sft.jsonl"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    chats = read_training_file(tmp_path / "sft.jsonl")
    assert len(chats) == 4 * len(records) and {len(chat.images) for chat in chats} == {1, 2}
    pixels = [[np.asarray(Image.open(tmp_path / name)) for name in record.images] for record in records]
    share = np.mean([(first != second).any(-1).mean() for first, second in pixels])
    assert share < 0.1 if negative == "edited" else share > 0.1, "an edit is small, and the others are not"

"""Fine-tuning any family: labels on answers alone, whole steps, runs that survive a kill, and clear errors."""

import dataclasses
import json
import shutil

import numpy as np
import peft
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.data.chats import Chat
from mmhallu_core.data.check import read_training_file
from mmhallu_core.methods.med.sft import Sft, fine_tune, plan_run, spec_of
from mmhallu_core.models.adapter_folders import WEIGHTS
from mmhallu_core.models.tiny_random import build
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import Locked, run_lock
from mmhallu_core.train.adapt import Adapt
from mmhallu_core.train.collate import ChatTemplateCollator, write
from mmhallu_core.train.losses import IGNORE, Consistency
from mmhallu_core.train.machine import recompute
from mmhallu_core.train.prepare import answers_loss, prepare, totals_of
from mmhallu_core.train.records import TrainingExample, Turn
from mmhallu_core.train.run import train
from mmhallu_core.train.spec import TrainSpec
from mmhallu_core.types import CannotRun, EditSample, write_jsonl

pytestmark = pytest.mark.long


def picture(seed, size=(40, 40)):
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def example(name, images, *turns, changed=None):
    return TrainingExample(name, images, (tuple(Turn(*turn) for turn in turns),), changed)


def batch_of(vlm, *examples):
    return ChatTemplateCollator(vlm)(examples)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Makes a tiny random model of a family once."""
    root, made = tmp_path_factory.mktemp("families"), {}

    def folder(family):
        if family not in made:
            made[family] = build(family, root / family)
        return made[family]

    return folder


# ---------------------------------------------------------------- which tokens are learned

ANSWERS = ("A red dog.", "There are three people in front of the house, and a cat.")


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "llava_next", "mllama", "idefics3", "internvl"])
def test_exactly_the_answers_are_learned(family, folders):
    vlm = Vlm.load(folders(family), "cpu")
    turns = (("<image><image>What differs?", ANSWERS[1]), ("And now?", ANSWERS[0], 0.5))
    one = example("one", (picture(1),), ("<image>What is this?", ANSWERS[0]))
    inputs = batch_of(vlm, one, example("two", (picture(1), picture(2)), *turns))
    labels = inputs["labels"]
    for row, said in enumerate([ANSWERS[:1], (ANSWERS[1], ANSWERS[0])]):
        here = labels[row] != IGNORE
        assert torch.equal(labels[row][here], inputs["input_ids"][row][here])
        runs, last = [], -2  # runs of neighbouring learned tokens: one for each answer
        for place in here.nonzero()[:, 0].tolist():
            if place != last + 1:
                runs.append([])
            runs[-1].append(int(labels[row, place]))
            last = place
        weights = [set(inputs["weights"][row][here].tolist()), set(inputs["weights"][row][~here].tolist())]
        assert weights == [{1.0, 0.5} if row else {1.0}, {0.0}]
        texts = [vlm.processor.tokenizer.decode(run) for run in runs]
        assert [vlm.processor.tokenizer.decode(run, skip_special_tokens=True).strip() for run in runs] == list(said)
        assert texts[-1].strip() != said[-1], "a model must also learn to stop"
    if vlm.family.image_positions is not None:
        assert not (labels == vlm.processor.image_token_id).any()


def test_a_template_without_an_end_gets_one(folders):
    vlm = Vlm.load(folders("llava"), "cpu")
    vlm.processor.chat_template = (
        "{% for message in messages %}{{ message['role'] | upper }}: {% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %} {% endfor %}"
        "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
    )
    text, spans = write(vlm, (Turn("<image>What?", "A dog."),), "a")
    assert text == f"USER: <image>What? ASSISTANT: A dog.{vlm.processor.tokenizer.eos_token}"
    assert text[slice(*spans[0])] == f" A dog.{vlm.processor.tokenizer.eos_token}"


def test_nothing_is_cut_and_the_error_names_the_sample(folders):
    vlm = Vlm.load(folders("qwen2_vl"), "cpu")
    short, long = example("short", (picture(1),), ("What?", "A dog.")), "a word " * 1500
    with pytest.raises(CannotRun, match="sample too-long: 1 pictures .* reads 2048"):
        batch_of(vlm, short, example("too-long", (picture(1),), ("<image>What?", long)))
    with pytest.raises(CannotRun, match="sample marked"):
        batch_of(vlm, example("marked", (picture(1),), ("<image>What?", "A <|image_pad|> dog.")))


def test_the_loss_is_that_of_transformers(folders):
    """Against the model's own loss over all positions; and parts of a step add up to the whole."""
    vlm = Vlm.load(folders("qwen2_vl"), "cpu")
    examples = [example(str(i), (picture(i),), ("<image>What?", answer)) for i, answer in enumerate(ANSWERS)]

    def parts(*some):
        batch = batch_of(vlm, *some)
        return batch, batch.pop("labels"), batch.pop("weights")

    inputs, labels, weights = parts(*examples)
    whole = answers_loss(vlm.model, vlm.model, inputs, labels, weights)
    torch.testing.assert_close(whole, vlm.model(**inputs, labels=labels).loss)
    count, added = totals_of({"labels": labels, "weights": weights})[0], []
    assert count == (labels != IGNORE).sum()
    for one in examples:
        added.append(answers_loss(vlm.model, vlm.model, *parts(one), count))
    torch.testing.assert_close(sum(added), whole)


# ---------------------------------------------------------------- runs

PLAN = Adapt(dropout=0.1)
SPEC = TrainSpec(steps=4, adapt=PLAN, micro_batch=2, lr=3e-3, save_every=2)
DATA = {"sha256": "0" * 64}


def make(i):
    return example(f"t{i}", (picture(i), picture(i + 1)), ("<image><image>What differs?", ANSWERS[i % 2]))


def run(folder, out, spec=SPEC, make=make, **more):
    return train(Vlm.load(folder, "cpu"), make, spec, out, "a test", DATA, **more).record


class Killed(BaseException):
    """What stops a run at a moment of the test's choice."""


def killed(i):
    if i == 6:  # in the fourth step, after the point to go back to
        raise Killed
    return make(i)


@pytest.mark.parametrize("plan", [PLAN, Adapt("full", "frozen", "full")], ids=["lora", "full"])
def test_a_killed_run_goes_on_and_ends_where_an_unbroken_one_does(plan, folders, tmp_path):
    spec = dataclasses.replace(SPEC, adapt=plan)
    with pytest.raises(Killed):
        run(folders("llava"), tmp_path / "broken", spec, killed)
    half = tmp_path / "broken" / "checkpoints" / "checkpoint-3"  # as a kill leaves it in the middle of writing
    shutil.copytree(half.with_name("checkpoint-2"), half)
    (half / "trainer_state.json").write_text('{"global_step": 3, "log', encoding="utf-8")
    with pytest.raises(CannotRun, match="belongs to another run"):
        run(folders("llava"), tmp_path / "broken", dataclasses.replace(spec, lr=1e-3))
    second = run(folders("llava"), tmp_path / "broken", spec)
    whole = run(folders("llava"), tmp_path / "whole", spec)
    assert second["resumed"] and not whole["resumed"] and second["steps"] == whole["steps"] == 4
    assert second["sha256"] == whole["sha256"] and second["loss"] == whole["loss"]
    assert not (tmp_path / "broken" / "checkpoints").exists()
    with pytest.raises(CannotRun, match="holds a finished run"):
        run(folders("llava"), tmp_path / "whole", spec)


def test_two_runs_in_one_folder_at_once_are_refused(folders, tmp_path):
    with run_lock(tmp_path / "run"), pytest.raises(Locked, match="is in use by process"):
        run(folders("llava"), tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock"]


@pytest.mark.parametrize("steps, said", [(1, "weights are no numbers"), (2, "the loss became nan in step 2")])
def test_a_run_that_breaks_its_weights_writes_none(steps, said, folders, tmp_path):
    spec = dataclasses.replace(SPEC, steps=steps, lr=float("inf"), scheduler="constant", save_every=9)
    with pytest.raises(CannotRun, match=said):
        run(folders("llava"), tmp_path / "run", spec)
    assert not (tmp_path / "run" / WEIGHTS).exists() and not (tmp_path / "run" / "run.json").exists()


def test_only_the_product_of_batch_and_accumulation_matters(folders, tmp_path):
    spec = dataclasses.replace(SPEC, adapt=Adapt(), steps=1, micro_batch=4)
    one = run(folders("qwen2_vl"), tmp_path / "one", spec)
    two = run(folders("qwen2_vl"), tmp_path / "two", dataclasses.replace(spec, micro_batch=1, accumulation=4))
    assert one["loss"]["final"] == pytest.approx(two["loss"]["final"], abs=1e-4)
    first, second = (load_file(tmp_path / name / WEIGHTS) for name in ("one", "two"))
    moved = [name for name in first if "lora_B" in name]
    close = [torch.allclose(first[name], second[name], atol=2e-3) for name in moved]  # Adam turns rounding into steps
    assert sum(close) > 0.9 * len(close)


def test_an_adapter_loads_in_plain_peft(folders, tmp_path):
    record = run(folders("qwen2_vl"), tmp_path / "run", dataclasses.replace(SPEC, steps=2))
    base = AutoModelForImageTextToText.from_pretrained(folders("qwen2_vl")).eval()
    inputs = batch_of(Vlm.load(folders("qwen2_vl"), "cpu"), make(0))
    del inputs["weights"]
    with torch.no_grad():
        before = base(**inputs).loss
        tuned = peft.PeftModel.from_pretrained(base, str(tmp_path / "run")).eval()
        after = tuned(**inputs).loss
        ours = Vlm.load(tmp_path / "run", "cpu").model(**inputs).loss
    assert after != before
    torch.testing.assert_close(after, ours, atol=1e-5, rtol=0)
    assert (
        record["trainable"]["connector"] == 0 < record["trainable"]["vision_tower"] < record["trainable"]["decoder"] * 2
    )
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"adapter_config.json", WEIGHTS, "run.json", "about.jsonl", "lock"}


def pair(i):
    first = picture(i)
    second = first.copy()
    second.paste((255, 0, 0), (0, 0, 16, 16))
    changed = torch.zeros(40, 40, dtype=torch.bool)
    changed[:16, :16] = True
    return example(f"p{i}", (first, second), ("<image><image>What differs?", ANSWERS[0]), changed=changed)


def test_consistency_at_weight_0_is_not_there_and_else_it_is(folders, tmp_path):
    rules = {"none": Consistency(), "zero": Consistency("masked", weight=0.0), "masked": Consistency("masked", 1.0),
             "global": Consistency("global", weight=100.0)}  # fmt: skip
    watched = [pair(i).images for i in range(3)]
    runs = {}
    for name, rule in rules.items():
        spec = dataclasses.replace(SPEC, steps=2, consistency=rule, accumulation=2)
        runs[name] = run(folders("qwen2_vl"), tmp_path / name, spec, pair, watched=watched)
    assert runs["none"]["sha256"] == runs["zero"]["sha256"]
    assert len({one["sha256"] for one in runs.values()}) == 3
    assert runs["masked"]["loss"]["consistency"] > 0
    assert runs["none"]["collapse"]["before"] == runs["masked"]["collapse"]["before"]
    assert runs["masked"]["collapse"]["before"] != runs["masked"]["collapse"]["after"]


@pytest.mark.parametrize(
    ("family", "rule"),
    [("qwen2_vl", Consistency("masked", 1.0)), ("llava_next", Consistency("masked", 1.0)),
     ("qwen2_vl", Consistency("global", 100.0))],
)  # fmt: skip
def test_checkpointing_changes_nothing(family, rule, folders, tmp_path):
    """Also for the consistency loss, whose features are caught inside a checkpointed layer."""
    losses, gradients = [], []
    for checkpointing in (False, True):
        spec = dataclasses.replace(SPEC, adapt=Adapt(), consistency=rule, checkpointing=checkpointing)
        ready = prepare(Vlm.load(folders(family), "cpu"), spec)
        if checkpointing:
            recompute(ready.model)
        ready.model.train()
        with torch.no_grad():  # so that features have drifted from where they began
            for name, value in ready.model.named_parameters():
                if ".lora_B." in name and "visual" in name:
                    value += torch.randn(value.shape, generator=torch.Generator().manual_seed(len(name)))
        total, parts = ready.loss(ready.model, **ready.collate([pair(0), pair(1)]))
        total.backward()
        losses.append((total.item(), parts["consistency"]))
        gradients.append({name: value.grad for name, value in ready.model.named_parameters() if value.grad is not None})
    assert losses[0] == pytest.approx(losses[1], abs=1e-5) and losses[0][1] > 0
    assert set(gradients[0]) == set(gradients[1])
    for name, value in gradients[0].items():
        torch.testing.assert_close(value, gradients[1][name], atol=1e-5, rtol=1e-3)


def test_what_cannot_be_trained_says_so(folders):
    with pytest.raises(CannotRun, match="cross-attention"):
        prepare(Vlm.load(folders("mllama"), "cpu"), dataclasses.replace(SPEC, consistency=Consistency("masked")))
    with pytest.raises(CannotRun, match="float16 needs a GPU"):
        prepare(Vlm.load(folders("llava"), "cpu"), dataclasses.replace(SPEC, dtype="float16"))


# ---------------------------------------------------------------- from a terminal, on somebody's own data


def sample(name, folder, **changes):
    for place, image in (("a", picture(1)), ("b", picture(2))):
        image.save(folder / f"{name}-{place}.png")
    fields = dict(
        id=name, image=f"{name}-a.png", edited_image=f"{name}-b.png", category="Object", edit_instruction="Add a cup.",
        caption="A table.", edited_caption="A table with a cup.", difference="A cup is new.",
        question="What is different between the two images?", answer="There is a new cup.",
    )  # fmt: skip
    return EditSample(**{**fields, **changes})


def call(*words):
    return CliRunner().invoke(app, ["train", "sft", *map(str, words)])


def test_from_a_terminal_on_edit_samples(folders, tmp_path):
    write_jsonl(tmp_path / "edits.jsonl", [sample(f"s{i}", tmp_path) for i in range(3)])
    words = [
        "--model",
        folders("qwen2_vl"),
        "--data",
        tmp_path / "edits.jsonl",
        "--steps",
        2,
        "--micro-batch",
        2,
        "--json",
    ]
    planned = call(*words, "--plan")
    assert planned.exit_code == 0, planned.output
    found = json.loads(planned.stdout)
    assert found["effective_batch"] == 2 and found["steps"] == 2 and found["memory_gb"] >= 0 and found["seconds"] > 0
    assert not (tmp_path / "out").exists()
    result = call(*words, "--consistency", "masked", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert json.loads(result.stdout.splitlines()[-1]) == record
    assert record["trainable"] == found["trainable"] and record["parameters"] == found["parameters"]
    assert record["command"].startswith("mmhallu train sft --model") and "--consistency masked" in record["command"]
    assert record["spec"]["consistency"]["mode"] == "masked" and "collapsed" in record["collapse"]
    assert record["data"]["epoch"]["alone"] == 6 and record["data"]["file"] == "edits.jsonl"
    again = call(*words, "--out", tmp_path / "out")
    assert again.exit_code == 2 and "finished run" in again.output


def test_from_a_terminal_on_conversations(folders, tmp_path):
    picture(1).save(tmp_path / "a.png")
    chat = {"id": "k", "images": ["a.png", "a.png"], "question": "What changed?", "answer": "A cup is gone."}
    (tmp_path / "own.jsonl").write_text(json.dumps(chat) + "\n", encoding="utf-8")
    words = ["--model", folders("mllama"), "--data", tmp_path / "own.jsonl", "--steps", 1, "--micro-batch", 1]
    result = call(*words, "--out", tmp_path / "out")
    assert result.exit_code == 0 and "1 steps of 1 examples" in result.output, result.output
    refused = call(*words, "--consistency", "global", "--out", tmp_path / "other")
    assert refused.exit_code == 2 and "needs pairs" in refused.output
    for option, value, message in (("--same", 0.5, "only for edit samples"), ("--card", 80, "only with --preset"),
                                   ("--weight", 0.5, "only with --consistency")):  # fmt: skip
        ignored = call(*words, option, value, "--out", tmp_path / "other")
        assert ignored.exit_code == 2 and f"{option} is {message}" in ignored.output


def test_presets_and_options_that_do_not_fit_are_clear_errors(folders, tmp_path):
    reckoned = call("--preset", "qwen2_5_vl", "--plan", "--json")
    found = json.loads(reckoned.stdout)
    assert (found["effective_batch"], found["steps"], found["measured"]) == (1024, 49, False)
    assert found["memory_gb"] < 80 and found["seconds"] > 3600
    for words, message in (
        (["--out", tmp_path], "what should be learned"),
        (["--vision-tower", "half", "--out", tmp_path], "'half' is not one of"),
        (["--plan"], "a plan needs --data"),
    ):
        result = call(*words)
        said = " ".join(result.output.replace("│", " ").split())  # typer breaks lines where the terminal ends
        assert result.exit_code == 2 and message in said, result.output
    vlm = Vlm.load(folders("llava"), "cpu")
    with pytest.raises(CannotRun, match="is for Qwen2-VL-7B; .* is of llava"):
        spec_of(Sft(preset="qwen2_vl"), vlm, 10)
    vlm = Vlm.load(folders("qwen2_vl"), "cpu")
    with pytest.raises(CannotRun, match="take a --micro-batch that divides"):
        spec_of(Sft(preset="qwen2_vl", micro_batch=3), vlm, 10)
    spec = spec_of(Sft(preset="qwen2_vl", micro_batch=16), vlm, 50_000)
    assert (spec.micro_batch, spec.accumulation, spec.steps, spec.lr) == (16, 64, 49, 1e-4)
    assert plan_run(Sft(preset="mllama"))["effective_batch"] == 128
    with pytest.raises(CannotRun, match="which model"):
        write_jsonl(tmp_path / "e.jsonl", [sample("s", tmp_path)])
        fine_tune(Sft(data=tmp_path / "e.jsonl"), tmp_path / "x", "a test")


SHAREGPT = {
    "messages": [
        {"role": "user", "content": "<image>\n<image>What changed?"},
        {"role": "assistant", "content": "A cup is gone."},
        {"role": "user", "content": "Which?"},
        {"role": "assistant", "content": "The red one."},
    ],
    "images": ["a.png", "a.png"],
}


def test_both_forms_of_conversations_are_read(tmp_path):
    picture(1).save(tmp_path / "a.png")
    older = {
        "conversations": [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "A dog."}], "images": ["a.png"],
    }  # fmt: skip
    (tmp_path / "list.json").write_text(json.dumps([SHAREGPT, older]), encoding="utf-8")
    first, second = read_training_file(tmp_path / "list.json")
    assert first.turns == (("<image>\n<image>What changed?", "A cup is gone."), ("Which?", "The red one."))
    assert second == Chat("list-2", ("a.png",), (("<image>What?", "A dog."),))
    plain = {"images": ["a.png"], "question": "What?", "answer": "A dog."}
    (tmp_path / "x.jsonl").write_text(json.dumps(plain) + "\n\n" + json.dumps(SHAREGPT) + "\n", encoding="utf-8")
    assert [chat.id for chat in read_training_file(tmp_path / "x.jsonl")] == ["x-1", "x-3"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not a JSON object"),
        ("[1]", "line 2: expected a JSON object"),
        ('{"images": [], "question": "What?"}', "line 2: the answer must be a text"),
        ('{"images": ["b.png"], "question": "?", "answer": "A."}', "line 2: `images[0]`: there is no picture at b.png"),
        (
            '{"images": ["a.png"], "question": "<image><image>?", "answer": "A."}',
            "1 pictures, but 2 times the image placeholder <image>",
        ),
        ('{"images": ["a.png"], "question": "?", "answer": "<image>"}', "line 2: an answer holds <image>"),
        ('{"messages": [{"role": "system", "content": "x"}], "images": []}', "message 1 must be of the user"),
        ('{"id": "one", "images": ["a.png"], "question": "?", "answer": "A."}', "id 'one' was already used in line 1"),
        ('{"text": "x"}', "line 2: needs `question` and `answer`"),
        ('{"images": [7], "question": "?", "answer": "A."}', "line 2: `images[0]`: a picture is a path"),
    ],
)
def test_bad_data_is_told_with_its_line(line, message, tmp_path):
    picture(1).save(tmp_path / "a.png")
    good = json.dumps({"id": "one", "images": ["a.png"], "question": "What?", "answer": "A dog."})
    (tmp_path / "own.jsonl").write_text(f"{good}\n{line}\n", encoding="utf-8")
    with pytest.raises(CannotRun) as caught:
        read_training_file(tmp_path / "own.jsonl")
    assert message in str(caught.value) and "own.jsonl" in str(caught.value)


def test_bad_edit_samples_are_told_with_their_line(tmp_path):
    samples = [sample("one", tmp_path), sample("two", tmp_path)]
    write_jsonl(tmp_path / "edits.jsonl", samples)
    (tmp_path / "two-b.png").unlink()
    with pytest.raises(CannotRun, match="line 2: `edited_image`: there is no picture at two-b.png"):
        read_training_file(tmp_path / "edits.jsonl")
    bad = dataclasses.replace(samples[1]).to_dict() | {"category": "Colour"}
    (tmp_path / "edits.jsonl").write_text(json.dumps(samples[0].to_dict()) + "\n" + json.dumps(bad), encoding="utf-8")
    with pytest.raises(CannotRun, match=r"(?s)data check .*--as edit.*line 2: no category 'Colour'"):
        read_training_file(tmp_path / "edits.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(CannotRun, match="there is no record in the file"):
        read_training_file(tmp_path / "empty.jsonl")


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_on_a_gpu_in_every_precision(dtype, folders, tmp_path):
    spec = dataclasses.replace(SPEC, dtype=dtype, checkpointing=True, consistency=Consistency("global"))
    vlm = Vlm.load(folders("qwen2_5_vl"), "cuda")
    watched = [pair(i).images for i in range(3)]
    record = train(vlm, pair, spec, tmp_path / "run", "a test", DATA, watched=watched).record
    assert record["steps"] == 4 and np.isfinite(record["loss"]["final"])
    adapter = load_file(tmp_path / "run" / WEIGHTS)
    assert all(value.isfinite().all() for value in adapter.values())
    assert any(value.any() for name, value in adapter.items() if "lora_B" in name)

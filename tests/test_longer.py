"""The longer run of MED's study: its endless pairs, its early stop, and its bars."""

import json

import pytest
import torch
from transformers.trainer_utils import get_last_checkpoint

from maintenance.med_longer import BARS, NAME, Longer, bars_of, card, compared
from maintenance.med_pairs import ALONE_EVERY, PairsDataset
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import checkpoint_folder, results_folder, sha256
from mmhallu_core.train.pretrain.compare import rotation
from mmhallu_core.train.pretrain.recipe import run_stage, speak_loss
from mmhallu_core.train.pretrain.see import group_ids
from mmhallu_core.train.pretrain.speak import speak_collator
from mmhallu_core.world.language.read import read

BATCH = 4


@pytest.fixture(scope="module")
def vlm():
    return Vlm.load("tiny-llava")


@pytest.fixture(scope="module")
def data(vlm):
    return PairsDataset(vlm.processor.tokenizer, "test/longer", BATCH, 20 * BATCH)


def test_a_batch_is_about_pairs_or_about_single_pictures(data):
    pictures = [len(data[i][0]) for i in range(2 * ALONE_EVERY * BATCH)]
    batches = [set(pictures[start : start + BATCH]) for start in range(0, len(pictures), BATCH)]
    assert batches == ([{2}] * (ALONE_EVERY - 1) + [{1}]) * 2


def test_what_is_said_of_a_pair_agrees_with_its_pixels(data, vlm):
    seen = set()
    for i in range(5 * BATCH):
        (first, second), _, packed = data[i]
        learned = [token for token, label in zip(packed.input_ids, packed.labels, strict=True) if label >= 0]
        answers = vlm.processor.tokenizer.decode(learned).split("</s>")
        same = bool((first == second).all())
        assert answers[0].strip() == ("Yes." if same else "No.")
        assert read(answers[1].strip()).no_difference is same
        seen.add(same)
    assert seen == {True, False}


def test_the_same_item_is_the_same_again(data):
    one, two = data[3], data[3]
    assert one[2] == two[2] and all((a == b).all() for a, b in zip(one[0], two[0], strict=True))


def test_a_training_stops_where_it_is_told_and_goes_on_from_there(data, vlm, tmp_path):
    model = Vlm.load("tiny-llava").model.train().requires_grad_(True)
    loss = speak_loss(group_ids(vlm.processor.tokenizer), rotation(model.config.text_config.hidden_size))
    collator = speak_collator(vlm.processor.tokenizer.pad_token_id)
    for stop in (2, 2, 4):  # what has come to its stop already makes no step more
        run_stage(model, loss, data, collator, tmp_path, 20, BATCH, 1e-4, 0, stop)
        assert get_last_checkpoint(str(tmp_path)) == str(tmp_path / f"checkpoint-{stop}")
    last = json.loads((tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert last["step"] == 4 and torch.isfinite(torch.tensor(last["train_loss"]))


def test_the_bars_read_both_orders_and_the_same_picture_twice():
    answers = {"captions": ["hx"], "there": [2], "pope": ["tc"], "letters": "1", "different": "d", "routed": ["11"]}
    before = {**answers, "sum": "1100" * 25, "sum_swapped": "1010" * 25, "same": "d" * 10}
    after = {**answers, "sum": "1" * 100, "sum_swapped": "1" * 90 + "0" * 10, "same": "s" * 9 + "d"}
    found = bars_of(compared({**before, "different": "d" * 10}, {**after, "different": "d" * 10}))
    assert list(found) == list(BARS) and all(found.values())
    worse = {**after, "sum_swapped": "1" * 80 + "0" * 20, "same": "s" * 8 + "dd", "different": "d" * 10}
    assert list(bars_of(compared({**before, "different": "d" * 10}, worse)).values()) == [True, True, False, False]


def test_the_record_is_of_this_recipe_and_of_the_shipped_base():
    record = json.loads((results_folder() / "med" / "longer.json").read_text(encoding="utf-8"))
    assert record["recipe"] == vars(Longer())
    assert record["base_sha256"] == json.loads(
        (results_folder() / "tiny-llava" / "base.json").read_text(encoding="utf-8")
    )["weights_sha256"]  # fmt: skip
    weights = checkpoint_folder(NAME) / "model.safetensors"
    assert sha256(weights) == record["sha256"] and weights.stat().st_size <= 16e6
    assert (weights.parent / "README.md").read_text(encoding="utf-8") == card(record)
    assert record["bars"] == {bar: bool(test(record["outcomes"])) for bar, test in BARS.items()}

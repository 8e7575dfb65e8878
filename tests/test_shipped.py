"""The shipped checkpoints are the ones that the records speak of, and still score what was recorded."""

import json
from pathlib import Path

import open_clip
import pytest
import torch
from PIL import Image

from maintenance.checkpoint_scores import clip_order
from maintenance.checkpoints import BELOW_THE_BASE, ROLES, SEEDS, bars_of, in_range, ranges, section, spread_in
from maintenance.clip_checkpoint import BAR, JUDGED, card
from mmhallu_core.evaluate.chair import score_chair
from mmhallu_core.evaluate.diorama.exam import caption, held_out, world_vocabulary
from mmhallu_core.models.tiny_clip import TinyClip
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import PACKAGE, sha256

pytestmark = pytest.mark.long

RESULTS = Path(__file__).parent.parent / "results" / "tiny-llava"
CHECKPOINTS = PACKAGE / "checkpoints"
RECORDED = [role for role in ROLES if (RESULTS / f"{role}.json").is_file()]


def record(role):
    return json.loads((RESULTS / f"{role}.json").read_text(encoding="utf-8"))


def test_base_is_recorded():
    assert "base" in RECORDED


@pytest.mark.parametrize("role", [role for role in RECORDED if (CHECKPOINTS / ROLES[role][0]).is_dir()])
def test_shipped_weights_are_the_recorded_ones(role):
    folder = CHECKPOINTS / ROLES[role][0]
    weights = folder / "model.safetensors"
    assert sha256(weights) == record(role)["weights_sha256"] == record(role)["run"]["sha256"]
    assert record(role)["weights_sha256"] in (folder / "README.md").read_text(encoding="utf-8")
    assert weights.stat().st_size <= 16e6


@pytest.mark.parametrize("role", RECORDED)
def test_recorded_verdicts_follow_from_recorded_scores(role):
    one = record(role)
    assert one["bars"] == bars_of(role, one["scores"], record("base")["scores"])
    assert one["scores"]["scenes"] >= 1000


@pytest.mark.parametrize("role", [role for role in RECORDED if (CHECKPOINTS / ROLES[role][0]).is_dir()])
def test_a_fresh_sample_of_captions_agrees_with_the_record(role):
    """On another split, recall and CHAIR_i stay within sampling error (four standard errors) of the record."""
    data = held_out(96, split="check")
    score = score_chair(caption(Vlm.load(ROLES[role][0], "cpu"), data, None), data.truth, world_vocabulary(), "fixed")
    expected = record(role)["scores"]["chair"]
    for name in ("recall", "chair_i"):
        low, high = expected["ci"][name]
        spread = 2 * (high - low) * (1000 / 96) ** 0.5  # four standard errors of a sample of 96
        assert abs(score[name] - expected[name]) <= spread, name


def test_the_card_says_the_spread_of_the_recorded_seeds():
    said = (CHECKPOINTS / "tiny-llava" / "README.md").read_text(encoding="utf-8")
    assert said.endswith(section(spread_in(RESULTS)))
    assert len({json.dumps(record(role)["run"]["recipe"] | {"seed": 0}) for role in SEEDS}) == 1, "one recipe"


def test_a_rebuild_is_in_range_within_three_standard_deviations():
    def result(seed, recall):
        one = json.loads(json.dumps(record("base")))
        one["run"]["recipe"]["seed"], one["scores"]["chair"]["recall"] = seed, recall
        return one

    spread = ranges([result(0, 0.90), result(1, 0.86), result(2, 0.88)])
    assert spread["recall"] == (pytest.approx(0.88), pytest.approx(0.02)) and spread["chair_i"][1] == 0
    assert in_range(result(3, 0.93), spread)["recall"] and not in_range(result(3, 0.95), spread)["recall"]
    with pytest.raises(ValueError, match="spread"):
        ranges([result(0, 0.9), result(0, 0.8)])


@pytest.mark.skipif(not (CHECKPOINTS / "tiny-clip").is_dir(), reason="tiny-clip is not shipped yet")
def test_tiny_clip_is_the_recorded_one_and_orders_pictures():
    recorded = json.loads((RESULTS.parent / "tiny-clip" / "order.json").read_text(encoding="utf-8"))
    folder = CHECKPOINTS / "tiny-clip"
    assert sha256(folder / "open_clip_model.safetensors") == recorded["weights_sha256"]
    fresh = clip_order(TinyClip.load(), per_category=8, split="check")
    for name in JUDGED:
        assert fresh["auc"][name] >= recorded["order"]["auc"][name] - 0.03
    rebuilt = json.loads((RESULTS.parent / "tiny-clip" / "rebuild.json").read_text(encoding="utf-8"))
    assert rebuilt["run"]["command"] == recorded["run"]["command"]
    assert rebuilt["bar_met"] == all(rebuilt["order"]["auc"][name] >= BAR for name in JUDGED)
    assert (folder / "README.md").read_text(encoding="utf-8") == card(recorded["run"], recorded, rebuilt)


def test_the_control_hallucinates_clearly_less():
    base, control = record("base")["scores"], record("control")["scores"]
    assert record("control")["bars"][BELOW_THE_BASE]
    assert control["place"]["ci"][1] < base["place"]["ci"][0]  # and what it gets wrong is not the place's habit
    assert control["adversarial_gap"] < base["adversarial_gap"] / 2


def test_plain_open_clip_reads_tiny_clip_whole():
    """open_clip alone: its tokenizer gives the ids that the model was trained on, and both towers give our vectors."""
    place, ours = f"local-dir:{CHECKPOINTS / 'tiny-clip'}", TinyClip.load()
    model, _, preprocess = open_clip.create_model_and_transforms(place)
    tokenizer = open_clip.get_tokenizer(place)
    texts = ["A red dog stands on the left of a blue lamp.", "a", "A large green boat. " * 30]
    ids = tokenizer(texts)
    assert ids.shape == (3, 96) and torch.equal(ids, ours.tokens(texts))
    assert ids[0, 0] == 1 and (ids == 2).sum(1).tolist() == [1, 1, 1] and ids[2, -1] == 2, "each text has one end"
    image = Image.effect_noise((96, 96), 80).convert("RGB")
    with torch.inference_mode():
        said = model.eval().encode_text(ids, normalize=True)
        seen = model.encode_image(preprocess(image)[None], normalize=True)
    torch.testing.assert_close(said, ours.embed_texts(texts), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen, ours.embed_images([image]), atol=1e-5, rtol=0)

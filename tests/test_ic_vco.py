"""IC-VCO and its family: what an example asks, edge cases, counts, and the kept reference."""

import dataclasses
import math

import pytest
import torch

from mmhallu_core.methods.ic_vco.recipes import Objective, example_of, order_of, recipe
from mmhallu_core.models.tiny_random import build
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.preference_batch import PreferenceCollator
from mmhallu_core.train.records import Numbered
from mmhallu_core.train.trie import answer_log_probs
from mmhallu_core.types import CannotRun, RecordError
from mmhallu_core.world.language import describe
from mmhallu_core.world.prior import sample_scene
from tests.preference_data import SPEC, loss_of, maker, picture, preference, some

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build("llava", tmp_path_factory.mktemp("base") / "llava")


# ---------------------------------------------------------------- examples


def test_order_depends_on_id_and_seed_alone_and_takes_both_ways():
    orders = {order_of(preference(f"p{k}"), Objective("ic-vco")) for k in range(20)}
    assert orders == {(0, 1), (1, 0)}
    other = preference("p3", "Yes.", "No.", chosen_spans=(), rejected_spans=())
    again = [order_of(other, Objective("ic-vco", seed=seed)) for seed in range(9)]
    assert again[0] == order_of(preference("p3"), Objective("ic-vco")) and len(set(again)) == 2


def test_ic_vco_asks_eight_things():
    for name in ("p0", "p1", "p2", "p3"):
        record, objective = preference(name), Objective("ic-vco")
        first, second = order_of(record, objective)
        leaves = example_of(record, (picture(0), picture(1)), objective).leaves
        assert [leaf.pictures for leaf in leaves] == [(first,), (first,), (first, second), (first, second)] + [
            (second,), (second,), (first, second), (first, second)
        ]  # fmt: skip
        said = (record.chosen, record.rejected)
        assert [leaf.answer for leaf in leaves] == [said[first], said[second]] * 2 + [said[second], said[first]] * 2
        assert [leaf.question.removeprefix("What is there?") for leaf in leaves] == [
            "", "", " Answer based on the first image.", " Answer based on the first image.",
            "", "", " Answer based on the second image.", " Answer based on the second image.",
        ]  # fmt: skip
        assert [leaf.spans is None for leaf in leaves] == [False, False, True, True] * 2


def test_pictures_that_change_places_change_nothing(folder):
    vlm, objective = Vlm.load(folder, "cpu"), Objective("ic-vco")
    record, images = some()[0]
    turned = next(
        one for k in range(50)
        if order_of(one := dataclasses.replace(
            record, id=f"turned-{k}", chosen=record.rejected, rejected=record.chosen,
            chosen_spans=record.rejected_spans, rejected_spans=record.chosen_spans,
        ), objective) != order_of(record, objective)
    )  # fmt: skip
    here, _ = loss_of(vlm, [example_of(record, images, objective)], objective)
    there, _ = loss_of(vlm, [example_of(turned, images[::-1], objective)], objective)
    assert here.item() == pytest.approx(there.item(), abs=1e-6)


def test_masks_keep_the_words_that_differ(folder):
    vlm, objective = Vlm.load(folder, "cpu"), Objective("ic-vco")
    record, images = some()[0]
    answers = PreferenceCollator(vlm)([example_of(record, images, objective)])["answers"]
    tokens = answers["token_id"][answers["token"]]
    leaf = 0 if order_of(record, objective) == (0, 1) else 4
    here = answers["leaf"] == leaf
    kept = vlm.processor.tokenizer.decode(tokens[here & answers["kept"]]).replace(" ", "")
    assert "reddog" in kept and "There" not in kept
    assert answers["kept"][answers["leaf"] == 2].all(), "the shared context is not masked"
    assert tokens[here][-1] == vlm.processor.tokenizer.eos_token_id and not answers["kept"][here][-1]


def test_an_empty_mask_is_a_constant(folder):
    """With no span the masked branch has nothing to compare: log 2, no gradient."""
    vlm = Vlm.load(folder, "cpu")
    objective = Objective("ic-vco", two_images=False, anchors=False)
    record = preference(chosen_spans=(), rejected_spans=())
    loss, sums = loss_of(vlm, [example_of(record, (picture(0), picture(1)), objective)], objective)
    loss.backward()
    assert torch.equal(sums, torch.zeros(1, 4)) and loss.item() == pytest.approx(1.75 * math.log(2) / 2)
    assert all(one.grad is None or not one.grad.any() for one in vlm.model.parameters())


def test_equal_answers_are_refused_where_they_are_written():
    with pytest.raises(RecordError, match="the same text"):
        preference(chosen="Yes.", rejected="Yes.", chosen_spans=(), rejected_spans=())


def test_nothing_is_cut(folder):
    vlm, objective = Vlm.load(folder, "cpu"), Objective("dpo")
    most = vlm.model.config.get_text_config().max_position_embeddings
    record = dataclasses.replace(preference("long"), prompt="dog " * most)
    with pytest.raises(CannotRun, match="sample long: .* tokens; .* reads"):
        PreferenceCollator(vlm)([example_of(record, (picture(0),), objective)])


def test_faults_name_the_example(folder):
    vlm = Vlm.load(folder, "cpu")
    for method in ("vdpo", "svco", "symmpo", "ic-vco"):
        with pytest.raises(CannotRun, match=f"sample p0: {method} compares 2 pictures, and it has one"):
            example_of(preference(), (picture(0),), Objective(method))
    with pytest.raises(CannotRun, match="sample p0: its texts hold <image>"):
        record = dataclasses.replace(preference(), rejected="An <image>.", chosen_spans=(), rejected_spans=())
        PreferenceCollator(vlm)([example_of(record, (picture(0),), Objective("dpo"))])
    for objective in ({"mask": False}, {"mode": "as_shipped"}, {"gamma": 2.0}):
        with pytest.raises(CannotRun, match="is a switch of"):
            Objective("mdpo", **objective)
    with pytest.raises(CannotRun, match="no method 'ppo'; there is dpo, mdpo"):
        Objective("ppo")


def test_a_crop_is_small_and_drawn_from_the_example():
    image = picture(1, (60, 60))
    shown = [example_of(preference(name), (image, image), Objective("mdpo")).images[2] for name in ("a", "a", "b")]
    assert shown[0].tobytes() == shown[1].tobytes() != shown[2].tobytes() and shown[0].size == image.size


# ---------------------------------------------------------------- counts


def test_tokens_and_pictures_of_an_example():
    """tiny-llava in the trial's setting: two anchored prompts over two pictures, two single pictures, long answers."""
    vlm, objective = Vlm.load("tiny-llava", "cpu"), Objective("ic-vco")
    answers = [describe(sample_scene(f"count/{k}", count=5)).text for k in range(2)]
    record = preference("count", *answers, chosen_spans=((0, 4),), rejected_spans=((0, 4),))
    example = example_of(record, (picture(1, (96, 96)), picture(2, (96, 96))), objective)
    tries, rows = PreferenceCollator(vlm)([example]), PreferenceCollator(vlm, rows=True)([example])
    written = [
        tuple(row[mask.bool()].tolist()) for row, mask in zip(rows["input_ids"], rows["attention_mask"], strict=True)
    ]
    sign, alone = vlm.processor.image_token_id, [leaf.pictures for leaf in example.leaves]
    named = []  # the tokens with each picture's by its number
    for ids, pictures in zip(written, alone, strict=True):
        images = iter([k for k in pictures for _ in range(64)])
        named.append([(one, next(images) if one == sign else None) for one in ids])
    beginnings = {tuple(one[:n]) for one in named for n in range(1, len(one) + 1)}
    assert tries["input_ids"].shape[1] == len(beginnings) < 0.5 * sum(map(len, written))
    assert (len(tries["pixel_values"]), len(rows["pixel_values"])) == (2, 12)
    scored = sum(len(one) for one in (answers[0], answers[1])) * 4
    assert len(tries["answers"]["state_at"]) <= len(tries["answers"]["token_id"]) < scored


# ---------------------------------------------------------------- references


def test_references_are_what_the_model_said_and_are_computed_once(folder, tmp_path, monkeypatch):
    objective = Objective("ic-vco")
    made = recipe(objective, tmp_path / "kept")
    ready = made.prepare(Vlm.load(folder, "cpu"), SPEC, tmp_path, "weights")
    ready.begin(Numbered(maker(objective), 4), False)
    batch = ready.collate([maker(objective)(0), maker(objective)(1)])
    answers = batch["answers"]
    ready.model.eval()
    said = answer_log_probs(ready.model, ready.model, {k: v for k, v in batch.items() if k != "answers"}, answers)
    assert torch.allclose(said, answers["ref"], atol=1e-5)
    loss, told = ready.loss(ready.model, **batch)
    assert told["margin"] == pytest.approx(0, abs=1e-4), "nothing was learned yet"

    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()}
    monkeypatch.setattr("mmhallu_core.train.preference.answer_log_probs", lambda *args: pytest.fail("asked again"))
    again = recipe(Objective("dpo"), tmp_path / "kept").prepare(Vlm.load(folder, "cpu"), SPEC, tmp_path, "weights")
    again.begin(Numbered(maker(objective), 4), False)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()} == files
    with pytest.raises(CannotRun, match="lacks an answer of this run"):
        again.collate([maker(objective)(7)])


def test_references_of_something_else_are_refused(folder, tmp_path):
    made = recipe(Objective("dpo"), tmp_path / "kept")
    made.prepare(Vlm.load(folder, "cpu"), SPEC, tmp_path, "weights").begin(Numbered(maker(Objective("dpo")), 2), False)
    with pytest.raises(CannotRun, match="of other weights: give another folder"):
        made.prepare(Vlm.load(folder, "cpu"), SPEC, tmp_path, "others")
    with pytest.raises(CannotRun, match="of another precision"):
        made.prepare(Vlm.load(folder, "cpu"), dataclasses.replace(SPEC, dtype="bfloat16"), tmp_path, "weights")
    vlm = Vlm.load(folder, "cpu")
    vlm.processor.image_processor.image_mean = [0.1, 0.2, 0.3]
    with pytest.raises(CannotRun, match="of another processor"):
        made.prepare(vlm, SPEC, tmp_path, "weights")
    path = next((tmp_path / "kept").glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CannotRun, match="is damaged"):
        made.prepare(Vlm.load(folder, "cpu"), SPEC, tmp_path, "weights")


def test_mllama_gets_its_answers_in_rows(tmp_path):
    vlm = Vlm.load(build("mllama", tmp_path / "mllama"), "cpu")
    loss, _ = loss_of(vlm, [example_of(*some()[0], Objective("dpo"))], Objective("dpo"))
    loss.backward()
    assert torch.isfinite(loss)

"""Pretraining: packed branches equal separate conversations, labels say what cells show, a killed run resumes."""

import dataclasses
import json
import random

import numpy as np
import pytest
import torch

from mmhallu_core.models.tiny_llava import GRID, new_tiny_llava, tiny_processor
from mmhallu_core.train.losses import IGNORE, answer_loss_of_states
from mmhallu_core.train.packed import branch_mask, pack, pad
from mmhallu_core.train.pretrain.compare import compare_loss, rotation, second_picture
from mmhallu_core.train.pretrain.pairs import SAME, PairsDataset, pair_shown
from mmhallu_core.train.pretrain.pool import NOTHING, Pool, PoolSpec, cells_of
from mmhallu_core.train.pretrain.recipe import (
    Recipe,
    pretrain_tiny_llava,
    see,
    world_tokenizer,
)
from mmhallu_core.train.pretrain.see import GROUPS, cell_labels, group_ids, to_pixel_values, visual_tokens
from mmhallu_core.train.pretrain.speak import SETTLE_TWO_IMAGES, TWO_IMAGES, SpeakDataset, pair_turns
from mmhallu_core.train.records import Turn
from mmhallu_core.world.edits import Edit, sample_edit
from mmhallu_core.world.language.difference import NO_DIFFERENCE, difference
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def tokenizer():
    return world_tokenizer()


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    return new_tiny_llava(tokenizer).eval()


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return Pool(PoolSpec(scenes=24, pairs=11, seed=5, prior=1.0), tmp_path_factory.mktemp("pool"))


TURNS = [Turn("Describe the image.", "This is a beach. There is a red dog.", 1.0), Turn("Is there a cat?", "No.", 2.0)]


def test_packed_branches_predict_what_separate_conversations_predict(model, tokenizer):
    """The mask and the positions make each branch the single-turn conversation that the processor would build."""
    processor = tiny_processor(tokenizer)
    image = render(sample_scene(3)).image
    batch = pad([pack([(turn,) for turn in TURNS], 1, tokenizer)], tokenizer.pad_token_id)
    pixels = to_pixel_values(torch.from_numpy(np.asarray(image).copy())[None])
    with torch.no_grad():
        packed = model(
            input_ids=batch["input_ids"], position_ids=batch["position_ids"], attention_mask=batch["attention_mask"],
            pixel_values=pixels,
        ).logits[0]  # fmt: skip
        branches = torch.tensor(pack([(turn,) for turn in TURNS], 1, tokenizer).branches)
        for number, turn in enumerate(TURNS, 1):
            chat = [
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": turn.question}]},
                {"role": "assistant", "content": turn.answer},
            ]
            alone = processor(images=image, text=processor.apply_chat_template(chat), return_tensors="pt")
            logits = model(**alone).logits[0]
            here = branches == number
            start = GRID * GRID + 2
            assert alone["input_ids"][0, start:].tolist() == batch["input_ids"][0, here].tolist()
            torch.testing.assert_close(packed[here], logits[start:], atol=1e-4, rtol=1e-4)


def test_mask_equals_a_brute_force_reading():
    branches = torch.tensor([[0, 0, 1, 1, 2, 2, -1]])
    mask = branch_mask(branches)[0, 0]
    for i in range(7):
        for j in range(7):
            expected = j <= i and (branches[0, j] == 0 or branches[0, i] == branches[0, j])
            assert bool(mask[i, j]) == bool(expected)


def test_answer_loss_equals_a_loop(model, tokenizer):
    batch = pad([pack([(turn,) for turn in TURNS], 1, tokenizer)], tokenizer.pad_token_id)
    hidden = torch.randn(*batch["input_ids"].shape, model.config.text_config.hidden_size)
    total, weight = 0.0, 0.0
    for position in range(1, hidden.shape[1]):
        label = batch["labels"][0, position]
        if label != IGNORE:
            w = batch["weights"][0, position].item()
            total += w * -torch.log_softmax(model.lm_head(hidden[0, position - 1]), 0)[label].item()
            weight += w
    loss = answer_loss_of_states(hidden, model.lm_head, batch["labels"], batch["weights"])
    assert loss.item() == pytest.approx(total / weight, abs=1e-4)


def test_only_answers_are_supervised(tokenizer):
    packed = pack([(turn,) for turn in TURNS], 1, tokenizer)
    supervised = tokenizer.decode([label for label in packed.labels if label != IGNORE])
    assert supervised == f"{TURNS[0].answer}</s> {TURNS[1].answer}</s>" or supervised.replace(" ", "") == (
        f"{TURNS[0].answer}</s>{TURNS[1].answer}</s>".replace(" ", "")
    )


def test_too_many_turns_are_refused(tokenizer):
    with pytest.raises(ValueError, match="context"):
        pack([(turn,) for turn in TURNS * 80], 1, tokenizer)


def test_the_model_gets_the_pixels_that_the_processor_makes(tokenizer):
    image = render(sample_scene(1)).image
    expected = tiny_processor(tokenizer).image_processor(image, return_tensors="pt")["pixel_values"]
    ours = to_pixel_values(torch.from_numpy(np.asarray(image).copy())[None])
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


def test_cells_show_the_thing_that_fills_most_of_them():
    for seed in range(40):
        masks = render(sample_scene(f"cells/{seed}")).masks
        cells = cells_of(masks)
        for number, cell in enumerate(cells):
            row, column = divmod(number, GRID)
            shares = [mask[12 * row : 12 * row + 12, 12 * column : 12 * column + 12].mean() for mask in masks]
            if cell == NOTHING:
                assert max(shares) < 0.2
            elif max(shares) >= 0.2 and shares[cell] < max(shares):
                assert (cells == cell).sum() == 1  # a small thing keeps the one cell that shows most of it
        visible = [index for index, mask in enumerate(masks) if mask.any()]
        assert set(visible) <= set(cells.tolist())


def test_labels_say_what_the_scene_says():
    scene = sample_scene("labels")
    cells = cells_of(render(scene).masks)
    labels = cell_labels(scene, cells)
    groups = list(GROUPS)
    for index, thing in enumerate(scene):
        where = np.flatnonzero(cells == index)
        assert {GROUPS["kind"][k] for k in labels[groups.index("kind"), where]} == {thing.kind}
        assert {GROUPS["colour"][k] for k in labels[groups.index("colour"), where]} == {thing.colour}
        assert labels[groups.index("center"), where].sum() == 1
    assert (labels[groups.index("kind"), cells == NOTHING] == 0).all()
    assert {GROUPS["place"][k] for k in labels[groups.index("place")]} == {scene.place}


def test_every_world_word_is_one_token(tokenizer):
    ids = group_ids(tokenizer)
    assert {group: len(words) for group, words in ids.items()} == {g: len(w) for g, w in GROUPS.items()}


@pytest.mark.parametrize("text", ["Is there a dog?", "zebra-crossing Ünïcode 🦓!", "A. red\nB. blue", "x  y"])
def test_tokenizer_gives_any_text_back(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert tokenizer.unk_token_id not in ids


def test_tokenizer_has_one_to_two_thousand_tokens(tokenizer):
    assert 1000 <= len(tokenizer) <= 2000


def test_visual_tokens_are_those_the_decoder_gets(model):
    pixels = torch.from_numpy(np.asarray(render(sample_scene(2)).image).copy())[None]
    tower = model.model.vision_tower(to_pixel_values(pixels)).last_hidden_state[:, 1:]
    torch.testing.assert_close(visual_tokens(model, pixels), model.model.multi_modal_projector(tower))


def test_at_most_fifteen_percent_of_items_are_about_two_pictures(pool, tokenizer):
    recipe = Recipe(scenes=24, pairs=11, speak_batch=2, seed=5)
    data = SpeakDataset(pool, tokenizer, recipe, first=0, length=80)
    full = Recipe()
    steps = full.speak_steps + full.settle_steps
    pairs = full.speak_steps * TWO_IMAGES + full.settle_steps * SETTLE_TWO_IMAGES
    assert pairs / steps <= 0.15
    counts = [len(data[i][0]) for i in range(len(data))]
    assert 0 < sum(count == 2 for count in counts) < len(counts) / 2
    assert data[3][2] == SpeakDataset(pool, tokenizer, recipe, first=2, length=4)[1][2]  # a later stage goes on


def test_a_killed_stage_resumes_to_the_same_weights(pool, tokenizer, tmp_path, monkeypatch):
    """Stopped after a checkpoint and started again, a stage ends with the weights of an uninterrupted one."""
    import mmhallu_core.train.pretrain.recipe as module

    recipe = Recipe(scenes=24, pairs=11, see_steps=6, see_batch=4, seed=5)

    def trained(folder, stop_at=None):
        torch.manual_seed(1)
        model = new_tiny_llava(tokenizer)
        if stop_at:
            original = module.MmTrainer.training_step

            def step(self, *args, **kwargs):
                if self.state.global_step == stop_at:
                    raise KeyboardInterrupt
                return original(self, *args, **kwargs)

            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(module.MmTrainer, "training_step", step)
                see(recipe, model, tokenizer, pool, folder)
            torch.manual_seed(1)
            model = new_tiny_llava(tokenizer)
        see(recipe, model, tokenizer, pool, folder)
        return model.state_dict()

    monkeypatch.setattr(module, "SAVE_STEPS", 2)
    whole, resumed = trained(tmp_path / "whole"), trained(tmp_path / "resumed", stop_at=4)
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, atol=1e-6, rtol=1e-5)


@pytest.mark.long(15)
def test_the_whole_recipe_runs_and_records_itself(tmp_path):
    recipe = Recipe(
        scenes=8, pairs=11, see_steps=2, see_batch=4, speak_steps=3, speak_batch=2, settle_steps=2, compare_steps=2,
        compare_batch=2, compare_share=0.5, seed=9,
    )  # fmt: skip
    folder = pretrain_tiny_llava(recipe, tmp_path / "run", "mmhallu pretrain tiny-llava --seed 9")
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["recipe"] == dataclasses.asdict(recipe)
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor, model = AutoProcessor.from_pretrained(folder), AutoModelForImageTextToText.from_pretrained(folder)
    image = render(sample_scene(0)).image
    chat = [{"role": "user", "content": [{"type": "image"}] * 2 + [{"type": "text", "text": "Same?"}]}]
    inputs = processor(
        images=[image, image], text=processor.apply_chat_template(chat, add_generation_prompt=True),
        return_tensors="pt",
    )  # fmt: skip
    assert (inputs["input_ids"] == model.config.image_token_id).sum() == 2 * GRID * GRID
    assert model.generate(**inputs, max_new_tokens=3).shape[1] > inputs["input_ids"].shape[1]


# ---------------------------------------------------------------- pairs


def test_compare_loss_is_low_only_for_states_that_know_both_pictures():
    """States built by hand: named through the rotation, told along its first column."""
    generator = torch.Generator().manual_seed(1)
    width, cells = 48, 64
    groups = {group: list(range(3 * n, 3 * n + 3)) for n, group in enumerate(("kind", "colour", "place"))}
    words = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q[:9]
    before = torch.randint(0, 3, (2, 3, cells), generator=generator)
    after = before.clone()
    after[:, 0, :7] = (after[:, 0, :7] + 1) % 3
    labels = torch.stack([before, after], 1)
    turned = rotation(width)
    assert torch.allclose(turned @ turned.T, torch.eye(width), atol=1e-5)

    def names(which):
        spoken = sum(words[torch.tensor(ids)[which[:, n]]] for n, ids in enumerate(groups.values()))
        return 20.0 * spoken @ turned.T  # what `@ turned` reads back

    changed = (before != after).any(1).float()
    told = (2 * changed - 1)[..., None] * 20.0 * turned[:, 0]
    right, extra = compare_loss(names(before), told, words, groups, labels, turned)
    assert right < 1e-3 and extra["changed"] == pytest.approx(1.0)
    wrong_name, _ = compare_loss(names(after), told, words, groups, labels, turned)
    wrong_flag, extra = compare_loss(names(before), -told, words, groups, labels, turned)
    assert wrong_name > 0.05 and wrong_flag > 1 and extra["changed"] == pytest.approx(0.0)


def test_second_picture_takes_its_cells_in_order():
    states = torch.arange(2 * 12, dtype=torch.float).reshape(2, 12, 1)
    is_image = torch.zeros(2, 12, dtype=torch.bool)
    is_image[:, 2:10] = True
    assert second_picture(states, is_image)[..., 0].tolist() == [[6, 7, 8, 9], [18, 19, 20, 21]]


def test_pairs_are_asked_about_their_difference():
    rng = random.Random(3)
    edit = sample_edit("Attribute", 3)
    turns = pair_turns(edit, False, rng)
    said = [turn.answer for turn in turns]
    assert said[0] == "No." and said[1] == difference(edit).text
    assert sum(turn.answer in "ABCD" for turn in turns) == 1
    same = pair_turns(edit, True, rng)
    assert same[0].answer == "Yes." and all(turn.answer in NO_DIFFERENCE for turn in same[1:3])


# ---------------------------------------------------------------- stage 4


def test_nothing_comes_twice_and_a_batch_is_about_pairs_or_about_single_pictures(tokenizer):
    recipe = Recipe(compare_batch=4)
    data = PairsDataset(tokenizer, recipe, 100)
    sizes = [{len(data[4 * batch + place][0]) for place in range(4)} for batch in range(25)]
    assert all(len(one) == 1 for one in sizes)
    assert sum(one == {2} for one in sizes) / 25 == pytest.approx(recipe.compare_share, abs=0.3)
    first = [data[place][0][0] for place in range(40)]
    assert not any(torch.equal(a, b) for n, a in enumerate(first) for b in first[:n])
    again = PairsDataset(tokenizer, recipe, 100)[7]
    assert torch.equal(again[0][0], data[7][0][0]) and again[2] == data[7][2]


def test_a_pair_is_told_as_one_picture_twice_or_as_two():
    same = 0
    for number in range(200):
        edit = sample_edit("Counting", f"pairs/{number}")
        scenes, turns = pair_shown(edit, random.Random(number))
        said = {turn.answer for turn in turns}
        if scenes[0] is scenes[1]:
            same += 1
            assert "Yes." in said and said & set(NO_DIFFERENCE)
            continue
        assert {scenes[0].things, scenes[1].things} == {edit.before.things, edit.after.things} and "No." in said
        assert difference(Edit.between("Counting", "between", *scenes)).text in said, "told in the order that is shown"
    assert same / 200 == pytest.approx(SAME, abs=0.1)

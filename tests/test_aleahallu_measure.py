"""ALEAHallu's attack while a model writes, what is measured of an edit, Nullu, and the faults of the released code."""

from dataclasses import replace
from itertools import islice

import pytest
import torch

from mmhallu_core.data.decode import decode
from mmhallu_core.explain.attention import image_attention
from mmhallu_core.explain.reading import read
from mmhallu_core.methods.aleahallu.batch import SIDES, collated, response_logits, responses, without_labels
from mmhallu_core.methods.aleahallu.edit import Editable, Learning, in_order, prefix_loss
from mmhallu_core.methods.aleahallu.faults import (
    gradients_in_steps,
    learned_from_pope,
    moved_by_the_picture,
    where_it_lands,
)
from mmhallu_core.methods.aleahallu.measure import attention_shares, lie_odds, spoiled, text_kl
from mmhallu_core.methods.aleahallu.nullu import halluspace, nullu_edit
from mmhallu_core.methods.aleahallu.pairs import PROMPT, world_pairs
from mmhallu_core.methods.aleahallu.places import places_of
from mmhallu_core.methods.aleahallu.prefix import Attacked, response_starts
from mmhallu_core.methods.aleahallu.recipe import learn, measure
from mmhallu_core.models.edits import EditStack
from mmhallu_core.models.tiny_random import build
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun, YesNoQuestion

PAIRS = list(islice(world_pairs("tests"), 6))
PICTURES = [decode(one.image).image for one in PAIRS]
CLOSE = {"atol": 1e-4, "rtol": 1e-4}


@pytest.fixture(scope="module")
def vlm(tmp_path_factory):
    return Vlm.load(build("llava", tmp_path_factory.mktemp("llava")), "cpu")


# ---------------------------------------------------------------- the adversary


@torch.no_grad()
def odds_by_hand(model, pair):
    """log p(hallucinated) - log p(grounded), token by token, one response at a time and without a batch."""
    found = []
    for side in SIDES:
        batch, prefix = model.under_attack(collated(model.vlm, [pair], (side,)))
        with prefix:
            logits = model.vlm.model(**without_labels(batch)).logits[0].log_softmax(-1)
        labels = batch["labels"][0]
        found.append(sum(logits[i - 1, labels[i]] for i in range(1, len(labels)) if labels[i] != -100))
    return found[1] - found[0]


def test_the_adversary_weighs_hallucinated_words_against_grounded_ones(vlm, tmp_path):
    model, make = Editable(vlm, {}, prefix=3), in_order(PAIRS[:2], SIDES, tmp_path, "0")
    assert [make(i).id.split(", ")[1] for i in range(4)] == [*SIDES] * 2 and make(0).id[:9] == make(1).id[:9]
    batch = collated(vlm, PAIRS[:2])
    rows = torch.tensor([0, 2, 1, 3])  # a pair's two responses beside each other
    batch = {name: value if name == "pixel_values" else value[rows] for name, value in batch.items()}
    batch["pixel_values"] = batch["pixel_values"][rows]
    odds = torch.stack([odds_by_hand(model, one) for one in PAIRS[:2]])
    loss, told = prefix_loss("odds")(model, **batch)
    torch.testing.assert_close(loss, (1 + (-odds).exp()).log().mean(), **CLOSE)
    assert told["odds"] == pytest.approx(float(odds.mean()), abs=1e-3)
    every, told = prefix_loss("neglect")(model, **batch)
    alone = {name: value[1::2] for name, value in batch.items()}  # the hallucinated responses
    likelihood = prefix_loss("likelihood")(model, **alone)[0]
    assert every.item() == pytest.approx((loss + likelihood).item() + told["image_share"], abs=1e-4)
    assert 0 < told["image_share"] < 1


@pytest.mark.long
def test_the_attack_takes_attention_away_and_makes_lies_likely_in_scenes_it_has_not_seen(tmp_path):
    vlm, made = Vlm.load("tiny-llava", "cpu"), list(islice(world_pairs("tests-attack"), 60))
    seen, held = made[:48], made[48:]
    model = Editable(vlm, {}, prefix=5)
    make = in_order(seen, SIDES, tmp_path, "0")
    learn(model, "prefix", prefix_loss("neglect"), Learning(20, batch=8, lr=1e-2), make, 48, 0, tmp_path, sides=2)
    before, after = measure(model, held)["base"].values()
    assert after["odds"] > before["odds"] + 1 and after["image_share"] < 0.98 * before["image_share"]


@pytest.mark.parametrize("family", ["llava", "qwen2_vl"])
def test_what_is_written_under_attack_is_what_these_words_behind_the_prompt_bring(family, tmp_path):
    vlm = Vlm.load(build(family, tmp_path / family), "cpu")
    words = torch.tensor([5, 9, 7])
    vlm.decoding = Attacked(vlm.model.get_input_embeddings().weight[words].detach().float())
    asked = [PROMPT, "What is there to see in this picture?"]  # so that one row is padded
    said = vlm.answer(PICTURES[:2], asked, 6)
    for picture, question, text in zip(PICTURES, asked, said, strict=False):
        inputs = vlm.encode([picture], [vlm.prompt(question)])
        for name in ("input_ids", "attention_mask", "mm_token_type_ids"):
            if name in inputs:
                more = {"input_ids": words, "attention_mask": torch.ones(3)}.get(name, torch.zeros(3))
                inputs[name] = torch.cat([inputs[name], more.to(inputs[name])[None]], 1)
        new = vlm.model.generate(**inputs, do_sample=False, max_new_tokens=6)[0, inputs["input_ids"].shape[1] :]
        assert text == vlm.processor.tokenizer.decode(new, skip_special_tokens=True).strip()
    assert vlm.decoding.about == {"name": "aleahallu-prefix", "tokens": 3}


# ---------------------------------------------------------------- measures


def test_log_odds_are_those_of_single_responses(vlm):
    wanted = [float(odds_by_hand(Editable(vlm, {}), one)) for one in PAIRS]
    assert lie_odds(vlm, PAIRS, batch_size=4) == pytest.approx(wanted, abs=1e-3)


def test_the_share_of_a_text_is_that_of_its_maps(vlm):
    """Beside `explain`, which reads text by text and leaves the end's token out."""
    texts = [PAIRS[0].grounded, "A dog."]
    found = attention_shares(vlm, PICTURES[:2], PROMPT, texts, batch_size=2)
    for row, (picture, text) in enumerate(zip(PICTURES, texts, strict=False)):
        shares = image_attention(read(vlm, picture, PROMPT, text)).share.float()
        count = shares.shape[-1]
        end = found[row] * (count + 1) - shares.sum(-1)  # what is left for the one token more
        assert end.shape == found.shape[1:] and ((end > 0) & (end < 1)).all()
    alone = attention_shares(vlm, PICTURES[1:2], PROMPT, texts[1:])
    torch.testing.assert_close(found[1:], alone, **CLOSE)


def test_pictures_that_are_no_tokens_have_no_share(tmp_path):
    mllama = Vlm.load(build("mllama", tmp_path), "cpu")
    assert attention_shares(mllama, PICTURES[:1], PROMPT, ["A dog."]) is None


def test_text_moves_with_the_weights_and_not_with_padding(vlm, tmp_path):
    texts = ["A dog stands on the beach.", "A kite.", "There is a red car."]
    assert text_kl(vlm, vlm, texts) == [0.0] * 3
    other = Vlm.load(build("llava", tmp_path / "other", seed=1), "cpu")
    found = text_kl(vlm, other, texts)
    for text, one in zip(texts, found, strict=True):
        inputs = vlm.encode([[]], [text])
        p, q = (m.model(**inputs).logits.log_softmax(-1) for m in (vlm, other))
        each = torch.nn.functional.kl_div(q, p, log_target=True, reduction="none").sum(-1)
        assert one == pytest.approx(float(each.mean()), rel=1e-3) and one > 0


def test_only_captions_that_were_true_can_be_spoiled():
    assert spoiled(["hh", "hx", "h", ""], ["hx", "hx", "hr", ""]) == "1-00"


# ---------------------------------------------------------------- Nullu


def test_nullu_takes_away_what_tells_the_two_responses_apart_and_nothing_else(vlm):
    gaps = []
    for pair in PAIRS:
        means = []
        for side in SIDES:
            batch = collated(vlm, [pair], (side,))
            states = vlm.model(**without_labels(batch), output_hidden_states=True).hidden_states[1]
            means.append(states[responses(batch["labels"])].mean(0))
        gaps.append((means[1] - means[0]).detach())
    space = halluspace(vlm, PAIRS, [0], rank=2, batch_size=4)[0]
    torch.testing.assert_close(space @ space.T, torch.eye(2), **CLOSE)
    kept = torch.stack(gaps) @ space.T
    wanted = torch.linalg.svdvals(torch.stack(gaps))[:2]
    torch.testing.assert_close(kept.norm(dim=0), wanted, **CLOSE)
    edit, name = nullu_edit(vlm, PAIRS, [0], rank=2), places_of(vlm)[0, "mlp"]
    assert list(edit.deltas) == [name]
    weight, stack = vlm.model.get_parameter(name), EditStack(vlm.model, edit.base_sha256)
    before = weight.detach().clone()
    stack.apply(edit)
    assert (space @ weight).abs().max() < 1e-5 < (space @ before).abs().max()
    across = torch.linalg.svd(space)[2][2:]  # all other directions
    torch.testing.assert_close(across @ weight, across @ before, **CLOSE)
    stack.undo(edit)
    assert torch.equal(weight, before)
    assert [int(one.split(".")[3]) for one in nullu_edit(vlm, PAIRS).deltas] == [1]  # the second half of two layers
    with pytest.raises(CannotRun, match="4 directions"):
        halluspace(vlm, PAIRS[:3], [0])


# ---------------------------------------------------------------- the released code


@pytest.mark.parametrize("clear, moved", [("step", 6), ("epoch", 12), ("never", 21)])
def test_a_step_follows_all_gradients_since_they_were_cleared(clear, moved):
    """The same sums as `test_gradients_that_are_not_cleared_make_steps_grow` finds with the trainer's own clearing."""
    steps = gradients_in_steps(clear, 6, 3)
    assert sum(steps) == moved and steps[0] == 1
    assert max(steps) == {"step": 1, "epoch": 3, "never": 6}[clear]


def test_a_fixed_place_lands_anywhere(vlm):
    start = int(response_starts(collated(vlm, PAIRS[:1]))[0])
    assert where_it_lands(vlm, PAIRS[:1], start) == {"before the response": 2}
    assert where_it_lands(vlm, PAIRS[:1], start - 1) == {"in the prompt": 2}
    assert where_it_lands(vlm, PAIRS[:1], start + 1) == {"in the response": 2}
    assert where_it_lands(vlm, PAIRS[:3]) == {"behind the response": 6}


def test_the_codes_distances_see_no_picture(vlm):
    found = moved_by_the_picture(vlm, PAIRS[:3])
    assert found["as_code"] == 0.0 < found["as_paper"]


def test_labels_of_pope_tell_of_other_labels_of_pope():
    def asked(i):
        thing = ("dog", "car", "kite", f"thing {i}")[i % 4]
        return YesNoQuestion(str(i), str(i // 6), f"Is there a {thing} in the image?", ("yes", "no", "no", "no")[i % 4])

    found = learned_from_pope([asked(i) for i in range(3000)])
    assert (found["trained"], found["tested"], found["right"]) == (1000, 500, 1.0)
    assert 0.6 < found["known"] < 0.9 and found["one_answer"] == pytest.approx(0.75, abs=0.05)
    assert found["images"] < 0.01
    turned = [replace(asked(i), label="yes" if i % 4 else "no") if i >= 2000 else asked(i) for i in range(3000)]
    assert learned_from_pope(turned)["right"] == 0.0


@pytest.mark.gpu
def test_shapes_of_7b_on_one_gpu(tmp_path):
    """LLaVA-1.5-7B's decoder and tower with random weights in bfloat16: locate, attack and edit fit one GPU."""
    from transformers import CLIPImageProcessor, LlavaConfig, LlavaForConditionalGeneration

    from mmhallu_core.methods.aleahallu.edit import edit_loss
    from mmhallu_core.methods.aleahallu.locate import locate

    small = Vlm.load(build("llava", tmp_path / "llava"), "cpu")
    config = LlavaConfig.from_dict(small.model.config.to_dict())
    for name, value in {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "head_dim": 128,
                        "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32064,
                        "max_position_embeddings": 4096}.items():  # fmt: skip
        setattr(config.text_config, name, value)
    for name, value in {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "image_size": 336,
                        "num_attention_heads": 16, "patch_size": 14}.items():  # fmt: skip
        setattr(config.vision_config, name, value)
    config.image_seq_length = 576
    with torch.device("cuda"):
        model = LlavaForConditionalGeneration._from_config(config, dtype=torch.bfloat16).eval()
    processor = small.processor
    processor.image_processor = CLIPImageProcessor(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336})
    processor.patch_size = 14
    vlm = Vlm("llava-7b-shapes", model, processor)
    found = locate(vlm, PAIRS[:4], ("ours", "scale"), ("mlp",), batch_size=2)
    assert found["scale"].n == 4 and found["scale"].mean.isfinite().all()
    name = places_of(vlm)[31, "mlp"]
    edit = Editable(vlm, {name: None}, prefix=5)
    edit.learns("edit")
    loss, told = edit_loss(0.2, 1.0)(edit, **collated(vlm, PAIRS[:2], ("grounded",)))
    loss.backward()
    assert told["kl"] == 0.0 and edit.deltas[0].grad.isfinite().all() and edit.deltas[0].grad.abs().max() > 0
    head, batch = model.get_output_embeddings(), collated(vlm, PAIRS[:1])
    assert response_logits(model, head, batch["labels"], **without_labels(batch)).shape[-1] == 32064
    assert torch.cuda.max_memory_allocated() < 40e9

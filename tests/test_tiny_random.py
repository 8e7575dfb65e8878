"""The tiny random models: plain transformers loads them, and pictures reach what they say."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from mmhallu_core.models.tiny_random import FAMILIES, build

pytestmark = pytest.mark.long


def picture(seed, width=40, height=40):
    """Coarse noise: a picture that still differs from another after it is made smaller."""
    squares = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return Image.fromarray(squares).resize((width, height), Image.Resampling.NEAREST)


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request, tmp_path_factory):
    """The folder, the model and the processor of one family, as anybody would load them."""
    folder = build(request.param, tmp_path_factory.mktemp("tiny") / request.param)
    return folder, AutoModelForImageTextToText.from_pretrained(folder), AutoProcessor.from_pretrained(folder)


def inputs(processor, groups, questions):
    """One prompt for each group of pictures."""
    prompts = []
    for group, question in zip(groups, questions, strict=True):
        content = [{"type": "image"}] * len(group) + [{"type": "text", "text": question}]
        chat = [{"role": "user", "content": content}]
        prompts.append(processor.apply_chat_template(chat, add_generation_prompt=True))
    return processor(images=groups, text=prompts, return_tensors="pt", padding=True)


@torch.no_grad()
def last_logits(model, processor, groups, questions):
    return model(**inputs(processor, groups, questions)).logits[:, -1]


def test_the_folder_is_small_and_says_what_it_is(loaded):
    folder, model, _ = loaded
    assert sum(file.stat().st_size for file in folder.iterdir()) < 2e6
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"] == folder.name
    assert not {file.suffix for file in folder.iterdir()} - {".json", ".jinja", ".safetensors"}
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


@pytest.mark.parametrize("pictures", [1, 2])
def test_it_answers_and_every_picture_matters(loaded, pictures):
    _, model, processor = loaded
    group = [picture(0), picture(1, 64, 32)][:pictures]
    prompt = inputs(processor, [group], ["What is there?"])
    answer = model.generate(**prompt, max_new_tokens=4, do_sample=False)
    assert 1 <= answer.shape[1] - prompt["input_ids"].shape[1] <= 4

    before = last_logits(model, processor, [group], ["What is there?"])
    for i in range(pictures):
        changed = [picture(9, *one.size) if j == i else one for j, one in enumerate(group)]
        after = last_logits(model, processor, [changed], ["What is there?"])
        assert (after - before).std() > 0.05 * before.std(), f"picture {i} does not reach the answer"


@pytest.mark.parametrize("pictures", [1, 2])
def test_a_batch_of_two_equals_two_singles(loaded, pictures):
    _, model, processor = loaded
    groups = [[picture(0), picture(1)][:pictures], [picture(2, 64, 32), picture(3, 24, 48)][:pictures]]
    questions = ["What is there?", "Is there a red umbrella in the image, or is there none?"]
    together = last_logits(model, processor, groups, questions)
    for i in range(2):
        alone = last_logits(model, processor, groups[i : i + 1], questions[i : i + 1])
        torch.testing.assert_close(together[i], alone[0], atol=1e-4, rtol=1e-4)


def test_parts_of_a_message_keep_their_order(loaded):
    _, _, processor = loaded
    content = [
        {"type": "text", "text": "First"}, {"type": "image"}, {"type": "text", "text": "then"}, {"type": "image"},
        {"type": "text", "text": "differ?"},
    ]  # fmt: skip
    chat = [{"role": "user", "content": content}, {"role": "assistant", "content": "Yes."}]
    text = processor.apply_chat_template(chat)
    places = [text.index(word) for word in ("First", "then", "differ?", "Yes.")]
    assert places == sorted(places)
    pieces = [text[a:b] for a, b in zip(places, places[1:], strict=False)]
    assert [processor.image_token in piece for piece in pieces] == [True, True, False]


def test_any_text_survives_the_tokenizer(loaded):
    _, _, processor = loaded
    text = "Ein Löwe, 2 кошки, 猫? <b>"
    assert processor.tokenizer.decode(processor.tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_the_seed_decides_the_weights_and_leaves_the_random_state_alone(tmp_path):
    state = torch.random.get_rng_state()
    seeds = {"a": 0, "b": 0, "c": 1}
    files = {name: build("llava", tmp_path / name, seed) / "model.safetensors" for name, seed in seeds.items()}
    assert torch.equal(torch.random.get_rng_state(), state)
    assert files["a"].read_bytes() == files["b"].read_bytes() != files["c"].read_bytes()


def test_an_unknown_family_is_a_clear_error(tmp_path):
    with pytest.raises(ValueError, match="no tiny model of 'gpt'; there is one of each of llava"):
        build("gpt", tmp_path)

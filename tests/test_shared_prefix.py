"""Reading the pictures once changes no answer: every family, beside one question at a time."""

import numpy as np
import pytest
import torch
from PIL import Image

from mmhallu_core.models import tiny_random
from mmhallu_core.models.shared_prefix import answers, common_length, plan
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun

QUESTIONS = (
    ("Is there a dog in the image?", "What differs between this picture and the house, in a few words?", "Where?"),
    ("Is there a dog in the image?", "Is there an umbrella in the image?"),
    ("How many people are there?",),
)
FALLS_BACK = ("mllama",)  # it looks at pictures by cross-attention


def noise(height, width, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


ONE = [noise(48, 64), noise(64, 32, 1), noise(96, 96, 2)]  # of several shapes, so of several numbers of tokens
TWO = [(noise(48, 64), noise(32, 32, 1)), (noise(64, 32, 2), noise(90, 40, 3)), (noise(30, 30, 4), noise(64, 64, 5))]


@pytest.fixture(scope="module")
def tiny_llava():
    return Vlm.load("tiny-llava", device="cpu")


@pytest.fixture(scope="module", params=["tiny-llava", *tiny_random.FAMILIES])
def vlm(request, tmp_path_factory):
    if request.param == "tiny-llava":
        return Vlm.load("tiny-llava", device="cpu")
    return Vlm.load(tiny_random.build(request.param, tmp_path_factory.mktemp("shared") / request.param), device="cpu")


def one_by_one(vlm, images, questions, tokens):
    """The reference: `Vlm.answer` with one question at a time."""
    return [
        [vlm.answer([one], [text], tokens, batch_size=1)[0] for text in some]
        for one, some in zip(images, questions, strict=True)
    ]


def tower_calls(vlm, run):
    """How often the vision tower runs."""
    calls = []
    tower = vlm.model.get_submodule(vlm.family.vision_tower)
    handle = tower.register_forward_hook(lambda module, args, output: calls.append(1))
    try:
        run()
    finally:
        handle.remove()
    return len(calls)


@pytest.mark.long
@pytest.mark.parametrize("images", [ONE, TWO], ids=["one picture", "two pictures"])
def test_answers_are_those_of_one_question_at_a_time(vlm, images):
    expected = one_by_one(vlm, images, QUESTIONS, 5)
    assert answers(vlm, images, QUESTIONS, 5) == expected
    assert len({text for some in expected for text in some}) > 1, "the questions must tell the answers apart"


@pytest.mark.long
def test_every_family_but_cross_attention_shares_its_prefix(vlm):
    groups = [[image] for image in ONE]
    owners = [number for number, some in enumerate(QUESTIONS) for _ in some]
    texts = [text for some in QUESTIONS for text in some]
    shared = plan(vlm, groups, owners, [vlm.prompt(text) for text in texts])
    assert (shared is None) == (vlm.family.name in FALLS_BACK)
    if shared is None:
        return
    assert tower_calls(vlm, lambda: answers(vlm, ONE, QUESTIONS, 2)) == 1
    for owner, text, place, tail in zip(owners, texts, shared.owners, shared.tails, strict=True):
        whole = vlm.encode([groups[owner]], [vlm.prompt(text)])
        row, mask = shared.inputs["input_ids"][place], shared.inputs["attention_mask"][place].bool()
        assert row[mask].tolist() + tail == whole["input_ids"][0].tolist(), "prefix and tail are the whole prompt"
        assert not mask.tolist() or mask.tolist() == sorted(mask.tolist()), "fillers stand on the left"


@pytest.mark.long
@torch.no_grad()
def test_probabilities_are_those_of_the_whole_prompt(vlm):
    texts = ["Where?", "Is there a dog?", "Is there a dog and an umbrella in the image, or is there a tree?"]
    seen = []
    handle = vlm.model.register_forward_hook(lambda module, args, output: seen.append(output.logits[:, -1]))
    try:
        answers(vlm, ONE[:2], [texts, texts], 1)
    finally:
        handle.remove()
    found = seen[-1].log_softmax(-1)  # rows by length of question, and then by picture
    for row, (text, image) in enumerate((text, image) for text in texts for image in ONE[:2]):
        whole = vlm.model(**vlm.encode([image], [vlm.prompt(text)])).logits[0, -1].log_softmax(-1)
        if vlm.family.name not in FALLS_BACK:
            assert float((found[row] - whole).abs().max()) < 1e-4
    assert len(seen) == (1 if vlm.family.name in FALLS_BACK else 2)


@pytest.mark.long
@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_batch_size_changes_no_answer(tiny_llava, size):
    assert answers(tiny_llava, ONE, QUESTIONS, 6, size) == answers(tiny_llava, ONE, QUESTIONS, 6)


def test_answers_keep_their_order_whatever_their_length(tiny_llava):
    turned = [tuple(reversed(some)) for some in reversed(QUESTIONS)]
    found = answers(tiny_llava, ONE[::-1], turned, 6)
    assert [some[::-1] for some in found[::-1]] == answers(tiny_llava, ONE, QUESTIONS, 6)


def test_a_set_without_questions_and_equal_questions(tiny_llava):
    questions = ["Is there a dog in the image?"] * 2, (), ["Is there a dog in the image?"]
    found = answers(tiny_llava, ONE, questions, 4)
    assert found[0][0] == found[0][1] and found[1] == []
    assert found == one_by_one(tiny_llava, ONE, questions, 4)


def test_what_cannot_be_shared_is_answered_all_the_same(tiny_llava, monkeypatch):
    assert plan(tiny_llava, [[ONE[0]]], [0], [tiny_llava.prompt("Where?")]) is None, "one question shares with nobody"
    behind = "{% for m in messages %}{% for p in m['content'] if p['type'] == 'text' %}{{ p['text'] }}{% endfor %}"
    behind += "{% for p in m['content'] if p['type'] == 'image' %}<image>{% endfor %}{% endfor %}"
    monkeypatch.setattr(tiny_llava.processor, "chat_template", behind)
    assert tiny_llava.prompt("Where?") == "Where?<image>"
    prompts = [tiny_llava.prompt(text) for text in ("Where?", "Is there a dog?")]
    assert plan(tiny_llava, [[ONE[0]]], [0, 0], prompts) is None
    questions = [("Where?", "Is there a dog?")]
    assert answers(tiny_llava, ONE[:1], questions, 4) == one_by_one(tiny_llava, ONE[:1], questions, 4)


def test_a_question_that_holds_the_sign_for_a_picture_is_refused(tiny_llava):
    with pytest.raises(CannotRun, match="1 pictures, but the prompt contains the image placeholder <image> 2 times"):
        answers(tiny_llava, ONE[:1], [("Is there a dog?", "What is <image>?")], 2)


def test_a_question_too_long_for_the_model_is_refused(tiny_llava):
    with pytest.raises(CannotRun, match="reads 1024"):
        answers(tiny_llava, ONE[:1], [("Is there a dog?", "Is there a dog? " * 300)], 2)


def test_common_length_leaves_each_row_a_token():
    assert common_length([[1, 2, 3, 4], [1, 2, 5]]) == 2
    assert common_length([[1, 2, 3], [1, 2, 3]]) == 2
    assert common_length([[1, 2], [1, 2, 3]]) == 1
    assert common_length([[4], [5, 6]]) == 0


@pytest.mark.gpu
@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl"])
def test_answers_on_cuda(family, tmp_path):
    vlm = Vlm.load(tiny_random.build(family, tmp_path / family), device="cuda", dtype=torch.float32)
    assert answers(vlm, ONE, QUESTIONS, 5) == one_by_one(vlm, ONE, QUESTIONS, 5)

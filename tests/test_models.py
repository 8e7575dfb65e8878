"""Models: shipped files load with plain transformers and open_clip; answers do not depend on the batch."""

import pytest
import torch

from mmhallu_core.models.tiny_clip import TinyClip, clip_config
from mmhallu_core.models.tiny_llava import new_tiny_llava, tiny_processor
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import PACKAGE
from mmhallu_core.train.pretrain.recipe import world_tokenizer
from mmhallu_core.types import CannotRun
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render

pytestmark = pytest.mark.long

SHIPPED = sorted(path.parent for path in (PACKAGE / "checkpoints").glob("tiny-llava*/config.json"))


@pytest.fixture(scope="module")
def tokenizer():
    return world_tokenizer()


@pytest.fixture(scope="module")
def untrained(tokenizer):
    torch.manual_seed(0)
    return Vlm("untrained", new_tiny_llava(tokenizer).eval(), tiny_processor(tokenizer))


def pictures(n):
    return [render(sample_scene(f"models/{i}")).image for i in range(n)]


def test_answers_do_not_depend_on_the_batch(untrained):
    images = pictures(6)
    questions = ["Is there a dog?", "Describe the image.", "What colour is the large striped umbrella?"] * 2
    together = untrained.answer(images, questions, 6, batch_size=6)
    alone = [untrained.answer([image], [text], 6)[0] for image, text in zip(images, questions, strict=True)]
    assert together == alone


def test_two_pictures_and_one_can_be_asked_in_one_call(untrained):
    one, two = pictures(2)
    assert len(untrained.answer([one, (one, two)], ["A?", "Same?"], 2)) == 2
    assert untrained.prompt("Same?", 2).count("<image>") == 2


def test_as_many_pictures_as_questions(untrained):
    with pytest.raises(ValueError, match="1 pictures for 2 questions"):
        untrained.answer(pictures(1), ["a", "b"])


def test_a_missing_model_is_a_clear_error(tmp_path):
    with pytest.raises(CannotRun, match="neither a shipped model"):
        Vlm.load(tmp_path)


def test_tiny_clip_survives_saving(tokenizer, tmp_path):
    torch.manual_seed(0)
    clip = TinyClip(clip_config(len(tokenizer)), tokenizer)
    clip.model.eval()
    clip.save(tmp_path)
    again = TinyClip.load(tmp_path)
    images = pictures(3)
    torch.testing.assert_close(again.embed_images(images), clip.embed_images(images))
    assert torch.allclose(again.embed_texts(["a red dog"]).norm(dim=-1), torch.ones(1), atol=1e-5)


def test_open_clip_reads_tiny_clip_too(tokenizer, tmp_path):
    import open_clip

    torch.manual_seed(0)
    clip = TinyClip(clip_config(len(tokenizer)), tokenizer)
    clip.model.eval()
    clip.save(tmp_path)
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path}")
    model.eval()
    image = pictures(1)[0]
    with torch.no_grad():
        embedded = model.encode_image(preprocess(image)[None], normalize=True)
    torch.testing.assert_close(embedded, clip.embed_images([image]), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda path: path.name)
def test_shipped_models_load_with_plain_transformers(folder):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    assert type(model).__name__ == "LlavaForConditionalGeneration"
    assert sum(p.numel() for p in model.parameters()) <= 4.5e6
    assert (folder / "model.safetensors").stat().st_size <= 16e6
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Where was this picture taken?"}]}]
    scene = sample_scene("shipped", place="beach")
    text = processor.apply_chat_template(chat, add_generation_prompt=True)
    inputs = processor(images=render(scene).image, text=text, return_tensors="pt")
    new = model.generate(**inputs, max_new_tokens=8)[0, inputs["input_ids"].shape[1] :]
    assert processor.decode(new, skip_special_tokens=True).strip() == "On a beach."

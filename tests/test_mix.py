"""The dial between two models, against each model alone and against logits that are added up by hand."""

import pytest
import torch

from mmhallu_core.models.mix import mixed_answers
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.tour.run import ADAPTER
from mmhallu_core.types import CannotRun
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render

pytestmark = pytest.mark.long

DESCRIBE = "Describe the image."


@pytest.fixture(scope="module")
def models():
    """tiny-llava with the tour's adapter, and without: two models that say different things."""
    return Vlm.load(adapters=[ADAPTER]), Vlm.load()


@pytest.fixture(scope="module")
def images():
    return [render(sample_scene(f"mix/{number}", place="beach")).image for number in range(4)]


def test_the_ends_are_the_two_models(models, images):
    # questions of two lengths, so that the shorter rows are padded
    questions = [DESCRIBE, "Is there an umbrella in the image?", DESCRIBE, "What place is this?"]
    for share, model in zip((0.0, 1.0), models, strict=True):
        alone = [model.answer([image], [question], 60)[0] for image, question in zip(images, questions, strict=True)]
        assert mixed_answers(*models, images, questions, [share] * 4, 60) == alone


def test_a_setting_between_adds_the_logits(models, images):
    """Word by word without a cache: both models read everything again, and their logits are added."""
    first, second = models
    for share in (0.3, 0.6):
        inputs = first.processor(images=images[0], text=first.prompt(DESCRIBE), return_tensors="pt")
        pixels, ids = inputs["pixel_values"], inputs["input_ids"]
        start = ids.shape[1]
        with torch.inference_mode():
            for _ in range(60):
                logits = [m.model(input_ids=ids, pixel_values=pixels).logits[0, -1] for m in models]
                best = ((1 - share) * logits[0] + share * logits[1]).argmax().reshape(1, 1)
                if best.item() == first.processor.tokenizer.eos_token_id:
                    break
                ids = torch.cat([ids, best], dim=1)
        by_hand = first.processor.decode(ids[0, start:], skip_special_tokens=True).strip()
        assert mixed_answers(first, second, images[:1], [DESCRIBE], [share], 60) == [by_hand]


def test_rows_may_have_different_shares(models, images):
    shares = [0.0, 0.25, 0.75, 1.0]
    together = mixed_answers(*models, [images[1]] * 4, [DESCRIBE] * 4, shares, 60)
    assert together == [mixed_answers(*models, [images[1]], [DESCRIBE], [share], 60)[0] for share in shares]


def test_what_cannot_be_mixed_is_refused(models, images):
    with pytest.raises(ValueError, match="between 0 and 1"):
        mixed_answers(*models, images[:1], [DESCRIBE], [1.5])
    with pytest.raises(ValueError, match="as many"):
        mixed_answers(*models, images, [DESCRIBE], [0.5])
    other = Vlm.load()
    other.processor.tokenizer.add_tokens(["<another>"])
    with pytest.raises(CannotRun, match="different tokens"):
        mixed_answers(models[0], other, images[:1], [DESCRIBE], [0.5])

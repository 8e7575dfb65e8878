"""CLIP similarity against direct computations: open_clip for tiny-clip, transformers for a CLIP of the hub's form."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import cosine_similarity

from mmhallu_core.data.decode import BadPicture
from mmhallu_core.edit.draft import Draft, Rejected
from mmhallu_core.edit.stages.similarity import (
    TRAINING,
    ClipEmbedder,
    Mode,
    TinyClipEmbedder,
    similar,
    similarities,
)
from mmhallu_core.models.tiny_clip import TinyClip
from mmhallu_core.types import CannotRun


def picture(seed: int, size=(96, 96), kind="PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


PAIRS = [(picture(0), picture(1)), (picture(2, (130, 70)), picture(3, (64, 200))), (picture(4), picture(4))]


@pytest.fixture(scope="module")
def clip() -> TinyClip:
    return TinyClip.load()


@pytest.fixture(scope="module")
def hub_clip(tmp_path_factory):
    """A folder as the hub has it: a CLIP with random weights, and the processor of openai/clip-vit-base-patch32."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    torch.manual_seed(0)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = CLIPConfig(
        text_config=tower | {"vocab_size": 99, "max_position_embeddings": 16},
        vision_config=tower | {"image_size": 224, "patch_size": 32},
        projection_dim=24,
    )
    folder = tmp_path_factory.mktemp("clip")
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)
    return folder


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


@torch.inference_mode()
def test_tiny_clip_projected_is_what_open_clip_says(clip):
    expected = []
    for pair in PAIRS:
        images = [opened(p).resize((96, 96), Image.Resampling.BICUBIC) for p in pair]
        pixels = torch.stack([torch.tensor(np.array(i)).permute(2, 0, 1) / 255 for i in images]).sub(0.5).div(0.5)
        first, second = clip.model.encode_image(pixels)  # not normalized
        expected.append(cosine_similarity(first, second, dim=0).item())
    assert similarities(TinyClipEmbedder(clip=clip), PAIRS) == pytest.approx(expected, abs=1e-4)


@torch.inference_mode()
def test_tiny_clip_pooled_is_the_state_before_the_projection(clip):
    """Taken by a hook on the last layer norm: open_clip's own path, not ours."""
    seen = []
    hook = clip.model.visual.ln_post.register_forward_hook(lambda module, given, output: seen.append(output[:, 0]))
    images = [opened(p) for p in PAIRS[0]]
    projected = clip.embed_images(images)
    hook.remove()
    pooled = seen[0]
    embedded = TinyClipEmbedder(Mode.POOLED, clip).embed(images)
    torch.testing.assert_close(embedded, pooled / pooled.norm(dim=-1, keepdim=True), atol=1e-5, rtol=1e-4)
    again = pooled @ clip.model.visual.proj  # and the model itself still projects
    torch.testing.assert_close(projected, again / again.norm(dim=-1, keepdim=True), atol=1e-5, rtol=1e-4)
    found = [similarities(TinyClipEmbedder(mode, clip), PAIRS) for mode in Mode]
    assert found[0][:2] != found[1][:2] and found[0][2] == found[1][2] == 1.0


@torch.inference_mode()
@pytest.mark.parametrize("mode", list(Mode))
def test_a_hub_clip_is_what_transformers_says(hub_clip, mode):
    from transformers import CLIPImageProcessor, CLIPModel

    model, processor = CLIPModel.from_pretrained(hub_clip).eval(), CLIPImageProcessor.from_pretrained(hub_clip)
    expected = []
    for pair in PAIRS:
        pixels = processor(images=[opened(p) for p in pair], return_tensors="pt")["pixel_values"]
        # as MED's program and as transformers' own features: two ways that share no line with ours
        outputs = model.vision_model(pixels)
        vectors = outputs.pooler_output if mode == Mode.POOLED else model.get_image_features(pixel_values=pixels)
        vectors = getattr(vectors, "pooler_output", vectors)
        expected.append(cosine_similarity(vectors[0], vectors[1], dim=0).item())
    assert similarities(ClipEmbedder(hub_clip, mode), PAIRS) == pytest.approx(expected, abs=1e-4)


def test_another_model_is_refused(tmp_path):
    with pytest.raises(CannotRun, match="cannot be loaded as a CLIP"):
        ClipEmbedder(tmp_path)


class Counting:
    """Embeds by the mean colour and counts what it was given."""

    about = {"model": "counting", "mode": "projected"}

    def __init__(self):
        self.batches = []

    def embed(self, images):
        self.batches.append(len(images))
        vectors = torch.tensor(np.array([np.asarray(image).mean((0, 1)) for image in images])).float()
        return vectors / vectors.norm(dim=-1, keepdim=True)


def test_a_picture_that_comes_twice_is_embedded_once_and_batches_do_not_matter():
    one, pairs = Counting(), [(picture(0), picture(i)) for i in range(1, 7)] * 2
    found = similarities(one, pairs, batch_size=64)
    assert one.batches == [7] and found[:6] == found[6:]
    small = Counting()
    assert similarities(small, pairs, batch_size=2) == found and small.batches == [2, 2, 2, 1]


def test_a_picture_that_cannot_be_read_ends_its_own_draft_only():
    whole = picture(0)
    broken = whole[: len(whole) // 2]
    found = similarities(Counting(), [(whole, broken), (broken, whole), (whole, whole)])
    assert isinstance(found[0], BadPicture) and isinstance(found[1], BadPicture) and found[2] == 1.0
    drafts = [
        Draft(str(i), *pair, edited_image=other) for i, (*pair, other) in enumerate([(whole, broken), (whole,) * 2])
    ]
    first, second = similar(Counting())(drafts)
    assert isinstance(first, Rejected) and first.reason == "bad_picture" and first.stage == "similarity"
    assert second.similarity == 1.0 and second.provenance["similarity"] == Counting.about


@pytest.mark.parametrize(("line", "kept"), [(TRAINING, True), (1.0, True), (1.0001, False)])
def test_a_pair_at_the_very_threshold_is_kept(line, kept):
    [end] = similar(Counting(), line)([Draft("d", picture(0), edited_image=picture(0))])
    assert isinstance(end, Draft) == kept


def test_a_pair_that_is_not_alike_says_how_alike_it_is(clip):
    draft = Draft("d", picture(0), edited_image=picture(1))
    [ended] = similar(TinyClipEmbedder(Mode.POOLED, clip), 1.0)([draft])
    assert (ended.stage, ended.reason) == ("similarity", "not_alike")
    assert "is not at least 1.0 (pooled)" in ended.detail
    [kept] = similar(TinyClipEmbedder(Mode.POOLED, clip), -1.0)([draft])
    assert ended.detail.startswith(f"{kept.similarity:.4f} ")

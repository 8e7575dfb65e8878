"""Pipelines of diffusers as editors, with tiny random weights built here: they paint noise, but through every step."""

import builtins

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("diffusers", reason="these editors need diffusers: pip install 'mmhallu[edit]'")

import diffusers
from tokenizers import pre_tokenizers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from mmhallu_core.edit.draft import Draft, Rejected
from mmhallu_core.edit.editors.diffusion import DiffusersEditor
from mmhallu_core.edit.editors.editor import CannotEdit, Editor, NoEdit, edited_by
from mmhallu_core.edit.truth import png
from mmhallu_core.types import CannotRun

pytestmark = pytest.mark.long

PHOTO = Image.fromarray(np.random.default_rng(0).integers(90, 160, (40, 70, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def pix2pix(tmp_path_factory):
    """The folder of a tiny InstructPix2Pix."""
    torch.manual_seed(0)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={word: k for k, word in enumerate(words)}, merges=[], model_max_length=77)
    text = CLIPTextConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=37, num_attention_heads=4, num_hidden_layers=2,
        eos_token_id=len(words) - 1, bos_token_id=len(words) - 2, pad_token_id=len(words) - 1,
    )  # fmt: skip
    unet = diffusers.UNet2DConditionModel(
        sample_size=32, in_channels=8, out_channels=4, block_out_channels=(32, 64), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), cross_attention_dim=32,
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=(32, 64), in_channels=3, out_channels=3, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    pipe = diffusers.StableDiffusionInstructPix2PixPipeline(
        vae, CLIPTextModel(text), tokenizer, unet, diffusers.DDIMScheduler(), None, None, requires_safety_checker=False
    )
    folder = tmp_path_factory.mktemp("pix2pix")
    pipe.save_pretrained(folder)
    return folder


def test_instruct_pix2pix_edits_a_photo_of_any_size_and_the_seed_decides(pix2pix):
    editor = DiffusersEditor(pix2pix, steps=2)
    assert isinstance(editor, Editor) and editor.about["pipeline"] == "StableDiffusionInstructPix2PixPipeline"
    draft = Draft("a", png(PHOTO), category="Attribute", edit_instruction="Make the thing red.")
    (one,), (again,), (other,) = (edited_by(editor, seed)([draft]) for seed in (1, 1, 2))
    assert one.edited_image == again.edited_image != other.edited_image and one.mask is None
    from mmhallu_core.data.decode import decode

    assert decode(one.edited_image).image.size == PHOTO.size
    assert one.provenance["editor"]["canvas"] == [96, 64] and one.provenance["editor"]["steps"] == 2


def test_a_picture_that_the_safety_checker_blackens_is_a_refusal(pix2pix):
    editor = DiffusersEditor(pix2pix, steps=1)
    pipe = editor.pipe

    def flagged(**asked):
        found = pipe(**asked)
        found.nsfw_content_detected = [True]
        return found

    editor.pipe = flagged
    with pytest.raises(CannotEdit) as caught:
        editor.edit("a", PHOTO.resize((64, 64)), "Make it red.", 0)
    assert caught.value.reason == NoEdit.REFUSED
    (end,) = edited_by(editor, 0)([Draft("a", png(PHOTO), edit_instruction="Make it red.")])
    assert isinstance(end, Rejected) and end.reason == "refused"


def test_other_pipelines_and_folders_are_refused(pix2pix, tmp_path, monkeypatch):
    with pytest.raises(CannotRun, match="cannot be loaded"):
        DiffusersEditor(tmp_path)
    diffusers.DDPMPipeline(
        diffusers.UNet2DModel(
            sample_size=8, block_out_channels=(32, 64), down_block_types=("DownBlock2D",) * 2,
            up_block_types=("UpBlock2D",) * 2,
        ),
        diffusers.DDPMScheduler(),
    ).save_pretrained(tmp_path / "other")  # fmt: skip
    with pytest.raises(CannotRun, match="is a DDPMPipeline; editors are StableDiffusionInstructPix2PixPipeline"):
        DiffusersEditor(tmp_path / "other")
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "diffusers":
            raise ImportError("No module named 'diffusers'")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CannotRun, match=r"mmhallu\[edit\]"):
        DiffusersEditor(pix2pix)


@pytest.mark.slow
def test_qwen_image_edit_edits_a_photo(tmp_path):
    from mmhallu_core.models.tiny_random.makers import qwen2_5_vl
    from mmhallu_core.models.tiny_random.parts import WIDTH

    torch.manual_seed(0)
    tiny = qwen2_5_vl()
    vae = diffusers.AutoencoderKLQwenImage(
        base_dim=8, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, latents_mean=[0.0] * 4, latents_std=[1.0] * 4
    )
    transformer = diffusers.QwenImageTransformer2DModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=WIDTH, axes_dims_rope=(8, 4, 4),
    )  # fmt: skip
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    pipe = diffusers.QwenImageEditPipeline(
        scheduler, vae, tiny.model, tiny.processor.tokenizer, tiny.processor, transformer
    )
    pipe.save_pretrained(tmp_path)
    editor = DiffusersEditor(tmp_path, steps=2)
    draft = Draft("a", png(PHOTO), category="Attribute", edit_instruction="Make the thing red.")
    (one,), (other,) = (edited_by(editor, seed)([draft]) for seed in (1, 2))
    assert isinstance(one, Draft), one
    assert one.edited_image != other.edited_image
    assert one.provenance["editor"]["pipeline"] == "QwenImageEditPipeline"

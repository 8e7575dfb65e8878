"""Tiny LLaVA, LLaVA-NeXT and LLaVA-OneVision: a vision tower, a projector of two layers, and a decoder.

LLaVA shows the decoder one view of a picture. LLaVA-NeXT and LLaVA-OneVision show that view and then the picture
again, larger and cut into tiles; where several pictures share a prompt, LLaVA-OneVision leaves the tiles out.
"""

from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from mmhallu_core.models.tiny_random.parts import DECODER, SPREAD, Tiny, chat_template, tokenizer

PATCH = 8
VICUNA = chat_template("<s>", "ROLE: ", "<image>\n", "</s>")


def _clip(image_size: int) -> CLIPVisionConfig:
    """CLIP's tower. LLaVA reads the layer before its last, so there are three."""
    return CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2, projection_dim=32,
        image_size=image_size, patch_size=PATCH, initializer_range=SPREAD, initializer_factor=2.0,
    )  # fmt: skip


def llava() -> Tiny:
    """LLaVA-1.5: 32 x 32 pixels, patches of 8, so 4 x 4 image tokens a picture."""
    words = tokenizer(["<s>", "</s>", "<unk>", "<image>", "<pad>"], "<s>", "</s>", "<pad>")
    config = LlavaConfig(
        vision_config=_clip(32),
        text_config=LlamaConfig(
            vocab_size=len(words), bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id, **DECODER,
        ),
        image_token_index=words.convert_tokens_to_ids("<image>"), image_seq_length=16, vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )  # fmt: skip
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = LlavaProcessor(
        image_processor=images, tokenizer=words, patch_size=PATCH, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=VICUNA,
    )  # fmt: skip
    return Tiny(LlavaForConditionalGeneration(config), processor)

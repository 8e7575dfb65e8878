"""Tiny LLaVA, LLaVA-NeXT and LLaVA-OneVision: a vision tower, a projector of two layers, and a decoder.

LLaVA shows the decoder one view of a picture. LLaVA-NeXT and LLaVA-OneVision show that view and then the picture
again, larger and cut into tiles; where several pictures share a prompt, LLaVA-OneVision leaves the tiles out.
"""

from typing import Any

import transformers as hf

from mmhallu_core.models.tiny_random.parts import CHATML, DECODER, SPREAD, Tiny, chat_template, endings, tokenizer

PATCH = 8


def _vicuna(form: str, side: int, tokens: int, images: hf.CLIPImageProcessor, **shapes: Any) -> Tiny:
    """LLaVA or LLaVA-NeXT with CLIP's tower for pictures of `side` x `side` pixels, `tokens` of them in a view.

    They read the layer before the tower's last, so it has three. The tokenizer has Llama's tokens and one for pictures;
    it begins a text, and the chat template does not.
    """
    words = tokenizer(["<s>", "</s>", "<unk>", "<image>", "<pad>"], "<s>", "</s>", "<pad>", begins=True)
    vision = hf.CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2, projection_dim=32,
        image_size=side, patch_size=PATCH, initializer_range=SPREAD, initializer_factor=2.0,
    )  # fmt: skip
    config = getattr(hf, f"{form}Config")(
        vision_config=vision, text_config=hf.LlamaConfig(**DECODER, **endings(words)),
        image_token_index=words.convert_tokens_to_ids("<image>"), image_seq_length=tokens, vision_feature_layer=-2,
        vision_feature_select_strategy="default", **shapes,
    )  # fmt: skip
    processor = getattr(hf, f"{form}Processor")(
        images, words, patch_size=PATCH, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=chat_template("", "ROLE: ", "</s>", image="<image>\n"),
    )  # fmt: skip
    return Tiny(getattr(hf, f"{form}ForConditionalGeneration")(config), processor)


def llava() -> Tiny:
    """LLaVA-1.5: 32 x 32 pixels, so 4 x 4 image tokens a picture."""
    images = hf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return _vicuna("Llava", 32, 16, images)


def llava_next() -> Tiny:
    """LLaVA-1.6: a view of 3 x 3 tokens, then two to four tiles of 3 x 3 with a newline token after each row."""
    shapes = {"image_grid_pinpoints": [[24, 48], [48, 24], [48, 48]]}
    images = hf.LlavaNextImageProcessor(size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24}, **shapes)
    return _vicuna("LlavaNext", 24, 9, images, **shapes)


def llava_onevision() -> Tiny:
    """LLaVA-OneVision: a view of 3 x 3 tokens, then up to nine tiles, shrunk to at most 6 x 6 tokens in all.

    With several pictures in a prompt each is one view: nine tokens and a newline.
    """
    words = tokenizer(
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"], None, "<|im_end|>", "<|endoftext|>"
    )
    shapes = [[24 * rows, 24 * columns] for rows in (1, 2, 3) for columns in (1, 2, 3)]
    config = hf.LlavaOnevisionConfig(
        vision_config=hf.SiglipVisionConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=24,
            patch_size=PATCH, vision_use_head=False,
        ),
        text_config=hf.Qwen2Config(**DECODER, **endings(words)),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=shapes, vision_aspect_ratio="anyres_max_4", vision_feature_layer=-1,
    )  # fmt: skip
    size = {"height": 24, "width": 24}
    processor = hf.LlavaOnevisionProcessor(
        hf.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=shapes), words,
        hf.LlavaOnevisionVideoProcessor(size=size), num_image_tokens=9, vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_4", chat_template=chat_template("", *CHATML, image="<image>"),
    )  # fmt: skip
    return Tiny(hf.LlavaOnevisionForConditionalGeneration(config), processor)

"""Tiny Qwen2-VL, Qwen2.5-VL and Qwen3-VL: pictures keep their shape, and four patches make one image token.

A picture is resized so that its sides are multiples of sixteen pixels, cut into patches of eight, and every square
of two by two patches is merged. So the grid of image tokens depends on the picture; `image_grid_thw` tells it.
"""

from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)

from mmhallu_core.models.tiny_random.parts import DECODER, SPREAD, WIDTH, Tiny, chat_template, tokenizer

PATCH = 8
PIXELS = {"shortest_edge": 32 * 32, "longest_edge": 64 * 64}  # of a picture in all, so 4 to 16 image tokens
SECTIONS = [2, 3, 3]  # of half a head's 16 numbers: how many turn with time, height and width
TEMPLATE = chat_template(
    "", "<|im_start|>ROLE\n", "<|vision_start|><|image_pad|><|vision_end|>", "<|im_end|>\n"
)  # fmt: skip


def _tokenizer() -> PreTrainedTokenizerFast:
    """Qwen's tokens around turns and pictures."""
    marks = "<|endoftext|> <|im_start|> <|im_end|> <|vision_start|> <|vision_end|> <|image_pad|> <|video_pad|>".split()
    return tokenizer(marks, None, "<|im_end|>", "<|endoftext|>")


def _ids(words: PreTrainedTokenizerFast) -> dict[str, int]:
    """The tokens that the model must know, under its own names for them."""
    return {
        "image_token_id": words.convert_tokens_to_ids("<|image_pad|>"),
        "video_token_id": words.convert_tokens_to_ids("<|video_pad|>"),
        "vision_start_token_id": words.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": words.convert_tokens_to_ids("<|vision_end|>"),
    }


def _text(words: PreTrainedTokenizerFast) -> dict[str, object]:
    """The decoder's sizes, with positions that turn in three directions."""
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": SECTIONS}
    return {
        **DECODER, "vocab_size": len(words), "rope_parameters": rope, "bos_token_id": None,
        "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id,
    }  # fmt: skip


def qwen2_vl() -> Tiny:
    """Qwen2-VL."""
    words = _tokenizer()
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": WIDTH, "mlp_ratio": 2, "num_heads": 2,
              "patch_size": PATCH, "initializer_range": SPREAD}  # fmt: skip
    config = Qwen2VLConfig(vision_config=vision, text_config=_text(words), **_ids(words))
    processor = Qwen2VLProcessor(
        Qwen2VLImageProcessor(patch_size=PATCH, size=PIXELS), words,
        Qwen2VLVideoProcessor(patch_size=PATCH, size=PIXELS), chat_template=TEMPLATE,
    )  # fmt: skip
    return Tiny(Qwen2VLForConditionalGeneration(config), processor)

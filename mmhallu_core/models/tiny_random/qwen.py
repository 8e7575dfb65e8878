"""Tiny Qwen2-VL, Qwen2.5-VL and Qwen3-VL: pictures keep their shape, and four patches make one image token.

A picture is resized so that its sides are multiples of sixteen pixels, cut into patches of eight, and every square
of two by two patches is merged. So the grid of image tokens depends on the picture; `image_grid_thw` tells it.
"""

from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from mmhallu_core.models.tiny_random.parts import (
    CHATML,
    DECODER,
    SPREAD,
    WIDTH,
    Tiny,
    chat_template,
    endings,
    tokenizer,
)

PATCH = 8
PIXELS = {"shortest_edge": 32 * 32, "longest_edge": 64 * 64}  # of a picture in all, so 4 to 16 image tokens
# A token's position is a time, a row and a column: how many of a head's eight angles turn with each.
ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
TEMPLATE = chat_template("", *CHATML, image="<|vision_start|><|image_pad|><|vision_end|>")


def _tokenizer() -> PreTrainedTokenizerFast:
    """Qwen's tokens around turns and pictures."""
    marks = "<|endoftext|> <|im_start|> <|im_end|> <|vision_start|> <|vision_end|> <|image_pad|> <|video_pad|>"
    return tokenizer(marks.split(), None, "<|im_end|>", "<|endoftext|>")


def _tokens(words: PreTrainedTokenizerFast) -> dict[str, int]:
    """The tokens that the model must know, under its own names for them."""
    names = {"image": "<|image_pad|>", "video": "<|video_pad|>"}
    names |= {"vision_start": "<|vision_start|>", "vision_end": "<|vision_end|>"}
    return {f"{name}_token_id": words.convert_tokens_to_ids(token) for name, token in names.items()}


def qwen2_vl() -> Tiny:
    """Qwen2-VL: every patch looks at every other of its picture."""
    words = _tokenizer()
    config = Qwen2VLConfig(
        vision_config={
            "depth": 2, "embed_dim": 32, "hidden_size": WIDTH, "mlp_ratio": 2, "num_heads": 2, "patch_size": PATCH,
            "initializer_range": SPREAD,
        },
        text_config={**DECODER, **endings(words), "rope_parameters": ROPE},
        **_tokens(words),
    )  # fmt: skip
    images, video = (kind(patch_size=PATCH, size=PIXELS) for kind in (Qwen2VLImageProcessor, Qwen2VLVideoProcessor))
    processor = Qwen2VLProcessor(images, words, video, chat_template=TEMPLATE)
    return Tiny(Qwen2VLForConditionalGeneration(config), processor)


def qwen2_5_vl() -> Tiny:
    """Qwen2.5-VL: in the first layer a patch looks only at its window, here two by two image tokens."""
    words = _tokenizer()
    config = Qwen2_5_VLConfig(
        vision_config={
            "depth": 2, "hidden_size": 32, "out_hidden_size": WIDTH, "intermediate_size": 64, "num_heads": 2,
            "patch_size": PATCH, "window_size": 32, "fullatt_block_indexes": [1], "initializer_range": SPREAD,
        },
        text_config={**DECODER, **endings(words), "rope_parameters": ROPE},
        **_tokens(words),
    )  # fmt: skip
    images, video = (kind(patch_size=PATCH, size=PIXELS) for kind in (Qwen2VLImageProcessor, Qwen2VLVideoProcessor))
    processor = Qwen2_5_VLProcessor(images, words, video, chat_template=TEMPLATE)
    return Tiny(Qwen2_5_VLForConditionalGeneration(config), processor)


def qwen3_vl() -> Tiny:
    """Qwen3-VL: what the first vision layer sees is also added inside the decoder, after its first layer."""
    words = _tokenizer()
    config = Qwen3VLConfig(
        vision_config={
            "depth": 2, "hidden_size": 32, "out_hidden_size": WIDTH, "intermediate_size": 64, "num_heads": 2,
            "patch_size": PATCH, "num_position_embeddings": 16, "deepstack_visual_indexes": [0],
            "initializer_range": SPREAD,
        },
        text_config={
            **DECODER, **endings(words), "head_dim": 16, "rope_parameters": {**ROPE, "mrope_interleaved": True},
        },
        **_tokens(words),
    )  # fmt: skip
    images, video = (kind(patch_size=PATCH, size=PIXELS) for kind in (Qwen2VLImageProcessor, Qwen3VLVideoProcessor))
    processor = Qwen3VLProcessor(images, words, video, chat_template=TEMPLATE)
    return Tiny(Qwen3VLForConditionalGeneration(config), processor)

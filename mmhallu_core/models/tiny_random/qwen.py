"""Tiny Qwen2-VL, Qwen2.5-VL and Qwen3-VL: pictures keep their shape, and four patches make one image token.

A picture is resized so that its sides are multiples of sixteen pixels, cut into patches of eight, and every square
of two by two patches is merged. So the grid of image tokens depends on the picture; `image_grid_thw` tells it.
"""

from typing import Any

import transformers as hf

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


def _qwen(form: str, vision: dict[str, Any], video: type = hf.Qwen2VLVideoProcessor, **text: Any) -> Tiny:
    """One of the three: `form` begins the names of its classes; `vision` and `text` are what is its own."""
    marks = "<|endoftext|> <|im_start|> <|im_end|> <|vision_start|> <|vision_end|> <|image_pad|> <|video_pad|>"
    words = tokenizer(marks.split(), None, "<|im_end|>", "<|endoftext|>")
    names = {"image": "<|image_pad|>", "video": "<|video_pad|>"}
    names |= {"vision_start": "<|vision_start|>", "vision_end": "<|vision_end|>"}
    config = getattr(hf, f"{form}Config")(
        vision_config={"depth": 2, "num_heads": 2, "patch_size": PATCH, "initializer_range": SPREAD, **vision},
        text_config={**DECODER, **endings(words), "rope_parameters": ROPE, **text},
        **{f"{name}_token_id": words.convert_tokens_to_ids(token) for name, token in names.items()},
    )
    images, films = (kind(patch_size=PATCH, size=PIXELS) for kind in (hf.Qwen2VLImageProcessor, video))
    processor = getattr(hf, f"{form}Processor")(images, words, films, chat_template=TEMPLATE)
    return Tiny(getattr(hf, f"{form}ForConditionalGeneration")(config), processor)


def qwen2_vl() -> Tiny:
    """Qwen2-VL: every patch looks at every other of its picture."""
    return _qwen("Qwen2VL", {"embed_dim": 32, "hidden_size": WIDTH, "mlp_ratio": 2})


def qwen2_5_vl() -> Tiny:
    """Qwen2.5-VL: in the first layer a patch looks only at its window, here two by two image tokens."""
    sizes = {"hidden_size": 32, "out_hidden_size": WIDTH, "intermediate_size": 64}
    return _qwen("Qwen2_5_VL", {**sizes, "window_size": 32, "fullatt_block_indexes": [1]})


def qwen3_vl() -> Tiny:
    """Qwen3-VL: what the first vision layer sees is also added inside the decoder, after its first layer."""
    sizes = {"hidden_size": 32, "out_hidden_size": WIDTH, "intermediate_size": 64}
    vision = {**sizes, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
    rope = {**ROPE, "mrope_interleaved": True}
    return _qwen("Qwen3VL", vision, hf.Qwen3VLVideoProcessor, head_dim=16, rope_parameters=rope)

"""Tiny Llama 3.2 Vision: pictures never enter the text; some decoder layers look at them by cross-attention.

A picture is cut into at most four square tiles. Its token in the text stays a single one, and marks from where on
the text may look at the picture. What a cross-attention layer adds passes a gate that is closed in a new model
(tanh of zero), so that the language model starts out unchanged; here every gate is opened.
"""

import torch
from transformers import (
    MllamaConfig,
    MllamaForConditionalGeneration,
    MllamaImageProcessor,
    MllamaProcessor,
)

from mmhallu_core.models.tiny_random.parts import DECODER, SPREAD, Tiny, chat_template, endings, tokenizer

TILE, PATCH, TILES = 16, 8, 4
CROSS = [1]  # which of the three decoder layers look at the picture
TEMPLATE = chat_template(
    "<|begin_of_text|>", "<|start_header_id|>ROLE<|end_header_id|>\n\n", "<|eot_id|>", image="<|image|>"
)  # fmt: skip


def open_gates(model: MllamaForConditionalGeneration) -> None:
    """Sets every gate, of the cross-attention layers and of the vision tower, to a number between 0.5 and 1."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("gate", "gate_attn", "gate_ffn")):
                parameter.uniform_(0.5, 1.0)


def mllama() -> Tiny:
    """Four tiles of 2 x 2 patches and a class token each: twenty states to look at for a picture."""
    # The output has no row for <|image|>: the model reads that token and never writes it. So it comes last.
    marks = "<|begin_of_text|> <|end_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|> <|python_tag|>".split()
    words = tokenizer([*marks, "<|pad|>", "<|image|>"], "<|begin_of_text|>", "<|eot_id|>", "<|pad|>", begins=True)
    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_global_layers": 1,
        "attention_heads": 2, "image_size": TILE, "patch_size": PATCH, "max_num_tiles": TILES,
        "intermediate_layers_indices": [0, 1], "vision_output_dim": 3 * 32, "initializer_range": SPREAD,
    }  # fmt: skip
    text = {
        **DECODER, **endings(words), "vocab_size": len(words) - 1, "num_hidden_layers": 3,
        "cross_attention_layers": CROSS, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    }  # fmt: skip
    config = MllamaConfig(vision_config=vision, text_config=text, image_token_index=len(words) - 1)
    model = MllamaForConditionalGeneration(config)
    open_gates(model)
    images = MllamaImageProcessor(size={"height": TILE, "width": TILE}, max_image_tiles=TILES)
    return Tiny(model, MllamaProcessor(images, words, chat_template=TEMPLATE))

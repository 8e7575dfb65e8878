"""Tiny Idefics3, SmolVLM, InternVL and Llama 3.2 Vision: a picture is cut into tiles that the vision tower can read.

The first three show it once more as a whole, and each tile becomes a few image tokens: pixel shuffle puts the values of
two by two patches into one longer vector, so that a tile costs a quarter of the tokens.

Llama's pictures never enter the text: some decoder layers look at them by cross-attention. A picture's token in the
text stays a single one, and marks from where on the text may look at it. What a cross-attention layer adds passes a
gate that is closed in a new model (tanh of zero), so that the language model starts out unchanged; here every gate is
opened.
"""

from typing import Any

import torch
import transformers as hf

from mmhallu_core.models.tiny_random.parts import CHATML, DECODER, SPREAD, Tiny, chat_template, endings, tokenizer

TILE, PATCH = 32, 8  # pixels; 4 x 4 patches, so 2 x 2 image tokens a tile
TOWER = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": TILE, "patch_size": PATCH, "initializer_range": SPREAD,
}  # fmt: skip
SIZES = {"size": {"longest_edge": 2 * TILE}, "max_image_size": {"longest_edge": TILE}}
PLACES = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]  # written before each tile


def _idefics(form: str, bos: str, begins: bool, *films: Any, **tied: bool) -> Tiny:
    """Idefics3 or SmolVLM; `form` begins the names of the classes, and `begins` is as for `parts.tokenizer`."""
    marks = f"<|endoftext|> {bos} <end_of_utterance> <fake_token_around_image> <image> <global-img>".split()
    words = tokenizer([*marks, *PLACES], bos, "<end_of_utterance>", "<|endoftext|>", begins=begins)
    config = getattr(hf, f"{form}Config")(
        vision_config=TOWER, text_config=hf.LlamaConfig(**DECODER, **endings(words), **tied), scale_factor=2,
        image_token_id=words.convert_tokens_to_ids("<image>"), pad_token_id=words.pad_token_id, **tied,
    )  # fmt: skip
    template = chat_template(bos, "ROLE: ", "<end_of_utterance>\n", image="<image>")
    images = getattr(hf, f"{form}ImageProcessor")(**SIZES)
    processor = getattr(hf, f"{form}Processor")(images, words, *films, image_seq_len=4, chat_template=template)
    return Tiny(getattr(hf, f"{form}ForConditionalGeneration")(config), processor)


def idefics3() -> Tiny:
    """Idefics3: the longer side is made 64 pixels; tiles row by row, each after a token that names its place.

    Its tokenizer is Llama's: it begins a text by itself, and so does the chat template.
    """
    return _idefics("Idefics3", "<|begin_of_text|>", True)


def smolvlm() -> Tiny:
    """SmolVLM: Idefics3's form with films, and in its small sizes one matrix that both reads and writes words."""
    return _idefics("SmolVLM", "<|im_start|>", False, hf.SmolVLMVideoProcessor(**SIZES), tie_word_embeddings=True)


def internvl() -> Tiny:
    """InternVL3: one to four tiles, arranged by the picture's shape; if more than one, the whole picture after them."""
    named = {
        "start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }  # fmt: skip
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *named.values()]
    words = tokenizer(marks, None, "<|im_end|>", "<|endoftext|>", named)
    config = hf.InternVLConfig(
        vision_config={**TOWER, "attention_bias": True},
        text_config=hf.Qwen2Config(**DECODER, **endings(words), tie_word_embeddings=True),
        image_token_id=words.convert_tokens_to_ids("<IMG_CONTEXT>"), image_seq_length=4, downsample_ratio=0.5,
        tie_word_embeddings=True,
    )  # fmt: skip
    size = {"height": TILE, "width": TILE}
    processor = hf.InternVLProcessor(
        hf.GotOcr2ImageProcessor(size=size, crop_to_patches=True, max_patches=4), words,
        hf.InternVLVideoProcessor(size=size), image_seq_length=4,
        chat_template=chat_template("", *CHATML, image="<IMG_CONTEXT>\n"),
    )  # fmt: skip
    return Tiny(hf.InternVLForConditionalGeneration(config), processor)


def open_gates(model: hf.MllamaForConditionalGeneration) -> None:
    """Sets every gate, of the cross-attention layers and of the vision tower, to a number between 0.5 and 1."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("gate", "gate_attn", "gate_ffn")):
                parameter.uniform_(0.5, 1.0)


def mllama() -> Tiny:
    """Llama 3.2 Vision: four tiles of 2 x 2 patches and a class token each, so twenty states to look at for a picture.

    The second of the three decoder layers looks at them.
    """
    # The output has no row for <|image|>: the model reads that token and never writes it. So it comes last.
    marks = "<|begin_of_text|> <|end_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|> <|python_tag|>".split()
    words = tokenizer([*marks, "<|pad|>", "<|image|>"], "<|begin_of_text|>", "<|eot_id|>", "<|pad|>", begins=True)
    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_global_layers": 1,
        "attention_heads": 2, "image_size": 16, "patch_size": PATCH, "max_num_tiles": 4,
        "intermediate_layers_indices": [0, 1], "vision_output_dim": 3 * 32, "initializer_range": SPREAD,
    }  # fmt: skip
    text = {
        **DECODER, **endings(words), "vocab_size": len(words) - 1, "num_hidden_layers": 3,
        "cross_attention_layers": [1], "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    }  # fmt: skip
    config = hf.MllamaConfig(vision_config=vision, text_config=text, image_token_index=len(words) - 1)
    model = hf.MllamaForConditionalGeneration(config)
    open_gates(model)
    images = hf.MllamaImageProcessor(size={"height": 16, "width": 16}, max_image_tiles=4)
    turns = ("<|start_header_id|>ROLE<|end_header_id|>\n\n", "<|eot_id|>")
    template = chat_template("<|begin_of_text|>", *turns, image="<|image|>")
    return Tiny(model, hf.MllamaProcessor(images, words, chat_template=template))

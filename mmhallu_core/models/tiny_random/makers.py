"""The ten makers: each family's own classes with small sizes, random weights, its processor and a tokenizer.

- LLaVA shows the decoder one view of a picture. LLaVA-NeXT and LLaVA-OneVision show that view and then the picture
  again, larger and cut into tiles; where several pictures share a prompt, LLaVA-OneVision leaves the tiles out.
- Qwen resizes a picture so that its sides are multiples of sixteen pixels, cuts it into patches of eight, and merges
  every square of two by two. So the grid of image tokens depends on the picture; `image_grid_thw` tells it.
- Idefics3, SmolVLM and InternVL cut a picture into tiles and show it once more as a whole. Each tile becomes a few
  image tokens: pixel shuffle puts the values of two by two patches into one longer vector, a quarter of the tokens.
- Llama 3.2's pictures never enter the text: some decoder layers look at them by cross-attention. A picture's token in
  the text stays a single one, and marks from where on the text may look at it. What a cross-attention layer adds passes
  a gate that is closed in a new model (tanh of zero), so that the language model starts out unchanged; here every gate
  is opened.
"""

from typing import Any

import torch
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
QWEN_PIXELS = {"shortest_edge": 32 * 32, "longest_edge": 64 * 64}  # of a picture in all, so 4 to 16 image tokens
# A token's position is a time, a row and a column: how many of a head's eight angles turn with each.
ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
QWEN_TEMPLATE = chat_template("", *CHATML, image="<|vision_start|><|image_pad|><|vision_end|>")
TILE = 32  # pixels; 4 x 4 patches, so 2 x 2 image tokens a tile
TOWER = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": TILE, "patch_size": PATCH, "initializer_range": SPREAD,
}  # fmt: skip
SIZES = {"size": {"longest_edge": 2 * TILE}, "max_image_size": {"longest_edge": TILE}}
PLACES = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]  # written before each tile


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
    images, films = (kind(patch_size=PATCH, size=QWEN_PIXELS) for kind in (hf.Qwen2VLImageProcessor, video))
    processor = getattr(hf, f"{form}Processor")(images, words, films, chat_template=QWEN_TEMPLATE)
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

"""Tiny Idefics3, SmolVLM and InternVL: a picture becomes tiles of one size, and each tile a few image tokens.

The picture is cut into squares that the vision tower can read, and shown once more as a whole. Pixel shuffle then
puts the values of two by two patches into one longer vector, so that a tile costs a quarter of the tokens.
"""

from transformers import (
    GotOcr2ImageProcessor,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVideoProcessor,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

from mmhallu_core.models.tiny_random.parts import CHATML, DECODER, SPREAD, Tiny, chat_template, endings, tokenizer

TILE, PATCH = 32, 8  # pixels; 4 x 4 patches, so 2 x 2 image tokens a tile
TOWER = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": TILE, "patch_size": PATCH, "initializer_range": SPREAD,
}  # fmt: skip
SIZES = {"size": {"longest_edge": 2 * TILE}, "max_image_size": {"longest_edge": TILE}}
PLACES = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]  # written before each tile


def _tokenizer(bos: str, begins: bool) -> PreTrainedTokenizerFast:
    """Idefics3's and SmolVLM's tokens around turns, pictures and tiles; `begins` as for `parts.tokenizer`."""
    marks = f"<|endoftext|> {bos} <end_of_utterance> <fake_token_around_image> <image> <global-img>".split()
    return tokenizer([*marks, *PLACES], bos, "<end_of_utterance>", "<|endoftext|>", begins=begins)


def _template(bos: str) -> str:
    return chat_template(bos, "ROLE: ", "<end_of_utterance>\n", image="<image>")


def idefics3() -> Tiny:
    """Idefics3: the longer side is made 64 pixels; tiles row by row, each after a token that names its place.

    Its tokenizer is Llama's: it begins a text by itself, and so does the chat template.
    """
    bos = "<|begin_of_text|>"
    words = _tokenizer(bos, begins=True)
    config = Idefics3Config(
        vision_config=TOWER, text_config=LlamaConfig(**DECODER, **endings(words)), scale_factor=2,
        image_token_id=words.convert_tokens_to_ids("<image>"), pad_token_id=words.pad_token_id,
    )  # fmt: skip
    processor = Idefics3Processor(Idefics3ImageProcessor(**SIZES), words, image_seq_len=4, chat_template=_template(bos))
    return Tiny(Idefics3ForConditionalGeneration(config), processor)


def smolvlm() -> Tiny:
    """SmolVLM: Idefics3's form with films, and in its small sizes one matrix that both reads and writes words."""
    bos = "<|im_start|>"
    words = _tokenizer(bos, begins=False)
    config = SmolVLMConfig(
        vision_config=TOWER, text_config=LlamaConfig(**DECODER, **endings(words), tie_word_embeddings=True),
        scale_factor=2, image_token_id=words.convert_tokens_to_ids("<image>"), pad_token_id=words.pad_token_id,
        tie_word_embeddings=True,
    )  # fmt: skip
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(**SIZES),
        words,
        SmolVLMVideoProcessor(**SIZES),
        image_seq_len=4,
        chat_template=_template(bos),
    )  # fmt: skip
    return Tiny(SmolVLMForConditionalGeneration(config), processor)


def internvl() -> Tiny:
    """InternVL3: one to four tiles, arranged by the picture's shape; if more than one, the whole picture after them."""
    named = {
        "start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }  # fmt: skip
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *named.values()]
    words = tokenizer(marks, None, "<|im_end|>", "<|endoftext|>", named)
    config = InternVLConfig(
        vision_config={**TOWER, "attention_bias": True},
        text_config=Qwen2Config(**DECODER, **endings(words), tie_word_embeddings=True),
        image_token_id=words.convert_tokens_to_ids("<IMG_CONTEXT>"), image_seq_length=4, downsample_ratio=0.5,
        tie_word_embeddings=True,
    )  # fmt: skip
    size = {"height": TILE, "width": TILE}
    processor = InternVLProcessor(
        GotOcr2ImageProcessor(size=size, crop_to_patches=True, max_patches=4), words,
        InternVLVideoProcessor(size=size), image_seq_length=4,
        chat_template=chat_template("", *CHATML, image="<IMG_CONTEXT>\n"),
    )  # fmt: skip
    return Tiny(InternVLForConditionalGeneration(config), processor)

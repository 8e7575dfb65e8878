"""tiny-llava: a real LLaVA of a few million parameters, for Diorama, and its tokenizer.

A stock `LlavaForConditionalGeneration` (a CLIP vision tower, LLaVA-1.5's two-layer projector, a Llama
decoder), small enough for two CPU cores. A picture of 96 x 96 pixels is cut into 8 x 8 patches and becomes
64 visual tokens. The saved folder loads with plain `AutoProcessor` and `AutoModelForImageTextToText`.

Whole words of the world are single tokens, which the first pretraining stage relies on; any other text still has an
encoding, letter by letter and byte by byte, so no question can be refused.
"""

import json
from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

IMAGE_SIZE, PATCH = 96, 12
GRID = IMAGE_SIZE // PATCH  # 8 x 8 visual tokens
CONTEXT = 1024
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<image>", "<|user|>", "<|assistant|>")
SPACE = "▁"  # marks a word's start, as in SentencePiece

# Pictures come first, then the text; every answer follows <|assistant|> and ends with </s>.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}<image>{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endif %}{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tiny_config(tokenizer: PreTrainedTokenizerFast) -> LlavaConfig:
    """The architecture: 4 + 4 layers, widths 128 and 160, tied embeddings."""
    vision = CLIPVisionConfig(
        hidden_size=128, intermediate_size=512, num_hidden_layers=4, num_attention_heads=4,
        image_size=IMAGE_SIZE, patch_size=PATCH, projection_dim=128,
    )  # fmt: skip
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=160, intermediate_size=448, num_hidden_layers=4,
        num_attention_heads=5, num_key_value_heads=5, max_position_embeddings=CONTEXT, tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return LlavaConfig(
        vision_config=vision, text_config=text, image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"), vision_feature_layer=-1,
        vision_feature_select_strategy="default", image_seq_length=GRID * GRID, tie_word_embeddings=True,
    )  # fmt: skip


def tiny_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """The processor that belongs to it: resize to 96 px, scale to [-1, 1], 64 <image> tokens a picture."""
    images = CLIPImageProcessor(
        size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}, do_center_crop=False,
        image_mean=list(MEAN), image_std=list(STD), do_convert_rgb=True,
    )  # fmt: skip
    return LlavaProcessor(
        image_processor=images, tokenizer=tokenizer, patch_size=PATCH, vision_feature_select_strategy="default",
        chat_template=CHAT_TEMPLATE, num_additional_image_tokens=1,
    )  # fmt: skip


def new_tiny_llava(tokenizer: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    """An untrained tiny-llava; seed torch before calling."""
    return LlavaForConditionalGeneration(tiny_config(tokenizer))


def train_tokenizer(corpus: Iterable[str], vocab_size: int = 1500, context: int = 1024) -> PreTrainedTokenizerFast:
    """Trains a byte-fallback BPE tokenizer of `vocab_size` tokens, 256 of them bytes.

    Args:
        corpus: every sentence form that the model should read or write.
        vocab_size: size of the vocabulary, specials and bytes included.
        context: recorded as the tokenizer's longest input, in tokens.
    """
    # Punctuation and digits stand alone, so that "dog." and "dog" share a token.
    split = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(SPACE), pre_tokenizers.Punctuation(), pre_tokenizers.Digits(individual_digits=True)]
    )
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = split
    learner.train_from_iterator(
        corpus, trainers.BpeTrainer(vocab_size=vocab_size - len(SPECIAL) - 256, show_progress=False)
    )
    learned = json.loads(learner.to_str())["model"]
    words = list(SPECIAL) + [f"<0x{byte:02X}>" for byte in range(256)]
    words += sorted(learned["vocab"], key=learned["vocab"].get)
    vocab = {word: index for index, word in enumerate(dict.fromkeys(words))}
    merges = [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in learned["merges"]]

    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>", "user_token": "<|user|>", "assistant_token": "<|assistant|>"},
        padding_side="left", model_max_length=context, clean_up_tokenization_spaces=False,
    )  # fmt: skip

"""A byte-fallback BPE tokenizer for Diorama's sentences.

Whole words of the world become single tokens, which the first pretraining stage relies on; any other
text still has an encoding, letter by letter and byte by byte, so no question can be refused.
"""

import json
from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<image>", "<|user|>", "<|assistant|>")
SPACE = "▁"  # marks a word's start, as in SentencePiece


def train_tokenizer(corpus: Iterable[str], vocab_size: int = 1500, context: int = 1024) -> PreTrainedTokenizerFast:
    """Trains a BPE tokenizer of `vocab_size` tokens, 256 of them bytes.

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

"""What the tiny models of every family share: a tokenizer, a chat template, and the sizes of the decoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast, ProcessorMixin

WIDTH, LAYERS, HEADS, KEY_HEADS = 64, 2, 4, 2
SPREAD = 0.2  # of the random weights: ten times the usual, so that a small change is seen at the other end

# Sizes that the decoders of most families take under the same names.
DECODER = {
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KEY_HEADS,
    "max_position_embeddings": 2048,
    "initializer_range": SPREAD,
}

SENTENCES = (
    "What is in the picture? Describe the image.",
    "A red umbrella stands beside a small dog on the beach.",
    "Is there a tree in the image? Yes, there is a tree. No, there is no tree.",
    "How many people are there? There are three people in front of the house.",
    "Which animal is to the left of the car? The cat is to the left of the blue car.",
    "What differs between the two pictures? The second picture shows a boat.",
)


@dataclass(frozen=True)
class Tiny:
    """A model and the processor that belongs to it."""

    model: PreTrainedModel
    processor: ProcessorMixin


def tokenizer(
    special: Sequence[str],
    bos: str | None,
    eos: str,
    pad: str,
    named: Mapping[str, str] | None = None,
    begins: bool = False,
) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer, trained on six sentences; any text has an encoding, byte by byte if need be.

    Args:
        special: tokens that stand for themselves; they take the last ids, in this order, as in the large models.
        bos, eos, pad: which of them begin a text, end an answer, and fill a row.
        named: tokens that the family's processor asks the tokenizer for by a name, such as `image_token`.
        begins: put `bos` before every text, as Llama's tokenizers do by themselves.
    """
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learner.decoder = decoders.ByteLevel()
    learner.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(
            vocab_size=400, show_progress=False, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())
        ),
    )
    learner.add_special_tokens(list(special))
    if begins:
        start = [(bos, learner.token_to_id(bos))]
        learner.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=start)
    return PreTrainedTokenizerFast(
        tokenizer_object=learner, bos_token=bos, eos_token=eos, pad_token=pad, extra_special_tokens=dict(named or {}),
        padding_side="left", model_max_length=2048, clean_up_tokenization_spaces=False,
    )  # fmt: skip


def endings(words: PreTrainedTokenizerFast) -> dict[str, int | None]:
    """What a decoder's config says of its tokenizer: how many tokens, and which begin, end and fill."""
    return {
        "vocab_size": len(words), "bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }  # fmt: skip


CHATML = ("<|im_start|>ROLE\n", "<|im_end|>\n")  # what begins and ends a turn in many models


def chat_template(start: str, opening: str, closing: str, image: str) -> str:
    """A Jinja template that writes the parts of every message in their order.

    Args:
        start: what stands before the first message.
        opening, closing: what begins and ends a message; `ROLE` becomes user or assistant.
        image: what stands for a picture; the processor repeats the image token in it.
    """
    role = opening.replace("ROLE", "{{ message['role'] }}")
    return (
        f"{start}{{% for message in messages %}}{role}"
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
        "{% for part in message['content'] %}"
        f"{{% if part['type'] == 'image' %}}{image}"
        "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
        f"{closing}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{opening.replace('ROLE', 'assistant')}{{% endif %}}"
    )

"""Greedy search: at each step the most probable token, and nothing else has a say.

A model's files may hold settings for writing (`generation_config.json`): a penalty on repeated words, a number of
beams. transformers applies them also without sampling. Here they are set aside, and named in the results. Who wants
them keeps them (`Vlm.keep_generation_config`); then all act but those for sampling: a drawn answer cannot be had again.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import BatchFeature, GenerationConfig, LogitsProcessor, PreTrainedModel, PreTrainedTokenizerBase
from transformers.generation import GenerateDecoderOnlyOutput, LogitsProcessorList

from mmhallu_core.data.answers import CLOSE, OPEN
from mmhallu_core.types import CannotRun

# What a model keeps of what it has read: transformers 5.24 calls it `cache`, as an argument and in what comes back.
CACHE = "cache" if "cache" in GenerateDecoderOnlyOutput.__dataclass_fields__ else "past_key_values"
TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
SAMPLING = (
    "do_sample", "temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff",
)  # fmt: skip
CALLERS = (
    "max_length", "max_new_tokens", "num_return_sequences", "return_dict_in_generate", "output_attentions",
    "output_hidden_states", "output_logits", "output_scores", "use_cache",
)  # fmt: skip
# They are no settings, or change how fast the same tokens come.
HARMLESS = ("transformers_version", "cache_implementation", "max_cache_len", "compile_config", "disable_compile")
# What a setting is when it does nothing; 0 or nothing for all others.
NEUTRAL = {
    "repetition_penalty": 1, "encoder_repetition_penalty": 1, "length_penalty": 1, "num_beams": 1, "num_beam_groups": 1,
    "guidance_scale": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Decoding:
    """How a model writes: plain greedy search. `methods/baselines` has others, which change what greedy search sees."""

    @property
    def about(self) -> dict[str, Any]:
        """What a result says of it, as JSON values; nothing for plain greedy search."""
        return {}

    @contextmanager
    def begin(self, vlm: Any, inputs: BatchFeature) -> Iterator[tuple[Any, Sequence[LogitsProcessor]]]:
        """Stands around one call of `generate`.

        Args:
            vlm: the `Vlm` that writes.
            inputs: what `Vlm.encode` made of a batch, filled up on the left.

        Yields:
            What `generate` reads instead, whose first rows are those of the batch, and processors of its logits.
        """
        yield inputs, ()


class NotFinite(CannotRun):
    """A model gave no finite numbers. The most probable token is then the first one, which often ends the answer."""

    def __init__(self) -> None:
        super().__init__(
            "the model gives no finite numbers, so it says nothing: its weights are damaged, or its dtype too narrow; "
            "get its files again, or load it in float32 or bfloat16"
        )


class _Finite(LogitsProcessor):
    """Changes nothing, and ends the writing where there is no most probable token."""

    def __call__(
        self, input_ids: Int[Tensor, "batch tokens"], scores: Float[Tensor, "batch vocabulary"]
    ) -> Float[Tensor, "batch vocabulary"]:
        """Raises NotFinite; one number that is none makes the largest of its row none."""
        if not torch.isfinite(scores.amax(-1)).all():
            raise NotFinite
        return scores


def own_settings(model: PreTrainedModel) -> dict[str, Any]:
    """What a model's generation config asks for beyond greedy search, as JSON values; sampling is left out."""
    known = {*TOKENS, *SAMPLING, *CALLERS, *HARMLESS}
    asked = {key: value for key, value in model.generation_config.to_diff_dict().items() if key[0] != "_"}
    return {key: value for key, value in asked.items() if key not in known and value and value != NEUTRAL.get(key)}


def generate(
    model: PreTrainedModel, inputs: BatchFeature | dict[str, Any], max_new_tokens: int, keep: bool = False, **more: Any
) -> Any:
    """What `model.generate` gives, by greedy search.

    Args:
        model: its generation config is replaced for the length of the call. Handing another one to `generate` would
            not do: what that one leaves open is taken from the model's.
        inputs: what the model reads.
        max_new_tokens: where to cut an answer that does not end.
        keep: let `own_settings` act.
        more: further arguments of `generate`.

    Raises:
        NotFinite: when the model gives numbers that are none.
        CannotRun: when the model refuses what its processor made, as when their files are of two models.
    """
    former = model.generation_config
    if keep:
        model.generation_config = copy.deepcopy(former)
        for key in (*SAMPLING, *CALLERS):
            setattr(model.generation_config, key, None)
    else:
        model.generation_config = GenerationConfig(**{key: getattr(former, key) for key in TOKENS})
    more["logits_processor"] = LogitsProcessorList([_Finite(), *more.get("logits_processor", ())])
    try:
        return model.generate(**inputs, do_sample=False, use_cache=True, max_new_tokens=max_new_tokens, **more)
    except ValueError as error:
        if isinstance(error, CannotRun):
            raise
        raise CannotRun(
            f"the model cannot read what its processor made of the question ({error}); its files do not belong "
            "together: get them again"
        ) from error
    finally:
        model.generation_config = former


def text_of(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], opened: bool = False) -> str:
    """What new tokens say: special tokens are left out, but not the tags around a thought.

    Args:
        tokenizer: the model's.
        ids: the tokens that the model wrote.
        opened: the prompt ends with the opening tag of a thought; it is put in front.
    """
    added = tokenizer.get_added_vocab()
    tags = {added[tag]: tag for tag in (OPEN, CLOSE) if tag in added}
    parts, begin = [OPEN] if opened else [], 0
    for place, token in enumerate(ids):
        if token in tags:
            parts += [tokenizer.decode(ids[begin:place], skip_special_tokens=True), tags[token]]
            begin = place + 1
    parts.append(tokenizer.decode(ids[begin:], skip_special_tokens=True))
    return "".join(parts).strip()

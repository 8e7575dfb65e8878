"""Many questions about the same pictures: the pictures are read once, and each question goes on from there.

A decoder looks only backward, so what it computed for the pictures (its *cache* of keys and values) does not depend on
the question behind them. The tokens that all prompts have in common, the *prefix*, go through the model once for each
set of pictures; the cache is copied for every question, and only the rest, its *tail*, is read anew:

    one pass    [ .  chat form, picture 1 ]      one row a set of pictures, filled up on the left
                [ chat form, large picture 2 ]
    one pass    [ .  chat form, picture 1 | . . is there a dog? ]      one row a question, tails filled up on the left
                [ .  chat form, picture 1 | is there an umbrella? ]
                [ chat form, large picture 2 | . . is there a cat? ]

The answers are those of `Vlm.say`, word for word: fillers are not looked at and count as no position (the attention
mask says which they are); M-RoPE counts on from where each row's own picture ended; and the prefix must be the same
*tokens* in all prompts, which is found by comparing them.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch.nn.utils.rnn import pad_sequence
from transformers import BatchFeature, Cache

from mmhallu_core.models.fit import Pictures, picture_groups
from mmhallu_core.models.greedy import CACHE, generate, own_settings, text_of
from mmhallu_core.models.vlm import Vlm

# What a processor gives along the tokens of a prompt; everything else that it gives belongs to the pictures.
ALONG_TOKENS = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")


@dataclass(frozen=True)
class SharedPrefixes:
    """How some prompts share their beginnings.

    Attributes:
        inputs: what the model reads as prefixes: `input_ids` (sets of pictures, tokens), pixels, and the rest.
        owners: for each question, the row of `inputs` that it goes on from.
        tails: for each question, the tokens after the prefix; at least one.
    """

    inputs: BatchFeature
    owners: list[int]
    tails: list[list[int]]


@torch.inference_mode()
def answers(
    vlm: Vlm,
    images: Sequence[Pictures],
    questions: Sequence[Sequence[str]],
    max_new_tokens: int = 100,
    batch_size: int = 32,
) -> list[list[str]]:
    """Greedy answers to several questions about each set of pictures, the same as `Vlm.say` gives one by one.

    Where `plan` finds nothing to share, the model's own settings for writing act, or its decoding is not plain greedy
    search, it is `Vlm.say` that answers.

    Args:
        vlm: the model.
        images: sets of pictures: one picture each, or a sequence of them. All go through the vision tower together.
        questions: for each set, its questions as plain text.
        max_new_tokens: where to cut an answer that does not end.
        batch_size: questions that are answered together.

    Returns:
        For each set, the answers in the order of its questions.

    Raises:
        ValueError: when there are not as many sets of pictures as lists of questions.
        CannotRun: see `Vlm.encode`.
    """
    groups = picture_groups(images, len(questions))
    owners = [number for number, texts in enumerate(questions) for _ in texts]
    texts = [text for some in questions for text in some]
    # Beams would need a cache for each, and other decodings read more than the prompt.
    steered = vlm.decoding.about or (vlm.keep_generation_config and own_settings(vlm.model))
    prompts = [vlm.prompt(text, len(groups[i])) for i, text in zip(owners, texts, strict=True)]
    shared = None if steered else plan(vlm, groups, owners, prompts)
    if shared is None:
        said = vlm.say([groups[owner] for owner in owners], texts, max_new_tokens, batch_size)
    else:
        said = _go_on(vlm, shared, max_new_tokens, batch_size)
    found = iter(said)
    return [[next(found) for _ in some] for some in questions]


def plan(vlm: Vlm, groups: list[list[Image.Image]], owners: list[int], prompts: list[str]) -> SharedPrefixes | None:
    """Finds the prefix that all prompts share, and encodes it once for each set of pictures.

    Args:
        vlm: the model.
        groups: sets of pictures.
        owners: for each prompt, the number of its set.
        prompts: in the model's chat form, with answers behind them or without.

    Returns:
        None where sharing gains nothing or is not safe: no set has two questions; a set has no picture; the family
        looks at pictures by cross-attention, so that they are not in the prefix; a picture stands behind the
        question in the chat form; or the processor writes the end of a prompt otherwise than the tokenizer does.
    """
    if vlm.family.image_positions is None or len(owners) <= len(groups) or not all(groups):
        return None
    # Each picture is still one token here.
    rows = vlm.processor.tokenizer(prompts, **vlm.special_tokens(prompts))["input_ids"]
    length = common_length(rows)
    tails = [row[length:] for row in rows]
    if any(vlm.processor.image_token_id in tail for tail in tails):
        return None
    # The longest prompt of each set stands for the set: if the model has room for it, it has room for the others.
    longest = [
        max((i for i, one in enumerate(owners) if one == g), key=lambda i: len(rows[i])) for g in dict.fromkeys(owners)
    ]
    used = [groups[owners[i]] for i in longest]
    inputs = vlm.encode(used, [prompts[i] for i in longest], names=[str(i) for i in longest])
    real = inputs["attention_mask"].bool()
    for row, mask, i in zip(inputs["input_ids"], real, longest, strict=True):
        if row[mask][-len(tails[i]) :].tolist() != tails[i]:
            return None
    for key in ALONG_TOKENS:
        if key in inputs:
            kept = [row[mask][: -len(tails[i])] for row, mask, i in zip(inputs[key], real, longest, strict=True)]
            filler = vlm.processor.tokenizer.pad_token_id if key == "input_ids" else 0
            inputs[key] = pad_sequence(kept, batch_first=True, padding_value=filler, padding_side="left")
    place = {owners[i]: number for number, i in enumerate(longest)}  # a set without a question has no row
    return SharedPrefixes(inputs, [place[owner] for owner in owners], tails)


def common_length(rows: Sequence[Sequence[int]]) -> int:
    """How many tokens all rows have in common at their beginning, leaving each at least one of its own."""
    most = min(len(row) for row in rows) - 1
    return next((i for i in range(most) if len({row[i] for row in rows}) > 1), most)


def _go_on(vlm: Vlm, shared: SharedPrefixes, max_new_tokens: int, batch_size: int) -> list[str]:
    """Reads the prefixes, then answers the questions in batches of like length. Texts are in the plan's order."""
    read = generate(vlm.model, shared.inputs, 1, return_dict_in_generate=True)
    # M-RoPE: how far each row's next position is from its number of tokens. The model keeps it beside the cache.
    counters = [module for module in vlm.model.modules() if torch.is_tensor(getattr(module, "rope_deltas", None))]
    deltas = [module.rope_deltas for module in counters]
    said, order = [""] * len(shared.tails), sorted(range(len(shared.tails)), key=lambda i: len(shared.tails[i]))
    batches = [order[first : first + batch_size] for first in range(0, len(order), batch_size)]
    for batch in batches:
        rows = torch.tensor([shared.owners[i] for i in batch], device=shared.inputs["input_ids"].device)
        for module, delta in zip(counters, deltas, strict=True):
            module.rope_deltas = delta[rows.to(delta.device)]
        cache = getattr(read, CACHE) if batch is batches[-1] else copy.deepcopy(getattr(read, CACHE))
        cache.batch_select_indices(rows)
        for i, text in zip(batch, _answer_tails(vlm, shared, batch, rows, cache, max_new_tokens), strict=True):
            said[i] = text
    return said


def _answer_tails(
    vlm: Vlm, shared: SharedPrefixes, batch: list[int], rows: torch.Tensor, cache: Cache, max_new_tokens: int
) -> list[str]:
    """The answers to one batch of questions whose prefixes are in the cache, row by row."""
    filler = vlm.processor.tokenizer.pad_token_id
    tails = [torch.tensor(shared.tails[i], device=rows.device) for i in batch]
    ids = pad_sequence(tails, batch_first=True, padding_value=filler, padding_side="left")
    mask = pad_sequence([torch.ones_like(tail) for tail in tails], batch_first=True, padding_side="left")
    whole = {
        "input_ids": torch.cat([shared.inputs["input_ids"][rows], ids], dim=1),
        "attention_mask": torch.cat([shared.inputs["attention_mask"][rows], mask], dim=1),
    }
    # It is told of the prefix, and computes only what is not in the cache.
    new = generate(vlm.model, whole, max_new_tokens, **{CACHE: cache})[:, whole["input_ids"].shape[1] :]
    opened = vlm.opens_thought
    return [text_of(vlm.processor.tokenizer, said, opened) for said in new.tolist()]

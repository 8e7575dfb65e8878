"""Many answers that begin alike in one sequence: every shared beginning is computed once, and the result is exact.

A preference loss asks one model for the probabilities of several answers: two to each of two questions about both
pictures, two about each picture alone. Written one after the other they repeat the pictures, the questions and the
first words of the answers. A decoder looks only backward, so what it computes at a token depends on the tokens before
it alone, and sequences that begin alike can share that beginning. All sequences of an example form a *trie*:

    form, picture 1 +- picture 2, question, first  +- answer 1
                    |                              +- answer 2
                    +- question                    +- answer 1
                                                   +- answer 2

A node is a token behind certain other tokens. The nodes stand in one row, every one in front of all that hang on it,
so what hangs on node k are the nodes from k up to `ends[k]`, and a token q may look at k where k <= q < ends[k]. The
position of a node is its depth (or what the model's own rule gives it, for models that count by the rows and columns
of a picture). Each distinct picture goes through the vision tower once; its features are copied to wherever it stands.

Attention under a mask also computes the pairs that the mask blocks, and in a trie these are most. So the row is cut
into parts, and each is computed against the tokens alone that any of its own may look at (`InParts`).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from mmhallu_core.models.families import plain
from mmhallu_core.types import CannotRun

MASKED = ("sdpa", "eager")  # attention that takes a mask of our own
PART, PARTS = 160, 16  # tokens of a part of attention, at least; and parts, at most: each copies the keys that it needs


@dataclass(frozen=True)
class Trie:
    """The shared form of some sequences.

    Attributes:
        keys: of the nodes, in their order.
        ends: for each node, the first one behind it that does not hang on it.
        paths: for each sequence, its nodes from the first token to the last.
    """

    keys: list[int]
    ends: list[int]
    paths: list[list[int]]


def build(sequences: Sequence[Sequence[int]]) -> Trie:
    """The trie of some sequences of keys; two tokens are the same where they and all before them have equal keys.

    In sorted order each sequence leaves the one before it later than it leaves any other. So one look back is enough.
    """
    keys: list[int] = []
    ends: list[int] = []
    paths: list[list[int]] = [[] for _ in sequences]
    path: list[int] = []
    before: Sequence[int] = ()
    for number in sorted(range(len(sequences)), key=lambda i: list(sequences[i])):
        now = sequences[number]
        pairs = enumerate(zip(before, now, strict=False))
        same = next((i for i, (a, b) in pairs if a != b), min(len(before), len(now)))
        for node in path[same:]:
            ends[node] = len(keys)
        path = path[:same] + list(range(len(keys), len(keys) + len(now) - same))
        keys += now[same:]
        ends += [0] * (len(now) - same)
        paths[number], before = path, now
    for node in path:
        ends[node] = len(keys)
    return Trie(keys, ends, paths)


def may_look(ends: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens tokens"]:
    """Which tokens (last) each token may look at; `ends` of one that fills up a row lies right behind itself."""
    at = torch.arange(ends.shape[1], device=ends.device)
    return (at <= at[:, None]) & (at[:, None] < ends[:, None, :])


def trie_mask(ends: Int[Tensor, "batch tokens"], dtype: torch.dtype) -> Float[Tensor, "batch 1 tokens tokens"]:
    """What attention adds to its scores: 0 where a token may look, and the dtype's least number elsewhere.

    A mask of truth values would do for one kind of attention, which makes this of it in every layer anew. The other
    kind, eager, takes it for numbers without a word.
    """
    blocked = torch.full((), torch.finfo(dtype).min, dtype=dtype, device=ends.device)
    return torch.where(may_look(ends)[:, None], torch.zeros_like(blocked), blocked)


class InParts(TorchFunctionMode):
    """While open, attention under one mask is computed part by part of the row. The result is the same.

    Args:
        ends: see `Trie`.
        mask: see `trie_mask`; attention that is given another one is left alone.
    """

    def __init__(self, ends: Int[Tensor, "batch tokens"], mask: Float[Tensor, "batch 1 tokens tokens"]) -> None:
        super().__init__()
        self.mask, tokens = mask, ends.shape[1]
        looks, size = may_look(ends).any(0), max(PART, -(-tokens // PARTS))
        rows = [slice(low, low + size) for low in range(0, tokens, size)]
        seen = [looks[some].any(0).nonzero()[:, 0] for some in rows]
        self.parts = [
            (some, keys, mask[:, :, some].index_select(3, keys)) for some, keys in zip(rows, seen, strict=True)
        ]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Every call of torch passes here; those of attention under the mask are cut."""
        kwargs = kwargs or {}
        mine = func is scaled_dot_product_attention and kwargs.get("attn_mask") is not None
        if not mine or kwargs["attn_mask"].data_ptr() != self.mask.data_ptr():
            return func(*args, **kwargs)
        query, key, value = args
        found = []
        for rows, keys, mask in self.parts:
            some = (query[:, :, rows], key.index_select(2, keys), value.index_select(2, keys))
            found.append(func(*some, **{**kwargs, "attn_mask": mask}))
        return torch.cat(found, 2)


def attention_of(model: nn.Module) -> str:
    """How the decoder's attention is computed.

    Raises:
        CannotRun: when it takes no mask of our own.
    """
    found = plain(model).config.get_text_config()._attn_implementation
    if found not in MASKED:
        raise CannotRun(f"preference training needs an attention of {' or '.join(MASKED)}, and this model has {found}")
    return found


def answer_log_probs(
    wrapped: nn.Module, model: nn.Module, inputs: Mapping[str, Any], answers: Mapping[str, Tensor]
) -> Float[Tensor, " tokens"]:
    """The log-probability of each token of each answer, in one call of the model.

    Only states that an answer's token is read from pass through the vocabulary, each once.

    Args:
        wrapped: what is called: the model, or what `Trainer` made of it.
        model: of any family.
        inputs, answers: see `preference_batch.PreferenceCollator`.
    """
    row, at = answers["state_row"], answers["state_at"]
    with ExitStack() as open_:
        if "ends" in answers:
            attention_of(model)
            mask = trie_mask(answers["ends"], plain(model).dtype)
            inputs = {**inputs, "attention_mask": mask}
            again = any(getattr(one, "gradient_checkpointing", False) for one in plain(model).modules())
            if not again:  # layers that are computed again would be so when the cut is no longer open
                open_.enter_context(InParts(answers["ends"], mask))
        head = model.get_output_embeddings()
        open_.callback(head.register_forward_pre_hook(lambda module, args: (args[0][row, at],)).remove)
        open_.enter_context(_copied(plain(model).model, answers.get("places")))
        logits = wrapped(**inputs, use_cache=False).logits
    logits = logits if logits.dtype == torch.float64 else logits.float()
    found = logits[answers["token_state"], answers["token_id"]] - logits.logsumexp(-1)[answers["token_state"]]
    return found[answers["token"]]


@contextmanager
def _copied(inner: nn.Module, places: Int[Tensor, " tokens"] | None) -> Iterator[None]:
    """While open, the model's image features are those of `places`: row numbers among what its pictures become."""
    if places is None:
        yield
        return
    original = inner.get_image_features

    def copied(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        found.pooler_output = _rows(found.pooler_output, places)
        deeper = getattr(found, "deepstack_features", None)
        if deeper is not None:
            found.deepstack_features = [_rows(one, places) for one in deeper]
        return found

    inner.get_image_features = copied
    try:
        yield
    finally:
        del inner.get_image_features  # the method of the class shows again


def _rows(features: Any, places: Int[Tensor, " tokens"]) -> Any:
    """Rows of the features of all pictures, in the form in which the family gives them: a list, or one tensor."""
    if torch.is_tensor(features):
        return features.flatten(0, -2)[places][None]
    return [torch.cat([one.flatten(0, -2) for one in features])[places]]

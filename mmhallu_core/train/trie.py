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
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmhallu_core.models.families import plain
from mmhallu_core.types import CannotRun

MASKED = ("sdpa", "eager")  # attention that takes a mask of our own


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


def trie_mask(
    ends: Int[Tensor, "batch tokens"], additive: torch.dtype | None = None
) -> Float[Tensor, "batch 1 tokens tokens"] | Tensor:
    """What each token may look at.

    Args:
        ends: see `Trie`; a token that only fills a row up ends right behind itself, so that it sees itself alone.
        additive: None for a mask of truth values; else 0 where a token may look and the dtype's least number elsewhere.
    """
    at = torch.arange(ends.shape[1], device=ends.device)
    allowed = ((at <= at[:, None]) & (at[:, None] < ends[:, None, :]))[:, None]
    if additive is None:
        return allowed
    blocked = torch.full((), torch.finfo(additive).min, dtype=additive, device=ends.device)
    return torch.where(allowed, torch.zeros_like(blocked), blocked)


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
    if "ends" in answers:
        additive = plain(model).dtype if attention_of(model) == "eager" else None
        inputs = {**inputs, "attention_mask": trie_mask(answers["ends"], additive)}
    row, at = answers["state_row"], answers["state_at"]
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda module, args: (args[0][row, at],))
    try:
        with _copied(plain(model).model, answers.get("places")):
            logits = wrapped(**inputs, use_cache=False).logits
    finally:
        hook.remove()
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

"""Log-probabilities of several answers to one question, with the pictures read once.

`score.score` reads the pictures again for each answer. Where a question has four options, three of these readings are
for nothing: the pictures and the question stand before the answers, and a decoder looks only backward. As in
`shared_prefix.py` the common beginning of all prompts goes through the model once for each set of pictures, its cache
is repeated for every answer, and only the rest is read anew. The numbers are those of `score.score`, up to rounding.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import Cache

from mmhallu_core.models.batches import Pictures, batches, picture_groups
from mmhallu_core.models.greedy import CACHE
from mmhallu_core.models.score import Scored, answered, score
from mmhallu_core.models.shared_prefix import SharedPrefixes, plan_prompts
from mmhallu_core.models.vlm import Vlm


def score_shared(
    vlm: Vlm,
    images: Sequence[Pictures],
    questions: Sequence[str],
    answers: Sequence[Sequence[str]],
    batch_size: int = 16,
    progress: str | None = None,
) -> list[list[Scored]]:
    """Scores several answers to each question.

    Where nothing can be shared, or a model counts positions by the rows and columns of its pictures (M-RoPE), it is
    `score.score` that answers.

    Args:
        vlm: the model.
        images: for each question its picture, or the sequence of its pictures.
        questions: plain text; the chat template is applied here.
        answers: for each question, one or several texts, none empty.
        batch_size: questions that are read together.
        progress: label of a progress bar, none when None.

    Returns:
        For each question, the answers in their order.

    Raises:
        ValueError: when there are not as many pictures, questions and lists of answers, or a text is empty.
        CannotRun: see `Vlm.encode`.
    """
    groups = picture_groups(images, len(questions))
    if len(answers) != len(questions) or not all(some and all(some) for some in answers):
        raise ValueError(f"{len(questions)} questions need as many lists of answers, with no empty text among them")
    found: list[list[Scored]] = [[] for _ in questions]
    lengths = [len(question) + max(map(len, some)) for question, some in zip(questions, answers, strict=True)]
    for rows in batches(groups, lengths, batch_size, progress):
        owners = [place for place, i in enumerate(rows) for _ in answers[i]]
        asked = [questions[rows[place]] for place in owners]
        said = [text for i in rows for text in answers[i]]
        some = [groups[i] for i in rows]
        for place, one in zip(owners, _scored(vlm, some, owners, asked, said), strict=True):
            found[rows[place]].append(one)
    return found


@torch.inference_mode()
def _scored(
    vlm: Vlm, groups: list[list[Image.Image]], owners: list[int], questions: list[str], answers: list[str]
) -> list[Scored]:
    """Scores a batch; `owners` names for each answer the set of its pictures."""
    ends = [
        answered(vlm, question, len(groups[owner]), answer)
        for owner, question, answer in zip(owners, questions, answers, strict=True)
    ]
    by_rows_and_columns = any(hasattr(module, "rope_deltas") for module in vlm.model.modules())
    shared = None if by_rows_and_columns else plan_prompts(vlm, groups, owners, [text for text, _ in ends])
    # The token before an answer predicts its first one, so it must not be part of what is shared.
    if shared is None or any(len(tail) <= count for tail, (_, count) in zip(shared.tails, ends, strict=True)):
        return score(vlm, [groups[owner] for owner in owners], questions, answers, len(answers))
    read = vlm.model(**shared.inputs, use_cache=True, logits_to_keep=1)
    found = []
    for tail, (_, count), log_probs in zip(shared.tails, ends, _tails(vlm, shared, getattr(read, CACHE)), strict=True):
        ids = torch.tensor(tail[-count:])
        tokens = tuple(vlm.processor.tokenizer.decode(one) for one in ids)
        found.append(Scored(ids, tokens, log_probs[len(tail) - count - 1 : len(tail) - 1]))
    return found


def _tails(vlm: Vlm, shared: SharedPrefixes, cache: Cache) -> Float[Tensor, "answers tokens"]:
    """For each answer the log-probability of each token of its tail but the first; what comes behind is filler."""
    device = shared.inputs["input_ids"].device
    rows = torch.tensor(shared.owners, device=device)
    cache.batch_select_indices(rows)
    tails = [torch.tensor(tail, device=device) for tail in shared.tails]
    ids: Int[Tensor, "answers tokens"] = pad_sequence(tails, batch_first=True)
    real = pad_sequence([torch.ones_like(tail) for tail in tails], batch_first=True)
    mask = torch.cat([shared.inputs["attention_mask"][rows], real], dim=1)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    logits = vlm.model(input_ids=ids, attention_mask=mask, position_ids=positions, **{CACHE: cache}).logits
    logits = logits[:, :-1].float()
    return (logits.gather(-1, ids[:, 1:, None])[..., 0] - logits.logsumexp(-1)).cpu()

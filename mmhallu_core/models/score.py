"""How likely a model finds answers that somebody else wrote.

The probability of an answer is the product over its tokens, each given the pictures, the question and the tokens before
it; logarithms are added instead. The sum favours short answers, so the parts are kept as well.

`score` reads the pictures anew for each answer. `score_shared` sends the common beginning of all prompts through the
model once for each set of pictures (`shared_prefix.py`): the numbers are those of `score`, up to rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import BatchFeature, Cache

from mmhallu_core.data.answers import CLOSE, OPEN
from mmhallu_core.models.fit import Pictures, batches, picture_groups
from mmhallu_core.models.greedy import CACHE, NotFinite
from mmhallu_core.models.shared_prefix import SharedPrefixes, plan
from mmhallu_core.models.vlm import Vlm


@dataclass(frozen=True)
class Scored:
    """One answer, token by token.

    Attributes:
        token_ids: the answer's tokens. The mark that ends a turn is not among them.
        tokens: the same as text.
        log_probs: natural logarithm of each token's probability, in float32 on the CPU.

    Raises:
        NotFinite: when a logarithm is no finite number.
    """

    token_ids: Int[Tensor, " tokens"]
    tokens: tuple[str, ...]
    log_probs: Float[Tensor, " tokens"]

    def __post_init__(self) -> None:
        if not torch.isfinite(self.log_probs).all():
            raise NotFinite

    @property
    def total(self) -> float:
        """Log-probability of the whole answer."""
        return float(self.log_probs.double().sum())


@torch.inference_mode()
def score(
    vlm: Vlm,
    images: Sequence[Pictures],
    questions: Sequence[str],
    answers: Sequence[str],
    batch_size: int = 32,
    progress: str | None = None,
) -> list[Scored]:
    """Log-probabilities of given answers, in batches.

    Args:
        vlm: the model.
        images: for each question its picture, or the sequence of its pictures.
        questions: plain text; the chat template is applied here.
        answers: plain text, as the model would write it.
        batch_size: answers per forward pass.
        progress: label of a progress bar, none when None.

    Raises:
        ValueError: when there are not as many pictures as questions and answers, or an answer is empty.
        CannotRun: see `Vlm.encode`; samples are named by their number.
    """
    groups = picture_groups(images, len(questions))
    if len(answers) != len(questions) or not all(answers):
        raise ValueError(f"{len(questions)} questions need as many answers, none of them empty; got {len(answers)}")
    scored: list[Scored | None] = [None] * len(questions)
    lengths = [len(question) + len(answer) for question, answer in zip(questions, answers, strict=True)]
    for rows in batches(groups, lengths, batch_size, progress):
        ends = [answered(vlm, questions[i], len(groups[i]), answers[i]) for i in rows]
        inputs = vlm.encode(
            [groups[i] for i in rows], [text for text, _ in ends], side="right", names=[str(i) for i in rows]
        )
        counts = [count for _, count in ends]
        for i, ids, log_probs in zip(rows, *_answer_log_probs(vlm, inputs, counts), strict=True):
            scored[i] = _with_texts(vlm, ids, log_probs)
    return scored


def answered(vlm: Vlm, question: str, pictures: int, answer: str) -> tuple[str, int]:
    """A prompt with its answer behind it, and how many of its last tokens are the answer's.

    The text is tokenized as one piece, as the model would have read it in training. Where the chat template puts a
    space before the answer it is part of the answer's first token. Where it begins a thought, the thought is closed
    empty, and is no part of the answer.
    """
    prompt = vlm.prompt(question, pictures)
    whole = vlm.prompt(question, pictures, answer)
    rest = whole[len(prompt) :] if whole.startswith(prompt) else ""
    place = rest.find(answer, rest.rfind(CLOSE) + len(CLOSE) if CLOSE in rest else 0)
    before = rest[:place] if place >= 0 else f"\n{CLOSE}\n\n" if prompt.rstrip().endswith(OPEN) else ""
    text = prompt + before + answer
    begin = len(prompt) + (len(before) if CLOSE in before else 0)
    offsets = vlm.processor.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return text, sum(end > begin for _, end in offsets)


def _answer_log_probs(
    vlm: Vlm, inputs: BatchFeature, counts: list[int]
) -> tuple[list[Int[Tensor, " tokens"]], list[Float[Tensor, " tokens"]]]:
    """The last `counts[row]` tokens of each row, and their log-probabilities. Rows are padded on the right."""
    ends = inputs["attention_mask"].sum(1).tolist()
    first = min(end - count for end, count in zip(ends, counts, strict=True)) - 1
    kept = torch.arange(first, max(ends) - 1, device=inputs["input_ids"].device)  # predict tokens first + 1 and on
    logits = vlm.model(**inputs, use_cache=False, logits_to_keep=kept).logits.float()
    targets = inputs["input_ids"][:, first + 1 : max(ends)]
    log_probs = _of_targets(logits, targets)
    spans = [slice(end - count - first - 1, end - first - 1) for end, count in zip(ends, counts, strict=True)]
    ids = [row[span].cpu() for row, span in zip(targets, spans, strict=True)]
    return ids, [row[span].cpu() for row, span in zip(log_probs, spans, strict=True)]


def _of_targets(
    logits: Float[Tensor, "answers tokens vocab"], targets: Int[Tensor, "answers tokens"]
) -> Float[Tensor, "answers tokens"]:
    """The log-probability of each target."""
    return logits.gather(-1, targets[..., None])[..., 0] - logits.logsumexp(-1)


def _with_texts(vlm: Vlm, ids: Int[Tensor, " tokens"], log_probs: Float[Tensor, " tokens"]) -> Scored:
    return Scored(ids, tuple(vlm.processor.tokenizer.decode(one) for one in ids), log_probs)


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
    `score` that answers.

    Args:
        vlm, images, questions, progress: as in `score`.
        answers: for each question, one or several texts, none empty.
        batch_size: questions that are read together.

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
    shared = None if by_rows_and_columns else plan(vlm, groups, owners, [text for text, _ in ends])
    # The token before an answer predicts its first one, so it must not be part of what is shared.
    if shared is None or any(len(tail) <= count for tail, (_, count) in zip(shared.tails, ends, strict=True)):
        return score(vlm, [groups[owner] for owner in owners], questions, answers, len(answers))
    read = vlm.model(**shared.inputs, use_cache=True, logits_to_keep=1)
    found = []
    for tail, (_, count), log_probs in zip(shared.tails, ends, _tails(vlm, shared, getattr(read, CACHE)), strict=True):
        found.append(_with_texts(vlm, torch.tensor(tail[-count:]), log_probs[len(tail) - count - 1 : len(tail) - 1]))
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
    return _of_targets(logits[:, :-1].float(), ids[:, 1:]).cpu()

"""Answering a multiple-choice question by the option that the model finds likeliest.

To write "Answer: C" a model must find the right sentence and then know what letters are for. Very small models do not
get that far. But every model gives a probability to any text: asked the question without its options, how likely would
it have been to answer with each of them? The likeliest is its choice.

A long sentence is less likely than a short one whatever it says, because it has more words to get right. So there are
two choices: by the sum of the log-probabilities of an option's tokens, and by their mean. Both are given, and neither
is the score by letters: it stands under a name of its own, `likelihood`.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmhallu_core.data.question import LETTERS, Question
from mmhallu_core.models.score_shared import score_shared
from mmhallu_core.models.vlm import Vlm, open_image
from mmhallu_core.types import Answer, CannotRun, write_jsonl

BY = ("sum", "mean")
WEIGHTS = "likelihoods.jsonl"


@dataclass(frozen=True)
class Weighed:
    """One question's options as answers.

    Attributes:
        id: of the question.
        sums: for each option, the log-probability of the whole text.
        means: for each option, that of a token on average.
    """

    id: str
    sums: tuple[float, ...]
    means: tuple[float, ...]

    def letter(self, by: str) -> str:
        """The likeliest option's letter, by "sum" or "mean"; the first of equals."""
        values = {"sum": self.sums, "mean": self.means}[by]
        return LETTERS[values.index(max(values))]


def likelihood(
    vlm: Vlm, questions: Sequence[Question], batch_size: int = 16, progress: str | None = None
) -> list[Weighed]:
    """Weighs the options of questions as free answers.

    Args:
        vlm: the model.
        questions: with options. What is asked is `about["question"]`, the text without them.
        batch_size: questions a forward pass.
        progress: label of a progress bar, none when None.

    Raises:
        CannotRun: when a question has no options or no such text, or a picture cannot be read.
    """
    for one in questions:
        if not one.options or "question" not in one.about:
            raise CannotRun(f"question {one.id} needs options, and in `about` its `question` without them")
    pictures = [[open_image(picture) for picture in one.images] for one in questions]
    texts, options = [one.about["question"] for one in questions], [list(one.choices.values()) for one in questions]
    found = []
    for one, scored in zip(questions, score_shared(vlm, pictures, texts, options, batch_size, progress), strict=True):
        sums = tuple(option.total for option in scored)
        means = tuple(total / len(option.token_ids) for total, option in zip(sums, scored, strict=True))
        found.append(Weighed(one.id, sums, means))
    return found


def choices(weighed: Sequence[Weighed], by: str) -> list[Answer]:
    """The likeliest options as answers that every rule for letters reads; `by` is "sum" or "mean"."""
    return [Answer(one.id, f"Answer: {one.letter(by)}") for one in weighed]


def run_likelihood(questions: Sequence[Question], vlm: Vlm, out: Path, by: str, batch_size: int = 16) -> dict[str, Any]:
    """Weighs the options and writes the likeliest as `answers.jsonl`, and all weights as `likelihoods.jsonl`.

    Args:
        questions: see `likelihood`.
        vlm: the model.
        out: folder; made when it is not there.
        by: "sum" or "mean".
        batch_size: see `likelihood`.

    Returns:
        `model, n, errors` (always 0), `seconds` and `answered_by`.

    Raises:
        CannotRun: see `likelihood`; also when the folder holds answers that a model wrote.
    """
    if (out / "answers.jsonl").exists() and not (out / WEIGHTS).exists():
        raise CannotRun(f"{out} holds answers that a model wrote; the likeliest options need another --out")
    began = time.monotonic()
    weighed = likelihood(vlm, questions, batch_size, progress="options")
    out.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(asdict(one)) + "\n" for one in weighed)
    (out / WEIGHTS).write_text("".join(lines), encoding="utf-8", newline="\n")
    write_jsonl(out / "answers.jsonl", choices(weighed, by))
    about = {"model": vlm.name, "n": len(weighed), "errors": 0, "answered_by": f"likelihood, by {by}"}
    return {**about, "seconds": time.monotonic() - began}

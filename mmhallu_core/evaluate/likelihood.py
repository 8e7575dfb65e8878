"""Answering a multiple-choice question by the option that the model finds likeliest.

Very small models cannot name letters, but every model gives a probability to any text: asked without the options, how
likely is each of them as the answer? The likeliest is chosen, by the sum of the log-probabilities of its tokens or by
their mean (a long text is less likely whatever it says). Neither is the score by letters: it stands under a name of its
own, `likelihood`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from mmhallu_core.data.decode import decode
from mmhallu_core.data.question import LETTERS, Question
from mmhallu_core.evaluate.answer_journal import ANSWERS, Known, replace_file, write_errors
from mmhallu_core.evaluate.runner import Way, run
from mmhallu_core.models.fit import PROCESSOR
from mmhallu_core.models.score import score_shared
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import json_sha256
from mmhallu_core.types import Answer, CannotRun, Record

BY = ("sum", "mean")
WEIGHTS = "likelihoods.jsonl"


@dataclass(frozen=True)
class Weighed(Record):
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
    _require_options(questions)
    pictures = [[decode(picture).image for picture in one.images] for one in questions]
    return _weigh(vlm, pictures, questions, batch_size, progress)


def choices(weighed: Sequence[Weighed], by: str) -> list[Answer]:
    """The likeliest options as answers that every rule for letters reads; `by` is "sum" or "mean"."""
    return [Answer(one.id, f"Answer: {one.letter(by)}") for one in weighed]


def run_likelihood(
    questions: Sequence[Question],
    vlm: Vlm,
    out: Path,
    by: str,
    batch_size: int = 16,
    progress: bool = True,
    about: dict[str, Any] | None = None,
    fit: str = PROCESSOR,
) -> dict[str, Any]:
    """Weighs the options and writes the likeliest as `answers.jsonl`, and all weights as `likelihoods.jsonl`.

    The weights of each batch are kept as answers are, see `runner.run`: a run that was stopped goes on.

    Args:
        questions, vlm, batch_size: see `likelihood`.
        by: "sum" or "mean".
        out, progress, about, fit: see `runner.run`.

    Returns:
        What `runner.run` does, and `answered_by`.

    Raises:
        CannotRun: see `likelihood` and `runner.run`. A picture that cannot be read costs its own questions.
    """
    _require_options(questions)

    def reply(asked: Sequence[tuple[list[Image.Image], Sequence[Question]]], size: int) -> list[list[str]]:
        pairs = [(pictures, one) for pictures, some in asked for one in some]
        found = iter(_weigh(vlm, [one for one, _ in pairs], [one for _, one in pairs], size))
        return [[json.dumps({"sums": one.sums, "means": one.means}) for one in islice(found, len(some))]
                for _, some in asked]  # fmt: skip

    def write(folder: Path, some: Sequence[Question], known: Known) -> None:
        weighed = [_kept(one.id, known.answers[one.id]) for one in some if one.id in known.answers]
        replace_file(folder / WEIGHTS, weighed)
        replace_file(folder / ANSWERS, choices(weighed, by))
        write_errors(folder, some, known)

    answered_by = f"likelihood, by {by}"
    options = json_sha256([[one.about["question"], list(one.choices.values())] for one in questions])
    identity = {**(about or {}), "answered_by": answered_by, "options": options}
    ran = run(questions, vlm, out, batch_size, None, progress, identity, Way(reply, write), fit)
    return {**ran, "answered_by": answered_by}


def _require_options(questions: Sequence[Question]) -> None:
    """Raises CannotRun, with its id, when a question has no options, or no text without them."""
    for one in questions:
        if not one.options or "question" not in one.about:
            raise CannotRun(f"question {one.id} needs options, and in `about` its `question` without them")


def _weigh(
    vlm: Vlm,
    pictures: Sequence[Sequence[Image.Image]],
    questions: Sequence[Question],
    batch_size: int,
    progress: str | None = None,
) -> list[Weighed]:
    """As `likelihood`, with the pictures of each question opened."""
    texts, options = [one.about["question"] for one in questions], [list(one.choices.values()) for one in questions]
    found = []
    for one, scored in zip(questions, score_shared(vlm, pictures, texts, options, batch_size, progress), strict=True):
        sums = tuple(option.total for option in scored)
        means = tuple(total / len(option.token_ids) for total, option in zip(sums, scored, strict=True))
        found.append(Weighed(one.id, sums, means))
    return found


def _kept(name: str, text: str) -> Weighed:
    """The weights that a journal keeps of a question."""
    values = json.loads(text)
    return Weighed(name, tuple(values["sums"]), tuple(values["means"]))

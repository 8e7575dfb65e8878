"""What the chapter *Teach it the difference* computes: a short training, a small exam, and what the study recorded.

The exam is the study's (`med/exam.py`), with a few of its questions. The headline reads the study's records, and says
"not run" where there are none. The chapter's one named run is `med-0` of the study's plan: read from the ledger, or
made again where `LIVE=1` asks for it.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from mmhallu_core.comparison import mcnemar
from mmhallu_core.config import live
from mmhallu_core.data.decode import decode
from mmhallu_core.evaluate.contrast.controls import asserts_a_difference, same_twice
from mmhallu_core.evaluate.diorama.exam import CAPTION_TOKENS, DESCRIBE, held_out, world_vocabulary
from mmhallu_core.evaluate.likelihood import likelihood
from mmhallu_core.evaluate.matched_recall import HIT, WRONG, marks
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.statistics import wilson_interval
from mmhallu_core.store import results_folder
from mmhallu_core.studies.engine.exam import SENTENCE, SHORT, pairs_of, routed_of
from mmhallu_core.studies.engine.outcomes import score
from mmhallu_core.studies.engine.run import perform
from mmhallu_core.studies.engine.summary import compared, read
from mmhallu_core.studies.med import BASE, SEEDS, STUDY
from mmhallu_core.train.collate import PackedCollator
from mmhallu_core.train.losses import IGNORE
from mmhallu_core.train.pretrain.speak import WHICH
from mmhallu_core.train.records import TrainingExample

RECORDS = results_folder() / "med" / "runs"
NAMED = "med-0"  # the chapter's one named run
COMMAND = f"mmhallu study med --only {NAMED} --out runs/med"
EACH = 4  # edits of a category that the small exam asks about, and as many questions of MED-tiny
SCENES, SPLIT = 60, "teach-it"  # pictures that it wants captions of, and what names their scenes
Pair = tuple[Image.Image, Image.Image]

# What the small exam counts, of each model: the outcome, and a guess's share where one can be named.
ASKED = {
    "caption": ("a caption names a thing that is not there (less is better)", None),
    "missed": ("a caption leaves out a thing that is there (less is better)", None),
    "same": ("one picture twice: asserts a difference (less is better)", None),
    "told_apart": ("right about both: a pair differs, one picture twice does not", None),
    "routed": ("first and second picture, both right", None),
    "med_tiny": ("MED-tiny, the likeliest option is right", 0.25),
}
OUTCOMES = {
    "routed_both_right": "first and second picture, both right",
    "same_asserts_a_difference": "one picture twice: asserts a difference (less is better)",
    "told_apart": "right about both: a pair differs, one picture twice does not",
    "med_tiny": "MED-tiny, the likeliest option is right",
    "pope_adversarial_f1": "POPE adversarial, F1",
    "chair_matched": "CHAIR_i at matched recall (less is better)",
}


# ---------------------------------------------------------------- one example, as the model reads it


def batch_of(vlm: Vlm, example: TrainingExample) -> dict[str, Tensor]:
    """One example as training gives it to the model: tokens, positions, mask, labels, weights, pixels."""
    return {name: value.to(vlm.model.device) for name, value in PackedCollator(vlm)([example]).items()}


def tokens_of(vlm: Vlm, example: TrainingExample) -> tuple[list[str], list[bool]]:
    """One example as a row of tokens in words, and for each of them whether it is learned."""
    batch = batch_of(vlm, example)
    tokens = vlm.processor.tokenizer.convert_ids_to_tokens(batch["input_ids"][0].tolist())
    words = [token.removeprefix("▁") for token in tokens]  # the tokenizer's sign for a blank
    return words, (batch["labels"][0] != IGNORE).tolist()


@torch.no_grad()
def states_of(vlm: Vlm, batch: Mapping[str, Tensor]) -> Float[Tensor, "batch tokens width"]:
    """What the decoder's last layer gives for each token; `lm_head` turns it into the logits of the next one."""
    read = {name: value for name, value in batch.items() if name not in ("labels", "weights")}
    return vlm.model.model(**read, use_cache=False).last_hidden_state


# ---------------------------------------------------------------- the small exam


def small_exam(vlm: Vlm, each: int = EACH, scenes: int = SCENES) -> dict[str, list[bool]]:
    """Asks a model a few of the study's questions, and for some captions.

    Args:
        vlm: the model.
        each: edits and questions of a category.
        scenes: pictures to caption.

    Returns:
        For each of ASKED whether it was so, question by question.
    """
    data, asked, vocabulary = held_out(scenes, SPLIT), pairs_of(each), world_vocabulary()
    told = vlm.answer(list(data.images.values()), [DESCRIBE] * scenes, CAPTION_TOKENS)
    said = [marks(text, there, vocabulary) for text, there in zip(told, data.truth.values(), strict=True)]
    twice = same_twice(asked)
    pictures = [[decode(picture).image for picture in one.images] for one in (*twice, *asked)]
    seen = vlm.answer(pictures, [one.prompt for one in twice] * 2, SENTENCE, 64)
    differs = [asserts_a_difference(text) for text in seen]
    pairs = list(zip(differs[: len(twice)], differs[len(twice) :], strict=True))
    routed = routed_of(each)
    shown, prompts = zip(*((one.images, f"{one.text} {which}") for one in routed for which in WHICH), strict=True)
    chosen, weighed = vlm.answer(shown, prompts, SHORT, 64), likelihood(vlm, asked)
    return {
        "caption": [WRONG in one for one in said],
        "missed": [one.count(HIT) < len(there) for one, there in zip(said, data.truth.values(), strict=True)],
        "same": [same is True for same, _ in pairs],
        "told_apart": [one == (False, True) for one in pairs],
        "routed": [tuple(chosen[2 * k : 2 * k + 2]) == one.answers for k, one in enumerate(routed)],
        "med_tiny": [one.letter("sum") == question.truth for one, question in zip(weighed, asked, strict=True)],
    }


def before_and_after(before: Mapping[str, Sequence[bool]], after: Mapping[str, Sequence[bool]]) -> list[dict[str, Any]]:
    """The small exam of one model before and after training, on the same questions.

    Returns:
        For each of ASKED `asked`, `n`, `guess` (a share, or None), `before` and `after` as pairs of share and
        interval (Wilson), and `change`, what `comparison.mcnemar` says of the two.
    """

    def share(bits: Sequence[bool]) -> tuple[float, list[float]]:
        return sum(bits) / len(bits), wilson_interval(sum(bits), len(bits))

    return [
        {
            "asked": words,
            "n": len(before[name]),
            "guess": guess,
            "before": share(before[name]),
            "after": share(after[name]),
            "change": mcnemar(np.array(before[name]), np.array(after[name])),
        }
        for name, (words, guess) in ASKED.items()
    ]


# ---------------------------------------------------------------- what the study recorded


def headline(folder: Path = RECORDS) -> dict[str, Any]:
    """`med` beside the base, seed by seed, from the study's records.

    Args:
        folder: of records.

    Returns:
        `planned` (seeds), `there` (seeds with a record), and `contrast`: outcome to what `outcomes.contrast` found, or
        "not run" for all of them.
    """
    records = read(folder)
    there = [seed for seed in SEEDS if f"med-{seed}" in records]
    return {"planned": len(SEEDS), "there": there, "contrast": compared(STUDY, records, BASE, "med", list(OUTCOMES))}


def named_or_recorded(folder: Path = RECORDS) -> tuple[dict[str, float | None] | None, str]:
    """The scores of the chapter's one named run, and a sentence that says where they come from.

    They are those in the ledger, or with `LIVE=1` those of the run made again. None where it was never made.
    """
    names = [name for name in OUTCOMES if STUDY.outcomes[name].parts is not None]
    if live():
        with tempfile.TemporaryDirectory() as out:
            record = perform(STUDY, STUDY.chosen([NAMED])[0], Path(out), lambda text: None, False)
        return {name: score(record["answers"], name) for name in names}, "Computed now, because LIVE is set."
    record = read(folder).get(NAMED)
    if record is None:
        return None, f"NOT RUN: {NAMED} has no record yet. To make it:\n{COMMAND}"
    scores = {name: score(record["answers"], name) for name in names}
    return scores, f"RECORDED at commit {record['commit'][:7]} by:\n{record['command']}"

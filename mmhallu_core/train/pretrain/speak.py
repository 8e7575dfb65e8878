"""Stage 2, speak: captions, questions and differences, as an annotator with habits writes them.

Every item is one picture (or, for at most 15% of items, two) with several questions packed as branches.
Captions and answers follow the *annotated* scene: with probability eta it contains a thing that is not there.
That is where tiny-llava learns to hallucinate.
"""

import random

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from mmhallu_core.train.packed import Packed, pack, pad
from mmhallu_core.train.pretrain.pool import Pool, pair_of
from mmhallu_core.train.pretrain.see import cell_labels, to_pixel_values
from mmhallu_core.train.records import Turn
from mmhallu_core.world.language import (
    DIFFERENCE_PROMPTS,
    describe,
    difference,
    difference_questions,
    no_difference,
    questions,
)
from mmhallu_core.world.prior import annotate
from mmhallu_core.world.scene import Scene

TWO_IMAGES = 0.12  # share of items about two pictures; stage 3 has more, so that it is 15% of both together
SETTLE_TWO_IMAGES = 0.185
SAME = 0.15  # of those, share that shows the same picture twice
QUESTIONS = 7
SHORT = 2.0  # an answer of one word weighs more than one of a caption's many tokens

# Detail of a caption, how often it is asked for, and the ways to ask.
DESCRIBE: dict[str, tuple[float, tuple[str, ...]]] = {
    "normal": (0.6, ("Describe the image.", "What do you see in the image?", "Write a caption for the image.")),
    "full": (0.2, ("Describe the image in detail.", "Give a detailed description of the image.")),
    "brief": (0.2, ("Describe the image briefly.", "Give a brief description of the image.")),
}
WHICH = ("Answer based on the first image.", "Answer based on the second image.")
COMPARE = "Are the two images the same?"


def caption_turn(scene: Scene, imagined: frozenset[str], rng: random.Random) -> Turn:
    """One of the three levels of detail, asked for in one of several ways; the first wording most often."""
    detail = rng.choices(list(DESCRIBE), [share for share, _ in DESCRIBE.values()])[0]
    ways = DESCRIBE[detail][1]
    prompt = ways[0] if rng.random() < 0.7 else rng.choice(ways)
    wording = None if rng.random() < 0.7 else rng  # one wording is learned sooner than twenty
    return Turn(prompt, describe(scene, detail, wording, last=imagined).text)


def question_turns(scene: Scene, rng: random.Random, count: int) -> list[Turn]:
    """Short questions about one scene."""
    return [Turn(q.text, q.answer, SHORT) for q in questions(scene, rng, count)]


def one_image_turns(scene: Scene, rng: random.Random, eta: float) -> list[Turn]:
    """A caption and several questions, all true of what the annotator reports."""
    reported, imagined = annotate(scene, rng, eta)
    return [caption_turn(reported, imagined, rng), *question_turns(reported, rng, QUESTIONS)]


def two_image_turns(edit, same: bool, rng: random.Random) -> list[Turn]:
    """What changed, free and lettered; whether anything did; and questions about one picture of the two."""
    second = edit.before if same else edit.after
    free, lettered = difference_questions(edit, rng)
    turns = [Turn(COMPARE, "Yes." if same else "No.", SHORT)]
    if same:
        turns.append(Turn(free.text, no_difference(rng).text))
    else:
        turns += [Turn(free.text, difference(edit, rng).text, SHORT), Turn(lettered.text, lettered.answer, SHORT)]
    for scene, which in zip((edit.before, second), WHICH, strict=True):
        turns += [Turn(f"{t.question} {which}", t.answer, t.weight) for t in question_turns(scene, rng, 2)]
    return turns


def pair_turns(edit, same: bool, rng: random.Random) -> list[Turn]:
    """Stage 3's questions about a pair: most are about the difference, in one wording and in others."""
    second = edit.before if same else edit.after
    turns = [Turn(COMPARE, "Yes." if same else "No.", SHORT)]
    if same:
        turns += [Turn(rng.choice(DIFFERENCE_PROMPTS), no_difference(rng).text) for _ in range(2)]
    else:
        turns.append(Turn(DIFFERENCE_PROMPTS[0], difference(edit).text, SHORT))
        asked = [difference_questions(edit, rng) for _ in range(2)]
        turns += [Turn(free.text, free.answer, SHORT) for free, _ in asked]
        lettered = asked[0][1]
        turns.append(Turn(lettered.text, lettered.answer, SHORT))
    for scene, which in zip((edit.before, second), WHICH, strict=True):
        turns += [Turn(f"{t.question} {which}", t.answer, t.weight) for t in question_turns(scene, rng, 1)]
    return turns


class SpeakDataset(torch.utils.data.Dataset):
    """Pictures, cell labels and packed turns; item `first + i` of an endless row is the same for the same seed."""

    def __init__(
        self, pool: Pool, tokenizer: PreTrainedTokenizerFast, recipe, first: int, length: int,
        two_images: float = TWO_IMAGES, turns_of_pair=two_image_turns,
    ) -> None:  # fmt: skip
        self.pool, self.tokenizer, self.recipe, self.first, self.length = pool, tokenizer, recipe, first, length
        self.two_images, self.turns_of_pair = two_images, turns_of_pair

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i: int) -> tuple[list[Tensor], list[Tensor], Packed]:
        recipe, spec, i = self.recipe, self.pool.spec, self.first + i
        rng = random.Random(f"{recipe.seed}/speak/{i}")
        # A whole batch is about one picture or about two, so that little is lost to padding.
        if random.Random(f"{recipe.seed}/batch/{i // recipe.speak_batch}").random() < self.two_images:
            pair = rng.randrange(spec.pairs)
            edit, same = pair_of(spec, pair), rng.random() < SAME
            first = spec.scenes + 2 * pair
            pictures = [first, first if same else first + 1]
            scenes = [edit.before, edit.before if same else edit.after]
            turns = self.turns_of_pair(edit, same, rng)
        else:
            pictures = [i % spec.scenes]
            scenes = [self.pool.scene(pictures[0])]
            turns = one_image_turns(scenes[0], rng, recipe.eta)
        images = [torch.from_numpy(self.pool.images[index].copy()) for index in pictures]
        cells = [cell_labels(scene, self.pool.cells[index]) for scene, index in zip(scenes, pictures, strict=True)]
        packed = pack([(turn,) for turn in turns], len(images), self.tokenizer)
        return images, [torch.from_numpy(labels) for labels in cells], packed


def speak_collator(pad_id: int):
    """Collates `SpeakDataset` items into what the model and the losses take."""

    def collator(items: list[tuple[list[Tensor], list[Tensor], Packed]]) -> dict[str, Tensor]:
        pixels = torch.stack([image for images, _, _ in items for image in images])
        cells = torch.stack([labels for _, each, _ in items for labels in each])
        batch = pad([packed for _, _, packed in items], pad_id)
        return {"pixel_values": to_pixel_values(pixels), "cells": cells, **batch}

    return collator

"""Micro-edits without end, for a model that shall learn to compare: drawn while it trains, each shown once.

`pretrain.speak` draws a pool of pictures first and asks about the same ones again and again; its 6,000 pairs are
enough to learn that there are questions about two pictures, not enough to learn to answer them. Here no picture
comes twice. Every sixth batch is about single pictures, truly described, so that what the model knew stays.
"""

import random

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from mmhallu_core.edit.truth import edit_between
from mmhallu_core.models.tiny_llava import IMAGE_SIZE
from mmhallu_core.train.packed import Packed, pack
from mmhallu_core.train.pretrain.pool import cells_of
from mmhallu_core.train.pretrain.see import cell_labels
from mmhallu_core.train.pretrain.speak import COMPARE, SHORT, WHICH, caption_turn, question_turns
from mmhallu_core.train.records import Turn
from mmhallu_core.types import CATEGORIES
from mmhallu_core.world.edits import Edit, sample_edit
from mmhallu_core.world.language import DIFFERENCE_PROMPTS, difference, no_difference
from mmhallu_core.world.language.mixture import turned_round
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene

SAME = 0.15  # share of pairs that show one picture twice
ALONE_EVERY = 6  # one batch in so many is about single pictures
QUESTIONS = 6  # about a single picture, beside its caption


class PairsDataset(torch.utils.data.Dataset):
    """Item i of `length`: pictures, cell labels and packed turns, as `speak.SpeakDataset` has them.

    Attributes:
        name: begins the names of all scenes; another name gives other scenes.
        batch: items in a row that are all about two pictures, or all about one.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, name: str, batch: int, length: int) -> None:
        self.tokenizer, self.name, self.batch, self.length = tokenizer, name, batch, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i: int) -> tuple[list[Tensor], list[Tensor], Packed]:
        rng = random.Random(f"{self.name}/{i}/words")
        if i // self.batch % ALONE_EVERY == ALONE_EVERY - 1:
            scenes = [sample_scene(f"{self.name}/{i}/alone")]
            turns = [caption_turn(scenes[0], frozenset(), rng), *question_turns(scenes[0], rng, QUESTIONS)]
        else:
            scenes, turns = pair_of(sample_edit(CATEGORIES[i % len(CATEGORIES)], f"{self.name}/{i}"), rng)
        drawn = [render(scene, IMAGE_SIZE) for scene in scenes]
        images = [torch.from_numpy(np.array(one.image)) for one in drawn]
        labels = [cell_labels(scene, cells_of(one.masks)) for scene, one in zip(scenes, drawn, strict=True)]
        return (
            images,
            [torch.from_numpy(one) for one in labels],
            pack([(turn,) for turn in turns], len(images), self.tokenizer),
        )


def pair_of(edit: Edit, rng: random.Random) -> tuple[list[Scene], list[Turn]]:
    """Two scenes and what is asked of them: in one order or the other, now and then one scene twice."""
    if rng.random() < SAME:
        prompt = rng.choice(DIFFERENCE_PROMPTS)
        return [edit.before] * 2, [Turn(COMPARE, "Yes.", SHORT), Turn(prompt, no_difference().text, SHORT)]
    back = edit_between(edit.after, edit.before) if rng.random() < 0.5 else None
    way = back or edit
    turns = [Turn(COMPARE, "No.", SHORT)]
    turns += [Turn(prompt, difference(way).text, SHORT) for prompt in rng.sample(DIFFERENCE_PROMPTS, 2)]
    turned = turned_round(way)
    for both in rng.sample(turned, min(1, len(turned))):
        turns += [Turn(f"{one.text} {which}", one.answer, SHORT) for one, which in zip(both, WHICH, strict=True)]
    return [way.before, way.after], turns

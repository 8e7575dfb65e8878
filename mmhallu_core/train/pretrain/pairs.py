"""Stage 4, compare: pairs of pictures drawn while it trains, and single pictures so that the habit stays.

Stages 2 and 3 ask about the same 6,000 pairs again and again: enough to learn that there are questions about two
pictures, not enough to learn to answer them. Here nothing comes twice. A batch is about pairs with probability
`compare_share`, else about single pictures with the annotator's habit, as in stage 2. There are no lettered questions
about pairs: with two of them for each pair, and a loss at the end of each option, letters stayed at chance, and what
needs no letter was learned less well.
"""

import random

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from mmhallu_core.train.packed import Packed, pack
from mmhallu_core.train.pretrain.pool import draw
from mmhallu_core.train.pretrain.see import cell_labels
from mmhallu_core.train.pretrain.speak import COMPARE, SHORT, WHICH, one_image_turns
from mmhallu_core.train.records import Turn
from mmhallu_core.types import CATEGORIES
from mmhallu_core.world.edits import Edit, edit_between, sample_edit
from mmhallu_core.world.language import DIFFERENCE_PROMPTS, difference, no_difference
from mmhallu_core.world.language.mixture import turned_round
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.scene import Scene

SAME = 0.35  # share of pairs that show one picture twice; with 0.25, at half the weight, a difference was always found


class PairsDataset(torch.utils.data.Dataset):
    """Item i of `length`: pictures, cell labels and packed turns, as `speak.SpeakDataset` has them."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, recipe, length: int) -> None:
        self.tokenizer, self.recipe, self.length = tokenizer, recipe, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i: int) -> tuple[list[Tensor], list[Tensor], Packed]:
        recipe, name = self.recipe, f"pretrain/{self.recipe.seed}/compare"
        rng = random.Random(f"{name}/{i}/words")
        if random.Random(f"{name}/batch/{i // recipe.compare_batch}").random() < recipe.compare_share:
            edit = sample_edit(CATEGORIES[i % len(CATEGORIES)], f"{name}/{i}", recipe.prior)
            scenes, turns = pair_shown(edit, rng)
        else:
            scenes = [sample_scene(f"{name}/{i}/alone", recipe.prior)]
            turns = one_image_turns(scenes[0], rng, recipe.eta)
        drawn = [draw(scene) for scene in scenes]
        images = [torch.from_numpy(image) for image, _ in drawn]
        cells = [torch.from_numpy(cell_labels(scene, one)) for scene, (_, one) in zip(scenes, drawn, strict=True)]
        return images, cells, pack([(turn,) for turn in turns], len(images), self.tokenizer)


def pair_shown(edit: Edit, rng: random.Random) -> tuple[list[Scene], list[Turn]]:
    """Two scenes and what is asked of them: in one order or the other, now and then one scene twice."""
    if rng.random() < SAME:
        asked = rng.sample(DIFFERENCE_PROMPTS, 2)
        said = [Turn(prompt, no_difference(rng).text, SHORT) for prompt in asked]
        return [rng.choice((edit.before, edit.after))] * 2, [Turn(COMPARE, "Yes.", SHORT), *said]
    back = edit_between(edit.after, edit.before) if rng.random() < 0.5 else None
    way = back or edit
    turns = [Turn(COMPARE, "No.", SHORT)]
    turns += [Turn(prompt, difference(way).text, SHORT) for prompt in rng.sample(DIFFERENCE_PROMPTS, 2)]
    turned = turned_round(way)
    for both in rng.sample(turned, min(1, len(turned))):
        turns += [Turn(f"{one.text} {which}", one.answer, SHORT) for one, which in zip(both, WHICH, strict=True)]
    return [way.before, way.after], turns

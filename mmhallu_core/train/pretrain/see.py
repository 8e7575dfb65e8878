"""Stage 1, see: visual tokens learn to speak words.

Before any sentence, each projected visual token is scored against the decoder's own word embeddings: what
kind of thing fills this cell, in which colour, size, pattern, pose, with its part or without it? One
cross-entropy per word group; vision tower, projector and embeddings learn together. Without this stage a
model of this size learns next to nothing from captions in the same time. It is FGAM's region-text idea in
its smallest form.
"""

import random

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from mmhallu_core.models.tiny_llava import GRID
from mmhallu_core.train.pretrain.pool import Pool
from mmhallu_core.world.scene import Scene
from mmhallu_core.world.vocabulary import COLOURS, KINDS, PATTERNS, PLACES, SIZES

BACKGROUND = "none"
POSES = tuple(dict.fromkeys(pose for kind in KINDS.values() for pose in kind.poses))
# Word groups; the first word of each is what an empty cell says. "center" marks one cell of each thing, which
# gives counting something to count.
GROUPS: dict[str, tuple[str, ...]] = {
    "kind": (BACKGROUND, *KINDS),
    "colour": (BACKGROUND, *COLOURS),
    "size": (BACKGROUND, *SIZES),
    "pattern": (BACKGROUND, *PATTERNS),
    "pose": (BACKGROUND, *POSES),
    "part": (BACKGROUND, "with", "without"),
    "center": (BACKGROUND, "one"),
    "place": PLACES,
}
EMPTY_WEIGHT = 0.25  # most cells are empty; they count this much in every group but "place"


def group_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, list[int]]:
    """The token of each word of each group.

    Raises:
        ValueError: when a word is not a single token; the tokenizer's corpus must then show it more often.
    """
    ids = {}
    for group, words in GROUPS.items():
        encoded = [tokenizer(" " + word, add_special_tokens=False)["input_ids"] for word in words]
        broken = [word for word, tokens in zip(words, encoded, strict=True) if len(tokens) != 1]
        if broken:
            raise ValueError(f"these words are not single tokens: {', '.join(broken)}")
        ids[group] = [tokens[0] for tokens in encoded]
    return ids


def cell_labels(scene: Scene, cells: np.ndarray) -> Int[np.ndarray, "groups cells"]:
    """For each group and cell, the index of its word within the group."""
    rows = [[0] * (len(GROUPS) - 1)]  # row 0: an empty cell, which `cells` calls NOTHING = -1
    for thing in scene:
        words = (thing.kind, thing.colour, thing.size, thing.pattern, thing.pose or BACKGROUND)
        rows.append([GROUPS[group].index(word) for group, word in zip(list(GROUPS)[: len(words)], words, strict=True)])
        rows[-1] += [0 if not KINDS[thing.kind].part else 1 if thing.part else 2, 0]
    labels = np.asarray(rows)[cells.astype(int) + 1].T  # [groups - 1, cells]
    centre = list(GROUPS).index("center")
    for index in range(len(scene.things)):
        where = np.flatnonzero(cells == index)
        if len(where):
            labels[centre, _middle(where)] = 1
    place = np.full((1, len(cells)), PLACES.index(scene.place))
    return np.concatenate([labels, place])


def _middle(where: np.ndarray) -> int:
    """The cell nearest to the middle of a set of cells."""
    rows, columns = np.divmod(where, GRID)
    return int(where[np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)])


class SeeDataset(torch.utils.data.Dataset):
    """Item i: one picture of the pool, flipped half of the time, with its cell labels."""

    def __init__(self, pool: Pool, seed: int, length: int) -> None:
        self.pool, self.seed, self.length = pool, seed, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        rng = random.Random(f"{self.seed}/see/{i}")
        index = i % self.pool.spec.scenes
        image, cells = self.pool.images[index], self.pool.cells[index]
        if rng.random() < 0.5:
            image, cells = image[:, ::-1], cells.reshape(GRID, GRID)[:, ::-1].reshape(-1)
        labels = cell_labels(self.pool.scene(index), cells)
        return {"pixels": torch.from_numpy(image.copy()), "labels": torch.from_numpy(labels)}


def to_pixel_values(pixels: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch 3 height width"]:
    """uint8 [batch, height, width, 3] to what the processor would give: floats in [-1, 1], channels first."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1.0


def visual_tokens(
    llava: LlavaForConditionalGeneration, pixels: UInt8[Tensor, "batch h w 3"]
) -> Float[Tensor, "batch cells width"]:
    """Projected visual tokens, as the decoder gets them."""
    features = llava.model.get_image_features(to_pixel_values(pixels), return_dict=True).pooler_output
    return torch.stack(list(features))


def see_loss(
    tokens: Float[Tensor, "batch cells width"],
    words: Float[Tensor, "vocab width"],
    groups: dict[str, list[int]],
    labels: Int[Tensor, "batch groups cells"],
) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """The mean of the groups' cross-entropies, and how often each group is right on cells with a thing.

    Args:
        tokens: see `visual_tokens`.
        words: the decoder's word embeddings.
        groups: see `group_ids`.
        labels: see `cell_labels`.
    """
    something = labels[:, 0] > 0
    weight = torch.where(something, 1.0, EMPTY_WEIGHT).flatten()
    loss, right = 0.0, {}
    for number, (group, ids) in enumerate(groups.items()):
        logits = tokens @ words[ids].T
        target = labels[:, number]
        losses = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
        loss = loss + (losses.mean() if group == "place" else (losses * weight).sum() / weight.sum())
        right[group] = (logits.argmax(-1) == target)[something].float().mean().item()
    return loss / len(groups), right

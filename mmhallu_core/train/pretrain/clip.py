"""The recipe of tiny-clip: pictures and their full, true descriptions, told apart within a batch.

open_clip's contrastive loss; one third of each batch are micro-edit pairs, so that a small change counts.
"""

import json
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from open_clip.loss import ClipLoss
from torch import Tensor
from transformers import set_seed

from mmhallu_core.models.tiny_clip import TinyClip, clip_config
from mmhallu_core.store import sha256
from mmhallu_core.train.machine import versions
from mmhallu_core.train.pretrain.pool import Pool, PoolSpec, pair_of
from mmhallu_core.train.pretrain.recipe import run_stage, safetensors_load, safetensors_save, world_tokenizer
from mmhallu_core.train.pretrain.see import to_pixel_values
from mmhallu_core.world.language import describe

PAIRED = 1 / 6  # share of items that bring both pictures of a micro-edit: a third of the pictures


@dataclass(frozen=True)
class ClipRecipe:
    """Every number of tiny-clip's training; scenes come without prior, captions without noise."""

    seed: int = 0
    prior: float = 0.5
    scenes: int = 24_000
    pairs: int = 4_000
    steps: int = 1_000
    batch: int = 80
    lr: float = 1.5e-3


class ClipDataset(torch.utils.data.Dataset):
    """Item i: one picture with its description, or the two of a micro-edit."""

    def __init__(self, pool: Pool, clip: TinyClip, recipe: ClipRecipe) -> None:
        self.pool, self.clip, self.recipe = pool, clip, recipe

    def __len__(self) -> int:
        return self.recipe.steps * self.recipe.batch

    def __getitem__(self, i: int) -> tuple[list[Tensor], list[str]]:
        rng, spec = random.Random(f"{self.recipe.seed}/clip/{i}"), self.pool.spec
        if rng.random() < PAIRED:
            pair = rng.randrange(spec.pairs)
            edit, first = pair_of(spec, pair), spec.scenes + 2 * pair
            scenes, pictures = (edit.before, edit.after), (first, first + 1)
        else:
            scenes, pictures = (self.pool.scene(i % spec.scenes),), (i % spec.scenes,)
        texts = [describe(scene, "full", rng if rng.random() < 0.3 else None).text for scene in scenes]
        return [torch.from_numpy(self.pool.images[picture].copy()) for picture in pictures], texts

    def collate(self, items: list[tuple[list[Tensor], list[str]]]) -> dict[str, Tensor]:
        """Stacks pictures and tokenizes descriptions."""
        pixels = torch.stack([image for images, _ in items for image in images])
        tokens = self.clip.tokens([text for _, texts in items for text in texts])
        return {"pixels": to_pixel_values(pixels), "tokens": tokens}


def clip_loss(model, pixels: Tensor, tokens: Tensor) -> tuple[Tensor, dict[str, float]]:
    """open_clip's symmetric contrastive loss, and how often the right description comes first."""
    images, texts, scale = model(pixels, tokens)[:3]
    loss = ClipLoss()(images, texts, scale)
    right = (images @ texts.T).argmax(1) == torch.arange(len(images), device=images.device)
    return loss, {"retrieval": right.float().mean().item()}


def pretrain_tiny_clip(recipe: ClipRecipe, out: Path, command: str) -> Path:
    """Runs or resumes the recipe in `out`; returns the folder of the finished model."""
    began, resumed = time.time(), out.exists()
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = world_tokenizer()
    set_seed(recipe.seed)
    clip = TinyClip(clip_config(len(tokenizer)), tokenizer)
    pool = Pool(PoolSpec(recipe.scenes, recipe.pairs, recipe.seed, recipe.prior), out / "pool")
    weights = out / "clip.safetensors"
    if not weights.exists():
        data = ClipDataset(pool, clip, recipe)
        run_stage(clip.model, clip_loss, data, data.collate, out / "clip", recipe.steps, recipe.batch, recipe.lr,
                  recipe.seed)  # fmt: skip
        safetensors_save(clip.model, weights)
    safetensors_load(clip.model, weights)
    folder = out / "model"
    clip.save(folder)
    record = {
        "command": command,
        "recipe": asdict(recipe),
        "versions": versions(),
        "seconds": round(time.time() - began),
        "resumed": resumed,
        "parameters": sum(p.numel() for p in clip.model.parameters()),
        "sha256": sha256(folder / "open_clip_model.safetensors"),
    }
    (out / "run.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return folder

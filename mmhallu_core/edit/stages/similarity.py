"""How alike are two pictures? CLIP's answer, and the filter that keeps pairs which differ in something small.

The cosine is taken between embeddings of two kinds, and they are not the same number:

- `projected`: after the projection into the space that CLIP shares with texts; what "CLIP similarity" means elsewhere.
- `pooled`: before it, as MED's released program has it.

The paper keeps pairs of at least 0.7 for training and above 0.95 for the benchmark ("at least" in one place, "above"
in another); the released program has the second with `>`, and no program for the first. Here it is "at least".
"""

import copy
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from mmhallu_core.data.decode import BadPicture, decode
from mmhallu_core.edit.draft import Draft, Rejected, Stage
from mmhallu_core.edit.stages.annotate import noted
from mmhallu_core.models.fit import PROCESSOR, fitted, require_fit, say_cut
from mmhallu_core.models.loading import SAFE
from mmhallu_core.models.tiny_clip import TinyClip
from mmhallu_core.types import CannotRun, Number, Picture

TRAINING, BENCHMARK = 0.7, 0.95  # the least similarity of a pair
DIGITS = 4  # rounded before it is compared, so that what is written is what was judged


class Mode(StrEnum):
    """Which embedding is compared."""

    PROJECTED = "projected"
    POOLED = "pooled"


class SimilarityReason(StrEnum):
    """Why the filter ends a draft."""

    NOT_ALIKE = "not_alike"
    BAD_PICTURE = "bad_picture"


@runtime_checkable
class Embedder(Protocol):
    """Turns pictures into vectors.

    Attributes:
        about: model and mode, as JSON values.
    """

    about: dict[str, str]

    def embed(self, images: list[Image.Image]) -> Float[Tensor, "n width"]:
        """A vector of length 1 for each RGB picture."""
        ...


class TinyClipEmbedder:
    """tiny-clip, for Diorama.

    Args:
        mode: which embedding.
        clip: the model; the shipped one when None.
    """

    def __init__(self, mode: Mode = Mode.PROJECTED, clip: TinyClip | None = None) -> None:
        self.clip, self.mode = clip or TinyClip.load(), mode
        self.about = {"model": "tiny-clip", "mode": str(mode)}
        self.tower = self.clip.model.visual
        if mode == Mode.POOLED:
            self.tower = copy.deepcopy(self.tower)
            self.tower.proj = None  # open_clip then leaves the projection out

    @torch.inference_mode()
    def embed(self, images: list[Image.Image]) -> Float[Tensor, "n width"]:
        """A vector of length 1 for each picture."""
        pixels = self.clip.pixels(images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
        return normalize(self.tower(pixels), dim=-1)


class ClipEmbedder:
    """A CLIP of the hub or of a folder, such as openai/clip-vit-base-patch32, which the paper uses.

    Args:
        name: hub id or folder.
        mode: which embedding.
        fit: "pad" sets every picture into a square first, see `models/fit.py`; CLIP's own processor cuts one out.

    Raises:
        CannotRun: when it is no CLIP, or cannot be had.
    """

    def __init__(self, name: str | Path, mode: Mode = Mode.PROJECTED, fit: str = PROCESSOR) -> None:
        from transformers import AutoImageProcessor, CLIPModel

        require_fit(fit)
        try:
            self.model = CLIPModel.from_pretrained(name, use_safetensors=True).eval()
            self.processor = AutoImageProcessor.from_pretrained(name, **SAFE)
        except (OSError, ValueError) as error:
            raise CannotRun(f"{name} cannot be loaded as a CLIP: {error}") from error
        self.mode, self.fit = mode, fit
        self.about = {"model": str(name), "mode": str(mode), "fit": fit}

    @torch.inference_mode()
    def embed(self, images: list[Image.Image]) -> Float[Tensor, "n width"]:
        """A vector of length 1 for each picture."""
        images = [fitted(image, self.processor, self.fit) for image in images]
        say_cut(self.about["model"], self.processor, images)
        pixels = self.processor(images=images, return_tensors="pt")["pixel_values"]
        pooled = self.model.vision_model(pixel_values=pixels).pooler_output
        return normalize(pooled if self.mode == Mode.POOLED else self.model.visual_projection(pooled), dim=-1)


def similarities(
    embedder: Embedder, pairs: Sequence[tuple[Picture, Picture]], batch_size: int = 64
) -> list[float | BadPicture]:
    """The cosine of each pair, or why a picture of it cannot be read. A picture that comes twice is embedded once."""
    images: dict[Picture, Image.Image | BadPicture] = {}
    for picture in dict.fromkeys(picture for pair in pairs for picture in pair):
        try:
            images[picture] = decode(picture).image
        except BadPicture as fault:
            images[picture] = fault
    good = [picture for picture, image in images.items() if isinstance(image, Image.Image)]
    vectors: dict[Picture, Tensor] = {}
    for start in range(0, len(good), batch_size):
        batch = good[start : start + batch_size]
        vectors |= zip(batch, embedder.embed([images[picture] for picture in batch]), strict=True)
    found: list[float | BadPicture] = []
    for pair in pairs:
        fault = next((images[picture] for picture in pair if isinstance(images[picture], BadPicture)), None)
        found.append(fault or round(float(vectors[pair[0]] @ vectors[pair[1]]), DIGITS))
    return found


def similar(embedder: Embedder, enough: Number = TRAINING) -> Stage:
    """Keeps the drafts whose two pictures have at least this similarity."""

    def stage(drafts: Sequence[Draft]) -> list[Draft | Rejected]:
        found = similarities(embedder, [(draft.image, draft.edited_image) for draft in drafts])
        return [_kept(draft, value) for draft, value in zip(drafts, found, strict=True)]

    def _kept(draft: Draft, value: float | BadPicture) -> Draft | Rejected:
        if isinstance(value, BadPicture):
            return Rejected(draft.id, "similarity", SimilarityReason.BAD_PICTURE, str(value))
        if value < enough:
            detail = f"{value:.{DIGITS}f} is not at least {enough} ({embedder.about['mode']})"
            return Rejected(draft.id, "similarity", SimilarityReason.NOT_ALIKE, detail)
        return noted(draft, "similarity", embedder.about, similarity=value)

    return stage

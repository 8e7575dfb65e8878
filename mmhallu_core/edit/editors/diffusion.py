"""Pipelines of diffusers that follow instructions, as editors: InstructPix2Pix and Qwen-Image-Edit.

They repaint the whole picture from noise, guided by the photo and the words. What they change beside what was asked is
theirs to choose, so their pairs need the judges and somebody's eyes more than any others.

Source: Brooks, Holynski and Efros, "InstructPix2Pix" (arXiv 2211.09800); Wu et al., "Qwen-Image" (arXiv 2508.02324).
"""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from mmhallu_core.edit.editors.editor import CannotEdit, NoEdit, Padding, centred
from mmhallu_core.models.loading import SAFE, pick_device
from mmhallu_core.types import CannotRun

SIDE = 32  # sides are padded to whole multiples: what every autoencoder below can halve as often as it wants to


@dataclass(frozen=True)
class Habits:
    """How a pipeline is called.

    Attributes:
        steps: of denoising, when nobody says.
        sized: whether it is told the size of its output; else that is the photo's.
        settings: what else it gets, the values of its authors.
    """

    steps: int
    sized: bool
    settings: dict[str, Any]


PIPELINES = {
    "StableDiffusionInstructPix2PixPipeline": Habits(100, False, {"guidance_scale": 7.5, "image_guidance_scale": 1.5}),
    "QwenImageEditPipeline": Habits(50, True, {"true_cfg_scale": 4.0, "negative_prompt": " "}),
    "QwenImageEditPlusPipeline": Habits(50, True, {"true_cfg_scale": 4.0, "negative_prompt": " "}),
}


class DiffusersEditor:
    """Edits with a pipeline in this process, one picture at a time. The same seed gives the same picture.

    Args:
        name: folder or hub id of a pipeline; its weights must be safetensors.
        steps: of denoising; the pipeline's habit when None.

    Raises:
        CannotRun: when diffusers is not installed, or it is no such pipeline.
    """

    at_once, resizes = 1, False

    def __init__(self, name: str | Path, steps: int | None = None) -> None:
        try:
            from diffusers import DiffusionPipeline
        except ImportError as error:
            advice = "pip install 'mmhallu[edit]'"
            raise CannotRun(f"editing with diffusers needs the package of that name ({error}): {advice}") from error
        place = pick_device()
        try:
            pipe = DiffusionPipeline.from_pretrained(
                name, dtype=torch.bfloat16 if place.type == "cuda" else torch.float32, use_safetensors=True, **SAFE
            )
        except (OSError, ValueError) as error:
            raise CannotRun(f"{name} cannot be loaded as a pipeline of diffusers: {error}") from error
        kind = type(pipe).__name__
        if kind not in PIPELINES:
            raise CannotRun(f"{name} is a {kind}; editors are {', '.join(PIPELINES)}")
        self.habits = PIPELINES[kind]
        self.steps = steps or self.habits.steps
        self.pipe = pipe.to(place)
        self.pipe.set_progress_bar_config(disable=True)
        self.about: dict[str, Any] = {
            "kind": "diffusers",
            "model": str(name),
            "pipeline": kind,
            "steps": self.steps,
            **self.habits.settings,
            "diffusers": version("diffusers"),
        }

    def padding(self, size: tuple[int, int]) -> Padding:
        """See `Editor.padding`: both sides rounded up to multiples of `SIDE`."""
        canvas = (-(-size[0] // SIDE) * SIDE, -(-size[1] // SIDE) * SIDE)
        return centred(size, canvas, canvas)

    @torch.inference_mode()
    def edit(self, name: str, image: Image.Image, instruction: str, seed: int) -> Image.Image:
        """See `Editor.edit`. A safety checker that blackens the picture counts as a refusal."""
        size = {"width": image.width, "height": image.height} if self.habits.sized else {}
        chance = torch.Generator("cpu").manual_seed(seed)
        found = self.pipe(
            prompt=instruction,
            image=image,
            num_inference_steps=self.steps,
            generator=chance,
            **size,
            **self.habits.settings,
        )
        if any(getattr(found, "nsfw_content_detected", None) or ()):
            raise CannotEdit(NoEdit.REFUSED, "the pipeline's safety checker blackened the picture")
        return found.images[0].convert("RGB")

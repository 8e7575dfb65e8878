"""Scenes of Diorama that no training has seen, and what is asked of a model about them: captions, by CHAIR's words."""

from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from mmhallu_core.data.vocabulary import Vocabulary
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import Answer
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene
from mmhallu_core.world.vocabulary import KINDS

DESCRIBE = "Describe the image."
CAPTION_TOKENS = 120


@dataclass(frozen=True)
class HeldOut:
    """Test scenes with their pictures; ids name the scenes, so the same set is made anywhere."""

    scenes: Mapping[str, Scene]
    images: Mapping[str, Image.Image]

    @property
    def truth(self) -> dict[str, list[str]]:
        """Image id to the kinds that are present."""
        return {name: scene.kinds() for name, scene in self.scenes.items()}


def scenes_alone(n: int = 1000, split: str = "test") -> dict[str, Scene]:
    """`n` scenes of a split by their ids, not drawn: enough for questions and their truth.

    No split shares a scene with training, whose seeds begin with "pretrain".
    """
    return {f"{split}-{i:04d}": sample_scene(f"{split}/{i}") for i in range(n)}


def held_out(n: int = 1000, split: str = "test") -> HeldOut:
    """The same scenes with their pictures."""
    scenes = scenes_alone(n, split)
    return HeldOut(scenes, {name: render(scene, 96).image for name, scene in scenes.items()})


def world_vocabulary() -> Vocabulary:
    """Diorama's objects, for CHAIR: each kind is named by one word."""
    return Vocabulary({kind: kind for kind in KINDS})


def caption(model: Vlm, data: HeldOut, progress: str | None = "captions") -> list[Answer]:
    """One caption for every picture."""
    texts = model.answer(list(data.images.values()), [DESCRIBE] * len(data.images), CAPTION_TOKENS, progress=progress)
    return [Answer(name, text) for name, text in zip(data.images, texts, strict=True)]

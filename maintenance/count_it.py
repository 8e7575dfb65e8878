"""What tiny-llava says about held-out scenes: CHAIR and the hallucination profile, for the chapter *Count it*.

`python -m maintenance.measure count-it --only diorama --out results/count-it` writes the record.
"""

from typing import Any

from mmhallu_core.evaluate.chair import score_chair
from mmhallu_core.evaluate.diorama.exam import caption, held_out, world_vocabulary
from mmhallu_core.evaluate.profile import Habits, habits, profile
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import checkpoint_folder, sha256
from mmhallu_core.world.prior import PRIOR, sample_scene
from mmhallu_core.world.vocabulary import KINDS

HABIT_SCENES = 5000  # scenes in which Diorama's company is counted; none is captioned


def diorama_habits(scenes: int = HABIT_SCENES, prior: float = PRIOR) -> Habits:
    """Which kinds keep company in Diorama, counted over scenes that nothing else uses."""
    truth = {str(number): sample_scene(f"habits/{number}", prior).kinds() for number in range(scenes)}
    return habits(truth, sorted(KINDS))


def diorama(name: str = "tiny-llava", scenes: int = 1000, progress: bool = True) -> dict[str, Any]:
    """CHAIR by the repaired rules, and the profile, of a shipped model's captions of held-out scenes.

    Returns:
        `kind`, `inputs`, `scenes`, and under `models` the model's `chair` and `profile`.

    Raises:
        MissingFile: when the package does not hold the model.
    """
    weights = checkpoint_folder(name) / "model.safetensors"
    data, vocabulary = held_out(scenes), world_vocabulary()
    captions = caption(Vlm.load(name), data, "captions" if progress else None)
    row = {
        "chair": score_chair(captions, data.truth, vocabulary, "fixed"),
        "profile": profile(captions, data.truth, vocabulary, diorama_habits()),
    }
    inputs = {f"checkpoints/{name}/model.safetensors": sha256(weights)}
    return {"kind": "diorama", "inputs": inputs, "scenes": scenes, "models": {name: row}}

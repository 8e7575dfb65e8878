"""Tables and the widget of *Edit it*: what attack and edit did, and a caption under the edit of each layer."""

from collections.abc import Mapping
from typing import Any

from mmhallu_core.evaluate.diorama.exam import CAPTION_TOKENS, DESCRIBE
from mmhallu_core.models.edits import Edit, EditStack
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.viz.marked import explained
from mmhallu_core.viz.player import Player
from mmhallu_core.viz.states import Control, State
from mmhallu_core.viz.twins import Twin, table
from mmhallu_core.viz.widgets_scene import titled
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene

NOTE = "Each setting puts one edit into the same model and takes it out again. All edits learned from the same pairs."


def measured_table(record: Mapping[str, Any], title: str) -> Twin:
    """What a run's record says of base and edited model, as they are and under attack."""
    rows = []
    for model in ("base", "edited"):
        for way in ("clean", "attacked"):
            one = record["measured"][model][way]
            share = "none" if one["image_share"] is None else f"{one['image_share']:.3f}"
            rows.append([model, way, f"{one['odds']:+.2f}", share])
    return table(["model", "prompt", "log-odds of the lie", "attention on the picture"], rows, title)


def layer_chooser(vlm: Vlm, edits: Mapping[str, Edit], scene: Scene) -> Player:
    """Choose which layer is edited, and see the caption change.

    Args:
        vlm: the base; it is as before afterwards.
        edits: name of a setting to its edit.
        scene: the picture.
    """
    image, said = render(scene, 96).image, {}
    said["no edit"] = vlm.answer([image], [DESCRIBE], CAPTION_TOKENS)[0]
    for name, edit in edits.items():
        stack = EditStack(vlm.model, edit.base_sha256)
        stack.apply(edit)
        said[name] = vlm.answer([image], [DESCRIBE], CAPTION_TOKENS)[0]
        stack.undo(edit)
    states = {name: State(scene, {"The model says": explained(text, scene)}) for name, text in said.items()}
    return Player(f"{titled(scene)}: which layer is edited?", Control("Edited", states, dial=True), NOTE, size=384)

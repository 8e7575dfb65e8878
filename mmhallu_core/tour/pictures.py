"""The tour's pictures: six places, each without the thing that habit expects there.

They are chosen by a rule that looks at the scene alone. Nobody asked a model first, so a caption may well be right.
"""

import itertools
from dataclasses import dataclass

from mmhallu_core.evaluate.chair import chair_mentions
from mmhallu_core.evaluate.diorama.exam import world_vocabulary
from mmhallu_core.viz.marked import marked
from mmhallu_core.viz.twins import Twin
from mmhallu_core.world.prior import TYPICAL, sample_scene
from mmhallu_core.world.scene import Scene
from mmhallu_core.world.vocabulary import PLACE_PHRASES, PLACES, with_article

FIRST = "beach"
LEAST = 3  # things in a scene; a beach with a single ball on it shows little
RULE = (
    "For each place, scenes 0, 1, 2, ... are drawn with that number as seed. The first one is taken that has at least "
    f"{LEAST} things and lacks the thing that the place makes most likely. No model was asked."
)


@dataclass(frozen=True)
class Shown:
    """A picture of the tour, and the thing that is missing in it."""

    scene: Scene
    missing: str

    @property
    def title(self) -> str:
        """What it is: "A beach without an umbrella"."""
        words = f"{PLACE_PHRASES[self.scene.place][0]} without {with_article(self.missing)}"
        return words[0].upper() + words[1:]


def pictures() -> list[Shown]:
    """The six, the beach first."""
    return [_first(place) for place in (FIRST, *(place for place in PLACES if place != FIRST))]


def _first(place: str) -> Shown:
    """The first scene of a place that the rule takes."""
    missing = TYPICAL[place][0]
    for number in itertools.count():
        scene = sample_scene(f"tour-picture/{place}/{number}", place=place)
        if len(scene.things) >= LEAST and missing not in scene.kinds():
            break
    return Shown(scene, missing)


def told(caption: str, scene: Scene) -> Twin:
    """A caption with each word marked that names something which is not in the scene."""
    return marked(caption, chair_mentions(caption, set(scene.kinds()), world_vocabulary(), "fixed"))


def wrong_words(caption: str, scene: Scene) -> list[str]:
    """Those words."""
    mentions = chair_mentions(caption, set(scene.kinds()), world_vocabulary(), "fixed")
    return [caption[mention.start : mention.end] for mention in mentions if mention.hallucinated]

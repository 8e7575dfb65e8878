"""How every twin is made: the question first, then a fair die for its answer, and only then the picture.

Most benchmarks start from a picture and ask what comes to mind. Then the words of a question tell something about its
answer: nobody asks for the umbrella at a funeral. Here the order is turned round. A question is drawn, with its
options. Its answer is drawn, fairly. A scene in which that answer is true is found, or built. So the words alone tell
nothing, whatever rule reads them.

How fair is fair? An exact half of yes and no for each object would leak too: whoever knows all labels but one knows
that one, and a rule that learns from the other questions' labels would be wrong every time, which is as telling as
being right. `fair_labels` therefore gives each object two more of one answer than of the other; half of the objects
lean to yes.
"""

import io
import random
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from mmhallu_core.data.question import LETTERS, Question
from mmhallu_core.world.language.questions import WITH_A_LETTER
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene, Thing

SIZE = 96  # pixels, as in all of Diorama's training pictures
POOL = 1500


@dataclass(frozen=True)
class Undrawn:
    """A question before its pictures are drawn; `scenes` are what they will show."""

    id: str
    prompt: str
    truth: str
    scenes: tuple[Scene, ...]
    options: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)


def finished(drafts: Sequence[Undrawn], pictures: bool = True) -> list[Question]:
    """Questions as the runner takes them; each scene is drawn once.

    Args:
        drafts: of one twin.
        pictures: False leaves the pictures out, for whoever reads the words alone.

    Returns:
        One question a draft. `about["picture"]` names the first scene, so that intervals are clustered by picture.
    """
    drawn: dict[Scene, bytes] = {}
    for scene in (scene for draft in drafts for scene in draft.scenes if pictures):
        if scene not in drawn:
            drawn[scene] = png(scene)
    return [
        Question(
            draft.id,
            draft.prompt,
            draft.truth,
            tuple(drawn[scene] for scene in draft.scenes if pictures),
            draft.options,
            {"picture": draft.scenes[0].id, **draft.about},
        )
        for draft in drafts
    ]


def png(scene: Scene) -> bytes:
    """The bytes of a scene's picture."""
    file = io.BytesIO()
    render(scene, SIZE).image.save(file, "PNG")
    return file.getvalue()


# ---------------------------------------------------------------- fair dice


def evenly(values: Sequence[Any], n: int, rng: random.Random) -> list[Any]:
    """n of the values in random order, each as often as the others (one more of some where it does not divide)."""
    values = rng.sample(list(values), len(values))
    rows = [values[number % len(values)] for number in range(n)]
    return rng.sample(rows, n)


def fair_labels(keys: Sequence[Hashable], rng: random.Random) -> list[bool]:
    """Yes or no for each question, nearly as many of both for each key, and as many keys that lean to yes as to no.

    Args:
        keys: what each question is about.
        rng: the die.

    Returns:
        A label a key. Of a key that comes an even number of times, one label stands two times more than the other; of
        an odd number, three times; of fewer than four, as evenly as it can.
    """
    counts = sorted(Counter(keys).items(), key=lambda one: str(one[0]))
    leans = evenly((True, False), len(counts), rng)
    decks: dict[Hashable, list[bool]] = {}
    for (key, m), lean in zip(counts, leans, strict=True):
        more = (m + 1) // 2 if m < 4 else (m + 2 + m % 2) // 2
        decks[key] = rng.sample([lean] * more + [not lean] * (m - more), m)
    return [decks[key].pop() for key in keys]


def lettered(text: str, options: Sequence[str], right: int, letter: int) -> tuple[str, str, tuple[str, ...]]:
    """A question with its options as tiny-llava was taught to read them.

    Args:
        text: the question.
        options: in random order.
        right: which of them is right.
        letter: the number of the letter that it shall get, from 0.

    Returns:
        The prompt, the right letter, and the options in the order of their letters.
    """
    placed = list(options)
    placed[right], placed[letter] = placed[letter], placed[right]
    lines = (f"{mark}. {words}" for mark, words in zip(LETTERS, placed, strict=False))
    return "\n".join([text, *lines, WITH_A_LETTER]), LETTERS[letter], tuple(placed)


# ---------------------------------------------------------------- scenes to choose from


@dataclass(frozen=True, eq=False)
class ScenePool:
    """Scenes as the world makes them, to choose from: umbrellas stand at the beach, as everywhere in Diorama."""

    scenes: tuple[Scene, ...]

    def find(self, rng: random.Random, test: Callable[[Scene], bool]) -> Scene:
        """A scene that passes a test: the first one from a random place on.

        Raises:
            LookupError: when none does.
        """
        start = rng.randrange(len(self.scenes))
        for number in range(len(self.scenes)):
            scene = self.scenes[(start + number) % len(self.scenes)]
            if test(scene):
                return scene
        raise LookupError(f"none of {len(self.scenes)} scenes passes the test")


@lru_cache(maxsize=4)
def pool(seed: int) -> ScenePool:
    """The scenes of a seed; no split of `evaluate.diorama` and no training shares one."""
    return ScenePool(tuple(sample_scene(f"twin/{seed}/{number}") for number in range(POOL)))


def the(scene: Scene, kind: str) -> Thing | None:
    """The only thing of its kind, so that "the dog" names it; None where there is none or there are several."""
    group = scene.of_kind(kind)
    return group[0] if len(group) == 1 else None


def free(scene: Scene, kind: str) -> Thing | None:
    """The only thing of its kind when nobody carries it."""
    thing = the(scene, kind)
    return thing if thing and not thing.held_by else None

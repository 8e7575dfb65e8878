"""How every twin is made: the question first, then a fair die for its answer, and only then the picture.

Most benchmarks start from a picture and ask what comes to mind, so the words of a question tell something of its
answer. Here a question is drawn, with its options; then its answer, fairly; and a scene in which that answer is true is
found, or built (`scenes.py`).

An exact half of yes and no for each object would leak too: whoever knows all labels but one knows that one. So
`fair_labels` gives each object two more of one answer than of the other; half of the objects lean to yes.
"""

import io
import random
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmhallu_core.data.question import LETTERS, Question
from mmhallu_core.world.language.questions import WITH_A_LETTER
from mmhallu_core.world.language.statement import write
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene

SIZE = 96  # pixels, as in all of Diorama's training pictures


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


def png(scene: Scene, style: str = "flat") -> bytes:
    """The bytes of a scene's picture, in a style of `world.render`."""
    file = io.BytesIO()
    render(scene, SIZE, style).image.save(file, "PNG")
    return file.getvalue()


def words(answer: str) -> str:
    """An answer as an option: "Standing." gives "standing"."""
    return answer[0].lower() + answer[1:].rstrip(".")


def said(form: str, **slots: str | bool) -> str:
    """The world's sentence about a difference, in canonical wording."""
    return "".join(write(form, slots).pieces)


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

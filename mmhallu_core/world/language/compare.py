"""Questions about two pictures, open and with lettered options.

MED's released benchmark can be scored at 61 to 68% without looking at a picture: the right option resembles
the others most, because they were made from it. Here the four options are a contrast set: two choices
for one slot, two for another. Every option then resembles the others equally, and each of them
is as likely to be the truth.
"""

import random

from mmhallu_core.world.edits import Edit
from mmhallu_core.world.language.difference import Statement, difference, statement_of
from mmhallu_core.world.language.questions import LETTERS, WITH_A_LETTER, WorldQuestion
from mmhallu_core.world.language.statement import Slots, write
from mmhallu_core.world.scene import Scene
from mmhallu_core.world.vocabulary import COLOURS, HOLDABLE, KINDS, PATTERNS, PLACE_PHRASES

DIFFERENCE_PROMPTS = (
    "What is different between the two images?",
    "What changed from the first image to the second image?",
    "What is the difference between these two images?",
    "How does the second image differ from the first image?",
    "Which difference do you see between the two pictures?",
    "Compare the two images and tell the difference.",
    "What has been edited in the second image?",
    "Can you find the one change between the two pictures?",
    "In what way are the two images not the same?",
)


def difference_questions(edit: Edit, rng: random.Random) -> tuple[WorldQuestion, WorldQuestion]:
    """The same question about an edit twice: open, and with four lettered options."""
    prompt = DIFFERENCE_PROMPTS[0] if rng.random() < 0.5 else rng.choice(DIFFERENCE_PROMPTS)
    answer = difference(edit, rng).text
    options = difference_options(edit, rng)
    right = options[0]
    rng.shuffle(options)
    lines = [prompt, *(f"{letter}. {words}" for letter, words in zip(LETTERS, options, strict=True)), WITH_A_LETTER]
    letter = LETTERS[options.index(right)]
    return (
        WorldQuestion("difference", prompt, answer, spoken=answer),
        WorldQuestion("difference", "\n".join(lines), letter, tuple(options), spoken=right),
    )


def difference_options(edit: Edit, rng: random.Random) -> list[str]:
    """Four statements in canonical wording, the true one first."""
    said = statement_of(edit)
    return [_text(said, corner) for corner in ({}, *_corners(said, edit.before, rng))]


def _text(said: Statement, change: Slots) -> str:
    slots = said.slots | change
    return "".join(write(slots.pop("form", said.form), slots).pieces)


def _other_kinds(scene: Scene, slots: Slots, rng: random.Random, allowed, n: int = 1) -> list[str]:
    """n kinds that the statement does not name, those in the scene first."""
    pool = [kind for kind in allowed if kind not in slots.values()]
    rng.shuffle(pool)
    return sorted(pool, key=lambda kind: not scene.of_kind(kind))[:n]


def _absent_kind(scene: Scene, slots: Slots, rng: random.Random) -> str:
    return rng.choice([kind for kind in KINDS if not scene.of_kind(kind) and kind not in slots.values()])


def _corners(said: Statement, scene: Scene, rng: random.Random) -> list[Slots]:
    """Three changes of the slots, each of which makes the statement wrong."""
    slots, form = said.slots, said.form
    if form == "gone":  # one slot only: four kinds, each as good as the others
        return [{"a": kind} for kind in _other_kinds(scene, slots, rng, KINDS, 3)]
    swap = {"old": slots.get("new", ""), "new": slots.get("old", "")}
    if form == "place":
        old, new = rng.sample([words for words, _ in PLACE_PHRASES.values() if words not in slots.values()], 2)
        return _others({"old": old}, {"new": new})
    if form == "replace":
        a, b = _other_kinds(scene, slots, rng, KINDS)[0], _absent_kind(scene, slots, rng)
        if rng.random() < 0.5:
            return _others({"a": a}, {"b": b})
        return [{"a": slots["b"], "b": slots["a"]}, {"a": a, "b": b}, {"a": b, "b": a}]
    if form == "add":
        return _others({"b": _absent_kind(scene, slots, rng)}, {"new": _other_word(slots["new"], COLOURS, rng)})
    if form == "pass":
        back = {"old_holder": slots["new_holder"], "new_holder": slots["old_holder"]}
        return _others({"a": _other_kinds(scene, slots, rng, HOLDABLE)[0]}, back)
    other = {"a": _other_kinds(scene, slots, rng, [kind for kind in KINDS if _can_be_said(form, kind, slots)])[0]}
    if form in ("attach", "detach"):
        return _others(other, {"form": "detach" if form == "attach" else "attach"})
    if form == "outgrow":
        return _others(other, {"new": "smaller" if slots["new"] == "larger" else "larger"})
    if form == "all":
        return _others(other, {"new": _other_word(slots["new"], COLOURS if slots["new"] in COLOURS else PATTERNS, rng)})
    return _others(other, swap)


def _others(first: Slots, second: Slots) -> list[Slots]:
    """The other three options: one change, the other change, both."""
    return [first, second, first | second]


def _can_be_said(form: str, kind: str, slots: Slots) -> bool:
    """Whether a form makes sense of a kind: it must have the poses, or a part, that the form speaks of."""
    if form == "pose":
        return {slots["old"], slots["new"]} <= set(KINDS[kind].poses)
    if form in ("attach", "detach"):
        return KINDS[kind].part is not None
    return True


def _other_word(word: str, words, rng: random.Random) -> str:
    return rng.choice([other for other in words if other != word])

"""Four widgets that look inside: click a word, turn through layers and heads, compare two models, explore an edit.

    word_map()           click a word of the model's sentence; see where in the picture it comes from
    layers_and_heads()   what one word attends to, in every layer and head
    before_after()       the same words in two models, side by side
    edit_explorer()      a picture, its edit, what changed, and what the model says about the two

Each returns a `Player`, as the widgets of `widgets.py` do: a live widget in a notebook, precomputed states in the built
book, and `print(player)` or `player.text(setting)` the same in words. A map is shown in ten levels, and its text twin
has a digit for each cell, 0 (a dot) to 9.
"""

import html
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from mmhallu_core.edit.stages.similarity import TinyClipEmbedder
from mmhallu_core.evaluate.diorama.exam import CAPTION_TOKENS, DESCRIBE
from mmhallu_core.explain.attention import image_attention
from mmhallu_core.explain.maps import PictureMap, ViewMap
from mmhallu_core.explain.reading import Reading, Target, read
from mmhallu_core.explain.run import explain_all
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.viz.frames import Heat
from mmhallu_core.viz.marked import explained, in_words, mentions_of
from mmhallu_core.viz.player import Player
from mmhallu_core.viz.states import Control, Panel, State
from mmhallu_core.viz.twins import Twin
from mmhallu_core.viz.widgets import SEEN_AT
from mmhallu_core.viz.widgets_scene import titled, unusual_scenes
from mmhallu_core.world.edits import CATEGORIES, Edit, edit_mask, sample_edit
from mmhallu_core.world.language import DIFFERENCE_PROMPTS, difference
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene

MOST_WORDS = 24  # on a page without a kernel
CELLS = 24  # a side, of the grid in which an edit is shown
MAPPED = (
    "Light cells speak for the word, by Grad-CAM in the last layer of the vision tower. Each map has its own scale: "
    "its largest cell is always lightest, even if hardly anything in the picture counts."
)
ATTENDED = (
    "Light cells are attended to most. Each map has its own scale; the first line says how much of the attention lies "
    "on the picture at all. Attention says where a layer reads, not what the reading does to the word."
)
COMPARED = (
    "Both models read the same sentence, which the first one wrote. Each map has its own scale. A lighter cell in one "
    "of them does not mean a larger value."
)
EDITED = (
    "From left to right: the picture, the edited picture, and the edited picture in grey, with light cells where a "
    "pixel has changed. One similarity is hardly ever telling: a small edit leaves almost all of a picture as it was."
)


def levels(values: Float[Tensor, "rows cols"]) -> Heat:
    """The positive part of a map in levels from 0 to 9, the largest value 9."""
    shares = values.double().clamp(min=0) / values.double().max().clamp(min=1e-300)
    return tuple(tuple(int(level) for level in row) for row in (9 * shares).round().tolist())


def _told(found: PictureMap) -> Twin:
    """A map in words, and its digits folded away."""
    first, *digits = found.tell().split("\n")
    folded = f"<details><summary>The map in digits</summary><pre>{'<br>'.join(digits)}</pre></details>"
    return Twin(html.escape(first) + (folded if digits else ""), "\n".join([first, *digits]))


def _plain(words: str) -> Twin:
    return Twin(html.escape(words), words)


def _read(scene: Scene | None, vlm: Vlm, text: str | None) -> tuple[Scene, Reading]:
    """A scene, a beach without an umbrella when None, with a sentence about it, the model's own when None."""
    scene = scene or unusual_scenes("beach", 1)[0]
    image = render(scene, SEEN_AT).image
    return scene, read(vlm, image, DESCRIBE, text, CAPTION_TOKENS)


def _names(targets: Sequence[Target]) -> list[str]:
    """Words, numbered where they come again: "the", "the (2)"."""
    words = [target.text for target in targets]
    counts = [words[: i + 1].count(word) for i, word in enumerate(words)]
    return [f"{word} ({count})" if count > 1 else word for word, count in zip(words, counts, strict=True)]


def _telling(reading: Reading, scene: Scene, targets: Sequence[Target]) -> int:
    """The word to begin with: the first name of a thing that is not there, else of a thing, else the first word."""
    named = sorted(mentions_of(reading.answer, scene), key=lambda one: (not one.hallucinated, one.start))
    words = [reading.at((one.start, one.end)) for one in named]
    return next((targets.index(word) for word in words if word in targets), 0)


def word_map(scene: Scene | None = None, vlm: Vlm | None = None, text: str | None = None) -> Player:
    """Click a word of a sentence and see which parts of the picture speak for it.

    Args:
        scene: the picture; a beach without an umbrella when None.
        vlm: the model; tiny-llava when None.
        text: the sentence; what the model writes when None. Its first 24 words can be clicked.
    """
    scene, reading = _read(scene, vlm or Vlm.load(), text)
    targets = reading.words()[:MOST_WORDS]
    said, states = explained(reading.answer, scene), {}
    for name, found in zip(_names(targets), explain_all(reading, targets), strict=True):
        (picture,) = found.pictures
        sure = _plain(f"{found.target}; its log-probability is {found.score:.2f}")
        lines = {"The sentence": said, "The word": sure, "What speaks for it": _told(picture)}
        states[name] = State(scene, lines, panels=(Panel(scene, levels(picture.values)),))
    control = Control("Click a word", states, _telling(reading, scene, targets), words=True)
    return Player(f"{titled(scene)}: where did the model look?", control, MAPPED, size=288)


def layers_and_heads(
    scene: Scene | None = None, word: str | None = None, vlm: Vlm | None = None, text: str | None = None
) -> Player:
    """Two dials, over the decoder's layers and heads, and what one word attends to there.

    Args:
        scene: the picture; a beach without an umbrella when None.
        word: the word, its first place in the sentence; the first wrong or else the first named thing when None.
        vlm: the model; tiny-llava when None.
        text: the sentence; what the model writes when None.

    Raises:
        CannotRun: when the sentence does not have the word.
    """
    scene, reading = _read(scene, vlm or Vlm.load(), text)
    words = reading.words()
    target = words[_telling(reading, scene, words)] if word is None else reading.find(word, 1)
    found = image_attention(reading)
    weights = found.weights.float()[:, :, list(target.tokens)].mean(2)  # [layers, heads, image_tokens]

    def state(values: Float[Tensor, " image_tokens"]) -> State:
        views = tuple(ViewMap(values[cells.index], cells.box) for cells in found.cells)
        picture = PictureMap(reading.images[0], views)
        share = _plain(f"{float(values.sum()):.1%} of all attention")
        lines = {"On the picture": share, f"What {target.text!r} attends to": _told(picture)}
        return State(scene, lines, panels=(Panel(scene, levels(picture.values)),))

    def heads(rows: Float[Tensor, "heads image_tokens"]) -> Control:
        one = {str(number): state(row) for number, row in enumerate(rows)}
        return Control("Head", {"all": state(rows.mean(0)), **one}, dial=True)

    layers = {str(number): heads(rows) for number, rows in zip(found.layers, weights, strict=True)}
    control = Control("Decoder layer", {"all": heads(weights.mean(0)), **layers}, dial=True)
    return Player(f"{titled(scene)}: what {target.text!r} attends to", control, ATTENDED, size=288)


def before_after(
    scene: Scene | None = None, models: Mapping[str, Vlm] | None = None, text: str | None = None
) -> Player:
    """Click a word; see its map in two models side by side, such as before and after fine-tuning.

    Args:
        scene: the picture; a beach without an umbrella when None.
        models: name to model, from left to right; tiny-llava and the adapter of the tour when None.
        text: the sentence that both read; what the first model writes when None.
    """
    models = models or {"before": Vlm.load("tiny-llava"), "after fine-tuning": Vlm.load("tour-adapter")}
    scene, first = _read(scene, next(iter(models.values())), text)
    readings = {name: _read(scene, vlm, first.answer)[1] for name, vlm in models.items()}
    targets = first.words()[:MOST_WORDS]
    maps = {name: explain_all(reading, reading.words()[:MOST_WORDS]) for name, reading in readings.items()}
    said, states = explained(first.answer, scene), {}
    for number, word in enumerate(_names(targets)):
        lines, panels = {"The sentence": said}, []
        for name, found in maps.items():
            (picture,) = found[number].pictures
            told = _told(picture)
            sure = f"log-probability {found[number].score:.2f}; "
            lines[name] = Twin(sure + told.html, sure + told.text)
            panels.append(Panel(scene, levels(picture.values)))
        states[word] = State(scene, lines, panels=tuple(panels))
    control = Control("Click a word", states, _telling(first, scene, targets), words=True)
    title = f"{titled(scene)}: {' | '.join(models)}"
    return Player(title, control, COMPARED, size=240)


def edit_explorer(edits: Mapping[str, Edit] | None = None, vlm: Vlm | None = None) -> Player:
    """A list of edits: the picture, the edited one, what changed, how alike they are, and the model's answer.

    Args:
        edits: name to edit; one of each category when None.
        vlm: the model that is asked for the difference; tiny-llava when None.
    """
    edits = edits or {category: sample_edit(category, "explorer") for category in CATEGORIES}
    vlm, prompt = vlm or Vlm.load(), DIFFERENCE_PROMPTS[0]
    pairs = [[render(scene, SEEN_AT).image for scene in (edit.before, edit.after)] for edit in edits.values()]
    vectors = TinyClipEmbedder().embed([image for pair in pairs for image in pair]).unflatten(0, (-1, 2))
    answers = vlm.answer(pairs, [prompt] * len(pairs), 40)
    states = {}
    for (name, edit), (one, other), answer in zip(edits.items(), vectors, answers, strict=True):
        mask = edit_mask(edit, SEEN_AT)
        lines = {
            "What changed": _plain(difference(edit).text),
            "Where": _plain(_where(mask)),
            "Similarity, by tiny-clip": _plain(f"{float(one @ other):.3f}"),
            "Asked about the two": _plain(prompt),
            "The model answers": _plain(answer),
        }
        told = f"Before: {in_words(edit.before)} After: {in_words(edit.after)}"
        panels = (Panel(edit.before), Panel(edit.after), Panel(edit.after, _cells(mask)))
        states[name] = State(edit.before, lines, panels=panels, told=told)
    return Player("Edit explorer", Control("Kind of edit", states), EDITED, size=SEEN_AT * 2)


def _cells(mask: np.ndarray) -> Heat:
    """A mask on a coarser grid: 9 for a cell that has a changed pixel."""
    side = len(mask) // CELLS
    changed = mask[: side * CELLS, : side * CELLS].reshape(CELLS, side, CELLS, side).any((1, 3))
    return tuple(tuple(9 * int(cell) for cell in row) for row in changed)


def _where(mask: np.ndarray) -> str:
    """A mask in words."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return "no pixel"
    box = f"x {cols[0]} to {cols[-1] + 1}, y {rows[0]} to {rows[-1] + 1}"
    return f"{mask.mean():.1%} of the pixels, {box} of {mask.shape[1]} x {mask.shape[0]}"

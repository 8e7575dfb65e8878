"""What a model reads and writes, made visible: patches, words on a grid, the next word, one sentence twice.

Every figure has its table, and its alt text says the finding.
"""

import html
import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from mmhallu_core.evaluate.walk import Step, Walk
from mmhallu_core.viz.style import BLUE, GREY, ORANGE, WIDTH
from mmhallu_core.viz.twins import Twin, one_panel, picture, table, with_twin

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DARK = "#111111"  # on a picture: words there keep their colour when the page is dark


def grid_table(words: Sequence[str], rows: int, cols: int, title: str) -> Twin:
    """A grid of words as a table: a letter for each column, a number for each row.

    Raises:
        ValueError: when there are not rows times cols words, or more columns than letters.
    """
    if len(words) != rows * cols or cols > len(LETTERS):
        raise ValueError(f"{len(words)} words do not fill {rows} rows of {cols}, or there are too many columns")
    lines = [(str(row + 1), *words[row * cols : (row + 1) * cols]) for row in range(rows)]
    return table(("row", *LETTERS[:cols]), lines, title)


def _name_cells(axes: Axes, rows: int, cols: int, size: tuple[int, int]) -> None:
    """Letters above, numbers at the side, as in the table."""
    wide, high = size[0] / cols, size[1] / rows
    axes.set(xticks=[wide * (col + 0.5) for col in range(cols)], xticklabels=LETTERS[:cols])
    axes.set(yticks=[high * (row + 0.5) for row in range(rows)], yticklabels=range(1, rows + 1))
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def patches(image: Image.Image, rows: int, cols: int, kinds: Sequence[str], words: str) -> Twin:
    """A picture as the vision tower gets it: cut into patches.

    Args:
        image: the picture, at the size in which the model reads it.
        rows, cols: of the grid.
        kinds: what fills each cell, for the table.
        words: what the picture shows.
    """
    gap, (wide, high) = 1.25, (image.width // cols, image.height // rows)
    figure = Figure(figsize=(4.6, 4.6), layout="constrained")
    axes = figure.subplots()
    for row in range(rows):
        for col in range(cols):
            tile = np.asarray(image.crop((col * wide, row * high, (col + 1) * wide, (row + 1) * high)))
            left, top = col * wide * gap, row * high * gap
            axes.imshow(tile, extent=(left, left + wide, top + high, top), interpolation="none")
    whole = (int(cols * wide * gap), int(rows * high * gap))
    axes.set(xlim=(0, whole[0]), ylim=(whole[1], 0))
    _name_cells(axes, rows, cols, whole)
    alt = f"The picture cut into {rows} rows of {cols} square patches. {words}"
    return with_twin(figure, alt, grid_table(kinds, rows, cols, "What fills each patch, from the scene's facts"))


def word_map(image: Image.Image, words: Sequence[str], rows: int, cols: int, title: str, quiet: str = "none") -> Twin:
    """A word for each cell, written over the picture; cells that say `quiet` get a dot.

    Args:
        image: the picture; it is drawn pale.
        words: one for each cell, row by row.
        rows, cols: of the grid.
        title: what the words are.
        quiet: the word for an empty cell.
    """
    figure, axes = one_panel(WIDTH)
    pale = Image.blend(image.convert("RGB"), Image.new("RGB", image.size, "white"), 0.45)
    axes.imshow(pale, interpolation="none", extent=(0, image.width, image.height, 0))
    for number, word in enumerate(words):
        x, y = image.width / cols * (number % cols + 0.5), image.height / rows * (number // cols + 0.5)
        said = "·" if word == quiet else word
        plate = {"facecolor": "#ffffff", "edgecolor": "none", "alpha": 0.75, "pad": 1.2} if word != quiet else None
        axes.text(x, y, said, ha="center", va="center", fontsize=9, color=DARK, bbox=plate)
    _name_cells(axes, rows, cols, image.size)
    counts = {word: list(words).count(word) for word in dict.fromkeys(words)}
    told = ", ".join(f"{word} {count}" for word, count in counts.items())
    alt = f"{title}: {rows} rows of {cols} words over the picture. How often each occurs: {told}."
    return with_twin(figure, alt, grid_table(words, rows, cols, title))


MEANING = {
    "pixels": "numbers that the vision tower reads",
    "vision tower": "vectors that know their surroundings",
    "connector": "rows, columns, width: the visual tokens",
    "decoder": "layers, tokens of the prompt, width",
    "next token": "a probability for each token it knows",
}


def way_table(walks: Mapping[str, Walk], title: str) -> Twin:
    """The shapes along the way: a row for each part of the model, a column for each walk."""
    rows = [
        ("tokens of the prompt", *(str(len(one.tokens)) for one in walks.values()), "words and picture together"),
        ("of them the picture's", *(str(one.visual_count) for one in walks.values()), "visual tokens"),
    ]
    for part, meaning in MEANING.items():
        rows.append((part, *(" x ".join(map(str, one.shapes[part])) for one in walks.values()), meaning))
    return table(("part", *walks, "what it is"), rows, title)


def next_word(step: Step, before: str, title: str) -> Twin:
    """The most probable next tokens at one step, as bars.

    Args:
        step: see `spell`.
        before: the sentence so far.
        title: of the table.
    """
    ranked = sorted([(step.token, step.probability), *step.others], key=lambda pair: -pair[1])
    figure, axes = one_panel(0.42 * len(ranked) + 0.9)
    colours = [ORANGE if token == step.token else GREY for token, _ in ranked]
    axes.barh([token for token, _ in ranked], [100 * p for _, p in ranked], color=colours)
    axes.invert_yaxis()
    axes.set(xlabel=f"probability after “{before[-40:]} ...”, %", xlim=(0, 100))
    said = ", ".join(f"{token} {100 * p:.1f}" for token, p in ranked)
    rows = [(token, f"{100 * p:.1f}", "chosen" if token == step.token else "") for token, p in ranked]
    return with_twin(
        figure, f"Probability of the next token in percent: {said}. Chosen: {step.token}.",
        table(("token", "probability, %", ""), rows, title),
    )  # fmt: skip


def seen_and_blind(tokens: Sequence[str], seen: Sequence[float], blind: Sequence[float], title: str) -> Twin:
    """One sentence twice: the probability of each of its tokens with the picture, and without.

    The figure leaves out full stops and the like, the table does not.

    Args:
        tokens: of the sentence.
        seen: their probabilities with the picture.
        blind: the same when the model sees nothing.
        title: of the table.
    """
    words = [row for row in zip(tokens, seen, blind, strict=True) if any(letter.isalnum() for letter in row[0])]
    figure, axes = one_panel(0.22 * len(words) + 1.2)
    for place, (_, one, other) in enumerate(words):
        axes.plot([100 * one, 100 * other], [place, place], color=GREY, linewidth=1)
    places = range(len(words))
    axes.plot([100 * one for _, one, _ in words], places, "o", color=ORANGE, markersize=6, label="with the picture")
    axes.plot([100 * other for *_, other in words], places, "X", color=BLUE, markersize=6, label="seeing nothing")
    axes.set(yticks=places, yticklabels=[word for word, *_ in words], xlabel="probability of this token, %")
    axes.set(xlim=(-2, 102), ylim=(len(words) - 0.4, -0.6))
    axes.tick_params(axis="y", labelsize="small")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    falls = sorted(zip(tokens, seen, blind, strict=True), key=lambda row: row[2] - row[1])[:3]
    lost = ", ".join(f"{token} from {100 * a:.0f} to {100 * b:.0f}" for token, a, b in falls)
    alt = f"Probability of each token of a sentence, with and without its picture. It matters most for: {lost}."
    rows = [
        (f"{number}. {token}", f"{100 * a:.1f}", f"{100 * b:.1f}")
        for number, (token, a, b) in enumerate(zip(tokens, seen, blind, strict=True), start=1)
    ]
    return with_twin(figure, alt, table(("token", "with the picture, %", "seeing nothing, %"), rows, title))


def picture_cards(cards: Sequence[tuple[str, Image.Image, str, Twin]]) -> Twin:
    """Several pictures beside each other, each with a name, its own words, and what a model says about it."""
    shown, told = [], []
    for name, image, words, said in cards:
        file = io.BytesIO()
        image.resize((192, 192), Image.Resampling.NEAREST).save(file, format="PNG")
        drawn = picture(file.getvalue(), "image/png", f"{name}. {words}", "width:100%;max-width:12em;height:auto")
        head, box = f"<p><b>{html.escape(name)}</b></p>", "flex:1 1 11em;max-width:16em"
        shown.append(f'<div style="{box}">{head}{drawn}<p>{said.html}</p></div>')
        told.append(f"{name} ({words})\n  {said.text}")
    row = "display:flex;flex-wrap:wrap;gap:1.5em;margin-top:1em"
    return Twin(f'<div style="{row}">{"".join(shown)}</div>', "\n".join(told))

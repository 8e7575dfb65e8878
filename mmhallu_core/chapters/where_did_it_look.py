"""Maps beside each other, and what each word of a sentence takes from its picture: the chapter *Where did it look?*."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from mmhallu_core.explain.attention import image_attention
from mmhallu_core.explain.maps import Map
from mmhallu_core.explain.reading import Reading, Target
from mmhallu_core.explain.run import explain_all
from mmhallu_core.viz.frames import under
from mmhallu_core.viz.marked import mentions_of
from mmhallu_core.viz.style import BLUE, ORANGE, WIDTH
from mmhallu_core.viz.twins import Twin, one_panel, table, with_twin
from mmhallu_core.viz.widgets_looking import levels
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene

SHOWN_AT = 192  # pixels of a picture
BESIDE = 3  # pictures in a row


def things_named(reading: Reading, scene: Scene) -> dict[Target, bool]:
    """The names of things in an answer, in order, and whether each is in the picture."""
    named = sorted(mentions_of(reading.answer, scene), key=lambda one: one.start)
    return {reading.at((one.start, one.end)): not one.hallucinated for one in named}


def seen_word(reading: Reading, scene: Scene) -> Target:
    """The first name of a thing that is in the picture; the first name of a thing where none is; else the answer."""
    named = things_named(reading, scene)
    return next((word for word, there in named.items() if there), next(iter(named), reading.find(None)))


def place_of(word: str, scene: Scene, size: int = 96) -> tuple[float, float] | None:
    """x and y of the middle of a thing in a picture of `size` pixels; None where the scene has no such thing."""
    masks = [mask for thing, mask in zip(scene, render(scene, size).masks, strict=True) if thing.kind == word]
    if not masks:
        return None
    y, x = np.argwhere(masks[0]).mean(0) + 0.5
    return float(x), float(y)


def maps_beside(maps: Mapping[str, Map], title: str) -> Twin:
    """Several maps of one picture, each over the picture in grey and with a scale of its own.

    Args:
        maps: name to map; each of one picture.
        title: of the table.
    """
    rows = math.ceil(len(maps) / BESIDE)
    figure = Figure(figsize=(WIDTH, (WIDTH / BESIDE + 0.3) * rows), layout="constrained")
    panels = figure.subplots(rows, BESIDE, squeeze=False).flat
    lines = []
    for axes in panels:
        axes.set_axis_off()
    for axes, (name, found) in zip(figure.axes, maps.items(), strict=False):
        (picture,) = found.pictures
        shown = picture.image.resize((SHOWN_AT, SHOWN_AT), Image.Resampling.BICUBIC)
        axes.imshow(under(shown, levels(picture.values)), interpolation="none")
        axes.set_title(name, fontsize="small")
        _, largest, shares = picture.tell().split("\n")[0].split("; ") if float(picture.heat.max()) else ("", "-", "-")
        lines.append((name, largest.removeprefix("largest at "), shares))
    alt = f"{title}: " + "; ".join(f"{name}, largest at {largest}" for name, largest, _ in lines) + "."
    return with_twin(figure, alt, table(("map", "largest at", "where the positive part lies"), lines, title))


def image_share(reading: Reading, word: Target, title: str) -> Twin:
    """How much of a word's attention lies on the picture: a dot for each head, a line through the layers' means."""
    found = image_attention(reading)
    share = 100 * found.share.float()[:, :, list(word.tokens)].mean(2)
    figure, axes = one_panel(2.8)
    for layer, heads in zip(found.layers, share, strict=True):
        axes.plot([layer] * len(heads), heads, "o", color=BLUE, alpha=0.7)
    axes.plot(found.layers, share.mean(1), "-s", color=ORANGE)
    axes.set(xlabel="decoder layer", ylabel="attention on the picture, %", xticks=found.layers, ylim=(0, 100))
    rows = [(str(layer), f"{heads.mean():.1f}", f"{heads.min():.1f}", f"{heads.max():.1f}")
            for layer, heads in zip(found.layers, share, strict=True)]  # fmt: skip
    said = ", ".join(f"layer {layer}: {mean}" for layer, mean, *_ in rows)
    alt = f"Share of the attention of {word.text!r} that lies on the picture, mean over heads in percent. {said}."
    return with_twin(figure, alt, table(("layer", "mean, %", "least", "most"), rows, title))


def word_table(reading: Reading, words: Mapping[Target, bool], grey: Image.Image, title: str) -> Twin:
    """For each word: is it in the picture, how probable is it with the picture and with a grey one, where attention is.

    Args:
        reading: the sentence.
        words: and whether the thing is in the picture.
        grey: a picture of the same size that shows nothing.
        title: of the table.
    """
    targets = list(words)
    if not targets:
        return table(("word",), [("(the sentence names no thing)",)], title)
    with torch.no_grad():
        seen = reading.scores(reading.inputs, targets)[0].exp().tolist()
        blind = reading.scores(reading.encode([[grey]]), targets)[0].exp().tolist()
    share = image_attention(reading).share.float().mean((0, 1))
    rows = [
        (word.text, "yes" if there else "no", f"{100 * a:.1f}", f"{100 * b:.1f}",
         f"{100 * float(share[list(word.tokens)].mean()):.1f}")
        for (word, there), a, b in zip(words.items(), seen, blind, strict=True)
    ]  # fmt: skip
    heads = ("word", "in the picture", "probability, %", "with a grey picture, %", "attention on the picture, %")
    return table(heads, rows, title)


def by_methods(reading: Reading, word: Target, methods: Mapping[str, Mapping]) -> dict[str, Map]:
    """A word's map by several methods: name to the options of `explain_all`."""
    return {name: explain_all(reading, [word], **options)[0] for name, options in methods.items()}


def agreement(maps: Mapping[str, Map], title: str) -> Twin:
    """The rank correlation of each two maps, over the cells of a grid that all can be put on."""
    rows, cols = (min(found.values[0].shape[axis] for found in maps.values()) for axis in (0, 1))
    ranks = [_ranks(found.pictures[0].on_grid(rows, cols)) for found in maps.values()]
    lines = [(name, *(f"{float(np.corrcoef(one, other)[0, 1]):.2f}" for other in ranks))
             for name, one in zip(maps, ranks, strict=True)]  # fmt: skip
    return table(("rank correlation", *maps), lines, title)


def _ranks(values: Float[Tensor, "rows cols"]) -> Float[np.ndarray, " places"]:
    from scipy.stats import rankdata  # here: it takes half a second

    return rankdata(values.flatten().numpy())

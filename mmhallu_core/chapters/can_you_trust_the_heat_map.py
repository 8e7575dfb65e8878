"""A few scenes on which heat maps are tested: figures and tables of the chapter *Can you trust the heat map?*.

The recorded study of all methods is `studies/maps.py`; here are few words, so that a page can test them while it runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from mmhallu_core.explain.maps import Map
from mmhallu_core.explain.randomize import alike, passes, randomization
from mmhallu_core.explain.reading import Reading, Target, read
from mmhallu_core.explain.run import explain_all
from mmhallu_core.explain.truth import area, curves, energy, pointing
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.statistics import ratio_interval
from mmhallu_core.studies.maps import words_of
from mmhallu_core.viz.scores import shown
from mmhallu_core.viz.style import BLUE, GREEN, GREY, ORANGE
from mmhallu_core.viz.twins import Twin, one_panel, table, with_twin
from mmhallu_core.world.prior import sample_scene

NEAR = 6.0  # pixels beside the thing that count as on it: half the side of tiny-llava's cells
LOOKS = ((ORANGE, "o"), (BLUE, "s"), (GREEN, "^"), (GREY, "X"))
Asked = tuple[Reading, list[Target], list[np.ndarray]]


def asked_words(vlm: Vlm, count: int) -> list[Asked]:
    """True captions of scenes that no training has seen, with the words that mean one thing, and its pixels."""
    found, number = [], 0
    while len(found) < count:
        one = words_of(vlm, sample_scene(f"test/heat map/{number}"))
        found += [one] if one[1] else []
        number += 1
    return found


@dataclass
class Examined:
    """What tests say of one method: for each scene how many words there are, and sums over them.

    Attributes:
        words, hits, energy, size: words; largest value on the thing; shares of the map, and of the picture, on it.
        inserted, deleted: probabilities while cells are shown or covered, one curve for each word.
    """

    words: list[int] = field(default_factory=list)
    hits: list[float] = field(default_factory=list)
    energy: list[float] = field(default_factory=list)
    size: list[float] = field(default_factory=list)
    inserted: list[np.ndarray] = field(default_factory=list)
    deleted: list[np.ndarray] = field(default_factory=list)


def examine(some: Sequence[Asked], methods: Mapping[str, Mapping[str, Any]], cover: bool = True) -> dict[str, Examined]:
    """Tests each method on the words of some scenes.

    Args:
        some: see `asked_words`.
        methods: name to options of `explain_all`.
        cover: draw the curves too, which asks the model many times.
    """
    results = {name: Examined() for name in methods}
    for reading, targets, masks in some:
        for name, how in methods.items():
            one, maps = results[name], explain_all(reading, targets, **how)
            one.words.append(len(maps))
            one.hits.append(sum(pointing(found, [mask], NEAR) for found, mask in zip(maps, masks, strict=True)))
            one.energy.append(sum(energy(found, [mask]) for found, mask in zip(maps, masks, strict=True)))
            one.size.append(sum(float(mask.mean()) for mask in masks))
            if cover:
                drawn = curves(reading, targets, maps).numpy()
                one.inserted += list(drawn[:, 0])
                one.deleted += list(drawn[:, 1])
    return results


def on_the_thing(results: Mapping[str, Examined], title: str) -> Twin:
    """Pointing and energy of each method in percent, with intervals over scenes; last, how large the things are."""

    def cell(values: Sequence[float], words: Sequence[int]) -> str:
        top, bottom = np.asarray(values, float), np.asarray(words, float)
        return shown((float(top.sum() / bottom.sum()), ratio_interval(top, bottom)))

    rows = [(name, cell(one.hits, one.words), cell(one.energy, one.words)) for name, one in results.items()]
    first = next(iter(results.values()))
    rows.append(("(the thing's share of the picture)", "", cell(first.size, first.words)))
    return table(("map", "largest value on it, %", "share on it, %"), rows, title)


def curve_figure(results: Mapping[str, Examined], title: str) -> Twin:
    """The mean probability of words while cells are covered, each method's largest first."""
    figure, axes = one_panel(3.2)
    rows, said = [], []
    for (name, one), (colour, marker) in zip(results.items(), LOOKS, strict=False):
        mean = 100 * np.mean(one.deleted, axis=0)
        axes.plot(np.linspace(0, 100, len(mean)), mean, color=colour, marker=marker, label=name)
        into, out = (float(area(torch.from_numpy(np.array(many))).mean()) for many in (one.inserted, one.deleted))
        rows.append((name, f"{100 * into:.1f}", f"{100 * out:.1f}"))
        said.append(f"{name} {100 * out:.0f}")
    axes.set(xlabel="cells covered, the largest first, %", ylabel="probability of the word, %", ylim=(0, 100))
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    alt = f"Probability of words while their picture is covered. Area under the curve in percent: {', '.join(said)}."
    return with_twin(
        figure, alt, table(("map", "insertion (more is better)", "deletion (less is better)"), rows, title)
    )


def shuffled_figure(one: Asked, methods: Mapping[str, Mapping[str, Any]], title: str) -> Twin:
    """How alike maps stay while the model is shuffled layer by layer, and whether a method passes."""
    figure, axes = one_panel(3.2)
    rows, verdicts, names = [], [], []
    for (name, how), (colour, marker) in zip(methods.items(), LOOKS, strict=False):

        def maps(reading: Reading, targets: Sequence[Target], how: Mapping[str, Any] = how) -> list[Map]:
            return explain_all(reading, targets, **how)

        names, kept = randomization(*one[:2], maps)
        axes.plot(range(1 + len(names)), [1, *kept.mean(1)], color=colour, marker=marker, label=name)
        verdict = "passes" if passes(kept) else "fails"
        rows.append((name, *(f"{value:.2f}" for value in kept.mean(1)[[0, -1]]), verdict))
        verdicts.append(f"{name} {verdict}")
    axes.set(xticks=range(1 + len(names)), ylabel="rank correlation with the map before", ylim=(-0.6, 1.05))
    axes.set_xticklabels(["none", *names], rotation=60, ha="right")
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    alt = f"How alike maps stay while more and more of the model is shuffled. {'; '.join(verdicts)}."
    return with_twin(figure, alt, table(("map", "after one layer", "after all", "verdict"), rows, title))


def seeds_agree(some: Sequence[Asked], other: Vlm, methods: Mapping[str, Mapping[str, Any]], title: str) -> Twin:
    """How alike the maps of one word are in two models that differ in their seed."""
    rows = []
    for name, how in methods.items():
        both = []
        for reading, targets, _ in some:
            theirs = read(other, list(reading.images), reading.question, reading.answer)
            found = zip(explain_all(reading, targets, **how), explain_all(theirs, targets, **how), strict=True)
            both += [alike(*pair) for pair in found]
        rows.append((name, str(len(both)), f"{np.mean(both):.2f}", f"{min(both):.2f}"))
    return table(("map", "words", "mean rank correlation", "least"), rows, title)

"""One call for a map of any method, for any family: `explain`, or `explain_all` for several words of one answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mmhallu_core.explain import attention, perturb, pixels
from mmhallu_core.explain.controls import CONTROLS
from mmhallu_core.explain.gradcam import grad_cam
from mmhallu_core.explain.maps import Map, PictureMap, Stack, ViewMap
from mmhallu_core.explain.places import place
from mmhallu_core.explain.reading import Reading, Target, read
from mmhallu_core.models.fit import Pictures
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun

LAYER = "vision"  # of Grad-CAM, where none is given


@dataclass(frozen=True)
class _Found:
    """What a method found for some words, and their log-probabilities where they came up on the way."""

    stacks: list[Stack]
    layer: str = ""
    note: str = ""
    facts: Sequence[dict[str, Any]] = ()
    scores: Float[Tensor, " words"] | None = None


def _gradcam(reading: Reading, targets: Sequence[Target], layer: str | None) -> _Found:
    """See `gradcam.py`."""
    where = place(reading, layer or LAYER)
    model, count = reading.vlm.model, len(targets)
    stacks, scores = grad_cam(lambda: reading.scores(reading.inputs, targets)[0], where, model, count)
    return _Found(stacks, where.name, where.note, scores=scores)


def _attention(
    reading: Reading, targets: Sequence[Target], layer: str | None, how: str = "mean", head: int | None = None
) -> _Found:
    """See `attention.py`."""
    layers = None if layer is None else [_decoder_number(layer, len(reading.vlm.family.layers(reading.vlm.model)))]
    crossing = reading.vlm.family.image_positions is None
    note = "the decoder has no image tokens: these are weights of its cross-attention" if crossing else ""
    name = "decoder" if layer is None else f"decoder:{layers[0]}"
    name += "" if head is None else f", head {head}"
    if how == "rollout" and (layer is not None or head is not None):
        raise CannotRun("rollout goes through all layers and averages all heads: leave layer and head out")
    if how == "rollout":
        return _Found(attention.rollout(reading, targets), f"{name}, rollout", note)
    if how not in ("mean", "gradient"):
        raise CannotRun(f"attention is mean, rollout or gradient, not {how!r}")
    if how == "mean":
        return _Found(attention.mean_attention(reading, targets, layers, head), name, note)
    return _Found(attention.gradient_attention(reading, targets, layers, head), f"{name}, times its gradient", note)


def _decoder_number(layer: str, count: int) -> int:
    """The number in "decoder:N".

    Raises:
        CannotRun: when it is no such name.
    """
    kind, _, number = layer.partition(":")
    if kind != "decoder" or not number.removeprefix("-").isdigit():
        raise CannotRun(f"attention is taken in decoder:N, 0 to {count - 1}, or in all layers; not in {layer!r}")
    return int(number) % count if -count <= int(number) < count else int(number)


def _ig(reading: Reading, targets: Sequence[Target], layer: str | None, **options: Any) -> _Found:
    """See `pixels.integrated_gradients`."""
    stacks, facts = pixels.integrated_gradients(reading, targets, **options)
    off = max(one["incompleteness"] for one in facts)
    note = f"the values add up only to within {off:.0%} of what they should" if off > pixels.TOLERANCE else ""
    return _Found(stacks, note=note, facts=facts)


def _looks_at_pictures(method: Callable) -> Callable:
    """A method that gives views alone."""

    def run(reading: Reading, targets: Sequence[Target], layer: str | None, **options: Any) -> _Found:
        return _Found(method(reading, targets, **options))

    return run


METHODS: dict[str, Callable[..., _Found]] = {
    "gradcam": _gradcam,
    "attention": _attention,
    "ig": _ig,
    "input-x-gradient": _looks_at_pictures(pixels.input_x_gradient),
    "occlusion": _looks_at_pictures(perturb.occlusion),
    "rise": _looks_at_pictures(perturb.rise),
    **{name: _looks_at_pictures(method) for name, method in CONTROLS.items()},
}
WITH_LAYER = ("gradcam", "attention")


@torch.inference_mode(False)  # inside of such a block there are no gradients
def explain(
    vlm: Vlm,
    images: Pictures,
    question: str,
    answer: str | None = None,
    target: str | int | None = None,
    method: str = "gradcam",
    layer: str | None = None,
    nth: int | None = None,
    **options: Any,
) -> Map:
    """Which parts of its pictures speak for a word of a model's answer.

    Args:
        vlm: any model of a known family.
        images: a picture, or those of one prompt in their order.
        question: plain text.
        answer: plain text; what the model answers when None.
        target: a word or phrase of the answer, or the number of one of its tokens; the whole answer when None.
        method: one of METHODS; three of them are controls that do not ask the model, see `controls.py`.
        layer: for Grad-CAM see `places.place`; for attention "decoder:N", or all layers when None.
        nth: which of several places where the word comes, from 1.
        options: of the method: `how` and `head` for attention ("mean", "rollout", "gradient"), `steps` for ig, `window`
            for occlusion, `masks` for rise, `fill`, `grid`, `batch_size`; see there.

    Returns:
        The map. Its values keep their sign: below zero speaks against the word.

    Raises:
        CannotRun: when there is no picture, no such word, layer or method, the word comes twice and `nth` is not given,
            or the model gives no gradients and the method needs them.
    """
    reading = read(vlm, images, question, answer)
    return explain_all(reading, [reading.find(target, nth)], method, layer, **options)[0]


@torch.inference_mode(False)
def explain_all(
    reading: Reading,
    targets: Sequence[Target] | None = None,
    method: str = "gradcam",
    layer: str | None = None,
    **options: Any,
) -> list[Map]:
    """A map for each of several words of one answer, in one batch where the method has one.

    Args:
        reading: what is read, see `reading.read`.
        targets: see `Reading.find` and `Reading.words`; every word of the answer when None.
        method, layer, options: as for `explain`.

    Raises:
        CannotRun: as `explain`.
    """
    if method not in METHODS:
        raise CannotRun(f"no method is called {method!r}; there are {', '.join(METHODS)}")
    if layer is not None and method not in WITH_LAYER:
        raise CannotRun(f"{method} looks at the pictures alone and has no layer; {' and '.join(WITH_LAYER)} have one")
    targets = reading.words() if targets is None else list(targets)
    if not targets:
        raise CannotRun(f"the answer {reading.answer!r} has no word")
    found = METHODS[method](reading, targets, layer, **options)
    scores = found.scores
    if scores is None:
        with torch.no_grad():
            scores = reading.scores(reading.inputs, targets)[0]
    tokens = reading.tokens
    maps = []
    for number, (target, score) in enumerate(zip(targets, scores.tolist(), strict=True)):
        pictures, words = _pictures(reading, found.stacks, number), tuple(tokens[i] for i in target.tokens)
        facts = found.facts[number] if found.facts else {}
        about = (reading.question, reading.answer, reading.vlm.name, score, found.note, facts)
        maps.append(Map(pictures, method, found.layer, target.text, words, *about))
    return maps


def _pictures(reading: Reading, stacks: Sequence[Stack], word: int) -> tuple[PictureMap, ...]:
    """The maps of one word."""
    return tuple(
        PictureMap(image, tuple(ViewMap(one.values[word], one.box) for one in stacks if one.picture == number))
        for number, image in enumerate(reading.images)
    )

"""A caption with its wrong words marked, beside the picture that it speaks of.

A word that names something which is not in the picture is underlined, and the words "not in the picture" follow it.
Nothing depends on colour. Which words are wrong is not decided here: whoever calls has looked that up.
"""

import html
import io
from collections.abc import Sequence

from mmhallu_core.evaluate.chair import Mention
from mmhallu_core.viz.twins import Twin, picture
from mmhallu_core.world.language import describe
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene

WRONG = "not in the picture"
SHOWN_AT = 384  # pixels; scenes are vectors, so they can be drawn larger than the model sees them


def marked(caption: str, mentions: Sequence[Mention]) -> Twin:
    """A caption whose hallucinated mentions are underlined and named.

    Args:
        caption: the sentence.
        mentions: what it names, as `chair_mentions` finds it; only the hallucinated ones are marked.
    """
    shown, told, place = [], [], 0
    for mention in sorted(mentions, key=lambda mention: mention.start):
        if not mention.hallucinated:
            continue
        before, word = caption[place : mention.start], caption[mention.start : mention.end]
        underlined = f'<strong class="mm-wrong" style="text-decoration:underline wavy">{html.escape(word)}</strong>'
        shown.append(f"{html.escape(before)}{underlined} <small>({WRONG})</small>")
        told.append(f"{before}[{word}: {WRONG}]")
        place = mention.end
    rest = caption[place:]
    return Twin("".join(shown) + html.escape(rest), "".join(told) + rest)


def in_words(scene: Scene) -> str:
    """The text twin of a scene's picture, made from its facts."""
    return describe(scene, "full").text


def scene_cards(scene: Scene, captions: dict[str, Twin]) -> Twin:
    """One picture, and what one or more models say about it.

    Args:
        scene: what is drawn; the picture's own words are its facts.
        captions: who says it, and the marked caption.
    """
    file = io.BytesIO()
    render(scene, SHOWN_AT).image.save(file, format="PNG")
    truth = in_words(scene)
    alt = f"Drawn scene. {truth.split('. ')[0].rstrip('.')}. All of it stands in words beside the picture."
    image = picture(file.getvalue(), "image/png", alt, "width:100%;max-width:20em;height:auto")
    said = "".join(f"<dt>{html.escape(who)}</dt><dd>{twin.html}</dd>" for who, twin in captions.items())
    facts = f"<dt>In the picture (its facts)</dt><dd>{html.escape(truth)}</dd>"
    words = f'<dl style="flex:1 1 16em;min-width:0;margin:0">{facts}{said}</dl>'
    row = "display:flex;flex-wrap:wrap;gap:1.5em;margin-top:1em"
    shown = f'<div style="{row}"><div style="flex:0 1 20em">{image}</div>{words}</div>'
    lines = [f"In the picture: {truth}", *(f"{who}: {twin.text}" for who, twin in captions.items())]
    return Twin(shown, "\n".join(lines))

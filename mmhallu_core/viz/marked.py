"""Which words of a sentence about a drawn scene are wrong, and why; such a sentence beside its picture.

A wrong word is underlined, and the reason follows it, such as "not in the picture". Nothing depends on colour.

`read` turns the sentence into facts and finds which thing of the scene each "a dog" stands for, and whatever is then
not among the scene's facts is wrong. In a sentence that `read` does not understand, only the nouns are looked up, as
CHAIR does. For a thing that is not in the picture, the reason may be habit: the place often has one.
"""

import html
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmhallu_core.evaluate.chair import Mention, chair_mentions
from mmhallu_core.evaluate.diorama.exam import world_vocabulary
from mmhallu_core.viz.twins import Twin, picture
from mmhallu_core.world.language import NounSpan, Reading, describe, match, read
from mmhallu_core.world.language.read import known_facts
from mmhallu_core.world.prior import TYPICAL
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Fact, Scene, Thing, side
from mmhallu_core.world.vocabulary import PEOPLE, PLACE_PHRASES, SIDE_PHRASES, VERB_ING, number_word, part_phrase

WRONG = "not in the picture"
SHOWN_AT = 384  # pixels; scenes are vectors, so they can be drawn larger than the model sees them
PLACES = {
    "street": "streets", "beach": "beaches", "field": "fields", "room": "rooms", "snow": "snowy places",
    "night": "dark places",
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Wrong:
    """Characters [start, end) of a text that say something false, and why it is false."""

    start: int
    end: int
    why: str


def mentions_of(text: str, scene: Scene) -> list[Mention]:
    """What a text names, by CHAIR's repaired rules, and whether the scene has it."""
    return chair_mentions(text, set(scene.kinds()), world_vocabulary(), "fixed")


def _wrong(words: str, why: str, look: str = "") -> str:
    """Wrong words, underlined and red (`player.css`), and the reason in brackets, so that colour says nothing alone."""
    return f'<strong class="mm-wrong"{look}>{html.escape(words)}</strong> <small>({html.escape(why)})</small>'


def _noted(text: str, wrong: Iterable["Wrong"], look: str = "") -> Twin:
    """A text with each of its wrong words marked and followed by the reason."""
    shown, told, place = [], [], 0
    for one in wrong:
        before, words = text[place : one.start], text[one.start : one.end]
        shown.append(html.escape(before) + _wrong(words, one.why, look))
        told.append(f"{before}[{words}: {one.why}]")
        place = one.end
    rest = text[place:]
    return Twin("".join(shown) + html.escape(rest), "".join(told) + rest)


def marked(caption: str, mentions: Sequence[Mention]) -> Twin:
    """A caption whose hallucinated mentions are underlined and named, on any page: it needs no style sheet.

    Args:
        caption: the sentence.
        mentions: what it names, as `chair_mentions` finds it; only the hallucinated ones are marked.
    """
    wrong = sorted(Wrong(one.start, one.end, WRONG) for one in mentions if one.hallucinated)
    return _noted(caption, wrong, ' style="text-decoration:underline wavy"')


def explained(text: str, scene: Scene) -> Twin:
    """A text whose wrong words are underlined, in red, and followed by why they are wrong.

    Args:
        text: what somebody says about the scene.
        scene: the truth.
    """
    return _noted(text, wrong_words(text, scene))


def wrong_words(text: str, scene: Scene) -> list[Wrong]:
    """Every word that says something false about a scene, in order, each with all its reasons.

    Args:
        text: any string; what `read` cannot understand is judged by its nouns alone.
        scene: the truth.
    """
    reading = match(read(text), scene)
    found = [*_nouns(text, reading, scene), *_details(text, reading, scene)]
    reasons: dict[tuple[int, int], list[str]] = {}
    for one in found:
        reasons.setdefault((one.start, one.end), []).append(one.why)
    return [Wrong(*span, "; ".join(dict.fromkeys(why))) for span, why in sorted(reasons.items())]


def absent(kind: str, scene: Scene) -> str:
    """Why a noun is wrong whose thing is not there: "not in the picture; habit: beaches often have one"."""
    habit = f"; habit: {PLACES[scene.place]} often have one" if kind in TYPICAL[scene.place] else ""
    return WRONG + habit


def names_absent(text: str, kind: str, scene: Scene) -> bool:
    """Whether a text names a kind of thing of which the picture has none: CHAIR's hallucinated object."""
    return any(mention.object == kind and mention.hallucinated for mention in mentions_of(text, scene))


def judged(answer: str, truth: str) -> Twin:
    """A short answer and whether it is right; a wrong one is underlined and followed by the right one."""
    if answer.strip().rstrip(".").lower() == truth.strip().rstrip(".").lower():
        return Twin(f"{html.escape(answer)} <small>(right)</small>", f"{answer} (right)")
    why = f"wrong; right is: {truth}"
    return Twin(_wrong(answer, why), f"[{answer}: {why}]")


def _nouns(text: str, reading: Reading, scene: Scene) -> Iterable[Wrong]:
    """Nouns of things that are not there, that are named too often, or that are there although denied."""
    here, understood = {thing.id for thing in scene}, {mention.start for mention in reading.mentions}
    for mention in mentions_of(text, scene):
        if mention.hallucinated and mention.start not in understood:
            yield Wrong(mention.start, mention.end, absent(mention.object, scene))
    for mention in reading.mentions:
        kind, count = mention.kind, len(scene.of_kind(mention.kind))
        if not count and mention.thing_ids:
            yield Wrong(mention.start, mention.end, absent(kind, scene))
        elif set(mention.thing_ids) - here:
            yield Wrong(mention.start, mention.end, f"the picture has only {number_word(count)}")
        elif count and Fact("negation", kind, "absent") in reading.facts and not mention.thing_ids:
            yield Wrong(mention.start, mention.end, "it is in the picture")


def _details(text: str, reading: Reading, scene: Scene) -> Iterable[Wrong]:
    """False colours, poses, numbers, places and the like, marked where they are said."""
    known, here = known_facts(scene), {thing.id: thing for thing in scene}
    false = [(fact, False) for fact in reading.facts if fact not in known]
    false += [(fact, True) for fact in reading.denied if fact in known]
    for fact, denied in false:
        if fact.predicate == "place":
            said = next((words for words in PLACE_PHRASES[fact.value] if words in text.lower()), None)
            start = text.lower().find(said) if said else -1
            if said and start >= 0:
                yield Wrong(start, start + len(said), f"it is {PLACE_PHRASES[scene.place][0]}")
            continue
        about = [name for name in (fact.subject, fact.object) if name]
        if fact.predicate in ("is", "absent") or any(name not in here and name not in scene.kinds() for name in about):
            continue  # a noun is wrong already
        why = "this is so in the picture" if denied else _why_not(fact, here, scene)
        for mention in reading.mentions:
            if fact.subject in (*mention.thing_ids, mention.kind):
                yield Wrong(*_span_of(fact, mention, text, reading), why)
                break


def _span_of(fact: Fact, noun: NounSpan, text: str, reading: Reading) -> tuple[int, int]:
    """The characters that say a fact of a noun: its colour, pose or side, or the noun where no such word belongs to it.

    The word stands in the noun's sentence, with no other noun between the two.
    """
    said = SIDE_PHRASES.get(str(fact.value)) if fact.predicate == "side" else fact.value
    if fact.predicate not in ("colour", "pattern", "size", "pose", "side") or not said:
        return noun.start, noun.end
    others = [one for one in reading.mentions if one.start != noun.start]
    begin = max([text.rfind(".", 0, noun.start) + 1, *(one.end for one in others if one.end <= noun.start)])
    ends = [text.find(".", noun.end) % (len(text) + 1), *(one.start for one in others if one.start >= noun.end)]
    word = re.compile(rf"\b{re.escape(said)}\b", re.IGNORECASE)
    found = [*word.finditer(text, begin, noun.start)][-1:] + [*word.finditer(text, noun.end, min(ends))][:1]
    return found[0].span() if found else (noun.start, noun.end)


def _why_not(fact: Fact, here: dict[str, Thing], scene: Scene) -> str:
    """What is so instead of a fact about a thing, or a kind, that is there."""
    if fact.predicate == "number":
        count = len(scene.of_kind(fact.subject))
        return f"the picture has {'only ' if int(fact.value) > count else ''}{number_word(count)}"
    thing = here.get(fact.subject)
    if thing is None:
        return "not so in the picture"
    subject = f"the {thing.kind}" if len(scene.of_kind(thing.kind)) == 1 else f"one {thing.kind}"
    match fact.predicate:
        case "colour":
            dressed = "in " if thing.kind in PEOPLE else ""
            return f"{subject} is {dressed}{thing.colour}, not {fact.value}"
        case "pattern" | "size" | "pose":
            return f"{subject} is {getattr(thing, fact.predicate)}, not {fact.value}"
        case "side":
            place = f"with the {here[thing.held_by].kind}" if thing.held_by else SIDE_PHRASES[side(thing)]
            return f"{subject} is {place}"
        case "has" | "lacks":
            return f"{subject} has {'no ' + fact.value if fact.predicate == 'has' else part_phrase(fact.value)}"
        case "holds" | "wears":
            return f"{subject} is not {VERB_ING[fact.predicate]} one"
        case _:
            return "not so in the picture"


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

"""Activate with an annotator as judge: a model that sees the picture puts one thing in a caption right.

Word rules know objects alone, and Diorama's reader knows Diorama alone. An annotator is asked about any caption of any
picture. Its reply is not trusted further than it can be checked: the wrong words must stand in the caption once, what
it puts in their place must be about as long, and the caption with it becomes the grounded response. So the two differ
in these words alone. Whether they are truly wrong is the annotator's word.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmhallu_core.clients.client import CallFailed, Request, fenced
from mmhallu_core.clients.journaled import JournaledClient
from mmhallu_core.data.answers import split_thought
from mmhallu_core.methods.aleahallu.pairs import KINDS, PROMPT
from mmhallu_core.types import Answer, ResponsePair

LONGEST, APART = 8, 2  # words that may be replaced, and how many more or fewer may stand there instead
INSTRUCTIONS = """\
You compare a caption with its picture. Look for one thing that the caption says and the picture goes against:
- object: it names a thing that is not there.
- attribute: a thing is there, and its colour, pattern, pose, size or number is another one.
- relation: things are there, and stand to each other otherwise, or do something else.
Choose the clearest one. Copy the words that are wrong from the caption, as few as are needed, and write what should \
stand in their place so that the whole caption reads well and is true there."""
ENDING = """\
Reply with one JSON object and nothing else: {"kind": "object", "wrong": "words of the caption", "right": "words to \
stand there"}. When nothing is wrong, reply {"kind": null}."""


def judged_pairs(
    client: JournaledClient, captions: Sequence[Answer], pictures: Mapping[str, str], folder: Path,
    prompt: str = PROMPT, progress: str | None = None,
) -> tuple[list[ResponsePair], Counter[str]]:  # fmt: skip
    """Pairs from captions, and why the others gave none.

    Args:
        client: asks the annotator; nothing that its journal knows is asked again.
        captions: what a model said; the picture is `image_id`, or `id` where that is not given.
        pictures: image id to the picture's path.
        folder: where these paths start.
        prompt: what the model was asked.
        progress: label of a progress bar, none when None.

    Returns:
        The pairs, balanced (see `balanced`), and a count of captions by reason: "no picture", the reasons of failed
        calls, "nothing wrong", "unusable reply" and "surplus" for pairs of a kind that has more than the others.

    Raises:
        Stopped: see `JournaledClient.ask_all`.
    """
    able = [one for one in captions if (one.image_id or one.id) in pictures and one.answer.strip()]
    asked = [_request(one, folder / pictures[one.image_id or one.id]) for one in able]
    found, left = [], Counter({"no picture": len(captions) - len(able)})
    for one, outcome in zip(able, client.ask_all(asked, progress), strict=True):
        if isinstance(outcome, CallFailed):
            left[outcome.reason] += 1
            continue
        read = put_right(one.answer, split_thought(outcome.text)[0])
        if isinstance(read, str):
            left[read] += 1
        else:
            text, kind = read
            found.append(ResponsePair(one.id, pictures[one.image_id or one.id], prompt, text, one.answer, kind))
    kept = balanced(found)
    left["surplus"] = len(found) - len(kept)
    return kept, +left


def _request(one: Answer, picture: Path) -> Request:
    return Request(f"wrong/{one.id}", fenced(INSTRUCTIONS, {"caption": one.answer}, ENDING), (str(picture),))


def put_right(caption: str, reply: str) -> tuple[str, str] | str:
    """The caption with an annotator's correction, and its kind; or why there is none.

    Args:
        caption: as the annotator saw it.
        reply: what it said; text around the JSON object is passed over.
    """
    inside = re.search(r"\{.*\}", reply, re.DOTALL)
    try:
        said = json.loads(inside[0]) if inside else None
    except ValueError:
        said = None
    if not isinstance(said, dict) or "kind" not in said:
        return "unusable reply"
    if said["kind"] is None:
        return "nothing wrong"
    kind, wrong, right = (said.get(name) for name in ("kind", "wrong", "right"))
    if kind not in KINDS or not all(isinstance(one, str) and one.strip() for one in (wrong, right)):
        return "unusable reply"
    places = [*re.finditer(rf"(?<!\w){re.escape(wrong.strip())}(?!\w)", caption)]
    lengths = [len(one.split()) for one in (wrong, right)]
    if len(places) != 1 or max(lengths) > LONGEST or abs(lengths[0] - lengths[1]) > APART:
        return "unusable reply"
    text = caption[: places[0].start()] + right.strip() + caption[places[0].end() :]
    return (text, kind) if text.lower() != caption.lower() else "unusable reply"


def balanced(pairs: Sequence[ResponsePair]) -> list[ResponsePair]:
    """As many pairs of each kind that occurs, the first of each, in turn."""
    by_kind = [[one for one in pairs if one.kind == kind] for kind in KINDS]
    return [one for several in zip(*(some for some in by_kind if some), strict=False) for one in several]

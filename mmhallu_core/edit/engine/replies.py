"""Reading replies: one strict reader for each form, which gives what was said or says that it cannot be read.

A reader takes the whole reply. Words before the form, a second answer, or a category that does not exist make it
`Malformed`: MED's released programs look for "yes" anywhere, so that "No, my eyes tell me" is a yes, and keep the first
word of a category, so that "Spatial Relation" becomes "Spatial", which is none.
"""

import re
from dataclasses import dataclass

from mmhallu_core.types import CATEGORIES

CRITERIA = ("Image quality", "Text clarity", "Editing potential", "Interference factors")
RECOMMENDATION = "Final Recommendation"
CAPTION, TYPE, DIFFERENCE, IMPROVED = "CAPTION", "TYPE", "DIFFERENCE", "IMPROVED_DESCRIPTION"
NO_UPDATE, NO_DIFFERENCE, NONE = "NO UPDATE", "NO DIFFERENCE", "None"

_BY_NAME = {name.casefold(): name for name in CATEGORIES}
_VERDICT = re.compile(r"\*\*(Yes|No)\*\*")
_YES_NO = re.compile(r"[\s\"'*`]*(yes|no)[\s\"'*`.!]*", re.IGNORECASE)
_PLAN = re.compile(
    r"Type:[ \t]*(?P<type>[^\n]+)\n+##[ \t]*Prompt:[ \t]*(?P<prompt>Hi, this is a photo of [^\n]+?\. "
    r"Can you (?P<request>[^\n]+?) and output the image\?)",
    re.IGNORECASE,
)
_ASKED = re.compile(r"Can you (.+?) and output the image\?$", re.IGNORECASE)


class Malformed(ValueError):
    """A reply that does not have the form that was asked for. The message says what is wrong with it."""


@dataclass(frozen=True)
class EditPlan:
    """A planned edit: its category, and the whole request to an editor ("Hi, this is ... Can you ... ?")."""

    category: str
    instruction: str


@dataclass(frozen=True)
class Found:
    """A difference between two captions: its category, and a sentence that states it."""

    category: str
    sentence: str


def read_editable(text: str) -> dict[str, bool]:
    """The filter's verdicts by criterion, the final recommendation among them: five lines that end in a bold verdict.

    Raises:
        Malformed: when a line is missing, out of order or has not exactly one verdict, at its end.
    """
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    heads = [f"**{number}. {name}:**" for number, name in enumerate(CRITERIA, start=1)] + [f"**{RECOMMENDATION}:**"]
    if len(lines) != len(heads):
        raise Malformed(f"there are {len(lines)} lines, not {len(heads)}")
    verdicts = {}
    for line, head, name in zip(lines, heads, (*CRITERIA, RECOMMENDATION), strict=True):
        found = _VERDICT.findall(line)
        if not line.startswith(head) or len(found) != 1 or not line.endswith(f"**{found[0]}**"):
            raise Malformed(f"a line does not begin with {head} and end with its one verdict")
        verdicts[name] = found[0] == "Yes"
    return verdicts


def read_category(text: str) -> str:
    """One of the eleven categories, all of its words; neither capitals nor a full stop matter.

    Raises:
        Malformed: for anything else, such as "Spatial" or two categories.
    """
    name = " ".join(re.split(r"[\s_]+", text.strip(" \t\r\n*`\"'.").casefold()))
    if name not in _BY_NAME:
        raise Malformed(f"{text.strip()!r} is not one of the eleven categories")
    return _BY_NAME[name]


def read_plan(text: str) -> EditPlan | None:
    """A plan in two lines, "Type: ..." and "## Prompt: Hi, this is a photo of .... Can you ... and output the image?".

    Returns:
        None when the reply is "Type: None": no category on offer suits the picture.

    Raises:
        Malformed: when the reply has another form.
    """
    if text.strip().casefold() == f"type: {NONE}".casefold():
        return None
    match = _PLAN.fullmatch(text.strip())
    if match is None:
        raise Malformed("it is not a line `Type: ...` and a line `## Prompt: Hi, this is a photo of ...`")
    if match["prompt"].casefold().count("can you ") != 1:
        raise Malformed("it asks for more than one edit")
    return EditPlan(read_category(match["type"]), match["prompt"])


def asked_in(instruction: str) -> str:
    """What an instruction asks for: the words between "Can you" and "and output the image?"; else all of them."""
    match = _ASKED.search(instruction)
    return match[1] if match else instruction


def read_completed(text: str) -> str | None:
    """A caption after "CAPTION:", or None for "NO UPDATE": the caption was complete.

    Raises:
        Malformed: when the reply is neither. (A bare sentence would do in the paper's form; it cannot be told from
            "I cannot see the picture", so the label is asked for.)
    """
    return None if text.strip(" \t\r\n.*\"'") == NO_UPDATE else read_caption(text)


def read_caption(text: str) -> str:
    """The caption after "CAPTION:".

    Raises:
        Malformed: when the label is missing, comes twice, or nothing follows it.
    """
    return _labelled(text, CAPTION)


def read_improved(text: str) -> str:
    """The text after "IMPROVED_DESCRIPTION:".

    Raises:
        Malformed: as `read_caption`.
    """
    return _labelled(text, IMPROVED)


def read_difference(text: str) -> Found | None:
    """A difference as "TYPE: ..." and "DIFFERENCE: ..."; None for "NO DIFFERENCE".

    Raises:
        Malformed: when a label is missing or comes twice, the category does not exist, or a text is empty.
    """
    if text.strip(" \t\r\n.*\"'") == NO_DIFFERENCE:
        return None
    words = text.strip()
    head, label, tail = words.partition(f"{DIFFERENCE}:")
    if not label or not head.startswith(f"{TYPE}:") or words.count(f"{TYPE}:") != 1 or not head.endswith(("\n", " ")):
        raise Malformed(f"it is not `{TYPE}: ...` and then `{DIFFERENCE}: ...`")
    return Found(read_category(head.removeprefix(f"{TYPE}:")), _labelled(label + tail, DIFFERENCE))


def read_yes_no(text: str) -> bool:
    """Yes or no as the whole reply.

    Raises:
        Malformed: when there is any other word, as in "Not sure, yes".
    """
    match = _YES_NO.fullmatch(text)
    if match is None:
        raise Malformed("it is not `Yes` or `No` alone")
    return match[1].lower() == "yes"


def _labelled(text: str, label: str) -> str:
    """What follows a label that begins the reply and comes once, on one line."""
    words = text.strip()
    if not words.startswith(f"{label}:") or words.count(f"{label}:") != 1:
        raise Malformed(f"it does not begin with `{label}:`, once")
    body = " ".join(words.removeprefix(f"{label}:").split())
    if not re.search(r"\w", body):
        raise Malformed(f"nothing follows `{label}:`")
    return body

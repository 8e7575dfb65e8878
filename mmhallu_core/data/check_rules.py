"""What makes a record of a user's own file wrong, one rule after another, so that none hides the next.

The records of `mmhallu_core.types` check themselves too, but stop at their first fault. What passes here is built as
such a record at the end: a file without findings is one that `chats.py` reads.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import MISSING, fields
from difflib import get_close_matches
from typing import Any

from mmhallu_core.data.answers import ID_KEYS, IMAGE_KEYS, TEXT_KEYS, as_id, candidates
from mmhallu_core.data.chats import KEYS, MESSAGES, chat_of
from mmhallu_core.data.pictures import Pictures
from mmhallu_core.data.question import LETTERS
from mmhallu_core.types import CATEGORIES, Answer, EditSample, Preference, Record, RecordError, ResponsePair, slug

RECORDS: dict[str, type[Record]] = {
    "edit": EditSample, "preference": Preference, "pairs": ResponsePair, "answers": Answer,
}  # fmt: skip
KINDS = (*RECORDS, "conversation")
TRAINED = ("edit", "conversation")  # what a model can be trained on
OTHER = {"edit": "a conversation among edit samples", "conversation": "an edit sample among conversations"}
SAMPLE = {entry.name for entry in fields(EditSample)} - set(KEYS)  # what an edit sample has and a conversation has not
Fault = tuple[str, str]  # the reason, and what was found

# One whole record of each kind. The book shows them.
EXAMPLES: dict[str, dict[str, Any]] = {
    "edit": EditSample(
        id="kitchen-1",
        image="pictures/kitchen.png",
        edited_image="pictures/kitchen-edited.png",
        category="Counting",
        edit_instruction="Take one of the two cups away.",
        caption="Two cups stand beside a kettle.",
        edited_caption="One cup stands beside a kettle.",
        difference="The first picture has one cup more.",
        question="What is different between the two pictures?",
        options=("There is one cup less.", "The kettle is gone.", "A cup is red.", "The cups are on the floor."),
        answer="A",
        provenance={"photographer": "me"},
    ).to_dict(),
    "preference": Preference(
        id="kitchen-1",
        prompt="Describe the picture.",
        chosen="Two cups stand beside a kettle.",
        rejected="Two cups stand beside a toaster.",
        images=("pictures/kitchen.png",),
        chosen_spans=((24, 30),),
        rejected_spans=((24, 31),),
    ).to_dict(),
    "pairs": ResponsePair(
        id="kitchen-1",
        image="pictures/kitchen.png",
        prompt="Describe the picture.",
        grounded="Two cups stand beside a kettle.",
        hallucinated="Two cups stand beside a toaster.",
        kind="object",
    ).to_dict(),
    "answers": Answer(id="kitchen-1", answer="Two cups stand beside a kettle.", image_id="kitchen").to_dict(),
    "conversation": {
        "id": "kitchen-1",
        "images": ["pictures/kitchen.png", "pictures/kitchen-edited.png"],
        "question": "What changed?",
        "answer": "A cup is gone.",
    },
}


def id_of(kind: str, values: dict[str, Any]) -> str | None:
    """The id of a record, None when it has none that can be used."""
    keys = ID_KEYS if kind == "answers" else ("id",)
    return as_id(values.get(next((key for key in keys if key in values), "id")))


def kind_of(values: dict[str, Any], otherwise: str = "conversation") -> str:
    """Whether a record to train on is an edit sample ("edit") or a "conversation", by its keys; one may be misspelt."""
    samples, turns = len(SAMPLE & values.keys()), len({"images", *MESSAGES} & values.keys())
    if samples > 1 and samples > turns:
        return "edit"
    return "conversation" if turns else otherwise


def rules(kind: str, values: dict[str, Any], pictures: Pictures) -> Iterator[Fault]:
    """Yields (reason, what was found) for every fault of one JSON object."""
    if kind == "answers":
        yield from _answer(values)
        return
    if kind in TRAINED and kind_of(values, kind) != kind:
        yield "other_kind", OTHER[kind]
        return
    by_kind = {"edit": _edit, "conversation": _conversation, "preference": _preference, "pairs": _pair}
    faults = [*by_kind[kind](values, pictures)]
    yield from faults
    if not faults and kind in RECORDS:
        try:
            RECORDS[kind].from_dict(values)
        except RecordError as error:
            yield "bad_value", str(error)


def _fields(kind: str, values: dict[str, Any], texts: tuple[str, ...]) -> Iterator[Fault]:
    """Missing, unknown, empty and wrongly typed fields, each by itself."""
    known = {entry.name: entry for entry in fields(RECORDS[kind])}
    for name, entry in known.items():
        if entry.default is MISSING and entry.default_factory is MISSING and name not in values:
            yield "missing_field", f"`{name}` is missing"
    yield from _unknown(values, known)
    for name in (name for name in texts if name in values):
        if not isinstance(values[name], str):
            yield "bad_value", f"`{name}` must be a text, got {json.dumps(values[name])[:40]}"
        elif not values[name].strip():
            yield "empty_text", f"`{name}` has no text"
    for name in (name for name in ("similarity", "provenance") if name in known and name in values):
        try:  # in a record that is right in everything else
            RECORDS[kind].from_dict({**EXAMPLES[kind], name: values[name]})
        except RecordError as error:
            yield "bad_value", str(error)


def _unknown(values: dict[str, Any], known: Collection[str]) -> Iterator[Fault]:
    """Keys that nobody reads, each with the one that it may stand for."""
    for name in (name for name in values if name not in known):
        near = get_close_matches(name, known, n=1)
        yield "unknown_key", f"there is no field `{name[:60]}`" + (f"; did you mean `{near[0]}`?" if near else "")


def _conversation(values: dict[str, Any], pictures: Pictures) -> Iterator[Fault]:
    """Faults of a `Chat`, in either of its forms. It may show one picture twice."""
    yield from _unknown(values, KEYS)
    images = values.get("images", [])
    if not images:
        yield "no_picture", "`images` is empty" if "images" in values else "`images` is missing"
    for place, image in enumerate(images if isinstance(images, list) else []):
        yield from pictures.faults({f"images[{place}]": image})
    try:
        chat_of(values, "no id")
    except RecordError as error:
        yield "bad_value", str(error)


EDIT_TEXTS = ("id", "edit_instruction", "caption", "edited_caption", "difference", "question", "answer")


def _edit(values: dict[str, Any], pictures: Pictures) -> Iterator[Fault]:
    """Faults of an `EditSample`."""
    yield from _fields("edit", values, EDIT_TEXTS)
    named = {name: values[name] for name in ("image", "edited_image") if name in values}
    yield from pictures.faults(named, pair=True)
    yield from _provenance(values.get("provenance"), pictures)
    category = values.get("category", CATEGORIES[0])
    if category not in CATEGORIES:
        near = [name for name in CATEGORIES if isinstance(category, str) and slug(name) == slug(category)]
        near = near or get_close_matches(str(category), CATEGORIES, n=1)
        yield "unknown_category", f"no category {category!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    yield from _options(values)
    if values.get("caption", "") == values.get("edited_caption") != "":
        yield "same_text", "`caption` and `edited_caption` are the same text"


def _provenance(said: Any, pictures: Pictures) -> Iterator[Fault]:
    """Faults of what training and the benchmark read of `provenance`: mask, way back, and questions turned round."""
    if not isinstance(said, dict):
        return  # a fault of its own
    if "mask" in said:
        yield from pictures.faults({"provenance.mask": said["mask"]})
    parts = {f"provenance.{name}": said[name] for name in ("editor", "source", "reverse") if name in said}
    for name, part in parts.items():
        if not isinstance(part, dict):
            yield "bad_value", f"`{name}` must be an object, got {json.dumps(part)[:40]}"
    editor = said.get("editor")
    backs = {"provenance.editor.reverse": editor.get("reverse")} if isinstance(editor, dict) else {}
    backs["provenance.reverse"] = said.get("reverse")
    turned = editor.get("turned", []) if isinstance(editor, dict) else []
    if not isinstance(turned, list) or not all(
        isinstance(one, list) and len(one) == 3 and all(isinstance(text, str) and text.strip() for text in one)
        for one in turned
    ):
        yield "bad_value", "`provenance.editor.turned` must be a list of [question, answer before, answer after]"
    for name, back in backs.items():
        if isinstance(back, dict) and not (isinstance(back.get("difference"), str) and back["difference"].strip()):
            yield "bad_value", f"`{name}.difference` must be a text with something in it"
        elif not isinstance(back, dict) and back is not None and name not in parts:
            yield "bad_value", f"`{name}` must be an object, got {json.dumps(back)[:40]}"


def _options(values: dict[str, Any]) -> Iterator[Fault]:
    """Faults of lettered options and of the letter that names the right one."""
    options, answer = values.get("options"), values.get("answer")
    if options is None:
        return
    if not isinstance(options, list) or not all(isinstance(one, str) for one in options):
        yield "bad_value", "`options` must be a list of texts"
        return
    if len(options) < 2 or len({one.strip() for one in options}) < len(options):
        yield "bad_options", "`options` are fewer than two, or two of them are the same"
    if any(one != one.strip() or not one for one in options):
        yield "bad_options", "an option is empty or has blanks at its ends"
    letters = LETTERS[: len(options)]
    if isinstance(answer, str) and answer.strip() and not (len(answer) == 1 and answer in letters):
        yield "wrong_letter", f"`answer` is {answer!r}; with {len(options)} options it is one of {', '.join(letters)}"
    for letter, option in zip(letters, options, strict=False):
        if option[1:2] in (".", ")") and option[:1].isupper() and option[:1] != letter:
            yield "wrong_letter", f"the option in place {letter} begins with {option[:2]!r}"


def _preference(values: dict[str, Any], pictures: Pictures) -> Iterator[Fault]:
    """Faults of a `Preference`."""
    yield from _fields("preference", values, ("id", "prompt", "chosen", "rejected"))
    images = values.get("images", [""])
    if not isinstance(images, list):
        yield "bad_value", "`images` must be a list of pictures, also when there is one"
    elif not images:
        yield "bad_value", "`images` is empty"
    elif "images" in values:
        yield from pictures.faults({f"images[{place}]": image for place, image in enumerate(images)})
    for side in ("chosen", "rejected"):
        yield from _spans(f"{side}_spans", values.get(f"{side}_spans", []), values.get(side))
    if values.get("chosen", "") == values.get("rejected") != "":
        yield "same_text", "`chosen` and `rejected` are the same text"


def _pair(values: dict[str, Any], pictures: Pictures) -> Iterator[Fault]:
    """Faults of a `ResponsePair`."""
    yield from _fields("pairs", values, ("id", "prompt", "grounded", "hallucinated", "kind"))
    yield from pictures.faults({"image": values["image"]} if "image" in values else {})
    if values.get("grounded", "") == values.get("hallucinated") != "":
        yield "same_text", "`grounded` and `hallucinated` are the same text"


def _spans(name: str, spans: Any, text: Any) -> Iterator[Fault]:
    """Spans that are not pairs of whole numbers, are empty, out of order, overlapping or outside their text."""
    if not isinstance(spans, list):
        yield "bad_value", f"`{name}` must be a list of [start, end)"
        return
    last = 0
    for span in spans:
        if not (isinstance(span, list) and len(span) == 2 and all(type(edge) is int for edge in span)):
            yield "bad_span", f"`{name}`: {json.dumps(span)[:40]} is not [start, end) in whole numbers"
            continue
        start, end = span
        if start >= end:
            yield "bad_span", f"`{name}`: {span} is empty"
        elif start < 0 or (isinstance(text, str) and end > len(text)):
            yield "bad_span", f"`{name}`: {span} lies outside the text of {len(str(text))} characters"
        elif start < last:
            yield "bad_span", f"`{name}`: {span} overlaps the span before it, or is out of order"
        last = max(last, end)


def _answer(values: dict[str, Any]) -> Iterator[Fault]:
    """Faults of an `Answer` under any of the keys that scorers read; its picture is only named, never opened."""
    keys = {"id": ID_KEYS, "answer": TEXT_KEYS}
    found = {field: next((key for key in names if key in values), None) for field, names in keys.items()}
    for field, names in keys.items():
        if found[field] is None:
            yield "missing_field", f"no {field} among {', '.join(f'`{name}`' for name in names)}"
    if found["id"] and as_id(values[found["id"]]) is None:
        reason = "empty_text" if isinstance(values[found["id"]], str) else "bad_value"
        yield reason, f"`{found['id']}` must be a text or a whole number, got {json.dumps(values[found['id']])[:40]}"
    if found["answer"] and not isinstance(values[found["answer"]], str):
        yield "bad_value", f"`{found['answer']}` must be a text, got {json.dumps(values[found['answer']])[:40]}"
    elif found["answer"] and not values[found["answer"]].strip():
        yield "empty_answer", f"`{found['answer']}` has no text"
    several = candidates(values)
    if len(several) > 1:
        yield "several_answers", f"{', '.join(f'`{name}`' for name in several)} could each be the answer"
    read = {found["id"], *several, "thought", next((key for key in IMAGE_KEYS if key in values), None)}
    for name in (name for name in values if name not in read):
        yield "ignored_key", f"`{name}`"

"""A picture that carries its own truth: the scene behind a Diorama picture, in a text chunk of its PNG file.

The oracle must know what a picture shows, and the edited picture depends on what the plan said. So the scene travels in
the file itself, where no reader of pixels sees it, to any process or machine. `bare` takes it out again, for every
other annotator and at the end: a picture of a data set must not carry its own answer.
"""

import io
import json
import struct
from enum import StrEnum
from functools import lru_cache

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mmhallu_core.edit.draft import Draft
from mmhallu_core.edit.stages.instructions import meaning_of, read_statement
from mmhallu_core.types import CannotRun
from mmhallu_core.world.edits import Edit, edit_between
from mmhallu_core.world.language.read import known_facts, match, read
from mmhallu_core.world.scene import Scene

KEY = "diorama"
PNG = b"\x89PNG\r\n\x1a\n"  # how a PNG file begins


def picture_with_truth(image: Image.Image, scene: Scene, planned: Edit | None = None) -> bytes:
    """A PNG with its scene inside, and the edit that the scene was made for, where there is one."""
    truth = {"scene": scene.to_dict()}
    if planned is not None:
        truth |= {"category": planned.category, "after": planned.after.to_dict()}
    notes = PngInfo()
    notes.add_text(KEY, json.dumps(truth), zip=True)
    return png(image, notes)


def png(image: Image.Image, notes: PngInfo | None = None) -> bytes:
    """The bytes of a PNG file; packed fast, because drawn pictures are small anyway."""
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=notes, compress_level=1)
    return out.getvalue()


@lru_cache(maxsize=512)
def _truth(picture: bytes) -> tuple[Scene, str | None, Scene | None] | None:
    if not picture.startswith(PNG):
        return None
    with Image.open(io.BytesIO(picture), formats=("PNG",)) as image:
        text = image.info.get(KEY)
    if text is None:
        return None
    truth = json.loads(text)
    after = Scene.from_dict(truth["after"]) if "after" in truth else None
    return Scene.from_dict(truth["scene"]), truth.get("category"), after


def scene_in(picture: bytes) -> Scene | None:
    """The scene that a picture shows; None when it carries none."""
    found = _truth(picture)
    return None if found is None else found[0]


def planned_in(picture: bytes) -> Edit | None:
    """The edit that a picture's scene was made for; None when it carries none."""
    found = _truth(picture)
    if found is None or found[2] is None:
        return None
    before, category, after = found
    return Edit.between(category, "planned", before, after)


def bare(picture: bytes) -> bytes:
    """The same file without the truth, its pixels the same bytes; a file of another format as it is."""
    if not picture.startswith(PNG):
        return picture
    kept, at = [PNG], len(PNG)
    while at < len(picture):
        (length,) = struct.unpack(">I", picture[at : at + 4])
        end = at + 12 + length  # length, name, content, checksum
        if not (picture[at + 4 : at + 8] == b"zTXt" and picture[at + 8 : end].startswith(KEY.encode() + b"\0")):
            kept.append(picture[at:end])
        at = end
    return b"".join(kept)


class Fault(StrEnum):
    """A field of a draft that does not say what is so."""

    CATEGORY = "category"
    DIFFERENCE = "difference"
    ANSWER = "answer"
    CAPTION = "caption"
    EDITED_CAPTION = "edited_caption"


def caption_is_true(caption: str, scene: Scene) -> bool:
    """Whether a caption can be read, and all that it asserts holds in a scene."""
    reading = match(read(caption), scene)
    known = known_facts(scene)
    return not reading.unread and set(reading.facts) <= known and not set(reading.denied) & known


def faults(draft: Draft) -> tuple[Fault, ...]:
    """The wrong fields of a draft that came through the pipeline.

    Raises:
        CannotRun: when its pictures do not carry their truth.
    """
    before, after = scene_in(draft.image), scene_in(draft.edited_image)
    if before is None or after is None:
        raise CannotRun(f"{draft.id}: only Diorama's drafts can be checked, before their pictures are made plain")
    edit = edit_between(before, after)
    true = None if edit is None else meaning_of(edit)
    right = {
        Fault.CATEGORY: edit is not None and draft.category == edit.category,
        Fault.DIFFERENCE: true is not None and read_statement(draft.difference) == true,
        Fault.ANSWER: true is not None and read_statement(draft.answer) == true,
        Fault.CAPTION: caption_is_true(draft.caption, before),
        Fault.EDITED_CAPTION: caption_is_true(draft.edited_caption, after),
    }
    return tuple(fault for fault, holds in right.items() if not holds)

"""Outside editors: anything that takes a photo and an instruction and gives a photo back.

An editor is small: `about`, what shape of picture it takes (`padding`), and `edit`. What all of them need is done once,
in `edited_by`: the photo is padded to a shape that the editor takes, the reply is laid back over the photo, and it is
looked at. A reply without a picture, with a damaged one, with one of another shape, or with the photo as it was, ends
the draft with that reason. A copy of the photo never passes for an edit.

OpenCV's edits come with a mask and change nothing outside it. Generators repaint the whole picture, so what they give
has no mask, and the judges have to find out what else has changed.
"""

import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mmhallu_core.data.decode import decode
from mmhallu_core.edit.draft import Draft, Rejected, Stage
from mmhallu_core.edit.editors.padding import Padding
from mmhallu_core.edit.engine.replies import asked_in
from mmhallu_core.edit.photos import PhotoEdit, tries
from mmhallu_core.edit.stages.annotate import noted
from mmhallu_core.edit.truth import png

Pixels = UInt8[np.ndarray, "height width 3"]

BLOCK = 16  # pixels: a change is looked for in means over so large squares, which noise of packing hardly moves
# Of 255: no square differs by more in a picture that is the same. Photos scaled there and back stay below 5; of the
# released benchmark's 165 edits, none stays below 10 (results/med-photos/released.json).
SAME = 6.0
THUMBNAIL = 0.5  # a reply with a side shorter than this part of what was sent has lost what it does not show


class NoEdit(StrEnum):
    """Why an editor gave no edit."""

    NO_REPLY = "no_reply"  # the call failed
    REFUSED = "refused"  # the editor, or a filter behind it, declines
    NO_PICTURE = "no_picture"  # there are words, or nothing, where a picture should be
    DAMAGED = "damaged_picture"
    OTHER_SIZE = "other_size"  # it cannot be laid over the photo
    UNCHANGED = "unchanged"
    NOT_UNDERSTOOD = "instruction_not_understood"


class CannotEdit(Exception):
    """This photo has no edit.

    Attributes:
        reason: one `NoEdit`.
        text: what the editor said instead, when it said something.
    """

    def __init__(self, reason: NoEdit, detail: str, text: str | None = None) -> None:
        super().__init__(detail)
        self.reason, self.text = reason, text


@dataclass(frozen=True, eq=False)
class Edited:
    """What an editor gives back.

    Attributes:
        image: the edited picture, RGB, laid over what was sent or of another size of the same shape.
        mask: where it may differ; None when the editor does not know.
        note: what it has to say about this edit, as JSON values.
    """

    image: Image.Image
    mask: np.ndarray | None = None
    note: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Editor(Protocol):
    """Anything that edits a picture by an instruction.

    Attributes:
        about: what identifies it, as JSON values.
        at_once: how many pictures it takes at a time.
        resizes: whether a reply may have another size than what was sent, in the same shape.
    """

    about: dict[str, Any]
    at_once: int
    resizes: bool

    def padding(self, size: tuple[int, int]) -> Padding:
        """The canvas in which the editor takes a photo of this width and height."""
        ...

    def edit(self, name: str, image: Image.Image, instruction: str, seed: int) -> Edited:
        """Edits one picture; may be called from `at_once` threads.

        Args:
            name: of the draft, unique in a run.
            image: RGB, of the size of a canvas.
            instruction: what to do, in words.
            seed: of what is left to chance, as far as the editor has one.

        Raises:
            CannotEdit: when there is no edit.
            Stopped: when no further picture should be sent.
        """
        ...


def as_it_is(size: tuple[int, int]) -> Padding:
    """The canvas of an editor that takes every size."""
    return Padding(size, size, size, 0, 0)


def edited_by(editor: Editor, seed: int) -> Stage:
    """Has each draft's photo edited as its instruction asks.

    The provenance has `editor`: what it is, the canvas when there was padding, the size of a reply that was scaled.
    """

    def stage(drafts: Sequence[Draft]) -> list[Draft | Rejected]:
        with ThreadPoolExecutor(editor.at_once) as pool:
            return list(pool.map(lambda draft: _outcome(editor, draft, seed), drafts))

    return stage


def _outcome(editor: Editor, draft: Draft, seed: int) -> Draft | Rejected:
    photo = np.asarray(decode(draft.image).image)
    plan = editor.padding((photo.shape[1], photo.shape[0]))
    own_seed = zlib.crc32(f"{seed}/{draft.id}".encode())
    try:
        reply = editor.edit(draft.id, Image.fromarray(plan.pad(photo)), asked_in(draft.edit_instruction), own_seed)
        edited = laid_over(photo, reply.image, plan, editor.resizes)
    except CannotEdit as cannot:
        return Rejected(draft.id, "edit", str(cannot.reason), str(cannot), cannot.text)
    note = {**editor.about, **reply.note}
    if plan.canvas != plan.size:
        note |= {"canvas": list(plan.canvas), "at": [plan.left, plan.top]}
    if reply.image.size != plan.canvas:
        note |= {"reply_size": list(reply.image.size)}
    mask = None if reply.mask is None else png(Image.fromarray(plan.undo_mask(reply.mask).astype(np.uint8) * 255))
    return noted(draft, "editor", note, edited_image=png(Image.fromarray(edited)), mask=mask)


def laid_over(photo: Pixels, reply: Image.Image, plan: Padding, resizes: bool) -> Pixels:
    """An editor's reply as a picture of the photo's size, after a look at it.

    Args:
        photo: what was sent, before padding.
        reply: RGB.
        plan: the padding.
        resizes: whether another size of the same shape will do.

    Raises:
        CannotEdit: when it has another size or shape, or is the same picture.
    """
    width, height = reply.size
    if reply.size != plan.canvas:
        sent = f"{plan.canvas[0]} x {plan.canvas[1]}"
        if not resizes or min(width / plan.canvas[0], height / plan.canvas[1]) < THUMBNAIL:
            raise CannotEdit(NoEdit.OTHER_SIZE, f"the reply has {width} x {height} pixels, sent were {sent}")
    try:
        edited = plan.undo(np.asarray(reply.convert("RGB")))
    except ValueError as error:
        raise CannotEdit(NoEdit.OTHER_SIZE, str(error)) from error
    change = largest_change(photo, edited)
    if change <= SAME:
        raise CannotEdit(NoEdit.UNCHANGED, f"no part of the picture has changed by more than {change:.1f} of 255")
    return edited


def largest_change(one: Pixels, other: Pixels) -> float:
    """The largest difference between two pictures in the mean of a square of `BLOCK` pixels, over all colours, 0 to
    255. Packing as JPEG, or scaling there and back, moves single pixels much and such means little."""
    off = one.astype(np.float32) - other.astype(np.float32)
    rows, columns = (-side % BLOCK for side in off.shape[:2])
    off = np.pad(off, ((0, rows), (0, columns), (0, 0)), mode="reflect" if min(off.shape[:2]) > BLOCK else "edge")
    squares = off.reshape(off.shape[0] // BLOCK, BLOCK, off.shape[1] // BLOCK, BLOCK, 3)
    return float(abs(squares.mean(axis=(1, 3))).max())


class OpenCvEditor:
    """OpenCV behind the same interface: it does what one of its own sentences asks, and no other.

    It cannot read "remove the dog", because it knows no dog. The instructions that it follows are those that
    `photos.tries` gives for the same photo and seed.
    """

    at_once, resizes = 1, False

    def __init__(self) -> None:
        self.about: dict[str, Any] = {"kind": "opencv"}

    def padding(self, size: tuple[int, int]) -> Padding:
        """See `Editor.padding`."""
        return as_it_is(size)

    def edit(self, name: str, image: Image.Image, instruction: str, seed: int) -> Edited:
        """See `Editor.edit`."""
        for outcome in tries(np.asarray(image), seed):
            if isinstance(outcome, PhotoEdit) and outcome.edit_instruction == instruction:
                note = {"operation": outcome.operation, "difference": outcome.difference}
                return Edited(Image.fromarray(outcome.edited_image), outcome.mask, note)
        raise CannotEdit(NoEdit.NOT_UNDERSTOOD, f"{instruction!r} is nothing that OpenCV can do to this photo")

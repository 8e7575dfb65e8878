"""Outside editors: anything that takes a photo and an instruction and gives a photo back.

An editor is small: `about`, what shape of picture it takes (`padding`), and `edit`. What all of them need is done once,
in `edited_by`: the photo is padded to a shape that the editor takes, the reply is laid back over the photo, and it is
looked at. A reply without a picture, with a damaged one, with one of another shape, or with the photo as it was, ends
the draft with that reason. A copy of the photo never passes for an edit.

Editors behind an API take or return a few shapes only (3:2, 16:9, ...). A photo of another shape is set into the
smallest canvas of an allowed one, its border pixels continued outwards, and cut out again at the same place, so that
nothing moves. Generators repaint the whole picture, so what they give has no mask.
"""

import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from math import gcd
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mmhallu_core.data.decode import decode
from mmhallu_core.edit.draft import Draft, Rejected, Stage
from mmhallu_core.edit.engine.replies import asked_in
from mmhallu_core.edit.stages.annotate import noted
from mmhallu_core.edit.truth import png

Pixels = UInt8[np.ndarray, "height width 3"]

BLOCK = 16  # pixels: a change is looked for in means over so large squares, which noise of packing hardly moves
# Of 255: no square differs by more in a picture that is the same. Photos scaled there and back stay below 5; of the
# released benchmark's 165 edits, none stays below 10 (results/med-photos/released.json).
SAME = 6.0
THUMBNAIL = 0.5  # a reply with a side shorter than this part of what was sent has lost what it does not show
# The shapes that Gemini's image models list for `aspectRatio` (width, height); other editors take some of them.
RATIOS = ((1, 1), (2, 3), (3, 2), (3, 4), (4, 3), (4, 5), (5, 4), (9, 16), (16, 9), (21, 9))
TOLERANCE = 0.05  # editors round: a reply to 16:9 may be 1344 x 768, which is 1.6% off


class NoEdit(StrEnum):
    """Why an editor gave no edit."""

    NO_REPLY = "no_reply"  # the call failed
    REFUSED = "refused"  # the editor, or a filter behind it, declines
    NO_PICTURE = "no_picture"  # there are words, or nothing, where a picture should be
    DAMAGED = "damaged_picture"
    OTHER_SIZE = "other_size"  # it cannot be laid over the photo
    UNCHANGED = "unchanged"


class CannotEdit(Exception):
    """This photo has no edit.

    Attributes:
        reason: one `NoEdit`.
        text: what the editor said instead, when it said something.
    """

    def __init__(self, reason: NoEdit, detail: str, text: str | None = None) -> None:
        super().__init__(detail)
        self.reason, self.text = reason, text


@dataclass(frozen=True)
class Padding:
    """Where a photo lies in its canvas. Sizes are (width, height) in pixels.

    Attributes:
        size: of the photo.
        canvas: of the padded picture; its sides are in `ratio` exactly.
        ratio: the shape, in lowest terms.
        left: columns of the canvas before the photo.
        top: rows of the canvas above the photo.
    """

    size: tuple[int, int]
    canvas: tuple[int, int]
    ratio: tuple[int, int]
    left: int
    top: int

    def pad(self, photo: Pixels) -> UInt8[np.ndarray, "canvas_height canvas_width 3"]:
        """Sets a photo into its canvas; the pixels of its border are continued outwards.

        Raises:
            ValueError: when the photo has another size.
        """
        if (photo.shape[1], photo.shape[0]) != self.size:
            raise ValueError(f"this padding is for {self.size}, the picture has {photo.shape[1::-1]} pixels")
        across, down = self.canvas[0] - self.size[0], self.canvas[1] - self.size[1]
        return np.pad(photo, ((self.top, down - self.top), (self.left, across - self.left), (0, 0)), mode="edge")

    def undo(self, reply: UInt8[np.ndarray, "reply_height reply_width 3"]) -> Pixels:
        """Cuts the photo's part out of an editor's reply: byte for byte where it has the size of the canvas.

        Another size is first scaled to the canvas: by area averages when it is larger (so an editor that repeats pixels
        is undone exactly, too), smoothly when it is smaller.

        Raises:
            ValueError: when the reply has another shape than the canvas: it cannot be laid over it.
        """
        height, width = reply.shape[:2]
        off = abs(width * self.canvas[1] / (height * self.canvas[0]) - 1) if height and width else 1
        if off > TOLERANCE:
            wanted = f"{self.ratio[0]}:{self.ratio[1]}"
            raise ValueError(f"the reply has {width} x {height} pixels, which is not {wanted}: it shows something else")
        if (width, height) != self.canvas:
            shrinks = width >= self.canvas[0] and height >= self.canvas[1]
            how = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
            reply = np.asarray(Image.fromarray(reply).resize(self.canvas, how))
        return reply[self.top : self.top + self.size[1], self.left : self.left + self.size[0]].copy()


def centred(size: tuple[int, int], canvas: tuple[int, int], ratio: tuple[int, int]) -> Padding:
    """A photo in the middle of a canvas."""
    return Padding(size, canvas, ratio, (canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2)


def plan_padding(size: tuple[int, int], ratios: Sequence[tuple[int, int]] = RATIOS) -> Padding:
    """The smallest canvas of an allowed shape that holds a photo, with the photo in its middle.

    Args:
        size: width and height of the photo, in pixels.
        ratios: the shapes that the editor takes, each width to height; of equal canvases the first is taken.

    Raises:
        ValueError: when there is no shape, or a side is not positive.
    """
    if not ratios or min(size) < 1 or min(min(ratio) for ratio in ratios) < 1:
        raise ValueError(f"padding needs a size and ratios of positive numbers, got {size} and {list(ratios)}")
    plans = []
    for ratio in ratios:
        across, down = (side // gcd(*ratio) for side in ratio)
        times = max(-(-size[0] // across), -(-size[1] // down))
        plans.append(centred(size, (across * times, down * times), (across, down)))
    return min(plans, key=lambda plan: plan.canvas[0] * plan.canvas[1])


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

    def edit(self, name: str, image: Image.Image, instruction: str, seed: int) -> Image.Image:
        """Edits one picture; may be called from `at_once` threads.

        Args:
            name: of the draft, unique in a run.
            image: RGB, of the size of a canvas.
            instruction: what to do, in words.
            seed: of what is left to chance, as far as the editor has one.

        Returns:
            RGB, laid over what was sent or of another size of the same shape.

        Raises:
            CannotEdit: when there is no edit.
            Stopped: when no further picture should be sent.
        """
        ...


def edited_by(editor: Editor, seed: int) -> Stage:
    """Has each draft's photo edited as its instruction asks.

    The provenance has `editor`: what it is, the canvas when there was padding, the size of a reply that was scaled.
    """

    def stage(drafts: Sequence[Draft]) -> list[Draft | Rejected]:
        with ThreadPoolExecutor(editor.at_once) as pool:
            return list(pool.map(lambda draft: _outcome(editor, draft, seed), drafts))

    return stage


def draft_seed(seed: int, draft: Draft) -> int:
    """A seed of its own for each draft: the same in every process."""
    return zlib.crc32(f"{seed}/{draft.id}".encode())


def _outcome(editor: Editor, draft: Draft, seed: int) -> Draft | Rejected:
    photo = np.asarray(decode(draft.image).image)
    plan = editor.padding((photo.shape[1], photo.shape[0]))
    sent, asked = Image.fromarray(plan.pad(photo)), asked_in(draft.edit_instruction)
    try:
        reply = editor.edit(draft.id, sent, asked, draft_seed(seed, draft))
        edited = laid_over(photo, reply, plan, editor.resizes)
    except CannotEdit as cannot:
        return Rejected(draft.id, "edit", str(cannot.reason), str(cannot), cannot.text)
    note = dict(editor.about)
    if plan.canvas != plan.size:
        note |= {"canvas": list(plan.canvas), "at": [plan.left, plan.top]}
    if reply.size != plan.canvas:
        note |= {"reply_size": list(reply.size)}
    return noted(draft, "editor", note, edited_image=png(Image.fromarray(edited)))


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

"""Micro-edits of real photos without a generative model: one thing is removed, recoloured, doubled or rescaled.

A generator repaints the whole photo: half of the released benchmark's edited photos differ clearly from their originals
in more than half of their pixels, and scaling explains little of it (`chapters/build_micro_edits.py` measures both;
results/med-photos/released.json). Here the difference is one thing and nothing else. Every edit is checked: outside the
mask the bytes are equal, inside it the mean change is at least 8 of 255, and all in all there is enough of it to be
seen. An edit that cannot be made well is refused with a reason, which is counted, and another thing or operation is
tried.

The sentences are templates. They say what was done, not what the thing is: nothing here knows a cat from a cushion.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from mmhallu_core.edit.editors.cutouts import AREA, Mask, Photo, find_things
from mmhallu_core.edit.editors.pixels import (
    HUES,
    Edited,
    colour_name,
    far_hues,
    inpaint,
    paste_copy,
    patch_over,
    recolour,
    rescale,
    similar_place,
    texture,
)

# Operation to MED category, as in Diorama: a kind that is gone is Negation, one more is Counting.
CATEGORY = {"remove": "Negation", "recolour": "Attribute", "copy": "Counting", "rescale": "Attribute"}
MIN_CHANGE = 8.0  # mean over the mask and the three channels, of 255
# The same mean over the whole photo: a strong change of a speck is not seen, nor a weak one of a wall. Found by looking
# at a hundred edits: a new colour shows at once, a patch of ground where a thing was must be larger to be noticed.
MIN_SEEN = {"remove": 1.0, "recolour": 0.35, "copy": 0.35, "rescale": 0.65}
MAX_HOLE = 0.06  # of the photo: what inpainting makes up for a larger thing is a smear
ALIKE = 34.0  # difference of two places (`similar_place`) up to which one can stand for the other
CALM = 9.0  # texture of the ground up to which inpainting leaves no smear
FACTORS = (0.65, 1.4)


class Refusal(StrEnum):
    """Why an edit was not made."""

    NO_THING = "no_thing"  # nothing stands out
    BAD_SIZE = "bad_size"  # the mask, or what would change, is too small or too large for a micro-edit
    BUSY_GROUND = "busy_ground"  # what is behind the thing cannot be made up
    NO_ROOM = "no_room"  # no similar place for a copy; a larger one would be cut by the frame
    SAME_COLOUR = "same_colour"  # the new colour would have the old one's name
    SMALL_CHANGE = "small_change"  # mean change inside the mask under `MIN_CHANGE`
    UNCLEAR = "unclear"  # nobody would see it: under `MIN_SEEN`, or a new colour that has no hue


class Refused(Exception):
    """An edit that was not made.

    Attributes:
        reason: one `Refusal`.
    """

    def __init__(self, reason: Refusal, found: str) -> None:
        super().__init__(found)
        self.reason = reason


@dataclass(frozen=True, eq=False)
class PhotoEdit:
    """A photo and its edited twin.

    Attributes:
        operation: a key of `CATEGORY`.
        category: as MED prints it.
        image: the photo.
        edited_image: the same size; equal to the photo outside the mask.
        mask: where it may differ.
        change: mean absolute difference inside the mask, of 255.
        thing: what is edited, as it was: "red thing at the left".
        edit_instruction: what was asked.
        difference: what is different, in one sentence.
    """

    operation: str
    category: str
    image: Photo
    edited_image: Photo
    mask: Mask
    change: float
    thing: str
    edit_instruction: str
    difference: str


class Made(NamedTuple):
    """What an operation made: pixels and mask, what the thing was called before, the instruction, the difference."""

    edited: Edited
    thing: str
    instruction: str
    difference: str


def edit_photo(
    photo: Photo,
    operation: str,
    seed: int,
    mask: Bool[np.ndarray, "mask_height mask_width"] | None = None,
) -> PhotoEdit:
    """One edit of one thing: of the mask, or of what stands out most.

    Args:
        photo: RGB.
        operation: a key of `CATEGORY`.
        seed: of all that is left to chance; the same seed gives the same bytes.
        mask: the thing.

    Raises:
        Refused: with a `Refusal`.
        ValueError: when there is no such operation, or the mask does not belong to the photo.
    """
    if operation not in CATEGORY:
        raise ValueError(f"no operation {operation!r}; there is {', '.join(CATEGORY)}")
    if mask is None:
        things = find_things(photo, seed)
        if not things or not things[0].any():
            raise Refused(Refusal.NO_THING, "nothing stands out from what surrounds it")
        mask = things[0]
    if mask.shape != photo.shape[:2]:
        raise ValueError(f"the mask has {mask.shape} rows and columns, the photo {photo.shape[:2]}")
    if not AREA[0] / 2 <= mask.mean() <= 2 * AREA[1]:
        raise Refused(Refusal.BAD_SIZE, f"the mask covers {mask.mean():.1%} of the photo")
    draw = np.random.default_rng([seed, list(CATEGORY).index(operation)])
    return _checked(photo, operation, MAKERS[operation](photo, mask, draw))


def tries(photo: Photo, seed: int) -> Iterator[PhotoEdit | Refused]:
    """Edits and refusals of a photo, one of each operation for each thing found, in an order that the seed decides.

    The first `PhotoEdit` is a photo's edit; what came before says why others were not made.
    """
    things = find_things(photo, seed)
    if not things:
        yield Refused(Refusal.NO_THING, "nothing stands out from what surrounds it")
    operations = np.random.default_rng(seed).permutation(list(CATEGORY))
    for operation in operations:
        for thing in things:
            try:
                yield edit_photo(photo, str(operation), seed, thing)
            except Refused as refused:
                yield refused


def _checked(photo: Photo, operation: str, made: Made) -> PhotoEdit:
    """Holds an edit to its promises, or raises Refused; a changed byte outside the mask is a fault of the program."""
    edited, mask = made.edited
    assert np.array_equal(photo[~mask], edited[~mask]), f"{operation} changed pixels outside its mask"
    change = float(abs(photo[mask].astype(np.int16) - edited[mask]).mean()) if mask.any() else 0.0
    share = float(mask.mean())
    if change < MIN_CHANGE:
        raise Refused(Refusal.SMALL_CHANGE, f"the mean change inside the mask is {change:.1f} of 255")
    if change * share < MIN_SEEN[operation]:
        raise Refused(Refusal.UNCLEAR, f"a mean change of {change:.0f} in {share:.1%} of the photo")
    if share > 1.5 * AREA[1]:
        raise Refused(Refusal.BAD_SIZE, f"{share:.1%} of the photo would change")
    return PhotoEdit(
        operation, CATEGORY[operation], photo, edited, mask, change, made.thing, made.instruction, made.difference
    )


def _without(photo: Photo, mask: Mask) -> Edited:
    """The photo without a thing: similar ground over it, or inpainted where the ground is calm; Refused if neither."""
    if mask.mean() > MAX_HOLE:
        raise Refused(Refusal.BAD_SIZE, f"a hole of {mask.mean():.1%} of the photo would be a smear")
    busy = texture(photo, mask)
    if busy <= CALM:
        return inpaint(photo, mask)
    place = similar_place(photo, mask, level=False)
    if place is not None and place[2] <= ALIKE:
        return patch_over(photo, mask, place[0], place[1])
    raise Refused(Refusal.BUSY_GROUND, f"the ground has texture {busy:.0f}, and nowhere looks like it")


def _remove(photo: Photo, mask: Mask, draw: np.random.Generator) -> Made:
    thing = f"{colour_name(photo, mask)} thing {where(mask)}"
    return Made(_without(photo, mask), thing, f"Remove the {thing}.", f"The {thing} is gone.")


def _recolour(photo: Photo, mask: Mask, draw: np.random.Generator) -> Made:
    old, new = colour_name(photo, mask), str(draw.choice(far_hues(photo, mask)))
    made = recolour(photo, mask, new)
    got = colour_name(made[0], mask)
    if got == old:
        raise Refused(Refusal.SAME_COLOUR, f"a {old} thing made {new} would still be called {got}")
    if got not in HUES and (got, new) not in (("brown", "orange"), ("brown", "red")):
        raise Refused(Refusal.UNCLEAR, f"a {old} thing made {new} would be called {got}")
    thing, place = f"{old} thing {where(mask)}", where(mask)
    return Made(made, thing, f"Make the {thing} {got}.", f"The thing {place} was {old} and is now {got}.")


def _copy(photo: Photo, mask: Mask, draw: np.random.Generator) -> Made:
    place = similar_place(photo, mask, level=True)
    if place is None or place[2] > ALIKE:
        raise Refused(Refusal.NO_ROOM, "no place at the same height looks like the ground around it")
    made = paste_copy(photo, mask, place[0], place[1])
    old, new, thing = where(mask), where(made[1]), f"{colour_name(photo, mask)} thing"
    asked = f"Add a second {thing} {new}, like the one {old}."
    return Made(made, f"{thing} {old}", asked, f"There is one more {thing}: a second one {new}.")


def _rescale(photo: Photo, mask: Mask, draw: np.random.Generator) -> Made:
    factor = float(draw.choice(FACTORS))
    made = rescale(photo, mask, factor, _without(photo, mask))  # refused also where a larger one needs no ground:
    # what cannot be taken away is seldom a whole thing, and half a thing must not grow
    edge = np.concatenate([made[1][0], made[1][-1], made[1][:, 0], made[1][:, -1]])
    if edge.any():
        raise Refused(Refusal.NO_ROOM, "the rescaled thing would be cut by the frame")
    thing, word = f"{colour_name(photo, mask)} thing {where(mask)}", "smaller" if factor < 1 else "larger"
    return Made(made, thing, f"Make the {thing} {word}.", f"The {thing} is {word} now.")


MAKERS = {"remove": _remove, "recolour": _recolour, "copy": _copy, "rescale": _rescale}


def where(mask: Mask) -> str:
    """In which ninth of the photo the middle of a mask lies: "at the upper left", "in the middle"."""
    rows, columns = np.nonzero(mask)
    down = ("upper ", "", "lower ")[min(2, int(3 * rows.mean() / mask.shape[0]))]
    across = ("left", "", "right")[min(2, int(3 * columns.mean() / mask.shape[1]))]
    if not across:
        return {"upper ": "at the top", "": "in the middle", "lower ": "at the bottom"}[down]
    return f"at the {down}{across}"

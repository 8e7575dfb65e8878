"""The one way to read a picture: from a path or the bytes of a file to the pixels that a model sees.

Two programs can show two pictures of one file: one follows a phone's note about which way is up, another does not. So
nothing else in this library opens a picture, and what is sent to a server are the same pixels as a model here gets:

- the camera's note about which way is up (EXIF orientation) is followed; boxes and masks turn with the picture;
- what is transparent lies on white; a palette is looked up; grey becomes RGB;
- 16 bits a channel are scaled to 8; cutting them off at 255 would turn nearly all of it white;
- CMYK becomes RGB without the profile of its printing press, and of an animation the first frame is read. Both are a
  choice, so both are said. A camera's JPEG with a second, smaller picture behind the first (MPO) is no animation.

What cannot be read ends in one `BadPicture` with a `Reason`. Only a few formats are tried, whatever a file is called:
one that Pillow knows (PostScript) starts another program to run what is in the file.
"""

import base64
import io
import logging
import re
import stat
import struct
import warnings
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmhallu_core.types import Box, CannotRun

MAX_PIXELS = 50_000_000  # 150 MB as RGB; larger than what phones take, smaller than what stops a worker
MAX_BYTES = 4 * MAX_PIXELS  # what the largest picture takes without any compression
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")  # no format whose reader starts another program
SENT_AS_THEY_ARE = ("PNG", "JPEG", "WEBP")  # what every server and every other tool reads

ORIENTATION, UPRIGHT = 0x0112, 1  # the EXIF tag, and its value for "as it is"
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF's numbers for how to turn the stored pixels
SIDEWAYS = (5, 6, 7, 8)  # those that exchange width and height
DAMAGED_NOTES = (SyntaxError, ValueError, TypeError, LookupError, struct.error)  # what Pillow raises
LONGEST = 200  # characters of a path in a message

CMYK = "its colours are those of a printing press (CMYK); they became RGB without its colour profile"
ANIMATED = "it has several frames; the first was read"


class Reason(StrEnum):
    """Why a picture cannot be read."""

    MISSING = "missing_image"  # no such file, no right to read it, or no plain file
    BAD_VALUE = "bad_value"  # neither a path nor bytes
    CORRUPT = "corrupt_image"  # damaged or cut off
    EMPTY = "empty_image"  # zero bytes
    UNKNOWN = "unknown_format"  # not one of FORMATS, whatever its name says
    HUGE = "too_many_pixels"
    DEEP = "more_than_16_bits"


class BadPicture(CannotRun):
    """A picture that cannot be used. The message names it.

    Attributes:
        reason: a `Reason`, or that of a caller who wants more of a picture.
    """

    def __init__(self, reason: str, found: str) -> None:
        super().__init__(found)
        self.reason = reason


@dataclass(frozen=True, eq=False)
class Decoded:
    """A picture that was read.

    Attributes:
        image: RGB, 8 bits a channel, the right way up.
        content: the bytes of its file.
        orientation: EXIF's number (1 to 8) for how the stored pixels were turned.
        kind: "png", "jpeg" or "webp" where every program sees these very pixels in the file; else None.
        notes: what had to be chosen, such as `ANIMATED`.
    """

    image: Image.Image
    content: bytes
    orientation: int = UPRIGHT
    kind: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def portable(self) -> tuple[str, bytes]:
        """The picture for another program, as its kind and the bytes of a file: its own, or those of a PNG of it."""
        return ("png", as_png(self.image)) if self.kind is None else (self.kind, self.content)

    @property
    def stored(self) -> tuple[int, int]:
        """Width and height of the file's pixels before they were turned."""
        return self.image.size[::-1] if self.orientation in SIDEWAYS else self.image.size

    def turned_box(self, box: Box) -> Box:
        """A box in the file's stored pixels (x0 y0 x1 y1), as a box of the upright picture."""
        wide, high = self.stored
        x0, y0, x1, y1 = box
        if self.orientation in (2, 3, 7, 8):
            x0, x1 = wide - x1, wide - x0
        if self.orientation in (3, 4, 6, 7):
            y0, y1 = high - y1, high - y0
        return (y0, x0, y1, x1) if self.orientation in SIDEWAYS else (x0, y0, x1, y1)

    def turned_mask(self, mask: Image.Image) -> Image.Image:
        """A mask of this picture, turned with it. One that fits the upright picture alone is upright already."""
        if self.orientation == UPRIGHT or (mask.size == self.image.size != self.stored):
            return mask
        return mask.transpose(TURNS[self.orientation])


def decode(picture: Any, folder: Path = Path(), max_pixels: int = MAX_PIXELS) -> Decoded:
    """Reads a picture of unknown origin.

    Size and format are read from the header, so that what is refused is never unpacked. What had to be chosen is said
    once to the standard error stream.

    Args:
        picture: a path, the bytes of a file, or {"base64": ...}.
        folder: where a relative path starts.
        max_pixels: width times height above which a picture is refused.

    Raises:
        BadPicture: with one `Reason`.
    """
    content = read_picture(picture, folder)
    named = _shown(picture) if isinstance(picture, str | Path) else f"the {len(content):,} bytes given as a picture"
    if not content:
        raise BadPicture(Reason.EMPTY, f"{named}: there is nothing in it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damaged notes in a file whose pixels may be whole
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                wide, high = image.size
                if wide * high > max_pixels:
                    raise BadPicture(Reason.HUGE, f"{named} has {wide} x {high} pixels, more than {max_pixels:,}")
                return _decoded(image, content, named)
    except BadPicture:
        raise
    except UnidentifiedImageError:
        known = f"it is none of {', '.join(FORMATS)}"
        raise BadPicture(Reason.UNKNOWN, f"{named} cannot be read as a picture: {known}") from None
    except Image.DecompressionBombError as error:  # Pillow's own cap, above ours
        raise BadPicture(Reason.HUGE, f"{named} has more than {max_pixels:,} pixels ({error})") from error
    except Exception as error:  # readers of damaged files fail in many ways; each means the same to a caller
        advice = "save it again as PNG or JPEG"
        raise BadPicture(
            Reason.CORRUPT, f"{named} cannot be read as a picture ({type(error).__name__}: {error}); {advice}"
        ) from error


def as_png(image: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def read_picture(picture: Any, folder: Path = Path()) -> bytes:
    """The bytes of a picture's file. Only a plain file is opened: a pipe or a device might never end.

    Args:
        picture: see `decode`.
        folder: where a relative path starts.

    Raises:
        BadPicture: when it is neither a path nor bytes, is not there, or cannot be read.
    """
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, dict) and set(picture) == {"base64"}:
        try:
            return base64.b64decode(picture["base64"], validate=True)
        except (ValueError, TypeError) as error:
            raise BadPicture(Reason.CORRUPT, f"the base64 text of a picture is damaged ({error})") from error
    if not isinstance(picture, str | Path) or not str(picture).strip():
        wanted = 'a picture is a path or {"base64": ...}, not '
        raise BadPicture(Reason.BAD_VALUE, wanted + repr(picture)[:40])
    try:
        path = Path(folder) / picture
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise BadPicture(Reason.MISSING, f"{_shown(picture)} is no plain file, so no picture is read from it")
        if about.st_size > MAX_BYTES:
            raise BadPicture(Reason.HUGE, f"{_shown(picture)} has more than {MAX_BYTES:,} bytes")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise BadPicture(Reason.MISSING, f"there is no picture at {_shown(picture)}") from None
    except (OSError, ValueError) as error:  # no permission; a name that no file can have
        why = getattr(error, "strerror", None) or error
        raise BadPicture(Reason.MISSING, f"the picture {_shown(picture)} cannot be opened ({why})") from error


def _shown(path: str | Path) -> str:
    """A path as a text that every file and terminal can hold, and not without end."""
    text = str(path).encode("utf-8", errors="backslashreplace").decode("utf-8")
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


_SAID: set[str] = set()


def say_once(what: str, sentence: str) -> None:
    """Says a sentence to the standard error stream unless one about the same thing was said in this process."""
    if what not in _SAID:
        _SAID.add(what)
        logging.getLogger("mmhallu").warning(sentence)


def _decoded(image: Image.Image, content: bytes, named: str) -> Decoded:
    """Unpacks all of it: 8 bits a channel, without transparency, upright."""
    several = image.format != "MPO" and getattr(image, "is_animated", False)
    notes = (ANIMATED,) * several + (CMYK,) * (image.mode == "CMYK")
    deep = _deep(image)  # before anything is unpacked: it looks at how the data are packed
    orientation = _orientation(image) if image.format == "TIFF" else UPRIGHT
    image.load()  # Pillow turns a TIFF here, and its note is gone
    left_to_do = _orientation(image)
    orientation = orientation if left_to_do == UPRIGHT else left_to_do
    plain = not (notes or deep or image.has_transparency_data) and image.mode in ("RGB", "L")
    kind = str(image.format).lower() if plain and orientation == UPRIGHT else None
    pixels = _opaque(image, deep, named)
    if left_to_do != UPRIGHT:
        pixels = pixels.transpose(TURNS[left_to_do])
    for note in notes:
        say_once(note, f"{named}: {note}. (This is said once, not for every such picture.)")
    return Decoded(pixels, content, orientation, kind if image.format in SENT_AS_THEY_ARE else None, notes)


def _opaque(image: Image.Image, deep: bool, named: str) -> Image.Image:
    """RGB with 8 bits a channel, on white where it was transparent."""
    clear = image.info.get("transparency")  # of 16 bits a channel: the colour that stands for "nothing here"
    if image.mode.startswith("I;16"):
        values = np.asarray(image.convert("I"))
        grey = (values + 128) // 257  # 65535 becomes 255
        grey[values == (-1 if clear is None else clear)] = 255
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.mode.startswith(("I", "F")):
        raise BadPicture(Reason.DEEP, f"{named} has more than 16 bits a channel; save it with 8")
    if deep and isinstance(clear, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in clear)  # as Pillow has shortened the pixels
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """EXIF's number for how to turn the pixels; a damaged note does not say which way is up."""
    try:
        found = image.getexif().get(ORIENTATION, UPRIGHT)
    except DAMAGED_NOTES:
        return UPRIGHT
    return found if found in TURNS else UPRIGHT


def _deep(image: Image.Image) -> bool:
    """Whether a channel has more than 8 bits. Pillow opens 16-bit colour as if it had 8: only the layout of the packed
    data tells (`RGB;16B`); `BGR;16` is 5 or 6 bits a channel."""
    packed = image.tile[0][3] if image.tile else ""
    packed = packed if isinstance(packed, str) else str(packed[0]) if packed else ""
    return bool(re.search(r";(16|32|64)", packed)) and not packed.startswith("BGR")

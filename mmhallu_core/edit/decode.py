"""Reading pictures that nobody has checked: each gives an RGB picture, or one reason why not.

A folder of a hundred thousand photos holds files that are cut off, files that are something else, and files that
unpack to gigabytes. The pipeline must survive each of them, so everything that can go wrong ends in one `BadPicture`
with a `Reason` that the journal counts.

Some pictures can be decoded but not without a guess, and a guess would put wrong pixels beside a right caption:

- an animation has no one picture that its caption is about;
- CMYK has no RGB colours without the profile of a printing press;
- 16 bits a channel have no one rendering in 8.

They are refused, and the message says how to save them. What needs no guess is done: a palette is looked up, grey
becomes RGB, a picture that is partly transparent is laid on white, and the camera's note about which way is up (EXIF
orientation) is followed. A camera's JPEG that carries a second, smaller picture behind the first (MPO) is no
animation: the first is taken.
"""

import io
import re
import warnings
from enum import StrEnum
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from mmhallu_core.data.pictures import BadPicture, read_picture
from mmhallu_core.types import Picture

MAX_PIXELS = 50_000_000  # 150 MB as RGB; larger than what phones take, smaller than what stops a worker
MIN_SIDE = 32  # pixels: below it there is nothing to edit
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")  # no format whose reader starts another program


class Reason(StrEnum):
    """Why a picture cannot be used. The first three are also said by `data.pictures.read_picture`."""

    MISSING = "missing_image"  # no such file, or no right to read it
    BAD_VALUE = "bad_value"  # neither a path nor bytes
    CORRUPT = "corrupt_image"  # damaged or cut off
    EMPTY = "empty_file"  # zero bytes
    UNKNOWN = "unknown_format"  # not one of FORMATS, whatever its name says
    HUGE = "too_many_pixels"
    SMALL = "too_small"
    ANIMATED = "animated"
    CMYK = "cmyk"
    DEEP = "more_than_8_bits"


def decode(picture: Picture | Path, folder: Path = Path(), max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decodes a picture of unknown origin.

    Size, mode and frames are read from the header, so that what is refused is never unpacked.

    Args:
        picture: the bytes of a file, or its path.
        folder: where a relative path starts.
        max_pixels: width times height above which a picture is refused.

    Returns:
        An RGB picture, the right way up.

    Raises:
        BadPicture: with one `Reason`.
    """
    content = picture if isinstance(picture, bytes) else read_picture(str(picture), folder)
    if not content:
        raise BadPicture(Reason.EMPTY, "the file has no bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damaged notes in a file whose pixels may be whole
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # Pillow's own cap, above ours
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                _refuse(image, max_pixels)
                return _rgb(image)
    except BadPicture:
        raise
    except UnidentifiedImageError:
        raise BadPicture(Reason.UNKNOWN, f"it is not one of {', '.join(FORMATS)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadPicture(Reason.HUGE, f"it has more than {max_pixels:,} pixels ({error})") from error
    except Exception as error:  # readers of damaged files fail in many ways; each means the same to the pipeline
        raise BadPicture(Reason.CORRUPT, f"it cannot be decoded ({type(error).__name__}: {error})") from error


def _refuse(image: Image.Image, max_pixels: int) -> None:
    """Looks at the header alone.

    Raises:
        BadPicture: when the picture is not to be decoded.
    """
    width, height = image.size
    if width * height > max_pixels:
        raise BadPicture(Reason.HUGE, f"it has {width} x {height} pixels, more than {max_pixels:,}")
    if min(width, height) < MIN_SIDE:
        raise BadPicture(Reason.SMALL, f"it has {width} x {height} pixels; a side needs at least {MIN_SIDE}")
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise BadPicture(Reason.ANIMATED, f"it has {image.n_frames} frames; save the one that is meant")
    if image.mode == "CMYK":
        raise BadPicture(Reason.CMYK, "its colours are a printing press's; save it as RGB")
    if _deep(image):
        raise BadPicture(Reason.DEEP, "it has more than 8 bits a channel; save it with 8")


def _deep(image: Image.Image) -> bool:
    """Whether a channel has more than 8 bits. Pillow opens 16-bit colour as if it had 8: only the layout of the packed
    data tells (`RGB;16B`); `BGR;16` is 5 or 6 bits a channel."""
    packed = image.tile[0][3] if image.tile else ""
    packed = packed if isinstance(packed, str) else str(packed[0]) if packed else ""
    wide = re.search(r";(16|32|64)", packed) and not packed.startswith("BGR")
    return bool(wide) or image.mode.startswith(("I", "F"))


def _rgb(image: Image.Image) -> Image.Image:
    """Decodes all of it: upright, without transparency."""
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(white, upright)
    return upright.convert("RGB")

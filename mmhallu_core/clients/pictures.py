"""Pictures on their way to a model: decoded here first, so that a damaged file costs nothing."""

import base64
import io
import warnings

from PIL import Image, UnidentifiedImageError

from mmhallu_core.clients.client import BAD_PICTURE, CallFailed, picture_bytes
from mmhallu_core.types import Picture

SENT_AS_THEY_ARE = {"PNG", "JPEG", "WEBP"}  # what servers read; everything else is sent as PNG


def decode(picture: Picture) -> Image.Image:
    """A picture as RGB; of an animated one, the first frame.

    Raises:
        CallFailed: when it is missing, damaged, or of an unreasonable size (`bad_picture`).
    """
    return _decode(picture)[0]


def data_url(picture: Picture) -> str:
    """A picture as a `data:` URL: its own bytes when it is a plain RGB or grey PNG, JPEG or WebP, else a PNG of it.

    Raises:
        CallFailed: as `decode`.
    """
    pixels, plain_kind = _decode(picture)
    content = picture_bytes(picture)
    if plain_kind is None:
        out = io.BytesIO()
        pixels.save(out, "PNG")
        content = out.getvalue()
    return f"data:image/{plain_kind or 'png'};base64,{base64.b64encode(content).decode('ascii')}"


def _decode(picture: Picture) -> tuple[Image.Image, str | None]:
    """The pixels, and the file's kind ("png", ...) when its bytes may be sent as they are."""
    content = picture_bytes(picture)
    named = picture if isinstance(picture, str) else f"a picture of {len(content)} bytes"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as image:
                plain = image.format in SENT_AS_THEY_ARE and image.mode in ("RGB", "L")
                still = getattr(image, "n_frames", 1) == 1
                kind = str(image.format).lower() if plain and still else None
                return image.convert("RGB"), kind  # this decodes all of it: a file that was cut off ends here
    except UnidentifiedImageError:
        raise CallFailed(BAD_PICTURE, f"{named} is not a picture that can be read") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise CallFailed(BAD_PICTURE, f"{named} cannot be decoded ({error})") from error

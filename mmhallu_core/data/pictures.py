"""Pictures of a user's own data: are they there, are they whole, and are two of them the same?

A picture is a path that counts from the folder of the file that names it, or `{"base64": ...}` with the bytes of a PNG
or JPEG file. Each is decoded once, however many records name it, and only a hash of its pixels is kept.
"""

import base64
import hashlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError


class BadPicture(Exception):
    """A picture that cannot be used.

    Attributes:
        reason: `missing_image`, `corrupt_image` or `bad_value`.
    """

    def __init__(self, reason: str, found: str) -> None:
        super().__init__(found)
        self.reason = reason


def read_picture(picture: Any, folder: Path) -> bytes:
    """The bytes of a picture as a record names it.

    Raises:
        BadPicture: when it is neither a path nor base64, is not there, or cannot be read.
    """
    if isinstance(picture, dict) and set(picture) == {"base64"}:
        try:
            return base64.b64decode(picture["base64"], validate=True)
        except (ValueError, TypeError) as error:
            raise BadPicture("corrupt_image", f"its base64 text is damaged ({error})") from error
    if not isinstance(picture, str) or not picture.strip():
        raise BadPicture("bad_value", 'a picture is a path or {"base64": ...}, not ' + repr(picture)[:40])
    try:
        return (folder / picture).read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise BadPicture("missing_image", f"{picture} is not there") from None
    except (OSError, ValueError) as error:  # no permission; a name that no file can have
        raise BadPicture("missing_image", f"{picture} cannot be read ({error})") from error


def fingerprint(content: bytes) -> str:
    """A hash of what a model would see: the size and the RGB values, whatever the file format.

    Raises:
        BadPicture: when the bytes are not a whole picture, or one of an unreasonable size.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as image:
                pixels = image.convert("RGB")  # decodes all of it, so a file that was cut off is found here
    except UnidentifiedImageError:
        raise BadPicture("corrupt_image", "it is not a picture that can be read") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadPicture("corrupt_image", f"it cannot be decoded ({error})") from error
    return hashlib.sha256(repr(pixels.size).encode() + pixels.tobytes()).hexdigest()


class Pictures:
    """Looks at the pictures that records name; `folder` is where relative paths start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: dict[str, str | BadPicture] = {}  # by path: the fingerprint, or what is wrong with it

    def look(self, picture: Any) -> str:
        """The fingerprint of a picture.

        Raises:
            BadPicture: when it cannot be used.
        """
        if not isinstance(picture, str):
            return fingerprint(read_picture(picture, self.folder))
        if picture not in self.seen:
            try:
                self.seen[picture] = fingerprint(read_picture(picture, self.folder))
            except BadPicture as bad:
                self.seen[picture] = bad
        known = self.seen[picture]
        if isinstance(known, BadPicture):
            raise known
        return known

    def faults(self, named: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Yields (reason, what was found) for the pictures of one record, by the names of their fields."""
        first: dict[str, str] = {}
        for name, picture in named.items():
            try:
                same = first.setdefault(self.look(picture), name)
            except BadPicture as bad:
                shown = f" ({picture})" if isinstance(picture, str) and str(picture) not in str(bad) else ""
                yield bad.reason, f"`{name}`{shown}: {bad}"
            else:
                if same != name:
                    yield "identical_pair", f"`{same}` and `{name}` show the same pixels"

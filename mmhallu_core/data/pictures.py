"""Pictures of a user's own data: are they there, are they whole, and are two of them the same?

A picture is a path that counts from the folder of the file that names it, or `{"base64": ...}` with the bytes of a PNG
or JPEG file. Each is decoded once, however many records name it, and only a hash of its pixels is kept.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mmhallu_core.data.decode import BadPicture, decode
from mmhallu_core.types import CannotRun


def fingerprint(picture: Any, folder: Path = Path()) -> str:
    """What a model would see, whatever the file format: width and height, and a hash of the RGB values.

    Raises:
        BadPicture: see `decode`.
    """
    pixels = decode(picture, folder).image
    return f"{pixels.width} x {pixels.height} {hashlib.sha256(pixels.tobytes()).hexdigest()}"


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
            return fingerprint(picture, self.folder)
        if picture not in self.seen:
            try:
                self.seen[picture] = fingerprint(picture, self.folder)
            except BadPicture as bad:
                self.seen[picture] = bad
        known = self.seen[picture]
        if isinstance(known, BadPicture):
            raise known
        return known

    def faults(self, named: dict[str, Any], pair: bool = False) -> Iterator[tuple[str, str]]:
        """Yields (reason, what was found) for the pictures of one record, by the names of their fields.

        Those of a `pair` must also have one size.
        """
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
        sizes = {name: seen.rpartition(" ")[0] for seen, name in first.items()}
        if pair and len(set(sizes.values())) > 1:
            yield "unequal_pair", " and ".join(f"`{name}` has {size} pixels" for name, size in sizes.items())


def require_inside(pictures: Iterable[Any], folder: Path, allow: Sequence[Path], owner: str) -> None:
    """Which files may go along when data is packed for others: those below the folder of the records, links followed.

    Whoever wrote a record may be somebody else, and with `../../holiday.jpg` in it a file would leave unseen.

    Args:
        pictures: as records name them; what is not a path is in the record itself.
        folder: where relative paths start.
        allow: other folders whose pictures may go along.
        owner: the record's id, for an error.

    Raises:
        CannotRun: when a path leads to none of the folders.
    """
    roots = [root.resolve() for root in (folder, *allow)]
    for picture in pictures:
        if not isinstance(picture, str):
            continue
        try:
            place = (folder / picture).resolve()
        except (OSError, ValueError, RuntimeError):  # no name that a file can have, or links in a circle
            continue  # whoever reads it says so
        if not any(place.is_relative_to(root) for root in roots):
            raise CannotRun(
                f"sample {owner}: {picture} leads out of {folder}, to {place}. Copy it there first; `data export` "
                "also takes --allow with a folder of it, if it may go along"
            )

"""Which files may go along when data is packed for others: those below the folder of the records, and no more.

A record names its pictures by path, and whoever wrote the record may be somebody else. `../../holiday.jpg` would leave
with the data set, and nobody would see it there.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mmhallu_core.types import CannotRun


def require_inside(pictures: Iterable[Any], folder: Path, allow: Sequence[Path], owner: str) -> None:
    """Looks where the paths of pictures lead, links included.

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

"""Drafts of the pictures in a folder. Nobody has looked at these files, so each gives a draft or one reason why not.

Files count in the order of their paths below the folder, which is also their id. A file whose name ends like a
picture's is taken, also in a format that cannot be read: it is rejected with that reason rather than passed over. Other
files (texts, lists) are only counted, and so are hidden ones.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

from mmhallu_core.data.decode import BadPicture, decode
from mmhallu_core.edit.draft import Draft, Rejected
from mmhallu_core.store import json_sha256
from mmhallu_core.types import CannotRun

ENDINGS = {
    *(".png", ".jpg", ".jpeg", ".jfif", ".gif", ".webp", ".bmp", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif", ".jp2", ".jxl", ".psd", ".svg", ".ico"),
}
MIN_SIDE, SMALL = 32, "too_small"  # pixels: below it there is nothing to edit; and the reason's name


class FolderSource:
    """Pictures found in a folder and its sub-folders.

    Attributes:
        about: how many there are, how many other files, and a hash of names and sizes. Another place for the same
            folder is the same source; the content of each picture is hashed when it is read.

    Args:
        folder: where to look. Links to folders are not followed.
        n: how many to take, from the beginning; all when None.

    Raises:
        CannotRun: when there is no such folder, or no picture in it.
    """

    def __init__(self, folder: str | Path, n: int | None = None) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise CannotRun(f"{self.folder} is not a folder")
        found, others = [], 0
        for place, folders, names in os.walk(self.folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = Path(place, name)
                if path.suffix.lower() in ENDINGS and not name.startswith("."):
                    found.append((path.relative_to(self.folder).as_posix(), _size(path)))
                else:
                    others += 1
        found.sort()
        if not found:
            raise CannotRun(f"{self.folder} holds no picture, only {others} other files")
        self._paths = [path for path, _ in found[:n]]
        listed = [[_shown(path), size] for path, size in found[:n]]
        self.about: dict[str, Any] = {
            "kind": "folder",
            "pictures": len(self._paths),
            "other_files": others,
            "sha256": json_sha256(listed),
        }

    def __len__(self) -> int:
        return len(self._paths)

    def draft(self, index: int) -> Draft | Rejected:
        """The picture as a draft with its bytes.

        The bytes are the file's own when every program sees the same picture in them; else those of a PNG of what
        `decode` saw. `provenance["source"]` has the file, its SHA-256, the size in pixels, and the decoder's notes
        where there are any.

        Returns:
            A draft, or a rejection by stage `source` with a `Reason`.
        """
        path = self._paths[index]
        name = _shown(path)
        try:
            found = decode(path, self.folder)
            wide, high = found.image.size
            if min(wide, high) < MIN_SIDE:
                raise BadPicture(SMALL, f"{name} has {wide} x {high} pixels; a side needs at least {MIN_SIDE}")
        except BadPicture as bad:
            return Rejected(name, "source", str(bad.reason), str(bad))
        source = {"file": name, "sha256": hashlib.sha256(found.content).hexdigest(), "size": [wide, high]}
        if found.notes:
            source["notes"] = list(found.notes)
        return Draft(name, found.portable[1], provenance={"source": source})


def _size(path: Path) -> int:
    """A file's size; -1 when it is no plain file, or is gone."""
    return path.stat().st_size if path.is_file() else -1


def _shown(path: str) -> str:
    """A path as a text that every file can hold: bytes that are no UTF-8 as escapes."""
    return path.encode("utf-8", errors="backslashreplace").decode("utf-8")

"""A picture in a cell of a published table: the bytes of a file, base64 text, or a path.

Parquet files of the hub hold `{"bytes": ..., "path": ...}`, tab separated ones base64, JSON files paths beside them.
"""

import base64
import binascii
import os
from pathlib import Path
from typing import Any

from mmhallu_core.types import Picture, RecordError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
BEGINNINGS = (b"\xff\xd8", b"\x89PNG", b"GIF8", b"RIFF", b"BM")  # of the files with these names


def beside(folder: Path, name: str) -> str:
    """A picture's path where it stands beside the table, else its name, so that another folder can be named for it."""
    path = str(folder / name)
    return path if os.path.isfile(path) else name  # unlike pathlib's, it takes a text that is too long to be a name


def picture(cell: Any, here: str, folder: Path) -> Picture | None:
    """What a cell holds: bytes, a path, or None where it is empty.

    Args:
        cell: of a column with pictures.
        here: where it stands, for messages.
        folder: where pictures that the table names by path are looked for.

    Raises:
        RecordError: when it is none of these.
    """
    if isinstance(cell, dict):
        return picture(cell.get("bytes") or cell.get("path"), here, folder)
    if cell is None or cell in ("", b""):
        return None
    if isinstance(cell, bytes):
        return cell
    if isinstance(cell, str) and cell.lower().endswith(SUFFIXES):
        return beside(folder, cell)
    try:
        content = base64.b64decode(cell, validate=True)
    except (binascii.Error, ValueError, TypeError):
        content = b""
    if not content.startswith(BEGINNINGS):
        raise RecordError(f"{here}: neither a picture nor the path of one: {str(cell)[:40]!r}")
    return content

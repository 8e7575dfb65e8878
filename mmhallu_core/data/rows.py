"""Rows of a table, whatever form its file has: JSON, JSON Lines, CSV, TSV or Parquet.

Benchmarks are published in all of these. A row is a dictionary of column to value; texts stay texts, so that the
answer "No" or the id "007" is not turned into something else on the way. A picture in a cell is the bytes of a file
(`{"bytes": ..., "path": ...}` in Parquet files of the hub), base64 text (in tab separated ones) or a path.
"""

import base64
import binascii
import csv
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmhallu_core.data.answers import as_id, json_objects
from mmhallu_core.types import Picture, RecordError, require

TABLES = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
BEGINNINGS = (b"\xff\xd8", b"\x89PNG", b"GIF8", b"RIFF", b"BM")  # of the files with these names


def rows(path: str | Path) -> list[tuple[str, dict[str, Any]]]:
    """Reads a table as (where the row stands, row); where a row stands goes into error messages.

    Args:
        path: a `.json`, `.jsonl`, `.csv`, `.tsv` or `.parquet` file; any other name is read as JSON.

    Raises:
        RecordError: when the file is not of the form that its name says, or has no rows.
    """
    path = Path(path)
    form = path.suffix.lower()
    if form in TABLES:
        found = list(_delimited(path, TABLES[form]))
    elif form == ".parquet":
        found = list(_parquet(path))
    else:
        found = [(f"{path}, line {line}", values) for line, values in json_objects(path)]
    require(len(found) > 0, f"{path}: there is nothing in it")
    return found


def _delimited(path: Path, mark: str) -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # pictures stand in some tables as base64
    try:
        with open(path, encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines, delimiter=mark)
            for row in table:
                here = f"{path}, line {table.line_num}"
                require(None not in row and None not in row.values(), f"{here}: not as many columns as in the header")
                yield here, row
    except UnicodeDecodeError as error:
        raise RecordError(f"{path}: not a UTF-8 text file ({error.reason} at byte {error.start})") from error
    except csv.Error as error:
        raise RecordError(f"{path}: not a table ({error})") from error


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            number = 0
            for batch in table.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", row
    except pyarrow.lib.ArrowInvalid as error:
        raise RecordError(f"{path}: not a Parquet file ({error})") from error


def column(row: dict[str, Any], here: str, *names: str) -> Any:
    """The value of the first of some columns that the row has.

    Raises:
        RecordError: when it has none of them.
    """
    for name in names:
        if row.get(name) is not None:
            return row[name]
    raise RecordError(f"{here}: no {' or '.join(f'`{name}`' for name in names)}; there are {', '.join(row)}")


def text_in(row: dict[str, Any], here: str, *names: str) -> str:
    """The same for a column of texts, see `_typed`."""
    return _typed(row, here, names, "a text", lambda value: isinstance(value, str))


def texts_in(row: dict[str, Any], here: str, *names: str) -> list[str]:
    """The same for a column of lists of texts, see `_typed`."""
    return _typed(row, here, names, "a list of texts", lambda value: _is_list(value, str))


def object_in(row: dict[str, Any], here: str, *names: str) -> dict[str, Any]:
    """The same for a column of JSON objects, see `_typed`."""
    return _typed(row, here, names, "an object", lambda value: isinstance(value, dict))


def objects_in(row: dict[str, Any], here: str, *names: str) -> list[dict[str, Any]]:
    """The same for a column of lists of JSON objects, see `_typed`."""
    return _typed(row, here, names, "a list of objects", lambda value: _is_list(value, dict))


def id_in(row: dict[str, Any], here: str, *names: str) -> str:
    """The same for a column of ids, as text (7, 7.0 and "7" are one id), see `_typed`."""
    return as_id(_typed(row, here, names, "a text or a whole number", lambda value: as_id(value) is not None))


def _typed(row: dict[str, Any], here: str, names: tuple[str, ...], what: str, fits: Callable[[Any], bool]) -> Any:
    """A value of one type; RecordError when it is not what it must be."""
    value = column(row, here, *names)
    name = next(name for name in names if row.get(name) is not None)
    require(fits(value), f"{here}: `{name}` must be {what}, got {repr(value)[:60]}")
    return value


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(one, kind) for one in value)


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

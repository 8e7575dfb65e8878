"""Rows of a table, whatever form its file has: JSON, JSON Lines, CSV, TSV or Parquet.

Benchmarks are published in all of these. A row is a dictionary of column to value; texts stay texts, so that the
answer "No" or the id "007" is not turned into something else on the way.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmhallu_core.data.answers import as_id, json_objects
from mmhallu_core.types import RecordError, require

TABLES = {".csv": ",", ".tsv": "\t"}


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
    """The same for a column of texts.

    Raises:
        RecordError: when it has none of them, or holds anything but a text.
    """
    value = column(row, here, *names)
    require(isinstance(value, str), f"{here}: {_named(row, names)} must be a text, got {_short(value)}")
    return value


def texts_in(row: dict[str, Any], here: str, *names: str) -> list[str]:
    """The same for a column of lists of texts.

    Raises:
        RecordError: when it has none of them, or holds anything but a list of texts.
    """
    value = column(row, here, *names)
    good = isinstance(value, list) and all(isinstance(one, str) for one in value)
    require(good, f"{here}: {_named(row, names)} must be a list of texts, got {_short(value)}")
    return value


def object_in(row: dict[str, Any], here: str, *names: str) -> dict[str, Any]:
    """The same for a column of JSON objects.

    Raises:
        RecordError: when it has none of them, or holds anything but an object.
    """
    value = column(row, here, *names)
    require(isinstance(value, dict), f"{here}: {_named(row, names)} must be an object, got {_short(value)}")
    return value


def objects_in(row: dict[str, Any], here: str, *names: str) -> list[dict[str, Any]]:
    """The same for a column of lists of JSON objects.

    Raises:
        RecordError: when it has none of them, or holds anything but a list of objects.
    """
    value = column(row, here, *names)
    good = isinstance(value, list) and all(isinstance(one, dict) for one in value)
    require(good, f"{here}: {_named(row, names)} must be a list of objects, got {_short(value)}")
    return value


def id_in(row: dict[str, Any], here: str, *names: str) -> str:
    """The same for a column of ids, as text: 7, 7.0 and "7" are one id.

    Raises:
        RecordError: when it has none of them, or holds anything but a text or a whole number.
    """
    value = column(row, here, *names)
    name = as_id(value)
    require(name is not None, f"{here}: {_named(row, names)} must be a text or a whole number, got {_short(value)}")
    return name


def _named(row: dict[str, Any], names: tuple[str, ...]) -> str:
    return next(f"`{name}`" for name in names if row.get(name) is not None)


def _short(value: Any) -> str:
    return repr(value)[:60]

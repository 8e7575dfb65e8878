"""What a command says when it cannot go on: one sentence and exit code 2, never a traceback.

Three kinds of trouble end a command. What lies outside the program (`CannotRun`, a missing file, a full disk) is told
with what to do about it. A wrong option is told by typer, which shows the usage. All else is a fault of this program:
it becomes a sentence too, and its traceback goes to a file that can be sent with a report.
"""

import contextlib
import functools
import json
import math
import os
import platform
import shlex
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from mmhallu_core import __version__
from mmhallu_core.store import FULL, DiskFull, cache_folder
from mmhallu_core.types import CannotRun

FULL_IN_WORDS = ("No space left on device", "os error 28", "os error 112")  # of libraries that raise their own errors
ROOM = 1 << 20  # bytes: a disk with less room than this is the full one
SECRET = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")  # ends of names of variables whose values no file may hold


def guarded(function: Callable) -> Callable:
    """A command that ends every error in one sentence and exit code 2; a number must be finite."""

    @functools.wraps(function)
    def run(*args: Any, **options: Any) -> None:
        try:
            _require_finite(options)
            function(*args, **options)
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise  # typer knows what to do about these
        except Exception as error:
            tell(_sentence(error, options), bool(options.get("as_json")))
            raise typer.Exit(2) from None

    return run


def tell(message: str, as_json: bool) -> None:
    """Says on standard error why a command could not run; with `--json` also as an object on standard output."""
    if as_json:
        with contextlib.suppress(OSError):  # its disk may be the full one
            print(json.dumps({"error": message}), flush=True)
    print(f"mmhallu: {message}", file=sys.stderr)


class Commands(TyperGroup):
    """All commands. A wrong option is told as typer does; with `--json` also as a JSON object."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, standalone_mode: bool = True, **more: Any) -> Any:
        """See `click.Command.main`."""
        for stream in (sys.stdout, sys.stderr):  # a text that the terminal cannot show is shown in escapes
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        words = list(sys.argv[1:] if args is None else args)
        if not standalone_mode or "--json" not in words:
            return super().main(args, *rest, standalone_mode=standalone_mode, **more)
        try:
            code = super().main(args, *rest, standalone_mode=False, **more)
        except Exception as error:
            if not hasattr(error, "format_message"):  # typer has click's errors under names of its own
                raise
            tell(error.format_message(), True)
            code = 2
        sys.exit(code or 0)


def _require_finite(options: dict[str, Any]) -> None:
    """Raises CannotRun when an option's number is infinite or none: no bound would catch the latter."""
    for name, value in options.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise CannotRun(f"--{name.replace('_', '-')} must be a finite number, got {value}")


def _sentence(error: Exception, options: dict[str, Any]) -> str:
    """What went wrong, and what to do about it."""
    if not isinstance(error, DiskFull) and (cause := _full_disk(error)) is not None:
        where = getattr(cause, "filename", None) or _without_room(options)
        of = f"the disk of {where} is full" if where else "the disk is full"
        below = options.get("out") is not None and str(where).startswith(str(options["out"]))
        other = ", or use another --out," if below else ""
        return f"{of}. Make room{other} and run the same command again"
    if isinstance(error, CannotRun):
        return str(error)
    if isinstance(error, OSError) and error.filename:
        return f"cannot use {error.filename}: {error.strerror or type(error).__name__}"
    if isinstance(error, OSError) and str(error):  # some libraries raise it with words alone
        return str(error)
    kind = type(error).__name__
    first = _hidden((str(error).strip().splitlines() or [""])[0])[:200]
    what = f"{kind}: {first}" if first else kind
    return f"this should not have happened ({what}). {_log(error)}"


def _full_disk(error: BaseException | None) -> BaseException | None:
    """The error that says that a disk is full: this one, or one behind it; None when none does."""
    while error is not None:
        number = error.errno if isinstance(error, OSError) else None
        if number in FULL or (number is None and any(words in str(error) for words in FULL_IN_WORDS)):
            return error
        error = error.__cause__ or error.__context__
    return None


def _without_room(options: dict[str, Any]) -> Path | None:
    """Of the folders that a command writes to, the first whose disk has no room; `--out` where all have some."""
    named = [value for value in options.values() if isinstance(value, Path)]
    out = options.get("out")
    for place in (*([] if out is None else [out]), *named, cache_folder(), Path(tempfile.gettempdir())):
        there = next((one for one in (place, *place.absolute().parents) if one.exists()), None)
        if there is not None and shutil.disk_usage(there).free < ROOM:
            return place
    return out


def _log(error: Exception) -> str:
    """Writes a fault of this program to a file; a sentence that names the file and asks for a report."""
    words = shlex.join(["mmhallu", *sys.argv[1:]])
    about = f"mmhallu {__version__}, Python {platform.python_version()}, {platform.platform()}"
    text = "".join(traceback.format_exception(error))
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    try:
        path = cache_folder() / "errors" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_hidden(f"{about}\n{words}\n\n{text}"), encoding="utf-8", errors="backslashreplace")
    except OSError as failed:
        return f"The details could not be written ({failed}); please report it with the command that you typed"
    return f"The details are in {path}; please report it with that file"


def _hidden(text: str) -> str:
    """The text without the values of secret environment variables."""
    for name, value in os.environ.items():
        if name.endswith(SECRET) and len(value.strip()) > 3:
            text = text.replace(value.strip(), f"<{name}>")
    return text

"""What a command says when it cannot go on: one sentence and exit code 2, never a traceback.

Three kinds of trouble end a command. What lies outside the program (`CannotRun`, a missing file, a full disk) is told
with what to do about it. A wrong option is told by typer, which shows the usage. All else is a fault of this program:
it becomes a sentence too, and its traceback goes to a file that can be sent with a report.

With `--json`, standard output then holds one JSON object, `{"error": sentence}`, and the sentence also goes to standard
error. So a program that calls this one always reads one object.
"""

import errno
import functools
import json
import math
import os
import platform
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from mmhallu_core import __version__
from mmhallu_core.types import CannotRun

FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
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
            tell(_sentence(error, options.get("out")), bool(options.get("as_json")))
            raise typer.Exit(2) from None

    return run


def tell(message: str, as_json: bool) -> None:
    """Says on standard error why a command could not run; with `--json` also as an object on standard output."""
    if as_json:
        print(json.dumps({"error": message}))
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
    """Raises when an option's number is infinite or none: no bound would catch the latter.

    Raises:
        CannotRun: with the option's name.
    """
    for name, value in options.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise CannotRun(f"--{name.replace('_', '-')} must be a finite number, got {value}")


def _sentence(error: Exception, out: Path | None) -> str:
    """What went wrong, and what to do about it; `out` is the folder that the command writes to."""
    if isinstance(error, OSError) and error.errno in FULL:
        where = error.filename or out
        of = f"the disk of {where} is full" if where else "the disk is full"
        return f"{of}. Make room, or use another --out, and run the same command again"
    if isinstance(error, CannotRun):
        return str(error)
    if isinstance(error, OSError) and error.filename:
        return f"cannot use {error.filename}: {error.strerror or type(error).__name__}"
    if isinstance(error, OSError) and error.errno is not None:
        return str(error)
    kind = type(error).__name__
    first = _hidden((str(error).strip().splitlines() or [""])[0])[:200]
    what = f"{kind}: {first}" if first else kind
    return f"this should not have happened ({what}). {_log(error)}"


def _log(error: Exception) -> str:
    """Writes a fault of this program to a file; a sentence that names the file and asks for a report."""
    from mmhallu_core.store import cache_folder

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

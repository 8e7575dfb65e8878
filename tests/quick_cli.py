"""Runs commands in this process, many a second: the tree of commands is built once."""

import contextlib
import io

import typer

from mmhallu_core.cli import app

COMMANDS = typer.main.get_command(app)


def run(*words) -> tuple[int, str, str]:
    """Runs a command; gives exit code, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            COMMANDS.main([str(word) for word in words], prog_name="mmhallu")
        except SystemExit as end:
            code = end.code or 0
    return code, out.getvalue(), err.getvalue()

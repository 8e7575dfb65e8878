"""`mmhallu data check`: your own JSON Lines, before anything is trained on them or scored."""

from pathlib import Path
from typing import Annotated

import typer

from mmhallu_core.cli import AsJson, command, data, emit

SHOWN = 40  # findings that fit on a screen or two; --json has all of them


@command(data, "check")
def data_check(
    file: Annotated[Path, typer.Argument(help="JSON Lines or a JSON list; its pictures' paths count from its folder.")],
    kind: Annotated[str, typer.Option("--as", help="What its records are: edit, conversation, preference or answers.")],
    as_json: AsJson = False,
) -> None:
    """Check a file of your own: missing pictures, bad spans, identical pairs. Exit code 1 when something is wrong."""
    from mmhallu_core.data.check import check_file

    result = check_file(file, kind, progress=True)
    lines, place = [], ":" if result["counted"] == "line" else ", item "
    for finding in result["problems"][:SHOWN]:
        lines += [f"{file}{place}{finding['line']}  {finding['reason']}  {finding['found']}", f"    {finding['do']}"]
    more = len(result["problems"]) - SHOWN
    lines += [f"... and {more} more problems; --json lists them all."] if more > 0 else []
    notes = {note["reason"]: note for note in reversed(result["notes"])}  # the first of each, from the end
    for reason, note in notes.items():
        lines.append(f"note, first in {result['counted']} {note['line']}: {reason} {note['found']}. {note['do']}")
    lines.append(f"{file}: {result['good']} of {result['n']} records are good")
    lines += [f"  {count:>6}  {reason}" for reason, count in result["reasons"].items()]
    emit(result, as_json, "\n".join(lines))
    if not result["ok"]:
        raise typer.Exit(1)

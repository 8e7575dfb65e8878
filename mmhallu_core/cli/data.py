"""`mmhallu data`: public data sets, and your own JSON Lines before anything is trained on them or scored."""

import functools
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from mmhallu_core.cli.base import AsJson, app, command, emit

data = typer.Typer(no_args_is_help=True, help="Public data sets: what there is, getting it, checking it.")
app.add_typer(data, name="data")

Kind = Literal["edit", "preference", "pairs", "answers", "conversation"]

SHOWN = 40  # findings that fit on a screen or two; --json has all of them


@command(data, "list")
def data_list(as_json: AsJson = False) -> None:
    """What data sets there are, their size and licence, and which are here."""
    from mmhallu_core.data.sources import sources

    rows = {
        name: {"title": one.title, "home": one.home, "commit": one.commit, "licence": one.licence, "bytes": one.bytes,
               "here": all((one.folder / entry.path).is_file() for entry in one.files)}
        for name, one in sources().items()
    }  # fmt: skip
    lines = [
        f"{name:<15} {'here' if row['here'] else 'not here':<9} {row['bytes'] / 1e6:6.1f} MB  {row['title']}\n"
        f"{'':<15} licence: {row['licence']}"
        for name, row in rows.items()
    ]
    emit(rows, as_json, "\n".join(lines))


@command(data, "get")
def data_get(name: str, as_json: AsJson = False) -> None:
    """Download a data set from its public home, checked by SHA-256. Licence and size are shown first."""
    from mmhallu_core.data.sources import fetch, source
    from mmhallu_core.evaluate.coco_truth import fetch_chair

    say = functools.partial(print, file=sys.stderr, flush=True)
    fetched = fetch_chair(say) if name == "chair" else fetch(name, say)
    result = {"name": name, "folder": str(source(name).folder), "fetched": fetched}
    emit(result, as_json, f"{len(fetched)} files fetched; {name} is in {result['folder']}")


@command(data, "verify")
def data_verify(name: str, as_json: AsJson = False) -> None:
    """Check every file of a data set by SHA-256. Exit code 1 when one is missing or changed."""
    from mmhallu_core.data.sources import verify

    states = verify(name)
    bad = {path: state for path, state in states.items() if state != "ok"}
    lines = [f"  {state:<8} {path}" for path, state in list(bad.items())[:20]]
    lines.append(f"{name}: {len(states) - len(bad)} of {len(states)} files are right")
    if bad:
        lines.append(f"Get the others with `mmhallu data get {name}`.")
    emit({"name": name, "ok": not bad, "files": len(states), "bad": bad}, as_json, "\n".join(lines))
    if bad:
        raise typer.Exit(1)


@command(data, "check")
def data_check(
    file: Annotated[Path, typer.Argument(help="JSON Lines or a JSON list; its pictures' paths count from its folder.")],
    kind: Annotated[Kind, typer.Option("--as", help="What its records are.")],
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

"""`mmhallu study`: runs or resumes a study, shows its plan, or sums up what is recorded."""

import functools
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mmhallu_core.cli import AsJson, app, command, emit
from mmhallu_core.types import CannotRun

STUDIES = ("med",)


@command(app, "study")
def study(
    name: Annotated[str, typer.Argument(help="Which study: med.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the runs; call again to go on after a stop.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="The id of a run; may be given several times.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the plan with its minutes, and stop.")] = False,
    summarise: Annotated[bool, typer.Option("--summary", help="Sum up the records in --out, and stop.")] = False,
    keep: Annotated[Path | None, typer.Option(help="A folder that also gets each record, as ID.json.")] = None,
    claims: Annotated[Path | None, typer.Option(help="With --summary: a folder that gets the claims' rows.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make the runs of a study that are not made yet. Two machines that share --out share the list."""
    if name not in STUDIES:
        raise CannotRun(f"no such study: {name!r}; there is {', '.join(STUDIES)}")
    from mmhallu_core.studies.med import plan

    if list_:
        rows = plan.as_rows()
        hours = sum(row["minutes"] for row in rows) / 60
        lines = [f"{row['id']:<28} {row['minutes']:>5} min  {row['why']}" for row in rows]
        lines.append(f"{len(rows)} runs, about {hours:.1f} hours with one thread; two processes, half of that")
        emit({"study": name, "runs": rows, "hours": round(hours, 2)}, as_json, "\n".join(lines))
        return
    if out is None:
        raise CannotRun("where to? Give --out FOLDER")
    if summarise:
        from mmhallu_core.studies.med.ledger import write
        from mmhallu_core.studies.med.summary import read, summary, table

        records = read(out)
        if not records:
            raise CannotRun(f"there is no record in {out} yet; `mmhallu study {name} --out {out}` makes them")
        found = summary(records)
        path = out / "summary.json"
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8", newline="\n")
        if claims is not None:
            write(claims, found)
        emit(found, as_json, f"{table(found)}\n{len(records)} runs; all of it is in {path}")
        return
    try:
        todo = plan.chosen(only or [])
    except KeyError as error:
        raise CannotRun(f"no such run: {error.args[0]}; `mmhallu study {name} --list` names them") from None
    from mmhallu_core.studies.med.run import study as run

    tell = functools.partial(print, file=sys.stderr, flush=True)
    result = run(todo, out, keep=keep, tell=tell, progress=sys.stderr.isatty())
    lines = [
        f"{len(result['made'])} runs made, {len(result['there'])} were there, {len(result['elsewhere'])} elsewhere"
    ]
    lines += [f"skipped {one}: {reason}" for one, reason in result["skipped"].items()]
    emit(result, as_json, "\n".join(lines))

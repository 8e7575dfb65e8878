"""`mmhallu study`: runs or resumes a study, shows its plan, or sums up what is recorded."""

import functools
import sys
from pathlib import Path
from typing import Annotated

import typer

from mmhallu_core.cli.base import AsJson, app, command, emit
from mmhallu_core.types import CannotRun


@command(app, "study")
def study(
    name: Annotated[str, typer.Argument(help="Which study: med, ic-vco, aleahallu, baselines, maps or looking.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the runs; call again to go on after a stop.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="The id of a run; may be given several times.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the plan with its minutes, and stop.")] = False,
    summarise: Annotated[bool, typer.Option("--summary", help="Sum up the records in --out, and stop.")] = False,
    keep: Annotated[
        Path | None,
        typer.Option(help="A folder that also gets each record, as ID.json; with --summary, it gets summary.json."),
    ] = None,
    claims: Annotated[Path | None, typer.Option(help="With --summary: a folder that gets the claims' rows.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make the runs of a study that are not made yet. Two machines that share --out share the list.

    --list and --summary only read.
    """
    from mmhallu_core.studies import study_of

    plan = study_of(name)
    given = {"--out": out, "--only": only, "--summary": summarise, "--keep": keep, "--claims": claims}
    idle = given if list_ else {"--only": only} if summarise else {"--claims": claims}
    if idle := [option for option, value in idle.items() if value]:
        mode = "with --list" if list_ else "with --summary" if summarise else "without --summary"
        raise CannotRun(f"{', '.join(idle)} cannot act {mode}: leave it out")
    if list_:
        rows = [
            {"id": run.id, "why": run.why, "minutes": round(plan.seconds(run, plan.numbers) / 60, 1)}
            for run in plan.runs()
        ]
        hours = sum(row["minutes"] for row in rows) / 60
        lines = [f"{row['id']:<28} {row['minutes']:>5} min  {row['why']}" for row in rows]
        lines.append(f"{len(rows)} runs, about {hours:.1f} hours with one thread; two processes, half of that")
        emit({"study": name, "runs": rows, "hours": round(hours, 2)}, as_json, "\n".join(lines))
        return
    if out is None:
        raise CannotRun("where to? Give --out FOLDER")
    if summarise:
        from mmhallu_core.recorded import write
        from mmhallu_core.studies.engine.summary import read, rows, summary, table, write_rows

        records = read(out)
        if not records:
            raise CannotRun(f"there is no record in {out} yet; `{plan.command()}` makes them")
        found = summary(plan, records)
        told = f"{len(records)} runs; --keep FOLDER writes all of it to FOLDER/summary.json"
        if keep is not None:
            write(found, keep / "summary.json")
            told = f"{len(records)} runs; all of it is in {keep / 'summary.json'}"
        if claims is not None:
            write_rows(claims, plan, found)
        emit(found, as_json, f"{table(plan, found, rows(plan, found))}\n{told}")
        return
    try:
        todo = plan.chosen(only or [])
    except KeyError as error:
        raise CannotRun(f"no such run: {error.args[0]}; `mmhallu study {name} --list` names them") from None
    from mmhallu_core.studies.engine.run import work

    tell = functools.partial(print, file=sys.stderr, flush=True)
    result = work(plan, todo, out, keep=keep, tell=tell, progress=sys.stderr.isatty())
    lines = [
        f"{len(result['made'])} runs made, {len(result['there'])} were there, {len(result['elsewhere'])} elsewhere"
    ]
    lines += [f"skipped {one}: {reason}" for one, reason in result["skipped"].items()]
    emit(result, as_json, "\n".join(lines))

"""`mmhallu`: the library from a terminal. Each command calls one public function and prints what it returns.

Exit codes: 0 done; 1 a check failed; 2 could not run (and one sentence says why and what to do). With --json, exactly
one JSON object goes to standard output and everything else to standard error; it is `{"error": sentence}` where a
command could not run.

Heavy imports stand inside the commands, so that `mmhallu --help` answers at once.
"""

import functools
import json
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from mmhallu_core.cli_errors import Commands, guarded
from mmhallu_core.store import FULL
from mmhallu_core.types import CannotRun

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Hallucination in vision-language models: see it, count it, check what papers claim.",
)
data = typer.Typer(no_args_is_help=True, help="Public data sets: what there is, getting it, checking it.")
score = typer.Typer(no_args_is_help=True, help="Score answers that anyone produced.")
app.add_typer(data, name="data")
app.add_typer(score, name="score")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

# Every number of every command has bounds. MOST is for counts that only have to make sense.
MOST, MOST_WORKERS = 10**9, 1024
SEEDS = {"min": 0, "max": 2**32 - 1}  # what every library here takes as a seed


def command(group: typer.Typer, name: str) -> Callable:
    """Registers a command; whatever goes wrong in it becomes one sentence and exit code 2, see `cli_errors`."""

    def register(function: Callable) -> Callable:
        group.command(name)(guarded(function))
        return function

    return register


def only(option: str, value: Any, acts: bool, when: str) -> None:
    """Raises when an option is given that cannot act.

    Args:
        option: its name.
        value: None when it was not given.
        acts: whether it can.
        when: what it is for, behind "is only".

    Raises:
        CannotRun: with what it is for.
    """
    if value is not None and not acts:
        raise CannotRun(f"{option} is only {when}")


def emit(result: dict[str, Any], as_json: bool, text: str) -> None:
    """Prints a result for a program or for a person.

    Raises:
        OSError: when it goes to a file whose disk is full.
    """
    try:
        print(json.dumps(result) if as_json else text, flush=True)
    except OSError as error:
        if error.errno not in FULL:
            raise
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # what is left would fail once more at the end
        raise OSError(error.errno, error.strerror, "standard output") from error


def table(rows: dict[str, Any], intervals: dict[str, Any] | None = None, percent: tuple[str, ...] = ()) -> str:
    """Lines of `name value [low, high]`; the names in `percent` are shown in percent, and None as a dash."""
    lines = []
    for name, value in rows.items():
        scale, digits = (100, 2) if name in percent else (1, 2)
        shown = "-" if value is None else value if isinstance(value, str | int) else f"{scale * value:.{digits}f}"
        interval = (intervals or {}).get(name)
        spread = f"  [{scale * interval[0]:.{digits}f}, {scale * interval[1]:.{digits}f}]" if interval else ""
        lines.append(f"  {name + (' %' if name in percent else ''):<16} {shown:>9}{spread}")
    return "\n".join(lines)


def thoughts(result: dict[str, Any]) -> str:
    """A line on answers that thoughts took the place of, see `data.answers.thinking`; nothing where there are none."""
    found = result.get("thinking", {"cut": 0})
    if not found["cut"]:
        return ""
    return (
        f"\n {found['cut']} of {found['thought']} thoughts end before an answer: they count as empty answers. "
        "Let the model write more (--max-new-tokens)."
    )


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


# The other commands, one file per room; importing a file puts its commands on `app`, so this stands last.
from mmhallu_core import (  # noqa: E402, F401
    cli_data,
    cli_evaluate,
    cli_judge,
    cli_med,
    cli_med_bench,
    cli_models,
    cli_pretrain,
    cli_score,
    cli_study,
    cli_train,
    cli_world,
)

if __name__ == "__main__":  # `python -m mmhallu_core.cli`: the commands are on the app of the imported module
    import mmhallu_core.cli

    mmhallu_core.cli.app()

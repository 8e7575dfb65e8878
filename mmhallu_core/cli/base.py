"""What all commands share: how one is registered, how it prints, and the bounds of its numbers.

Heavy imports stand inside the commands, so that `mmhallu --help` answers at once.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mmhallu_core.cli.errors import Commands, guarded
from mmhallu_core.store import FULL
from mmhallu_core.types import CannotRun

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Hallucination in vision-language models: see it, count it, check what papers claim.",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

# Every number of every command has bounds. MOST is for counts that only have to make sense.
MOST, MOST_WORKERS = 10**9, 1024
SEEDS = {"min": 0, "max": 2**32 - 1}  # what every library here takes as a seed

# What every kind of training asks in the same words.
RunFolder = Annotated[Path | None, typer.Option(help="Folder of the run; call again to go on after a kill.")]
Lr = Annotated[float | None, typer.Option(min=1e-12, max=10, help="The highest learning rate.")]
MicroBatch = Annotated[
    int | None, typer.Option("--micro-batch", "--batch", min=1, max=MOST, help="Micro-batch size per process.")
]
Accumulation = Annotated[
    int | None, typer.Option(min=1, max=MOST, help="Gradient accumulation: micro-batches per optimizer step.")
]
Dtype = Annotated[Literal["float32", "bfloat16", "float16"] | None, typer.Option(help="Of the weights.")]
Checkpointing = Annotated[bool | None, typer.Option(help="Gradient checkpointing: less memory, slower.")]
TrainSeed = Annotated[int, typer.Option(**SEEDS, help="Of the order, adapter and dropout.")]
SaveEvery = Annotated[int, typer.Option(min=1, max=MOST, help="Checkpoint every N optimizer steps.")]
Plan = Annotated[bool, typer.Option("--plan", help="Say what would be trained, and stop.")]


def command(group: typer.Typer, name: str) -> Callable:
    """Registers a command; whatever goes wrong in it becomes one sentence and exit code 2, see `errors`."""

    def register(function: Callable) -> Callable:
        group.command(name)(guarded(function))
        return function

    return register


def only(option: str, value: Any, acts: bool, when: str) -> None:
    """Raises CannotRun when an option (None where it was not given) cannot act; `when` says what it is only for."""
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
        scale = 100 if name in percent else 1
        shown = "-" if value is None else value if isinstance(value, str | int) else f"{scale * value:.2f}"
        interval = (intervals or {}).get(name)
        spread = f"  [{scale * interval[0]:.2f}, {scale * interval[1]:.2f}]" if interval else ""
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

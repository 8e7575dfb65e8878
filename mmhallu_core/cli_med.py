"""`mmhallu med`: MED's pipeline, which makes pairs of pictures that differ in one small thing, and says what it is."""

from pathlib import Path
from typing import Annotated

import typer

from mmhallu_core.cli import AsJson, app, command, emit
from mmhallu_core.types import CannotRun

SOURCES = ("world",)

med = typer.Typer(no_args_is_help=True, help="MED: micro-edited pairs and what differs in them.")
app.add_typer(med, name="med")


@command(med, "build")
def build(
    out: Annotated[Path, typer.Option(help="Folder of the run: samples.jsonl, rejected.jsonl, images/, masks/.")],
    source: Annotated[str, typer.Option(help="world: Diorama, whose truth is known.")] = "world",
    n: Annotated[int, typer.Option("--n", min=1, help="How many drafts; some become no sample.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 0,
    error: Annotated[float, typer.Option(min=0.0, max=1.0, help="How often Diorama's oracle is wrong.")] = 0.0,
    annotator: Annotated[
        str, typer.Option(help="oracle, a server's address (its key in MMHALLU_API_KEY), or a model to load here.")
    ] = "oracle",
    model: Annotated[str, typer.Option(help="The server's name for its model.")] = "",
    engine: Annotated[str, typer.Option(help="local, or ray for the machines of a cluster.")] = "local",
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes, as many as cores when not given; 0: none but this one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make edit samples. Call it again to go on after a stop: nothing is lost, and no reply is paid for twice."""
    from mmhallu_core.edit import run
    from mmhallu_core.edit.recipe import Annotator, World

    if source not in SOURCES:
        raise CannotRun(f"no such source: {source!r}; choose one of {', '.join(SOURCES)}")
    if error and annotator != "oracle":
        raise CannotRun("--error is a dial of the oracle; another annotator makes errors of its own")
    make = World(n, seed, error, Annotator(annotator, model))
    result = run.build(make, out, workers, engine, progress=not as_json)
    lines = [f"{result['samples']} samples of {result['n']} drafts, in {out / 'samples.jsonl'}"]
    lines += [f"  {count:>8}  {reason}" for reason, count in sorted(result["reasons"].items(), key=lambda one: -one[1])]
    if result["spent"]:
        lines.append("  ".join(f"{name} {count}" for name, count in result["spent"].items()))
    emit(result, as_json, "\n".join(lines))

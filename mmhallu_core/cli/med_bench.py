"""`mmhallu med bench`: writes a benchmark of picture pairs that cannot be scored without looking at them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mmhallu_core.cli.base import SEEDS, AsJson, command, emit, table
from mmhallu_core.cli.med import med
from mmhallu_core.cli.world import Style
from mmhallu_core.types import CannotRun


@command(med, "bench")
def bench(
    out: Annotated[Path, typer.Option(help="New folder: items.jsonl, images/, manifest.json, lmms_eval/.")],
    source: Annotated[Literal["world"], typer.Option(help="Diorama, where pairs are drawn for questions.")] = "world",
    samples: Annotated[Path | None, typer.Option("--from", help="Samples of `mmhallu med build`, instead.")] = None,
    per_category: Annotated[int, typer.Option(min=4, max=100_000, help="Questions in each category.")] = 100,
    seed: Annotated[int, typer.Option(**SEEDS, help="The same seed gives the same files.")] = 0,
    style: Style = "flat",
    name: Annotated[str, typer.Option(help="Of the benchmark; begins the ids.")] = "med-tiny",
    against: Annotated[
        list[Path] | None, typer.Option(help="Training data that must share nothing with it; may come repeatedly.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a benchmark. Exit code 1 and no folder when a rule that sees no picture beats chance by 5 points."""
    from mmhallu_core.data.check import read_samples
    from mmhallu_core.edit.benchmark.build import Refused, write_benchmark
    from mmhallu_core.edit.benchmark.samples import from_samples
    from mmhallu_core.evaluate import contrast as contrast_sets
    from mmhallu_core.evaluate.audit import apart

    folder = Path(".")
    if samples is None:
        about = {"source": source, "seed": f"{name}/{seed}", "per_category": per_category, "style": style}
        questions = contrast_sets.questions(f"{name}/{seed}", per_category, style, name)
    else:
        file = samples / "samples.jsonl" if samples.is_dir() else samples
        if not file.is_file():
            raise CannotRun(f"there is no {file}; `mmhallu med build --out {samples}` writes one")
        folder, about = file.parent, {"source": "samples", "seed": seed, "per_category": per_category}
        questions = from_samples(read_samples(file), per_category, seed, name)
    try:
        manifest = write_benchmark(questions, out, name, about, against or (), folder)
    except Refused as refused:
        emit({"written": False, "refused": str(refused), "found": refused.found}, as_json, f"Refused: {refused}")
        raise typer.Exit(1) from None
    found = manifest["audit"]
    own, key = apart(found)
    lines = [
        f"{manifest['questions']} questions in {len(manifest['categories'])} categories, in {out}",
        f"without the pictures, where guessing gives {100 * found['chance']:.1f}%:",
        table(own, found["ci"], tuple(own)),
        "apart, because it reads right answers of the file:",
        table(key, found["ci"], tuple(key)),
        f"As a task of lmms-eval: {out / 'lmms_eval'}",
    ]
    emit({"written": True, "out": str(out), **manifest}, as_json, "\n".join(lines))

"""`mmhallu med`: MED's pipeline, which makes pairs of pictures that differ in one small thing, and says what it is.

`med bench` writes a benchmark of such pairs that cannot be scored without looking at them.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mmhallu_core.cli.base import MOST, MOST_WORKERS, SEEDS, AsJson, app, command, emit, table
from mmhallu_core.cli.world import Style
from mmhallu_core.types import CannotRun

med = typer.Typer(no_args_is_help=True, help="MED: micro-edited pairs and what differs in them.")
app.add_typer(med, name="med")


@command(med, "build")
def build(
    out: Annotated[Path, typer.Option(help="Folder of the run: samples.jsonl, rejected.jsonl, images/, masks/.")],
    source: Annotated[
        Literal["world", "photos"], typer.Option(help="world: Diorama, whose truth is known. photos: see --photos.")
    ] = "world",
    n: Annotated[int, typer.Option("--n", min=1, max=MOST, help="How many drafts; some become no sample.")] = 1000,
    seed: Annotated[int, typer.Option(**SEEDS, help="The same seed gives the same files.")] = 0,
    error: Annotated[float, typer.Option(min=0.0, max=1.0, help="How often Diorama's oracle is wrong.")] = 0.0,
    annotator: Annotated[
        str | None,
        typer.Option(
            help="oracle (of Diorama), none (photos: templates), a server's address (its key in MMHALLU_API_KEY), or "
            "a model to load here."
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="The server's name for its model.")] = "",
    photos: Annotated[Path | None, typer.Option(help="Folder of photos, with its sub-folders.")] = None,
    clip: Annotated[str, typer.Option(help="For photos: hub id or folder of a CLIP; no similarity without.")] = "",
    fit: Annotated[
        Literal["processor", "pad"], typer.Option(help="For --clip. processor: cuts a square out. pad: adds edges.")
    ] = "processor",
    editor: Annotated[
        str,
        typer.Option(
            help="For photos: opencv, gemini:MODEL (key in GEMINI_API_KEY), or a folder or hub id of diffusers."
        ),
    ] = "opencv",
    engine: Annotated[Literal["local", "ray"], typer.Option(help="ray: the machines of a cluster.")] = "local",
    workers: Annotated[
        int | None,
        typer.Option(min=0, max=MOST_WORKERS, help="Processes, as many as cores when not given; 0: none but this one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make edit samples. Call it again to go on after a stop: nothing is lost, and no reply is paid for twice."""
    from mmhallu_core.edit.engine import run
    from mmhallu_core.edit.recipe import NOBODY, Annotator, Photos, World

    if (source == "photos") != (photos is not None):
        raise CannotRun("--source photos and --photos FOLDER go together")
    if photos is None and (clip or editor != "opencv"):
        raise CannotRun("--clip and --editor are for photos; Diorama has its own")
    if fit != "processor" and not clip:
        raise CannotRun("--fit is for the CLIP of --clip: it says how a picture is fitted into what that one reads")
    annotator = annotator or ("oracle" if source == "world" else NOBODY)
    if model and not annotator.startswith(("http://", "https://")):
        raise CannotRun("--model is a server's name for its model; it goes with --annotator ADDRESS")
    if error and annotator != "oracle":
        raise CannotRun("--error is a dial of the oracle; another annotator makes errors of its own")
    if photos is None:
        make = World(n, seed, error, Annotator(annotator, model))
    else:
        make = Photos(str(photos), n, seed, clip, Annotator(annotator, model), editor, fit)
    result = run.build(make, out, workers, engine, progress=not as_json)
    lines = [f"{result['samples']} samples of {result['n']} drafts, in {out / 'samples.jsonl'}"]
    lines += [f"  {count:>8}  {reason}" for reason, count in sorted(result["reasons"].items(), key=lambda one: -one[1])]
    if photos is not None:
        from mmhallu_core.viz.contact_sheet import write_contact_sheets

        result["contact_sheets"] = [str(path) for path in write_contact_sheets(out)]
        result |= {"clip": clip or None, "fit": fit if clip else None}
        lines += [f"Look at them: {path}" for path in result["contact_sheets"]]
        lines += [] if clip else ["No --clip was given: similarity is left out, and no pair was rejected for it."]
    if result["spent"]:
        lines.append("  ".join(f"{name} {count}" for name, count in result["spent"].items()))
    emit(result, as_json, "\n".join(lines))


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

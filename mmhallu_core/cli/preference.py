"""`mmhallu train dpo|mdpo|vdpo|svco|symmpo|ic-vco` and `mmhallu ic-vco pairs`: preferences with a second picture."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from mmhallu_core.cli.base import (
    MOST,
    MOST_WORKERS,
    SEEDS,
    Accumulation,
    AsJson,
    Checkpointing,
    Dtype,
    Lr,
    MicroBatch,
    Plan,
    RunFolder,
    SaveEvery,
    TrainSeed,
    app,
    command,
    emit,
)
from mmhallu_core.cli.train import How, planned, train, words
from mmhallu_core.types import CannotRun

ic_vco = typer.Typer(no_args_is_help=True, help="IC-VCO: pairs of pictures for preference learning.")
app.add_typer(ic_vco, name="ic-vco")

HELP = {
    "dpo": "DPO: the chosen answer against the rejected one.",
    "mdpo": "mDPO: DPO, and the picture against a small part of it.",
    "vdpo": "V-DPO: DPO of answers and of pictures, guided by a blank picture.",
    "svco": "S-VCO: each answer with its picture, with none, and with the other one.",
    "symmpo": "SymMPO: each picture with both answers, by margins that should be alike.",
    "ic-vco": "IC-VCO: both pictures in one context, distilled to each picture alone.",
}


@command(ic_vco, "pairs")
def pairs(
    out: Annotated[Path, typer.Option(help="Folder: preferences.jsonl, sft.jsonl, pictures/, summary.json.")],
    source: Annotated[
        Literal["world", "photos"], typer.Option(help="world: Diorama, whose truth is known. photos: see --photos.")
    ] = "world",
    n: Annotated[
        int, typer.Option("--n", min=1, max=MOST, help="Wrong answers or photos; some become no pair.")
    ] = 1000,
    seed: Annotated[int, typer.Option(**SEEDS, help="The same seed gives the same files.")] = 0,
    negative: Annotated[
        Literal["edited", "synthetic", "retrieved"], typer.Option(help="How the second picture is made.")
    ] = "edited",
    questions: Annotated[int, typer.Option(min=0, max=MOST, help="In Diorama: questions of a pair, at most.")] = 1,
    photos: Annotated[Path | None, typer.Option(help="Folder of photos, with its sub-folders.")] = None,
    annotator: Annotated[
        str, typer.Option(help="For photos: none (templates), a server's address, or a model to load here.")
    ] = "none",
    model: Annotated[str, typer.Option(help="The server's name for its model.")] = "",
    editor: Annotated[str, typer.Option(help="For photos: opencv, gemini:MODEL, or a diffusers pipeline.")] = "opencv",
    clip: Annotated[str, typer.Option(help="For photos: hub id or folder of a CLIP; no similarity without.")] = "",
    workers: Annotated[int | None, typer.Option(min=0, max=MOST_WORKERS, help="For photos: processes.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make pairs of pictures with an answer that is true of each, and mark the words in which the answers differ."""
    if (source == "photos") != (photos is not None):
        raise CannotRun("--source photos and --photos FOLDER go together")
    if photos is None:
        from mmhallu_core.methods.ic_vco.pairs import Pairs, write_pairs

        if annotator != "none" or model or editor != "opencv" or clip or workers is not None:
            raise CannotRun("--annotator, --model, --editor, --clip and --workers are for photos; Diorama has its own")
        found = write_pairs(Pairs(n, seed, negative, questions), out)
    else:
        from mmhallu_core.edit.recipe import Annotator, Photos
        from mmhallu_core.methods.ic_vco.photos import write_photo_pairs

        if negative != "edited":
            raise CannotRun(f"--negative {negative} is for Diorama: a photo cannot be drawn anew here")
        make = Photos(str(photos), n, seed, clip, Annotator(annotator, model), editor)
        found = write_photo_pairs(make, out, workers, progress=not as_json)
    what = "wrong answers" if photos is None else "photos"
    lines = [f"{found['pairs']} pairs of {found['n']} {what}, {found['preferences']} preferences, in {out}"]
    lines += [f"  {count:>8}  {reason}" for reason, count in sorted(found["reasons"].items(), key=lambda one: -one[1])]
    emit({"source": source, **found}, as_json, "\n".join(lines))


@command(ic_vco, "alike")
def alike(
    files: Annotated[list[Path], typer.Argument(help="Files of preferences, as `mmhallu ic-vco pairs` writes them.")],
    clip: Annotated[str, typer.Option(help="Hub id or folder of a CLIP; tiny-clip, for Diorama, without.")] = "",
    as_json: AsJson = False,
) -> None:
    """How alike are the two pictures of each pair? A histogram of CLIP's cosine for each file."""
    from mmhallu_core.edit.stages.similarity import ClipEmbedder, TinyClipEmbedder
    from mmhallu_core.methods.ic_vco import photos

    if missing := [str(file) for file in files if not file.is_file()]:
        raise CannotRun(f"there is no {missing[0]}")
    found = photos.alike(files, ClipEmbedder(clip) if clip else TinyClipEmbedder())
    lines = []
    for file, one in found.items():
        lines.append(f"{file}: {one['n']} pairs, median {one['median']:.3f}")
        edges = zip(one["edges"], one["edges"][1:], strict=False)
        lines += [f"  {low:5.2f} to {high:4.2f}  {n:>6}" for (low, high), n in zip(edges, one["counts"], strict=True)]
    emit({"files": found, "clip": clip or "tiny-clip"}, as_json, "\n".join(lines))


def _add(method: str) -> None:
    """Adds `mmhallu train METHOD`; all six take the same options, and refuse what they have no use for."""

    def run(
        out: RunFolder = None,
        model: Annotated[str | None, typer.Option(help="tiny-llava, a folder, or a hub id; the reference.")] = None,
        data: Annotated[Path | None, typer.Option(help="JSON Lines of preferences.")] = None,
        preset: Annotated[Literal["paper"] | None, typer.Option(help="paper: the authors' numbers.")] = None,
        references: Annotated[
            Path | None, typer.Option(help="Folder of the reference's log-probabilities; in --out if not given.")
        ] = None,
        steps: Annotated[int | None, typer.Option(min=1, max=MOST, help="Optimizer steps; else by epochs.")] = None,
        lr: Lr = None,
        micro_batch: MicroBatch = None,
        accumulation: Accumulation = None,
        vision_tower: Annotated[How | None, typer.Option(help="How it is trained; frozen if not given.")] = None,
        decoder: Annotated[
            How | None, typer.Option(help="How the language model is trained; lora if not given.")
        ] = None,
        dtype: Dtype = None,
        checkpointing: Checkpointing = None,
        beta: Annotated[float, typer.Option(min=1e-6, max=1e3, help="Of every comparison.")] = 0.1,
        mode: Annotated[
            Literal["paper", "as_shipped"], typer.Option(help="ic-vco: as_shipped counts anchors twice, as its code.")
        ] = "paper",
        two_images: Annotated[bool, typer.Option(help="ic-vco: the branch with both pictures.")] = True,
        distil: Annotated[bool, typer.Option(help="ic-vco: from both pictures to each alone.")] = True,
        mask: Annotated[bool, typer.Option(help="ic-vco: with one picture, only words that differ count.")] = True,
        anchors: Annotated[bool, typer.Option(help="ic-vco: the chosen answer must not become less likely.")] = True,
        crop: Annotated[bool, typer.Option(help="mdpo: against a small part of the picture, else the second.")] = True,
        gamma: Annotated[float, typer.Option(min=0, max=100, help="vdpo: of the guidance; 1 is none.")] = 1.0,
        seed: TrainSeed = 0,
        save_every: SaveEvery = 100,
        plan: Plan = False,
        as_json: AsJson = False,
    ) -> None:
        from mmhallu_core.methods.ic_vco.fit import Fit, fit, plan_fit
        from mmhallu_core.train.spec import is_main

        ask = Fit(
            method, model, data, preset, references, steps, lr, micro_batch, accumulation, dtype, checkpointing,
            vision_tower, decoder, seed, save_every, beta, mode, two_images, distil, mask, anchors, crop,
            gamma,
        )  # fmt: skip
        if plan:
            found = plan_fit(ask)
            emit(found, as_json, "\n".join(planned(found)))
            return
        if out is None:
            raise CannotRun("where to? Give --out FOLDER")
        record = fit(ask, out, words(ask, method, Fit(method)), progress=sys.stderr.isatty())
        lines = [
            f"{record['steps']} steps of {record['examples'] // record['steps']} examples, {record['seconds']} seconds",
            f"loss {record['loss']['first']:.3f} at first, {record['loss']['final']:.3f} in the last quarter",
            f"The weights and run.json are in {out}.",
        ]
        if is_main():
            emit(record, as_json, "\n".join(lines))

    run.__doc__ = HELP[method]
    run.__name__ = f"train_{method.replace('-', '_')}"
    command(train, method)(run)


for _method in HELP:
    _add(_method)

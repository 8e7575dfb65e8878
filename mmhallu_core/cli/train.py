"""`mmhallu train`, `pretrain` and `data export`: training here, rebuilding what is shipped, or training elsewhere."""

import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mmhallu_core.cli.base import (
    MOST,
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
    only,
)
from mmhallu_core.cli.data import data
from mmhallu_core.types import CannotRun

train = typer.Typer(no_args_is_help=True, help="Train a model; --plan says what it would cost.")
app.add_typer(train, name="train")

How = Literal["frozen", "lora", "full"]


@command(data, "export")
def data_export(
    file: Annotated[Path, typer.Argument(help="JSON Lines: edit samples, or conversations about pictures.")],
    form: Annotated[Literal["llamafactory", "datasets"], typer.Option("--as", help="Whose files to write.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    same: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="llamafactory: share of pairs with no difference; 0.25 if not given."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(**SEEDS, help="llamafactory: of the order and of what changes places; 0 if not given.")
    ] = None,
    allow: Annotated[
        list[Path] | None, typer.Option(help="Another folder whose pictures may go along; may come repeatedly.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Training data for LLaMA-Factory (what `train sft` would train on in one epoch), or for Hugging Face datasets."""
    from mmhallu_core.data.chats import Chat
    from mmhallu_core.data.check import read_training_file
    from mmhallu_core.data.exports import to_datasets, to_llamafactory

    here = form == "llamafactory"
    only("--seed", seed, here, "with --as llamafactory: datasets get the records as they are")
    only("--same", same, here, "with --as llamafactory: datasets get the records as they are")
    records = read_training_file(file, progress=sys.stderr.isatty())
    for option, value in {"--seed": seed, "--same": same}.items():
        only(option, value, not isinstance(records[0], Chat), "for edit samples, and these are conversations")
    if not here:
        found = to_datasets(records, file.parent, out, allow or ())
        emit(found, as_json, f"{found['n']} records are in {out}; datasets.load_dataset({str(out)!r}) reads them")
        return
    from mmhallu_core.methods.med.examples import SAME, EditExamples

    chats: Any = records
    if not isinstance(records[0], Chat):
        chats = EditExamples(records, file.parent, seed or 0, SAME if same is None else same).chats()
    found = to_llamafactory(chats, file.parent, out, allow=allow or ())
    said = f"{found['n']} conversations are in {out}; in LLaMA-Factory: dataset_dir: {out}, dataset: {found['name']}"
    emit(found, as_json, said)


@command(train, "sft")
def train_sft(
    out: RunFolder = None,
    model: Annotated[str | None, typer.Option(help="tiny-llava, a folder, or a hub id; the preset's if none.")] = None,
    file: Annotated[Path | None, typer.Option("--data", help="JSON Lines: edit samples, or conversations.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="qwen2_vl, qwen2_5_vl, llava_next, mllama; or diorama, as in the book's study.")
    ] = None,
    card: Annotated[
        int | None, typer.Option(min=40, max=80, help="With a preset: the GPU's memory, 40 or 80 GB; 80 if not given.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, max=MOST, help="Optimizer steps; one epoch if not given.")] = None,
    lr: Lr = None,
    micro_batch: MicroBatch = None,
    accumulation: Accumulation = None,
    vision_tower: Annotated[How | None, typer.Option(help="How it is trained; the preset says, if not given.")] = None,
    decoder: Annotated[How, typer.Option(help="How the language model is trained.")] = "lora",
    consistency: Annotated[
        Literal["none", "global", "masked"], typer.Option(help="What is asked of the features of a pair.")
    ] = "none",
    weight: Annotated[
        float | None, typer.Option(min=0, max=1e6, help="Of the consistency loss; 0.1 if not given.")
    ] = None,
    same: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of pairs with no difference; 0.25 if not given.")
    ] = None,
    dtype: Dtype = None,
    checkpointing: Checkpointing = None,
    packing: Annotated[
        bool | None, typer.Option(help="All questions about the same pictures in one sequence: faster; tiny-llava.")
    ] = None,
    seed: TrainSeed = 0,
    save_every: SaveEvery = 100,
    plan: Plan = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune on image pairs or on your own conversations.

    In several processes: torchrun --nproc_per_node N -m mmhallu_core.cli train sft ..., or accelerate launch with a
    file of the package's folder train/accelerate.
    """
    only("--card", card, preset not in (None, "diorama"), "with --preset of a model")
    only("--weight", weight, consistency != "none", "with --consistency")
    from mmhallu_core.methods.med.sft import Sft, fine_tune, plan_run
    from mmhallu_core.train.spec import is_main

    given = {name: value for name, value in {"card": card, "weight": weight}.items() if value is not None}
    ask = Sft(
        model=model, data=file, preset=preset, steps=steps, lr=lr, micro_batch=micro_batch, accumulation=accumulation,
        dtype=dtype, checkpointing=checkpointing, packing=packing, vision_tower=vision_tower, decoder=decoder,
        consistency=consistency, same=same, seed=seed, save_every=save_every, **given,
    )  # fmt: skip
    if plan:
        found = plan_run(ask)
        emit(found, as_json, "\n".join(planned(found)))
        return
    if out is None:
        raise CannotRun("where to? Give --out FOLDER")
    record = fine_tune(ask, out, words(ask, "sft", Sft()), progress=sys.stderr.isatty())
    lines = [
        f"{record['steps']} steps of {record['examples'] // record['steps']} examples, {record['seconds']} seconds",
        f"loss {record['loss']['first']:.3f} at first, {record['loss']['final']:.3f} in the last quarter",
        *([record["collapse"]["verdict"]] if "collapse" in record else []),
        f"The weights and run.json are in {out}.",
    ]
    if is_main():
        emit(record, as_json, "\n".join(lines))


def words(ask: Any, method: str, usual: Any) -> str:
    """What to type to make a run again; what is as in `usual` is left out."""
    said = ["mmhallu", "train", method]
    for name, value in asdict(ask).items():
        if value != getattr(usual, name):
            option = f"--{name.replace('_', '-')}"
            said += [option if value else f"--no-{option[2:]}"] if isinstance(value, bool) else [option, str(value)]
    return shlex.join(said)


def planned(found: dict[str, Any]) -> list[str]:
    """A plan, to read."""
    lines = [f"{found['model']}, {found['steps']} steps of {found['effective_batch']} examples"]
    for part, number in found.get("trainable", {}).items():
        lines.append(f"  {part:<14} {number:>12,} of {found['parameters'][part]:,} parameters learn")
    for name in ("vision_tower", "decoder", "rank", "micro_batch", "accumulation", "lr", "dtype"):
        lines += [f"  {name:<14} {found[name]:>12}"] if name in found else []
    source = "measured on the first micro-batch" if found["measured"] else "reckoned from published sizes, on an A100"
    lines.append(f"  memory {found['memory_gb']} GB, {found['seconds'] / 3600:.2f} hours ({source})")
    return lines


@command(app, "pretrain")
def pretrain(
    name: Annotated[Literal["tiny-llava", "tiny-clip"], typer.Argument()],
    out: Annotated[Path | None, typer.Option(help="Folder of the run; the cache when not given.")] = None,
    seed: Annotated[int, typer.Option(**SEEDS, help="The shipped base is seed 0.")] = 0,
    control: Annotated[bool, typer.Option("--control", help="tiny-llava with prior and noise off.")] = False,
    plan: Plan = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild a shipped checkpoint from nothing but its seed. Call it again to resume a run that was stopped."""
    if control and name != "tiny-llava":
        raise CannotRun("--control is for tiny-llava")
    from mmhallu_core.store import cache_folder, run_lock
    from mmhallu_core.train.pretrain.clip import ClipRecipe, pretrain_tiny_clip
    from mmhallu_core.train.pretrain.recipe import Recipe, pretrain_tiny_llava

    run_name = f"{name}{'-control' if control else ''}-seed{seed}"
    out = out or cache_folder() / "pretrain" / run_name
    recipe = Recipe(seed=seed) if name == "tiny-llava" else ClipRecipe(seed=seed)
    if control:
        recipe = replace(recipe, prior=0.0, eta=0.0)
    if plan:
        pictures = recipe.scenes + 2 * recipe.pairs
        lines = [f"{run_name}, into {out}", *(f"  {key:<12} {value}" for key, value in asdict(recipe).items())]
        lines.append(f"  disk         {pictures * 27_648 / 1e9:.1f} GB for {pictures} pictures")
        emit({"run": run_name, "out": str(out), "recipe": asdict(recipe)}, as_json, "\n".join(lines))
        return
    words = ["mmhallu", "pretrain", name, *(["--control"] if control else []), *(["--seed", str(seed)] if seed else [])]
    build = pretrain_tiny_llava if name == "tiny-llava" else pretrain_tiny_clip
    with run_lock(out):
        folder = build(recipe, out, shlex.join(words))
    result = {"run": run_name, "model": str(folder), "record": str(out / "run.json")}
    emit(result, as_json, f"{run_name} is in {folder}; its record is {out / 'run.json'}")

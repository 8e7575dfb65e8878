"""`mmhallu pretrain`: rebuilds the shipped checkpoints."""

import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from mmhallu_core.cli.base import SEEDS, AsJson, app, command, emit
from mmhallu_core.types import CannotRun


@command(app, "pretrain")
def pretrain(
    name: Annotated[Literal["tiny-llava", "tiny-clip"], typer.Argument()],
    out: Annotated[Path | None, typer.Option(help="Folder of the run; the cache when not given.")] = None,
    seed: Annotated[int, typer.Option(**SEEDS, help="The shipped base is seed 0.")] = 0,
    control: Annotated[bool, typer.Option("--control", help="tiny-llava with prior and noise off.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be trained, and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild a shipped checkpoint from nothing but its seed. Call it again to resume a run that was stopped."""
    if control and name != "tiny-llava":
        raise CannotRun("--control is for tiny-llava")
    from mmhallu_core.store import cache_folder, run_lock
    from mmhallu_core.train.pretrain.clip import ClipRecipe, pretrain_tiny_clip
    from mmhallu_core.train.pretrain.recipe import Recipe, pretrain_tiny_llava
    from mmhallu_core.train.rounding import round_alike

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
    round_alike()
    words = ["mmhallu", "pretrain", name, *(["--control"] if control else []), *(["--seed", str(seed)] if seed else [])]
    build = pretrain_tiny_llava if name == "tiny-llava" else pretrain_tiny_clip
    with run_lock(out):
        folder = build(recipe, out, shlex.join(words))
    result = {"run": run_name, "model": str(folder), "record": str(out / "run.json")}
    emit(result, as_json, f"{run_name} is in {folder}; its record is {out / 'run.json'}")

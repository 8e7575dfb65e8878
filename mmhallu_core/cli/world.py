"""`mmhallu world`: scenes and edit pairs of Diorama, as files."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mmhallu_core.cli.base import MOST, SEEDS, AsJson, app, command, emit
from mmhallu_core.types import CannotRun

world = typer.Typer(no_args_is_help=True, help="Diorama: drawn scenes and edit pairs whose truth is known.")
app.add_typer(world, name="world")

Out = Annotated[Path, typer.Option(help="Folder to write to; made when it is not there.")]
Seed = Annotated[int, typer.Option(**SEEDS, help="The same seed gives the same files.")]
Size = Annotated[int, typer.Option(min=16, max=2048, help="Width and height in pixels.")]
Style = Annotated[Literal["flat", "textured", "sketch"], typer.Option(help="How it is drawn.")]


@command(world, "sample")
def world_sample(
    out: Out,
    n: Annotated[int, typer.Option("--n", min=1, max=MOST, help="How many scenes.")] = 10,
    seed: Seed = 0,
    size: Size = 96,
    style: Style = "flat",
    as_json: AsJson = False,
) -> None:
    """Draw random scenes: image.png, masks.npz and truth.json of each, in folders 0000, 0001, ..."""
    from tqdm.auto import tqdm

    from mmhallu_core.world.export import write_scene
    from mmhallu_core.world.prior import sample_scene

    captions = [
        write_scene(sample_scene(f"{seed}-{number}"), out / f"{number:04d}", size, style)["caption"]
        for number in tqdm(range(n), desc="drawing scenes", unit="scene")
    ]
    result = {"n": n, "seed": seed, "size": size, "style": style, "out": str(out)}
    shown = [f"  {number:04d}  {caption}" for number, caption in enumerate(captions[:3])]
    emit(result, as_json, "\n".join([f"{n} scenes in {out}, each with image.png, masks.npz and truth.json", *shown]))


@command(world, "edit")
def world_edit(
    category: Annotated[str, typer.Option(help="One of the eleven, for instance Counting or spatial_relation.")],
    out: Out,
    seed: Seed = 0,
    size: Size = 96,
    style: Style = "flat",
    as_json: AsJson = False,
) -> None:
    """Draw one edit pair: before.png, after.png, mask.png and truth.json."""
    from mmhallu_core.world.edits import CATEGORIES, sample_edit, slug
    from mmhallu_core.world.export import write_edit

    names = {slug(name): name for name in CATEGORIES}
    if slug(category) not in names:
        raise CannotRun(f"no such edit category: {category!r}; the eleven are: {', '.join(CATEGORIES)}")
    truth = write_edit(sample_edit(names[slug(category)], seed), out, size, style)
    lines = [
        f"{truth['category']}: {truth['difference']}",
        f"  before  {truth['caption_before']}",
        f"  after   {truth['caption_after']}",
        f"before.png, after.png, mask.png and truth.json are in {out}",
    ]
    emit({**truth, "seed": seed, "out": str(out)}, as_json, "\n".join(lines))

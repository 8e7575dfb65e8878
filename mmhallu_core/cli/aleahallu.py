"""`mmhallu aleahallu` and `mmhallu train aleahallu`: pairs, where a hallucination sits, an edit there."""

import shlex
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mmhallu_core.cli.base import MOST, SEEDS, AsJson, RunFolder, app, command, emit, only
from mmhallu_core.cli.train import train
from mmhallu_core.types import CannotRun

aleahallu = typer.Typer(no_args_is_help=True, help="ALEAHallu: pairs of responses, and where a hallucination sits.")
app.add_typer(aleahallu, name="aleahallu")

Mode = Literal["as_code", "as_paper", "ours", "scale", "gradient", "restore", "patch", "random"]
Part = Literal["mlp", "attention"]
Pairs = Annotated[Path | None, typer.Option("--data", help="JSON Lines of pairs; drawn in Diorama if not given.")]
DRAWN = 192  # pairs, where no file is given: 64 of each kind


@command(aleahallu, "pairs")
def pairs(
    out: Annotated[Path, typer.Option(help="The JSON Lines file to write.")],
    captions: Annotated[Path | None, typer.Argument(help="With --source captions: what a model said.")] = None,
    source: Annotated[Literal["world", "captions"], typer.Option(help="Diorama, or a model's captions.")] = "world",
    n: Annotated[int, typer.Option("--n", min=1, max=MOST, help="Pairs at most.")] = DRAWN,
    split: Annotated[str | None, typer.Option(help="world: names the scenes; `train` if not given.")] = None,
    images: Annotated[Path | None, typer.Option(help="captions: the folder of the pictures.")] = None,
    gt: Annotated[str | None, typer.Option(help="captions: coco, or a JSON file: image id to objects.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write pairs of a grounded and a hallucinated response to one picture, which differ in that alone."""
    from collections import Counter

    from mmhallu_core.methods.aleahallu import pairs as making
    from mmhallu_core.types import write_jsonl

    here = source == "captions"
    only("--split", split, not here, "for --source world")
    for option, value in {"FILE": captions, "--images": images, "--gt": gt}.items():
        only(option, value, here, "for --source captions")
    if here and (captions is None or images is None):
        raise CannotRun("--source captions needs the file of captions, and --images FOLDER")
    found = making.world_pairs(split or "train") if not here else _of_captions(captions, images, gt or "coco", out)
    made = list(islice(found, n))
    if not made:
        raise CannotRun(f"no caption of {captions} names a thing that is not there and could be put right")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_jsonl(out, made)
    kinds = dict(Counter(one.kind for one in made))
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    emit({"out": str(out), "n": len(made), "kinds": kinds}, as_json, f"{len(made)} pairs are in {out}: {told}")


def _of_captions(captions: Path, images: Path, gt: str, out: Path) -> Any:
    """Pairs from a file of captions, as `score chair` reads it."""
    from dataclasses import replace

    from mmhallu_core.data.answers import read_captions
    from mmhallu_core.data.vocabulary import coco_image_id, coco_objects, coco_vocabulary, read_truth
    from mmhallu_core.methods.aleahallu.pairs import caption_pairs, picture_paths

    said = read_captions(captions)
    truth, vocabulary = (coco_objects(), None) if gt == "coco" else read_truth(gt)
    if gt == "coco":
        said = [replace(one, image_id=coco_image_id(one.image_id or one.id)) for one in said]
    paths = picture_paths(images, {one.image_id or one.id for one in said}, out.parent)
    return caption_pairs(said, truth, vocabulary or coco_vocabulary(), paths)


def _given(data: Path | None) -> tuple[list[Any], dict[str, Any] | None, Path]:
    """The pairs of a file, what a record says of them, and where their pictures' paths start; or some from Diorama."""
    from mmhallu_core.data.check import file_sha256, read_pairs
    from mmhallu_core.methods.aleahallu.pairs import world_pairs

    if data is None:
        return list(islice(world_pairs("train"), DRAWN)), None, Path()
    found = read_pairs(data)
    return found, {"file": data.name, "sha256": file_sha256(data, [one.image for one in found])}, data.parent


@command(aleahallu, "locate")
def locate(
    data: Pairs = None,
    model: Annotated[str, typer.Option(help="tiny-llava, a folder, or a hub id; the profile's if not given.")] = "",
    mode: Annotated[
        list[str] | None, typer.Option(help="As of train; may come repeatedly. ours, scale if none.")
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, max=MOST, help="Pairs to look at, at most.")] = 64,
    batch: Annotated[int, typer.Option(min=1, max=MOST, help="Pairs at once.")] = 8,
    seed: Annotated[int, typer.Option(**SEEDS, help="Of noise and of the mode random.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Which layer's matrix writes the hallucination? Scores, intervals and votes of each mode."""
    from mmhallu_core.config import profile
    from mmhallu_core.methods.aleahallu.locate import locate as find
    from mmhallu_core.models.vlm import Vlm

    given, _, folder = _given(data)
    vlm = Vlm.load(model or profile().model)
    found = find(vlm, given[:n], tuple(mode or ("ours", "scale")), batch_size=batch, seed=seed, folder=folder)
    lines = []
    for name, one in found.items():
        lines.append(f"{name}, {one.n} pairs, the most suspicious place first")
        rows = one.to_dict()["places"]
        for layer, part in one.ranking():
            row = rows[f"{layer}.{part}"]
            spread = "" if row["ci"] is None else f"  [{row['ci'][0]:.3f}, {row['ci'][1]:.3f}]"
            lines.append(f"  {f'{layer}.{part}':<14} {row['score']:>10.3f}{spread}  {row['votes']} votes")
    told = {name: {**one.to_dict(), "ranking": [f"{a}.{b}" for a, b in one.ranking()]} for name, one in found.items()}
    emit({"model": vlm.name, "modes": told}, as_json, "\n".join(lines))


@command(train, "aleahallu")
def train_aleahallu(
    out: RunFolder = None,
    model: Annotated[str, typer.Option(help="tiny-llava, a folder, or a hub id; the profile's if not given.")] = "",
    data: Pairs = None,
    preset: Annotated[Literal["ours", "code"], typer.Option(help="code: as released, its faults too.")] = "ours",
    mode: Annotated[Mode | None, typer.Option(help="How places are located; the preset says, if not given.")] = None,
    part: Annotated[Part | None, typer.Option(help="Whose matrices are edited; mlp if not given.")] = None,
    top: Annotated[int | None, typer.Option(min=1, max=MOST, help="How many places are edited.")] = None,
    layer: Annotated[
        list[int] | None, typer.Option(min=0, max=MOST, help="Edit these layers, and locate nothing.")
    ] = None,
    share: Annotated[float | None, typer.Option(min=1e-6, max=1, help="Of each matrix's rows; all without.")] = None,
    tokens: Annotated[int | None, typer.Option(min=0, max=1000, help="Of the adversarial prefix; 0: none.")] = None,
    objective: Annotated[
        Literal["likelihood", "attention", "both"] | None, typer.Option(help="What the prefix learns.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, max=MOST, help="Of prefix and edit in turn.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, max=MOST, help="Of the edit, in each round.")] = None,
    lr: Annotated[float | None, typer.Option(min=1e-12, max=10, help="Of the edit.")] = None,
    seed: Annotated[int, typer.Option(**SEEDS, help="Of prefix, order, and the mode random.")] = 0,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be edited, and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Locate a hallucination in the weights, attack, and edit there; writes an edit for `ask --edit`."""
    from mmhallu_core.config import profile
    from mmhallu_core.methods.aleahallu.recipe import PRESETS, edit_model, planned, with_numbers
    from mmhallu_core.models.vlm import Vlm

    said = {"mode": mode, "part": part, "top": top, "share": share, "tokens": tokens, "objective": objective,
            "rounds": rounds, "steps": steps, "lr": lr}  # fmt: skip
    recipe = with_numbers(PRESETS[preset], seed=seed, **said)
    given, about, folder = _given(data)
    vlm = Vlm.load(model or profile().model)
    places = [(one, recipe.part) for one in layer or ()]
    if plan:
        found = planned(vlm, given, recipe, folder, places)
        lines = [f"{vlm.name}: {found['trainable']:,} of {found['parameters']:,} parameters", *found["places"]]
        emit(found, as_json, "\n".join([*lines, *(f"{name}: {count} steps" for name, count in found["steps"].items())]))
        return
    if out is None:
        raise CannotRun("where to? Give --out FOLDER")
    words = ["mmhallu", "train", "aleahallu", "--model", vlm.name, "--preset", preset, "--seed", str(seed)]
    words += [] if data is None else ["--data", str(data)]
    words += [word for name, value in said.items() if value is not None for word in (f"--{name}", str(value))]
    words += [word for one in layer or () for word in ("--layer", str(one))]
    record = edit_model(vlm, given, recipe, out, shlex.join(words), about, folder, places)
    before, after = (record["measured"][name]["clean"]["odds"] for name in ("base", "edited"))
    lines = [f"edited: {', '.join(record['places'])}", f"log-odds of the hallucination {before:.2f}, then {after:.2f}"]
    emit(record, as_json, "\n".join([*lines, f"The edit and run.json are in {out}; mmhallu ask --edit {out} ..."]))

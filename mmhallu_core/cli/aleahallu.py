"""`mmhallu aleahallu` and `mmhallu train aleahallu`: pairs, where a hallucination sits, an edit there."""

import shlex
import sys
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from mmhallu_core.cli.base import MOST, SEEDS, AsJson, RunFolder, app, command, emit, only
from mmhallu_core.cli.train import train
from mmhallu_core.types import CannotRun

aleahallu = typer.Typer(no_args_is_help=True, help="ALEAHallu: pairs of responses, and where a hallucination sits.")
app.add_typer(aleahallu, name="aleahallu")

Mode = Literal["as_code", "as_paper", "ours", "scale", "gradient", "restore", "patch", "random"]
Modes = StrEnum("Modes", {one: one for one in get_args(Mode)})  # typer takes no list of a Literal
Part = Literal["mlp", "attention"]
Pairs = Annotated[Path | None, typer.Option("--data", help="JSON Lines of pairs; drawn in Diorama if not given.")]
DRAWN = 192  # pairs, where no file is given: 64 of each kind


@command(aleahallu, "pairs")
def pairs(
    out: Annotated[Path, typer.Option(help="The JSON Lines file to write.")],
    captions: Annotated[Path | None, typer.Argument(help="Not with --source world: what a model said.")] = None,
    source: Annotated[
        Literal["world", "captions", "annotator"],
        typer.Option(help="Diorama, or a model's captions, judged by CHAIR's words or by an annotator."),
    ] = "world",
    n: Annotated[int, typer.Option("--n", min=1, max=MOST, help="Pairs at most.")] = DRAWN,
    split: Annotated[str | None, typer.Option(help="world: names the scenes; `train` if not given.")] = None,
    images: Annotated[Path | None, typer.Option(help="Not world: the folder of the pictures.")] = None,
    gt: Annotated[str | None, typer.Option(help="captions: coco, or a JSON file: image id to objects.")] = None,
    annotator: Annotated[
        str | None, typer.Option(help="annotator: the address of an OpenAI-compatible server, or a model.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="annotator: the server's name for its model.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write pairs of a grounded and a hallucinated response to one picture, which differ in that alone."""
    from collections import Counter

    from mmhallu_core.methods.aleahallu import pairs as making
    from mmhallu_core.types import write_jsonl

    only("--split", split, source == "world", "for --source world")
    only("--gt", gt, source == "captions", "for --source captions")
    for option, value in {"--annotator": annotator, "--model": model}.items():
        only(option, value, source == "annotator", "for --source annotator")
    for option, value in {"FILE": captions, "--images": images}.items():
        only(option, value, source != "world", "for --source captions and annotator")
    if source != "world" and (captions is None or images is None):
        raise CannotRun(f"--source {source} needs the file of captions, and --images FOLDER")
    if source == "world":
        made = list(islice(making.world_pairs(split or "train"), n))
    elif source == "captions":
        made = list(islice(_of_captions(captions, images, gt or "coco", out), n))
    else:
        made = _judged(captions, images, annotator, model or "", out, n)
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


def _judged(captions: Path, images: Path, annotator: str | None, model: str, out: Path, n: int) -> list[Any]:
    """Pairs from a file of captions by an annotator, whose replies are kept beside them; at most n captions."""
    from mmhallu_core.clients.journaled import JournaledClient
    from mmhallu_core.data.answers import read_captions
    from mmhallu_core.edit.recipe import ORACLE, Annotator
    from mmhallu_core.methods.aleahallu.judged import judged_pairs
    from mmhallu_core.methods.aleahallu.pairs import picture_paths

    if annotator in (None, ORACLE):
        raise CannotRun("--source annotator needs --annotator: a server's address, or a model that sees pictures")
    said = read_captions(captions)[:n]
    paths = picture_paths(images, {one.image_id or one.id for one in said}, out.parent)
    client = JournaledClient(Annotator(annotator, model).client(), out.with_name(out.name + ".replies"))
    made, left = judged_pairs(client, said, paths, out.parent, progress="captions" if sys.stderr.isatty() else None)
    for reason, count in left.items():
        print(f"{count} captions gave no pair: {reason}", file=sys.stderr)
    return made


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
    mode: Annotated[list[Modes] | None, typer.Option(help="May come repeatedly; ours and scale if none.")] = None,
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
    asked = tuple(one.value for one in mode or ()) or ("ours", "scale")
    found = find(vlm, given[:n], asked, batch_size=batch, seed=seed, folder=folder)
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


@command(aleahallu, "planted")
def planted(
    out: Annotated[Path | None, typer.Option(help="Folder of the records; call again to go on after a stop.")] = None,
    only_: Annotated[list[str] | None, typer.Option("--only", help="The id of a plant; may come repeatedly.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Name the plants, and stop.")] = False,
    summarise: Annotated[bool, typer.Option("--summary", help="Sum up the records in --out, and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Plant a habit in a known place and ask each mode where it is, for every plant that has no record yet."""
    from mmhallu_core.methods.aleahallu import planted as test

    if strange := sorted(set(only_ or ()) - {one.id for one in test.plants()}):
        raise CannotRun(f"no such plant: {', '.join(strange)}; --list names them")
    todo = [one for one in test.plants() if not only_ or one.id in only_]
    if list_:
        minutes = len(todo) * test.SECONDS / 60
        names = [one.id for one in todo]
        told = "\n".join([*names, f"{len(todo)} plants, about {minutes:.0f} minutes with one thread"])
        emit({"plants": names, "minutes": round(minutes, 1)}, as_json, told)
        return
    if out is None:
        raise CannotRun("where to? Give --out FOLDER")
    if summarise:
        found = test.summary([*test.records_in(out)])
        emit(found, as_json, test.table(found))
        return
    made = test.work(todo, out, lambda text: print(text, file=sys.stderr, flush=True))
    emit({"made": made}, as_json, f"{len(made)} plants made; --summary sums up what is in {out}")


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
        Literal["likelihood", "attention", "both", "odds", "neglect"] | None,
        typer.Option(help="What the prefix learns."),
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

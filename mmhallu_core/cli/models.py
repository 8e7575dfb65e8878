"""`mmhallu doctor`, `ask` and `tour`: what runs here, one question about pictures, and five minutes with both."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mmhallu_core.cli.base import MOST, AsJson, app, command, emit
from mmhallu_core.types import CannotRun

Fit = Annotated[
    Literal["processor", "pad"],
    typer.Option(help="processor: pictures as the model's processor fits them. pad: set into a square, seen whole."),
]
KeepGeneration = Annotated[
    bool, typer.Option("--keep-generation-config", help="Write as the model's own settings say; sampling stays off.")
]


def settings(generation: dict[str, Any] | None) -> str:
    """Lines on how a model wrote, see `Vlm.generation`; nothing for greedy search where it brings no settings."""
    if not generation:
        return ""

    def listed(values: dict[str, Any]) -> str:
        return ", ".join(f"{name} {value}" for name, value in values.items())

    lines, own = "", generation["settings"]
    if own:
        way = "kept" if generation["kept"] else "set aside (--keep-generation-config keeps them)"
        lines += f"\n the model's own settings for writing, {way}: {listed(own)}"
    if "decode" in generation:
        name, *numbers = generation["decode"].items()
        lines += f"\n not plain greedy search but {name[1]}, {listed(dict(numbers))}"
    return lines


@command(app, "doctor")
def doctor(as_json: AsJson = False) -> None:
    """What this machine can run, and what to do about what is missing. Exit code 1 when something needed is missing."""
    from mmhallu_core.doctor import examine

    report = examine()
    width = max(len(line["what"]) for line in report["lines"])
    lines = []
    for line in report["lines"]:
        lines.append(f"{line['state']:<8} {line['what']:<{width}}  {line['found']}")
        lines += [f"{'':<8} {'':<{width}}  {line['do']}"] if line["do"] else []
    emit(report, as_json, "\n".join([*lines, report["summary"]]))
    if not report["ok"]:
        raise typer.Exit(1)


@command(app, "ask")
def ask(
    words: Annotated[list[str], typer.Argument(metavar="IMAGE... QUESTION", help="Pictures, then one question.")],
    model: Annotated[str, typer.Option(help="A shipped model, or the folder of a model or an adapter.")] = "",
    edit: Annotated[list[Path] | None, typer.Option(help="The folder of an edit; may come repeatedly.")] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, max=MOST, help="Maximum new tokens of an answer.")] = 100,
    fit: Fit = "processor",
    keep_generation_config: KeepGeneration = False,
    as_json: AsJson = False,
) -> None:
    """Ask one question about one picture or several."""
    *paths, question = words
    if not paths:
        raise CannotRun(f'name a picture and then the question, for instance: mmhallu ask picture.png "{question}"')
    if os.path.isfile(question):  # unlike pathlib's, it takes a text that is too long to be a name
        raise CannotRun(f"the last word is the question, and {question!r} is a file; put the question in quotes")
    missing = [path for path in paths if not os.path.exists(path)]
    if missing:
        raise CannotRun(f"there is no picture at {missing[0]}; a question of several words stands in quotes")
    import transformers

    from mmhallu_core.config import profile
    from mmhallu_core.data.answers import split_thought
    from mmhallu_core.data.decode import decode
    from mmhallu_core.models.fit import fitted
    from mmhallu_core.models.vlm import Vlm

    transformers.utils.logging.disable_progress_bar()  # one answer needs no bar for loading
    found = [decode(path) for path in paths]
    vlm = Vlm.load(model or profile().model, edits=edit or ())
    vlm.keep_generation_config = keep_generation_config
    images = [fitted(one.image, vlm.processor.image_processor, fit) for one in found]
    answer, thought = split_thought(vlm.say([images], [question], max_new_tokens)[0])
    result = {"model": vlm.name, "images": paths, "question": question, "answer": answer, "generation": vlm.generation,
              "fit": fit, "cut": max(map(vlm.cut_share, images)),
              "picture_notes": sorted({note for one in found for note in one.notes})}  # fmt: skip
    cut = thought is not None and not answer
    if thought is not None:
        result |= {"thought": thought, "cut": cut}
    unsaid = f"No answer: in {max_new_tokens} tokens the model thought and got to none. Allow more (--max-new-tokens)."
    emit(result, as_json, unsaid if cut else answer)
    if cut:
        raise typer.Exit(1)


@command(app, "tour")
def tour(
    text: Annotated[bool, typer.Option("--text", help="Plain sentences: no bars, columns or control codes.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of the page; the cache when not given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Five minutes: see a hallucination, count it, try to train it away. Call it again to go on after a stop."""
    import sys

    from mmhallu_core.store import cache_folder
    from mmhallu_core.tour.run import run_tour
    from mmhallu_core.tour.tell import Voice

    result = run_tour(out or cache_folder() / "tour", Voice(text, sys.stderr if as_json else None))
    if as_json:
        emit(result, True, "")

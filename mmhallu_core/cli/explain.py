"""`mmhallu explain METHOD`: which parts of a picture speak for a word of the answer, as a figure, numbers and words."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mmhallu_core.cli.base import MOST, SEEDS, AsJson, app, command, emit, only


@command(app, "explain")
def explain(
    method: Annotated[
        Literal["gradcam", "attention", "ig", "input-x-gradient", "occlusion", "rise"],
        typer.Argument(help="What asks the model; ig is integrated gradients."),
    ],
    image: Annotated[list[Path], typer.Option(help="A picture; once for each of several.")],
    prompt: Annotated[str, typer.Option(help="The question.")],
    out: Annotated[Path, typer.Option(help="Folder for map.png, map.json and the values as .npy files.")],
    token: Annotated[str, typer.Option(help="A word or phrase of the answer; the whole answer if not given.")] = "",
    nth: Annotated[int | None, typer.Option(min=1, max=MOST, help="Which one, where the word comes twice.")] = None,
    answer: Annotated[str, typer.Option(help="The answer to explain; what the model answers if not given.")] = "",
    model: Annotated[str, typer.Option(help="A shipped model, or the folder of a model or an adapter.")] = "",
    layer: Annotated[str, typer.Option(help="gradcam: vision:N, connector, decoder:N. attention: decoder:N.")] = "",
    how: Annotated[
        Literal["mean", "rollout", "gradient"] | None, typer.Option(help="attention: mean if not given.")
    ] = None,
    head: Annotated[int | None, typer.Option(min=0, max=MOST, help="attention: one head; all if not given.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, max=10_000, help="ig: points to begin with.")] = None,
    window: Annotated[int | None, typer.Option(min=1, max=MOST, help="occlusion: side of the window in cells.")] = None,
    masks: Annotated[int | None, typer.Option(min=2, max=10**6, help="rise: how many random masks.")] = None,
    seed: Annotated[int | None, typer.Option(**SEEDS, help="rise: of the masks.")] = None,
    fill: Annotated[
        Literal["grey", "blur", "black", "white"] | None,
        typer.Option(help="ig, occlusion, rise: what is seen where nothing is shown; grey if not given."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw which parts of its pictures speak for a word that a model wrote."""
    options = {"how": how, "head": head, "steps": steps, "window": window, "masks": masks, "seed": seed, "fill": fill}
    for names, methods in (
        (("how", "head"), ("attention",)), (("steps",), ("ig",)), (("window",), ("occlusion",)),
        (("masks", "seed"), ("rise",)), (("fill",), ("ig", "occlusion", "rise")),
    ):  # fmt: skip
        for name in names:
            only(f"--{name}", options[name], method in methods, f"for {', '.join(methods)}")
    only("--nth", nth, bool(token), "with --token")
    import transformers

    from mmhallu_core.config import profile
    from mmhallu_core.data.decode import decode
    from mmhallu_core.explain.run import explain as explain_word
    from mmhallu_core.models.vlm import Vlm

    transformers.utils.logging.disable_progress_bar()
    pictures = [decode(str(path)).image for path in image]
    found = explain_word(
        Vlm.load(model or profile().model), pictures, prompt, answer or None, token or None, method, layer or None, nth,
        **{name: value for name, value in options.items() if value is not None},
    )  # fmt: skip
    emit(found.save(out), as_json, f"{found.text}\n{out / 'map.png'}")

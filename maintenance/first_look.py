"""The picture at the top of the README: a drawn scene, and what the shipped model says about it, wrong words marked.

    python -m maintenance.first_look

draws it again, after a new model is shipped. Nothing in it is written by hand: the scene is the first of the tour's
pictures in whose caption the model names something that is not there, or the very first where it never does.
"""

import argparse
import base64
import html
import io
import textwrap
from pathlib import Path

from mmhallu_core.evaluate.diorama.exam import DESCRIBE
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import checkpoint_folder, sha256
from mmhallu_core.tour.page import pictures
from mmhallu_core.viz.marked import Wrong, mentions_of, wrong_words
from mmhallu_core.viz.widgets_scene import titled
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene

MODEL = "tiny-llava"
PIXELS, SIZE = 96, 288  # what the model sees, and how large the scene is drawn here
WIDE, LEFT, LINE = 860, 320, 30  # the picture's width, where its words begin, the height of a line
LETTERS = 52  # of a line; the reason behind a wrong word counts


def choose(model: Vlm) -> tuple[Scene, str]:
    """The scene to show and the model's caption of it."""
    shown = pictures()
    captions = model.answer([render(one, PIXELS).image for one in shown], [DESCRIBE] * len(shown))
    pairs = list(zip(shown, captions, strict=True))
    imagines = (any(one.hallucinated for one in mentions_of(caption, scene)) for scene, caption in pairs)
    return next((pair for pair, found in zip(pairs, imagines, strict=True) if found), pairs[0])


def lines_of(caption: str, wrong: list[Wrong]) -> list[str]:
    """The caption in lines of SVG text; what stands at the wrong places is underlined and named.

    Args:
        caption: the sentences.
        wrong: the wrong words, in order.
    """
    # The marks are put in as single characters, so that a line is broken by what a reader sees.
    begin, end, blank = "\ue000", "\ue001", "\u00a0"
    text, place = "", 0
    for one in wrong:
        note = f" ({one.why.partition(';')[0]})"
        text += caption[place : one.start] + begin + caption[one.start : one.end].replace(" ", blank) + end
        text += note.replace(" ", blank)
        place = one.end
    rows = textwrap.wrap(text + caption[place:], LETTERS)
    opened = '<tspan text-decoration="underline" font-weight="bold" fill="#a33b00">'
    return [html.escape(row).replace(begin, opened).replace(end, "</tspan>") for row in rows]


def draw(shown: Scene, caption: str, weights: str) -> str:
    """The whole picture as SVG: it says in words what it shows, and which weights the caption is from."""
    wrong = wrong_words(caption, shown)
    rows = lines_of(caption, wrong)
    file = io.BytesIO()
    render(shown, SIZE).image.save(file, format="PNG", optimize=True)
    image = base64.b64encode(file.getvalue()).decode("ascii")
    words = ", ".join(f"{caption[one.start : one.end]} ({one.why})" for one in wrong) or "nothing"
    told = f"{titled(shown)}. {MODEL} says: {caption} Wrong: {words}."
    texts = "".join(
        f'<text x="{LEFT}" y="{104 + LINE * number}" font-size="20">{row}</text>\n' for number, row in enumerate(rows)
    )
    tall = max(SIZE + 32, 104 + LINE * len(rows) + 40)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {tall}" role="img" \
font-family="system-ui, sans-serif" fill="#1a1a1a">
<title>{html.escape(told)}</title>
<desc>python -m maintenance.first_look; weights {weights}</desc>
<rect width="{WIDE}" height="{tall}" rx="12" fill="#ffffff" stroke="#c8c8c8"/>
<image x="16" y="16" width="{SIZE}" height="{SIZE}" href="data:image/png;base64,{image}"/>
<text x="{LEFT}" y="40" font-size="22" font-weight="bold">{html.escape(titled(shown))}</text>
<text x="{LEFT}" y="68" font-size="16" fill="#555555">what {MODEL}, the model in this repository, says:</text>
{texts}</svg>
"""


def main() -> None:
    """Asks the shipped model and writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("book/_static/first-look.svg"))
    out = parser.parse_args().out
    weights = sha256(checkpoint_folder(MODEL) / "model.safetensors")
    shown, caption = choose(Vlm.load(MODEL))
    out.write_text(draw(shown, caption, weights), encoding="utf-8", newline="\n")
    print(f"{out}: {titled(shown)}. {caption}")


if __name__ == "__main__":
    main()

"""The tour's pictures, and the page that it leaves behind: one HTML file with everything in it, pictures included.

It needs no network and no script. Each picture has its text twin, each figure its table; a wrong word is underlined
and followed by "(not in the picture)", so neither colour nor sight is needed to find it.
"""

import itertools
from html import escape
from typing import Any

from mmhallu_core.tour.tell import HEADLINE, MEANING, NAMES, change, interval
from mmhallu_core.viz.marked import marked, mentions_of, scene_cards
from mmhallu_core.viz.twins import Twin, table
from mmhallu_core.world.prior import TYPICAL, sample_scene
from mmhallu_core.world.scene import Scene
from mmhallu_core.world.vocabulary import PLACES

FIRST = "beach"
LEAST = 3  # things in a scene; a beach with a single ball on it shows little
RULE = (
    "For each place, scenes 0, 1, 2, ... are drawn with that number as seed. The first one is taken that has at least "
    f"{LEAST} things and lacks the thing that the place makes most likely. No model was asked."
)
STYLE = """
:root { color-scheme: light dark; --ink: #1f2430; --paper: #fffdf8; --line: #d9d4c7; --wrong: #a8320a;
  --soft: #5c6270; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ece8df; --paper: #1c1e24; --line: #45484f; --wrong: #ff9d7a; --soft: #b0b4be; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 1.05rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 1.5rem 0 .5rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; }
p, li { max-width: 44rem; }
.soft, figcaption, details { color: var(--soft); font-size: .95rem; }
.scene { margin: 1.5rem 0 2.5rem; }
.scene img { border-radius: .6rem; border: 1px solid var(--line); }
h3 { margin: 0 0 .6rem; font-size: 1.1rem; }
dt { font-weight: 600; font-size: .9rem; color: var(--soft); } dd { margin: 0 0 .6rem; }
strong { text-decoration-color: var(--wrong) !important; text-underline-offset: 3px; }
strong + small { color: var(--wrong); }
[tabindex]:focus { outline: 2px solid var(--soft); }
table { border-collapse: collapse; width: 100%; font-size: .95rem; }
th, td { text-align: left; padding: .4rem .7rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { font-variant-numeric: tabular-nums; }
svg { width: 100%; max-width: 30rem; height: auto; } svg text { fill: var(--ink); font-size: 12px; }
svg .name { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
code { overflow-wrap: anywhere; }
"""


def pictures() -> list[Scene]:
    """The tour's six scenes, the beach first: one of each place, without the thing that habit expects there.

    They are chosen by `RULE`, which looks at the scene alone. Nobody asked a model, so a caption may well be right.
    """
    return [_first(place) for place in (FIRST, *(place for place in PLACES if place != FIRST))]


def _first(place: str) -> Scene:
    """The first scene of a place that the rule takes."""
    for number in itertools.count():
        scene = sample_scene(f"tour-picture/{place}/{number}", place=place)
        if len(scene.things) >= LEAST and TYPICAL[place][0] not in scene.kinds():
            break
    return scene


def told(caption: str, scene: Scene) -> Twin:
    """A caption with each word marked that names something which is not in the scene."""
    return marked(caption, mentions_of(caption, scene))


def wrong_words(caption: str, scene: Scene) -> list[str]:
    """Those words."""
    return [caption[one.start : one.end] for one in mentions_of(caption, scene) if one.hallucinated]


def page(result: dict[str, Any], shown: list[Scene]) -> str:
    """The page of a finished tour.

    Args:
        result: what `run_tour` returns.
        shown: the pictures, in the order of `result["pictures"]`.
    """
    scenes = [_scene(row, one) for row, one in zip(result["pictures"], shown, strict=True)]
    run, longer = result["training"], result["shipped_training"]
    quick, shipped = (_training(one) for one in (run, longer))
    charts = "".join(_chart(metric, result["models"]) for metric in HEADLINE)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A hallucination, counted: the tour of mmhallu</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>A hallucination, counted</h1>
<p>A vision-language model looks at a picture and says what it sees. Sometimes it names what usually is there
instead of what is there. This page was made on your machine by <code>mmhallu tour</code>.</p>
{scenes[0]}
<p class="soft">How the pictures were chosen: {escape(result["rules"]["pictures"])}
The model sees them at 96 by 96 pixels.</p>

<h2>The score</h2>
<p>One sentence proves little. So the model described {result["n"]} other pictures, which no training has seen, and
answered {result["questions"]} questions such as “Is there an umbrella in the image?”. Half of the things asked for are
not there, and are those that most often stand beside what is.</p>
<ul>{"".join(f"<li><b>{escape(name)}</b>: {escape(meaning)}.</li>" for name, _, meaning in MEANING.values())}</ul>
{charts}
{_scores(result["models"])}

<h2>Can it be trained away?</h2>
<p>Two trainings on <em>micro-edits</em>: two pictures that differ in one small thing, true captions of both, questions
whose answers the edit turned round, and the question what changed. Trained here: {quick}. Shipped with the package:
{shipped}. Both are LoRA adapters beside the model's own weights.</p>
{_changes(result["differences"])}
<p>{escape(result["rules"]["measurable"])} “No measurable change” does not say that nothing changed.</p>
<p>What this does not show: that the edits did it. The training captions are true, and those that the model first
learned from were not always. Only a control with the same pictures and steps can tell: the book's chapter <em>What
made it work?</em> has one. And this is Diorama, a drawn world: photos are another question.</p>

<h2>Five more pictures</h2>
{"".join(scenes[1:])}

<h2>How to get these numbers again</h2>
<p>Run <code>mmhallu tour</code>. The model's weights have SHA-256 <code>{result["about"]["base"]}</code>, the shipped
adapter's <code>{result["about"]["adapter"]}</code> (made by <code>{escape(longer["command"])}</code>).
Seed {run["seed"]}; versions: {escape(", ".join(" ".join(pair) for pair in run["versions"].items()))}.
All numbers are also in
<code>tour.json</code> beside this page.</p>
</main>
</body>
</html>
"""


def _training(run: dict[str, Any]) -> str:
    return f"{run['steps']} steps, {run['examples']} examples, {run['seconds']:.0f} seconds"


def _scene(row: dict[str, Any], scene: Scene) -> str:
    """One picture, its text twin, and what each model says of it."""
    captions = {f"The model {NAMES[name]}": told(text, scene) for name, text in row["captions"].items()}
    return f'<section class="scene"><h3>{escape(row["title"])}</h3>{scene_cards(scene, captions).html}</section>'


def _scores(models: dict[str, Any]) -> str:
    """The table of scores: a row for each metric, a column for each model."""
    rows = [
        [f"{title}, {unit}", *(interval(metric, one["scores"][metric], one["ci"][metric]) for one in models.values())]
        for metric, (title, unit, _) in MEANING.items()
    ]
    return table(["", *(NAMES[name] for name in models)], rows, "Scores, with 95% intervals").html


def _changes(differences: dict[str, Any]) -> str:
    """The table of paired differences."""
    rows = [
        [title, *(change(metric, results[metric], False) for results in differences.values())]
        for metric, (title, _, _) in MEANING.items()
    ]
    title = "Change from the model as shipped, picture by picture, with 95% intervals"
    return table(["", *(NAMES[name] for name in differences)], rows, title).html


def _chart(metric: str, models: dict[str, Any]) -> str:
    """Scores with their intervals as points and lines; the table below says the same."""
    ends = [end for one in models.values() for end in one["ci"][metric] or [one["scores"][metric] or 0.0]]
    low, high = (100 * f(ends) for f in (min, max))
    low, high = max(0, 5 * int(low // 5)), min(100, 5 * (int(high // 5) + 1))

    def x(value: float) -> float:
        return round(12 + 376 * (100 * value - low) / (high - low), 1)

    bottom, parts = 12 + 46 * len(models), []
    for tick in range(low, high + 1, 5):
        at = x(tick / 100)
        parts.append(f'<line x1="{at}" x2="{at}" y1="4" y2="{bottom}" stroke="var(--line)"/>')
        parts.append(f'<text x="{at}" y="{bottom + 18}" text-anchor="middle">{tick}</text>')
    for row, (name, one) in enumerate(models.items()):
        y, score, ci = 36 + 46 * row, one["scores"][metric], one["ci"][metric]
        parts.append(f'<text x="12" y="{y - 14}" class="name">{escape(NAMES[name])}</text>')
        if ci:
            where = f'x1="{x(ci[0])}" x2="{x(ci[1])}" y1="{y}" y2="{y}"'
            parts.append(f'<line {where} stroke="currentColor" stroke-width="3"/>')
        if score is not None:
            parts.append(f'<circle cx="{x(score)}" cy="{y}" r="6" fill="currentColor"/>')
    title, unit, _ = MEANING[metric]
    words = f"{title} in {unit}, with 95% intervals; the table below has the numbers."
    body = "".join(parts)
    svg = f'<svg viewBox="0 0 400 {bottom + 26}" role="img" aria-label="{escape(words)}">{body}</svg>'
    return f'<figure style="margin: 1rem 0">{svg}<figcaption>{escape(words)}</figcaption></figure>'

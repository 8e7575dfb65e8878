"""How the tour speaks: a table and bars for a terminal, plain sentences for a screen reader.

With `plain`, nothing depends on sight: no control codes, no bars, no columns, numbers in words' order, and each wrong
word says that it is not in the picture. Without it, that word is underlined as well.
"""

import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOBase
from typing import Any

from tqdm.auto import tqdm

from mmhallu_core.evaluate.paired import METRICS
from mmhallu_core.viz.marked import WRONG
from mmhallu_core.viz.twins import Twin

# metric: (name, unit, what it is)
MEANING = {
    "chair_i": ("CHAIR_i", "percent", "of the things that captions name, how many are not in the picture"),
    "chair_s": ("CHAIR_s", "percent", "of the captions, how many name at least one such thing"),
    "recall": ("Recall", "percent", "of the kinds of things in the pictures, how many are named"),
    "mean_length": ("Length", "words", "words in a caption; who says little makes few mistakes"),
    "pope_adversarial": ("POPE", "percent", "yes/no questions answered rightly; the absent things are likely ones"),
}
WIDTH = 100
HEADLINE = ("chair_i", "pope_adversarial")
NAMES = {"base": "as shipped", "quick": "after training here", "shipped": "with the shipped adapter"}
RULE = "A change is called measurable when its 95% interval leaves zero out. This rule was fixed before any result."


def number(metric: str, value: float | None, signed: bool = False) -> str:
    """A score in its unit, with one decimal."""
    if value is None:
        return "none"
    shown = round((100 if MEANING[metric][1] == "percent" else 1) * value, 1) + 0.0  # no "-0.0"
    return f"{shown:+.1f}" if signed else f"{shown:.1f}"


def said(metric: str, value: float | None, signed: bool = False) -> str:
    """The same as one says it: "minus 3.2"."""
    return number(metric, value, signed).replace("-", "minus ").replace("+", "plus ")


def interval(metric: str, value: float | None, ci: list[float] | None) -> str:
    """A score with its interval: "18.2 [15.1, 21.3]"."""
    return number(metric, value) + (f" [{', '.join(number(metric, end) for end in ci)}]" if ci else "")


def change(metric: str, result: dict[str, Any], plain: bool) -> str:
    """A paired difference with its interval and verdict."""
    if result["ci"] is None:
        return "no change can be computed"
    unit = "words" if MEANING[metric][1] == "words" else "points"
    low, high = result["ci"]
    if plain:
        words = f"{said(metric, result['difference'], True)} {unit}"
        return f"{words}, interval {said(metric, low, True)} to {said(metric, high, True)}: {result['verdict']}"
    words = f"{number(metric, result['difference'], True)} {unit}"
    return f"{words} [{number(metric, low, True)}, {number(metric, high, True)}]: {result['verdict']}"


def _wrapped(line: str) -> str:
    """A line in lines of at most WIDTH characters, indented alike."""
    indent = " " * re.match(r"\s*(\d\. )?", line).end()
    return textwrap.fill(line, WIDTH, subsequent_indent=indent) if len(line) > WIDTH else line


class Voice:
    """Says things to a person, one after another.

    Args:
        plain: for a screen reader, or a file.
        stream: where to write; bars go to standard error.
    """

    def __init__(self, plain: bool = False, stream: TextIOBase | None = None) -> None:
        self.plain, self.stream = plain, stream or sys.stdout
        terminal = self.stream.isatty() and os.environ.get("TERM") != "dumb" and "NO_COLOR" not in os.environ
        self.underlines = terminal and not plain

    def say(self, text: str = "") -> None:
        """Writes one paragraph; a screen reader gets its lines whole, a terminal gets them wrapped."""
        if not self.plain:
            text = "\n".join(_wrapped(line) for line in text.split("\n"))
        print(text, file=self.stream, flush=True)

    def caption(self, told: Twin) -> str:
        """A caption whose wrong words are marked in words, and underlined where a terminal can."""
        if not self.underlines:
            return told.text
        return re.sub(rf"\[([^\[\]]+): {WRONG}\]", rf"\033[4m\1\033[24m ({WRONG})", told.text)

    @contextmanager
    def steps(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """Something to call with (step, steps): a bar, or a sentence at every quarter."""
        if self.plain:
            yield lambda step, total: self._quarter(label, step, total)
            return
        with tqdm(desc=label, unit="step", file=sys.stderr) as bar:

            def move(step: int, total: int) -> None:
                bar.total = total
                bar.update(step - bar.n)

            yield move

    def _quarter(self, label: str, step: int, total: int) -> None:
        quarter = 4 * step // total
        if quarter > 4 * (step - 1) // total:
            self.say(f"{label}: {25 * quarter} percent done.")

    def scores(self, models: dict[str, dict[str, Any]], differences: dict[str, dict[str, Any]]) -> str:
        """All scores so far, side by side or as sentences, and what changed."""
        lines = self._sentences(models, differences) if self.plain else self._table(models, differences)
        return "\n".join(lines)

    def _table(self, models: dict[str, Any], differences: dict[str, Any]) -> list[str]:
        lines = [f"  {'':<16}" + "".join(f"{NAMES[name]:>26}" for name in models)]
        for metric in METRICS:
            title, unit, _ = MEANING[metric]
            cells = [interval(metric, one["scores"][metric], one["ci"][metric]) for one in models.values()]
            label = title + (" %" if unit == "percent" else " words")
            lines.append(f"  {label:<16}" + "".join(f"{cell:>26}" for cell in cells))
        for name, results in differences.items():
            lines += ["", f"  Change, {NAMES[name]}, picture by picture:"]
            lines += [f"    {MEANING[metric][0]:<8} {change(metric, results[metric], False)}" for metric in METRICS]
        return lines

    def _sentences(self, models: dict[str, Any], differences: dict[str, Any]) -> list[str]:
        lines = []
        for metric in METRICS:
            title, unit, meaning = MEANING[metric]
            lines.append(f"{title}: {meaning}.")
            for name, one in models.items():
                interval = " to ".join(said(metric, end) for end in one["ci"][metric] or [])
                score = f"{said(metric, one['scores'][metric])} {unit}" + (f", interval {interval}" if interval else "")
                changed = f". Change: {change(metric, differences[name][metric], True)}" if name in differences else ""
                lines.append(f"  {NAMES[name]}: {score}{changed}.")
        return lines

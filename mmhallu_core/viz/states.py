"""What a widget shows and what moves it: states, the controls that lead to them."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import fill

from PIL import Image

from mmhallu_core.viz.frames import Heat, drawn
from mmhallu_core.viz.marked import in_words
from mmhallu_core.viz.twins import Twin
from mmhallu_core.world.scene import Scene

WORDS = "The picture in words"


@dataclass(frozen=True)
class Panel:
    """One of several pictures beside each other, or a picture under a map.

    Attributes:
        scene: what it shows.
        heat: the map that lies over it.
    """

    scene: Scene
    heat: Heat | None = None


@dataclass(frozen=True)
class State:
    """What is shown for one setting.

    Attributes:
        scene: what the picture shows; its words are its facts.
        said: heading to a line, such as {"The model says": ...}; announced when it changes.
        base: a scene that looks almost the same, for a smaller page.
        panels: what is seen instead of the scene alone, from left to right.
        told: what is seen, in words, where the scene's facts do not say it.
    """

    scene: Scene
    said: Mapping[str, Twin]
    base: Scene | None = None
    panels: tuple[Panel, ...] = ()
    told: str = ""

    def image(self, size: int) -> Image.Image:
        """What is seen; each picture is `size` pixels wide and high."""
        panels = self.panels or (Panel(self.scene),)
        whole = Image.new("RGB", (size * len(panels), size))
        for number, panel in enumerate(panels):
            whole.paste(drawn(panel.scene, size, panel.heat), (size * number, 0))
        return whole

    @property
    def facts(self) -> str:
        """The picture in words."""
        return self.told or in_words(self.scene)

    @property
    def text(self) -> str:
        """The state in words."""
        return f"In the picture: {self.facts}\n{self.lines}"

    @property
    def lines(self) -> str:
        """What is said, without the picture."""
        return "\n".join(f"{name}: {twin.text}" for name, twin in self.said.items())

    @property
    def pieces(self) -> list[str]:
        """The lines as HTML: a heading, what it says, the next heading, ..."""
        return [piece for name, twin in self.said.items() for piece in (html.escape(name), twin.html)]

    @property
    def html(self) -> str:
        """The lines, as a list of terms and descriptions."""
        return "<dl>" + "".join(map("<dt>{}</dt><dd>{}</dd>".format, self.pieces[::2], self.pieces[1::2])) + "</dl>"


@dataclass(frozen=True)
class Control:
    """One control.

    Attributes:
        label: what it sets.
        options: name to the state that it leads to, or to the next control.
        start: number of the option that is chosen at first.
        dial: whether the options are settings of a dial, in order; otherwise they are a list.
        words: whether the options are words of a sentence, each to be clicked.
    """

    label: str
    options: Mapping[str, "Control | State"]
    start: int = 0
    dial: bool = False
    words: bool = False

    def number(self, option: int | str) -> int:
        """The number of an option that is given by number or by name.

        Raises:
            ValueError: when there is none; the message lists them.
        """
        names = list(self.options)
        if option in names:
            return names.index(option)
        if isinstance(option, int) and 0 <= option < len(names):
            return option
        listed = ", ".join(f"{number} ({name})" for number, name in enumerate(names))
        raise ValueError(f"{self.label}: there is no {option!r}; choose one of {listed}")


def wrapped(text: str) -> str:
    """The text with lines of at most 79 characters; what continues a line is set in by two."""
    lines = (fill(line, 79, subsequent_indent="  ", break_on_hyphens=False) for line in text.split("\n"))
    return "\n".join(lines)

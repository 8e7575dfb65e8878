"""A widget that plays states computed beforehand: the same thing for a browser, for print, and for a screen reader.

A `Player` is a tree of controls whose leaves are states. A control is a dial (a row of settings in an order) or a list
to choose from; which controls come below may depend on the choice. A state is a picture with its facts and a few
labelled lines. From this one description come

* the text: `player.text(...)`, and `print(player)` for all settings of the last control;
* the page: HTML that carries everything inside itself and a few lines of JavaScript (`player.js`), and asks nobody;
* in a notebook with a kernel, ipywidgets (`live.py`).
"""

import html
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from mmhallu_core.viz.frames import Frames, data_uri, png
from mmhallu_core.viz.states import WORDS, Control, State, wrapped
from mmhallu_core.viz.twins import part


@dataclass(frozen=True)
class Player:
    """A widget.

    Attributes:
        title: what it is.
        control: the first control.
        note: what somebody must know to read it rightly; empty for nothing.
        live: makes the ipywidgets form; None for the one that plays the same states.
        size: pixels of a picture's side.
    """

    title: str
    control: Control
    note: str = ""
    live: Callable[["Player"], Any] | None = None
    size: int = 192
    _memory: dict = field(default_factory=dict, repr=False, compare=False)

    def walk(self, *settings: int | str) -> Iterator[tuple[Control, int]]:
        """The controls on the way to a state, each with the number of its option; what is not given starts.

        Raises:
            ValueError: for a setting that does not exist, or too many of them.
        """
        node, left = self.control, list(settings)
        while isinstance(node, Control):
            number = node.number(left.pop(0)) if left else node.start
            yield node, number
            node = list(node.options.values())[number]
        if left:
            raise ValueError(f"{self.title}: {len(settings)} settings are too many")

    def state(self, *settings: int | str) -> State:
        """The state at some settings, by number or by name."""
        *_, (control, number) = self.walk(*settings)
        return list(control.options.values())[number]

    def text(self, *settings: int | str) -> str:
        """What the widget shows at some settings, in words.

        Args:
            settings: one for each control, by number from 0 or by name; what is not given is as at the start.

        Raises:
            ValueError: for a setting that does not exist; the message lists those that do.
        """
        way = [f"{control.label}: {list(control.options)[number]}" for control, number in self.walk(*settings)]
        return wrapped("\n".join([*way, self.state(*settings).text]))

    def __str__(self) -> str:
        *way, (last, _) = self.walk()
        shown, facts = [self.title, *([self.note] if self.note else [])], ""
        shown += [f"{control.label}: {list(control.options)[number]}" for control, number in way]
        for name, state in last.options.items():
            shown.append(f"{last.label}: {name}\n{state.lines if state.facts == facts else state.text}")
            facts = state.facts  # the picture is told again only when it has changed
        return wrapped("\n\n".join(shown))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """The page form. Made once: the same widget gives the same bytes."""
        if "html" not in self._memory:
            self._memory["html"] = self._page()
        return self._memory["html"]

    def _page(self) -> str:
        frames, states = Frames(self.size), []
        wide: list[int] = []  # pictures beside each other, state by state
        words: dict[str, int] = {}  # each text once: many states say the same of the same picture

        def plain(node: Control | State) -> Any:
            """The tree in JSON: a control becomes an object, a state its number."""
            if isinstance(node, State):
                texts = [words.setdefault(text, len(words)) for text in (node.facts, *node.pieces)]
                panels = enumerate(node.panels)
                tiles = [tile for i, one in panels for tile in frames.add(one.scene, None, one.heat, i * self.size)]
                states.append([tiles or frames.add(node.scene, node.base), *texts])
                wide.append(len(node.panels) or 1)
                return len(states) - 1
            options = [[name, plain(below)] for name, below in node.options.items()]
            kind = {"label": node.label, "dial": node.dial, "words": node.words}
            return {**kind, "start": node.start, "options": options}

        tree, start = plain(self.control), self.state()
        play = {
            "sheet": frames.uri(),
            "size": self.size,
            "wide": max(wide),
            "tiles": frames.tiles,
            "words": list(words),
        }
        play = json.dumps(play | {"states": states, "tree": tree}, ensure_ascii=False, separators=(",", ":"))
        play = play.replace("<", "\\u003c")  # so that no text in it can end the script element
        whole = data_uri(png(start.image(self.size)))
        figure = f'<figure style="flex-basis:{18 * max(wide)}em">'
        title, facts = html.escape(self.title), html.escape(start.facts)
        note = f'<p class="mm-note">{html.escape(self.note)}</p>' if self.note else ""
        return (
            f'<div class="mm-player" role="group" aria-label="{title}"><style>{part("player.css")}</style>'
            f'<div class="mm-controls"></div><div class="mm-row">'
            f'{figure}<div class="mm-frame"><img src="{whole}" alt="Drawn scene. {facts}"></div>'
            f"<details><summary>{WORDS}</summary><span>{facts}</span></details></figure>"
            f'<div class="mm-said" role="status" aria-live="polite" aria-atomic="true">{start.html}</div></div>{note}'
            f'<script type="application/json">{play}</script><script>{part("player.js")}</script></div>'
        )

    def widget(self) -> Any:
        """The ipywidgets form, made once; several views of it move together."""
        from mmhallu_core.viz.live import play  # here: ipywidgets is needed in a notebook alone

        if "widget" not in self._memory:
            self._memory["widget"] = (self.live or play)(self)
        return self._memory["widget"]

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """Everything at once: a notebook takes the live form, the built book the page, a terminal the text."""
        bundle = {"text/plain": str(self), "text/html": self._repr_html_()}
        if find_spec("ipywidgets"):
            view = self.widget()._repr_mimebundle_()
            bundle |= {kind: data for kind, data in view.items() if kind.startswith("application/")}
        return bundle

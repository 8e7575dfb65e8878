"""The ipywidgets form of a widget: the same controls and states, moved by a kernel.

Every control is one that browsers know by themselves (lists, text fields, buttons), so the keyboard works and each
has its label. A dial is a list, too: JupyterLab keeps the arrow keys for its cells, so that sliders and radio buttons
do not move there, while a list opens with the space bar. What a state says stands in a region that a screen reader
reads out when it changes.
"""

import html
from typing import Protocol

import ipywidgets
from ipywidgets import HTML, Box, Dropdown, Label, Layout, VBox

from mmhallu_core.viz.frames import data_uri, png
from mmhallu_core.viz.states import WORDS, Control, State, part
from mmhallu_core.world.render import render

SHOWN_AT = 288  # pixels; one picture at a time is sent, so it can be larger than on the page


class Titled(Protocol):
    """What is played, see `player.Player`: a title, a note, and the first control."""

    title: str
    note: str
    control: Control


class Stage:
    """Where a state appears: a picture with its facts, and the lines that are announced.

    Attributes:
        box: the ipywidgets box that holds both.
    """

    def __init__(self) -> None:
        self.picture, self.said = HTML(), HTML()
        self.picture.layout, self.said.layout = Layout(flex="0 1 18em"), Layout(flex="1 1 16em")
        self.box = Box([self.picture, self.said], layout=Layout(display="flex", flex_flow="row wrap"))
        self.state: State | None = None

    def show(self, state: State) -> None:
        """Puts a state on the stage."""
        facts, uri = html.escape(state.facts), data_uri(png(render(state.scene, SHOWN_AT).image))
        self.state = state
        self.picture.value = (
            f'<div class="mm-player"><figure><div class="mm-frame"><img src="{uri}" alt="Drawn scene. {facts}"></div>'
            f"<details><summary>{WORDS}</summary>{facts}</details></figure></div>"
        )
        self.said.value = (
            f'<div class="mm-player"><div class="mm-said" role="status" aria-live="polite" aria-atomic="true">'
            f"{state.html}</div></div>"
        )


def chooser(control: Control) -> ipywidgets.Widget:
    """A dial or a list, as the browser's own drop-down list; words where there is no choice."""
    if len(control.options) == 1:
        return Label(f"{control.label} {next(iter(control.options))}")
    options = [(name, number) for number, name in enumerate(control.options)]
    return Dropdown(
        options=options, value=control.start, description=control.label, style={"description_width": "initial"},
        layout=Layout(width="max-content", max_width="100%"),
    )  # fmt: skip


def framed(player: Titled, *parts: ipywidgets.Widget) -> VBox:
    """Title, parts and note, one below the other; the style sheet comes along."""
    head = HTML(f"<style>{part('player.css')}</style><strong>{html.escape(player.title)}</strong>")
    note = HTML(f'<div class="mm-player mm-note">{html.escape(player.note)}</div>')
    return VBox([head, *parts, *([note] if player.note else [])])


def play(player: Titled) -> VBox:
    """The widget that plays a player's states: the same as the page, with a kernel."""
    stage, controls = Stage(), VBox()
    chosen: list[int] = []

    def build(level: int, node: Control | State) -> None:
        """Makes the controls from one level down, and shows the state that they lead to."""
        below = list(controls.children[:level])
        while isinstance(node, Control):
            del chosen[level:]
            chosen.append(node.start)
            box = chooser(node)
            if len(node.options) > 1:
                box.observe(lambda change, level=level, node=node: turn(change["new"], level, node), names="value")
            below.append(box)
            node, level = list(node.options.values())[node.start], level + 1
        controls.children = below
        stage.show(node)

    def turn(number: int, level: int, node: Control) -> None:
        """Takes another option of one control."""
        chosen[level] = number
        del chosen[level + 1 :]
        build(level + 1, list(node.options.values())[number])

    build(0, player.control)
    return framed(player, controls, stage.box)

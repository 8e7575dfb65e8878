"""The ipywidgets form of a widget: the same controls and states, moved by a kernel.

Every control is one that browsers know by themselves (lists, text fields, buttons), so the keyboard works and each
has its label. A dial is a list, too: JupyterLab keeps the arrow keys for its cells, so that sliders and radio buttons
do not move there, while a list opens with the space bar. What a state says stands in a region that a screen reader
reads out when it changes.

Two forms do more than play states: build a scene step by step, mark any sentence. There the model is asked when
somebody changes something.
"""

import html
from collections.abc import Callable, Mapping
from typing import Protocol

import ipywidgets
from ipywidgets import HTML, Box, Button, Dropdown, HBox, Label, Layout, Textarea, ToggleButtons, VBox

from mmhallu_core.viz.frames import data_uri, png
from mmhallu_core.viz.states import WORDS, Control, State
from mmhallu_core.viz.twins import part
from mmhallu_core.viz.widgets_scene import Field, fields
from mmhallu_core.world.language import WorldQuestion
from mmhallu_core.world.scene import Scene

SHOWN_AT = 288  # pixels; one picture at a time is sent, so it can be larger than on the page
Tell = Callable[[Scene, WorldQuestion], State]  # asks the model about a scene
WIDE = {"style": {"description_width": "initial"}, "layout": Layout(width="max-content", max_width="100%")}


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
        facts, uri = html.escape(state.facts), data_uri(png(state.image(SHOWN_AT)))
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
    """A dial or a list, as the browser's own drop-down list; a sentence's words as buttons; words without a choice."""
    if len(control.options) == 1:
        return Label(f"{control.label} {next(iter(control.options))}")
    options = [(name, number) for number, name in enumerate(control.options)]
    if control.words:
        look = {"style": {"button_width": "auto", "description_width": "initial"}, "layout": Layout(max_width="100%")}
        return ToggleButtons(options=options, value=control.start, description=control.label, **look)
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


class Builder:
    """A scene that changes with each choice; changes add up until "Start again".

    Args:
        player: the same widget without a kernel, for its title and note.
        scenes: title to scene.
        tell: asks the model.
    """

    def __init__(self, player: Titled, scenes: Mapping[str, Scene], tell: Tell) -> None:
        self.scenes, self.tell, self.stage = scenes, tell, Stage()
        self.picture = Dropdown(options=list(scenes), description="Picture", **WIDE)
        self.what = Dropdown(description="What to change", **WIDE)
        self.value = Dropdown(description="Change it to", **WIDE)
        self.again = Button(description="Start again")
        self.quiet = False  # while this program, and not a person, sets the lists
        self.scene, self.fields = scenes[self.picture.value], {}
        self.picture.observe(lambda change: self.start(), names="value")
        self.again.on_click(lambda button: self.start())
        self.what.observe(lambda change: self.quiet or self.choose(self.what.value), names="value")
        self.value.observe(lambda change: self.quiet or self.change(), names="value")
        self.box = framed(player, VBox([self.picture, self.what, self.value, self.again]), self.stage.box)
        self.start()

    def start(self) -> None:
        """Shows the chosen picture as it was."""
        self.scene = self.scenes[self.picture.value]
        self.list_fields()
        self.choose(next(iter(self.fields)))

    def list_fields(self) -> None:
        """Takes in what can be changed in the scene as it is now."""
        self.fields: dict[tuple[str, str], Field] = {field.key: field for field in fields(self.scene)}

    def choose(self, key: tuple[str, str], question: WorldQuestion | None = None) -> None:
        """Takes one fact to change, lists its values, and asks a question: the one that belongs to it, or another."""
        field = self.fields[key]
        self.quiet = True
        self.what.options = [(one.label, one.key) for one in self.fields.values()]
        self.what.value = key
        self.value.options = list(field.values)
        self.value.value = field.value
        self.quiet = False
        self.stage.show(self.tell(self.scene, question or field.question(self.scene)))

    def change(self) -> None:
        """Changes the chosen fact; the question stays, so its answer should change."""
        field = self.fields[self.what.value]
        self.scene = field.values[self.value.value]
        self.list_fields()
        # where the thing is gone, the lists start anew, and the question is still about it
        key = field.key if field.key in self.fields else next(iter(self.fields))
        self.choose(key, field.question(self.scene))


def marker(player: Titled, sentences: Mapping[str, str], judge: Callable[[str], State]) -> VBox:
    """A text field for any sentence about one picture, and ready ones to start from.

    Args:
        player: the same widget without a kernel, for its title and note.
        sentences: name to sentence.
        judge: marks one.
    """
    stage = Stage()
    ready = Dropdown(options=list(sentences.items()), description="A ready sentence", **WIDE)
    typed = Textarea(
        value=ready.value, description="Or your own", continuous_update=False, rows=4,
        style={"description_width": "initial"}, layout=Layout(width="auto", max_width="46em"),
    )  # fmt: skip
    mark = Button(description="Mark the wrong words", layout=Layout(width="max-content"))

    def show(*event: object) -> None:
        stage.show(judge(typed.value))

    ready.observe(lambda change: setattr(typed, "value", change["new"]), names="value")
    typed.observe(show, names="value")
    mark.on_click(show)
    show()
    return framed(player, VBox([ready, typed, HBox([mark])]), stage.box)

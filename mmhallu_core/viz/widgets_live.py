"""The ipywidgets forms that can do more than play states: build a scene step by step, mark any sentence.

A kernel is there, so nothing has to be computed beforehand: the model is asked when somebody changes something.
"""

from collections.abc import Callable, Mapping

from ipywidgets import Button, Dropdown, HBox, Layout, Textarea, VBox

from mmhallu_core.viz.live import Stage, framed
from mmhallu_core.viz.player import Player
from mmhallu_core.viz.states import State
from mmhallu_core.viz.widgets_scene import Field, fields
from mmhallu_core.world.language import WorldQuestion
from mmhallu_core.world.scene import Scene

Tell = Callable[[Scene, WorldQuestion], State]  # asks the model about a scene
WIDE = {"style": {"description_width": "initial"}, "layout": Layout(width="max-content", max_width="100%")}


class Builder:
    """A scene that changes with each choice; changes add up until "Start again".

    Args:
        player: the same widget without a kernel, for its title and note.
        scenes: title to scene.
        tell: asks the model.
    """

    def __init__(self, player: Player, scenes: Mapping[str, Scene], tell: Tell) -> None:
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


def marker(player: Player, sentences: Mapping[str, str], judge: Callable[[str], State]) -> VBox:
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

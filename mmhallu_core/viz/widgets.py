"""Three widgets: turn habit up and down, change a fact of a picture, ask of any sentence which words are wrong.

    prior_dial()              how strong is habit? one picture, five settings, the sentence changes
    scene_builder(scene)      change a fact; see the picture, the caption and an answer change
    caption_marker(scene)     which words of a sentence are wrong, and why

Each returns a `Player`: in a notebook a live widget, in the built book the same widget playing what was computed when
the book was built, and `print(player)` or `player.text(setting)` the same in words.
"""

from mmhallu_core.evaluate.diorama import CAPTION_TOKENS, DESCRIBE
from mmhallu_core.models.mix import mixed_answers
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import MissingFile
from mmhallu_core.viz.player import Control, Player, State
from mmhallu_core.viz.why import absent_kinds, explained
from mmhallu_core.world.language.lexicon import PLACE_PHRASES, with_article
from mmhallu_core.world.prior import TYPICAL, sample_scene
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene

SEEN_AT = 96  # pixels: what tiny-llava sees
HABITS = {"none": 0.0, "a little": 0.25, "half": 0.5, "much": 0.75, "full": 1.0}
LOOKED_AT, LEAST = 24, 3  # scenes among which the dial's is found; things that each has at least
NO_CONTROL = (
    "The dial needs tiny-llava-control, the model trained without habit, which is not on this machine; "
    "`mmhallu pretrain tiny-llava --control` makes it. So only the model trained with habit speaks."
)
MEANING = (
    "The dial mixes two models that were trained alike, but for habit: in the pictures of one, things keep company "
    "and its captions sometimes name what usually stands there; not so for the other. At every word, the dial weighs "
    "what the two would say next."
)


def unusual_scenes(place: str = "beach", count: int = LOOKED_AT) -> list[Scene]:
    """The first scenes of a place that lack what the place makes most likely: beaches without an umbrella.

    No model is asked: scene number 0, 1, 2, ... is taken when it has at least `LEAST` things and not that one.
    """
    scenes: list[Scene] = []
    number = 0
    while len(scenes) < count:
        scene = sample_scene(f"widget/{place}/{number}", place=place)
        if len(scene.things) >= LEAST and TYPICAL[place][0] not in scene.kinds():
            scenes.append(scene)
        number += 1
    return scenes


def prior_dial(
    scene: Scene | None = None, place: str = "beach", habit: Vlm | None = None, control: Vlm | None = None
) -> Player:
    """One dial, "How strong is habit?", and what the mixture of two models says of one picture at five settings.

    Args:
        scene: the picture; None looks for one in which habit can be seen, and the note says how it was found.
        place: where to look.
        habit: the model trained with habit; tiny-llava when None.
        control: the model trained without; tiny-llava-control when None. Where that is not there, one setting remains
            and the note says why.

    Returns:
        A `Player`; `text(0)` to `text(4)` say what the settings show.
    """
    habit = habit or Vlm.load()
    try:
        control = control or Vlm.load("tiny-llava-control")
    except MissingFile:
        control = None
    found = ""
    if scene is None:
        scene, found = _telling_scene(place, habit, control)
    image = render(scene, SEEN_AT).image
    if control is None:
        said = dict(zip(["full"], habit.answer([image], [DESCRIBE], CAPTION_TOKENS), strict=True))
    else:
        shares = list(HABITS.values())
        answers = mixed_answers(control, habit, [image] * len(shares), [DESCRIBE] * len(shares), shares, CAPTION_TOKENS)
        said = dict(zip(HABITS, answers, strict=True))
    states = {name: State(scene, {"The model says": explained(text, scene)}) for name, text in said.items()}
    dial = Control("How strong is habit?", states, start=len(states) - 1, dial=True)
    note = " ".join(words for words in (MEANING if control else NO_CONTROL, found) if words)
    return Player(f"{_titled(scene)}: how strong is habit?", dial, note, size=384)


def _titled(scene: Scene) -> str:
    """What a picture is: "A beach without an umbrella", or "A beach" where nothing usual is missing."""
    words, usual = PLACE_PHRASES[scene.place][0], TYPICAL[scene.place][0]
    words += "" if scene.of_kind(usual) else f" without {with_article(usual)}"
    return words[0].upper() + words[1:]


def _telling_scene(place: str, habit: Vlm, control: Vlm | None) -> tuple[Scene, str]:
    """A scene in which habit shows, and a sentence that says how it was found and how common it is."""
    scenes, usual = unusual_scenes(place), TYPICAL[place][0]
    images = [render(scene, SEEN_AT).image for scene in scenes]

    def names_it(model: Vlm) -> list[bool]:
        """For each scene, whether the model's caption names the usual thing, which is not there."""
        captions = model.answer(images, [DESCRIBE] * len(images), CAPTION_TOKENS)
        return [usual in absent_kinds(text, scene) for text, scene in zip(captions, scenes, strict=True)]

    with_habit = names_it(habit)
    without = names_it(control) if control else [False] * len(scenes)
    telling = [k for k in range(len(scenes)) if with_habit[k] and not without[k]]
    chosen = telling[0] if telling else 0
    many = f"{len(scenes)} drawn scenes like this one, none with {with_article(usual)}"
    counts = f"the model trained with habit names one in {sum(with_habit)} of {many}"
    counts += f", the model trained without in {sum(without)}" if control else ""
    how = "the first where habit makes the difference" if control else "the first where it does"
    return scenes[chosen], f"{counts[0].upper() + counts[1:]}; shown is {how if telling else 'the first'}."

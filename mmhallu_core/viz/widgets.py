"""Three widgets: turn habit up and down, change a fact of a picture, ask of any sentence which words are wrong.

    prior_dial()         how strong is habit? one picture, five settings, the sentence changes
    scene_builder()      change a fact; see the picture, the caption and an answer change
    caption_marker()     which words of a sentence are wrong, and why

Each returns a `Player`: in a notebook a live widget, in the built book the same widget playing what was computed when
the book was built, and `print(player)` or `player.text(setting)` the same in words.
"""

import html
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from mmhallu_core.evaluate.diorama.exam import CAPTION_TOKENS, DESCRIBE
from mmhallu_core.models.mix import mixed_answers
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import MissingFile
from mmhallu_core.viz.marked import explained, judged, names_absent
from mmhallu_core.viz.player import Player
from mmhallu_core.viz.states import Control, State
from mmhallu_core.viz.twins import Twin
from mmhallu_core.viz.widgets_scene import Field, fields, titled, unusual_scenes
from mmhallu_core.world.language import WorldQuestion, describe, read
from mmhallu_core.world.prior import TYPICAL, annotate
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene
from mmhallu_core.world.vocabulary import with_article

SEEN_AT = 96  # pixels: what tiny-llava sees
LOOKED_AT = 24  # scenes among which the dial's is found
MOST_VALUES = 8  # of one fact, on a page without a kernel
HABITS = {"none": 0.0, "a little": 0.25, "half": 0.5, "much": 0.75, "full": 1.0}
NO_CONTROL = (
    "The dial needs tiny-llava-control, the model trained without habit, which is not on this machine; "
    "`mmhallu pretrain tiny-llava --control` makes it. So only the model trained with habit speaks."
)
BUILT = (
    "Each change is of one fact; everything else stays the same. The question is about that fact. So a model that "
    "looks should change its answer."
)
MARKED = (
    "The sentence is turned into facts. Each fact is looked up in the scene from which the picture was drawn, so "
    "nobody has to judge it."
)
MEANING = (
    "The dial mixes two models, which were trained in the same way but for habit. For the first, things that usually "
    "belong together often stood together, and captions sometimes named what usually stands there. For the second, "
    "every thing was equally likely, and captions were true. The dial mixes what the two would say next, word by word."
)


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
    return Player(f"{titled(scene)}: how strong is habit?", dial, note, size=384)


def _telling_scene(place: str, habit: Vlm, control: Vlm | None) -> tuple[Scene, str]:
    """A scene in which habit shows, and a sentence that says how it was found and how common it is."""
    scenes, usual = unusual_scenes(place, LOOKED_AT), TYPICAL[place][0]
    images = [render(scene, SEEN_AT).image for scene in scenes]

    def names_it(model: Vlm) -> list[bool]:
        """For each scene, whether the model's caption names the usual thing, which is not there."""
        captions = model.answer(images, [DESCRIBE] * len(images), CAPTION_TOKENS)
        return [names_absent(text, usual, scene) for text, scene in zip(captions, scenes, strict=True)]

    with_habit = names_it(habit)
    without = names_it(control) if control else [False] * len(scenes)
    telling = [k for k in range(len(scenes)) if with_habit[k] and not without[k]]
    chosen = telling[0] if telling else 0
    thing = with_article(usual)
    note = (
        f"This scene is one of {len(scenes)} that were drawn without {thing}. In {sum(with_habit)} of them, the model "
        f"trained with habit names {thing} all the same"
    )
    note += f"; the model trained without habit does so in {sum(without)}." if control else "."
    which = "in which only the first model does so" if control else "in which it does so"
    return scenes[chosen], f"{note} Shown is the first scene{' ' + which if telling else ''}."


def scene_builder(*scenes: Scene, vlm: Vlm | None = None) -> Player:
    """Change one fact of a picture; the picture, the model's caption and its answer to a question about it change.

    With a kernel, changes add up. Without one, every fact of each scene can be changed, one at a time, to at most
    eight values computed beforehand.

    Args:
        scenes: what to start from; three beginnings when none is given.
        vlm: the model that is asked; tiny-llava when None.
    """
    vlm = vlm or Vlm.load()
    named = _named(scenes or [unusual_scenes(place, 1, most=3)[0] for place in ("beach", "street", "field")])
    all_fields = {title: [_few(field, scene) for field in fields(scene)] for title, scene in named.items()}
    changed = [(field, after) for many in all_fields.values() for field in many for after in field.values.values()]
    wanted = list(dict.fromkeys((after, field.question(after)) for field, after in changed))
    told = dict(zip(wanted, _tell(vlm, wanted), strict=True))

    def values(field: Field, scene: Scene) -> Control:
        """What one fact can be changed to; it starts as it is."""
        states = {word: told[after, field.question(after)] for word, after in field.values.items()}
        shown = {word: State(state.scene, state.said, base=scene) for word, state in states.items()}
        return Control("Change it to", shown, start=list(shown).index(field.value))

    pictures = {
        title: Control("What to change", {field.label: values(field, scene) for field in all_fields[title]})
        for title, scene in named.items()
    }

    def live(player: Player):
        from mmhallu_core.viz.live import Builder

        def tell(scene: Scene, question: WorldQuestion) -> State:
            return told.get((scene, question)) or _tell(vlm, [(scene, question)])[0]

        return Builder(player, named, tell).box

    return Player("Scene builder: change a fact", Control("Picture", pictures), BUILT, live)


def _few(field: Field, scene: Scene) -> Field:
    """A fact with `MOST_VALUES` of its values: what it is now, then what the place makes likely, then the others."""
    usual = tuple(TYPICAL[scene.place])
    first = sorted(field.values, key=lambda word: (word != field.value, not word.endswith(usual)))[:MOST_VALUES]
    return replace(field, values={word: after for word, after in field.values.items() if word in first})


def _named(scenes: Sequence[Scene]) -> dict[str, Scene]:
    """Scenes by what they are, numbered where two are called the same."""
    titles = [titled(scene) for scene in scenes]
    counted = [f"{t} ({titles[:k].count(t) + 1})" if titles.count(t) > 1 else t for k, t in enumerate(titles)]
    return dict(zip(counted, scenes, strict=True))


def _tell(vlm: Vlm, asked: Sequence[tuple[Scene, WorldQuestion]]) -> list[State]:
    """What the model says of scenes, and answers to a question about each; a scene is drawn and described once."""
    images = {scene: render(scene, SEEN_AT).image for scene, _ in asked}
    texts = vlm.answer(list(images.values()), [DESCRIBE] * len(images), CAPTION_TOKENS, 64)
    captions = dict(zip(images, texts, strict=True))
    answers = vlm.answer([images[scene] for scene, _ in asked], [question.text for _, question in asked], 8, 64)
    return [
        State(
            scene,
            {
                "The model says": explained(captions[scene], scene),
                "Question": Twin(question.text, question.text),
                "The model answers": judged(answer, question.answer),
            },
        )
        for (scene, question), answer in zip(asked, answers, strict=True)
    ]


def caption_marker(
    scene: Scene | None = None, captions: str | Mapping[str, str] | None = None, vlm: Vlm | None = None
) -> Player:
    """Marks the wrong words of a sentence about a picture and says why they are wrong; with a kernel, of any sentence.

    Args:
        scene: the picture; a beach without an umbrella when None.
        captions: one sentence, or name to sentence; when None, what the model wrote, what an annotator with habits
            would write, what is true of another place, and the truth.
        vlm: the model that writes one; tiny-llava when None.
    """
    scene = scene or unusual_scenes("beach", 1)[0]
    if captions is None:
        image = render(scene, SEEN_AT).image
        rng = random.Random(scene.id)
        other = "street" if scene.place != "street" else "beach"
        captions = {
            "what the model writes": (vlm or Vlm.load()).answer([image], [DESCRIBE], CAPTION_TOKENS)[0],
            "what habit writes": describe(annotate(scene, rng, eta=1.0)[0]).text,
            "the wrong place": describe(Scene(scene.id, other, scene.things)).text,
            "the truth": describe(scene, "full").text,
        }
    sentences = {"a sentence": captions} if isinstance(captions, str) else dict(captions)
    judge = partial(_judge, scene)
    control = Control("Sentence", {name: judge(text) for name, text in sentences.items()})

    def live(player: Player):
        from mmhallu_core.viz.live import marker

        return marker(player, sentences, judge)

    return Player(f"{titled(scene)}: which words are wrong?", control, MARKED, live, size=384)


def _judge(scene: Scene, text: str) -> State:
    """A sentence with its wrong words marked, and the parts that were judged by their nouns alone."""
    said = {"The sentence": explained(text, scene)}
    if unread := "; ".join(f"“{part}”" for part in read(text).unread):
        words = f"{unread}. Here only the nouns were looked up."
        said["Not understood"] = Twin(html.escape(words), words)
    return State(scene, said)

"""Lettered questions about one picture whose right option was drawn before the scene.

The options come first, all by the same draw; then it is settled which of them is right, the longest as often as the
shortest (their *rank*); then a scene is found or built in which that one, and no other, is true. A colour is as often
right as any other colour beside it, and so is a number, a place, a thing. (In the world itself one dog is likelier than
three, and a rule that knows the world would know it.)
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmhallu_core.evaluate.diorama.arranged import holder, standing, with_number
from mmhallu_core.evaluate.diorama.making import ScenePool, Undrawn, evenly, free, lettered, the
from mmhallu_core.evaluate.diorama.yes_no import LOOKS, ON_THE_GROUND, with_value
from mmhallu_core.world.language.questions import action as ask_action
from mmhallu_core.world.language.questions import colour as ask_colour
from mmhallu_core.world.language.questions import counting as ask_counting
from mmhallu_core.world.language.questions import pattern as ask_pattern
from mmhallu_core.world.language.questions import place as ask_place
from mmhallu_core.world.language.questions import size as ask_size
from mmhallu_core.world.language.questions import where as ask_where
from mmhallu_core.world.scene import BACK, COLUMNS, FRONT, Scene, side
from mmhallu_core.world.vocabulary import KINDS, PLACE_PHRASES, PLACES, SIDE_PHRASES, number_word, with_article

MOST = 4  # options
NUMBERS = range(5)
OPEN = {"colour": ask_colour, "pattern": ask_pattern, "size": ask_size}
HELD = ("umbrella", "ball", "kite", "bag")
GROUNDED = tuple(kind for kind in KINDS if kind != "kite")  # a kite that nobody holds is in the air
# Words to the anchor's column, the columns where they hold, and those where they clearly do not.
BESIDE = {"to the left of": (1, (0,), (2, 3)), "to the right of": (2, (3,), (0, 1))}


@dataclass(frozen=True)
class Choice:
    """A question, its options in random order, which is right, and the scenes.

    `about` is the kind asked about, and `ending` comes after the options.
    """

    text: str
    options: tuple[str, ...]
    right: int
    scenes: tuple[Scene, ...]
    about: str = ""
    ending: str = ""


def drawn(values: Sequence, rng: random.Random, rank: int, printed: Callable = str) -> tuple[list, int]:
    """Some of the values in random order, at most MOST, and the number of the one that shall be right.

    Args:
        values: to draw from, all alike.
        rng: the die.
        rank: which of them is right, counted from the shortest to the longest in print, round and round.
        printed: how a value is printed.
    """
    options = rng.sample(list(values), min(MOST, len(values)))
    return options, by_length([printed(option) for option in options], rank)


def by_length(texts: Sequence[str], rank: int) -> int:
    """The number of the text that stands at a rank when they are sorted by length, equals by their letters."""
    return sorted(range(len(texts)), key=lambda one: (len(texts[one]), texts[one]))[rank % len(texts)]


def ranks(n: int, rng: random.Random) -> list[int]:
    """n ranks: among any two, three or four options, each rank as often as the others."""
    return evenly(range(12), n, rng)


def place(pool: ScenePool, rng: random.Random, rank: int) -> Choice:
    """Asks "Where was this picture taken?"."""
    options, right = drawn(PLACES, rng, rank, lambda name: PLACE_PHRASES[name][1])
    scene = pool.find(rng, lambda scene: scene.place == options[right])
    return Choice(ask_place(scene).text, tuple(PLACE_PHRASES[name][1] for name in options), right, (scene,))


def look(pool: ScenePool, rng: random.Random, kind: str, rank: int, what: str) -> Choice:
    """Asks "What colour is the dog?", or for its pattern or size."""
    options, right = drawn(LOOKS[what], rng, rank)
    scene = with_value(pool, rng, kind, what, options[right])
    return Choice(OPEN[what](scene, the(scene, kind)).text, tuple(options), right, (scene,), kind)


def action(pool: ScenePool, rng: random.Random, kind: str, rank: int) -> Choice:
    """Asks "What is the man doing?", of a kind of `yes_no.ACTORS`."""
    options, right = drawn(ON_THE_GROUND[kind], rng, rank)
    scene = with_value(pool, rng, kind, "pose", options[right])
    return Choice(ask_action(scene, the(scene, kind)).text, tuple(options), right, (scene,), kind)


def where(pool: ScenePool, rng: random.Random, kind: str, rank: int) -> Choice:
    """Asks "Where is the dog?"."""
    options, right = drawn(tuple(SIDE_PHRASES), rng, rank, SIDE_PHRASES.__getitem__)
    scene = pool.find(rng, lambda scene: (thing := free(scene, kind)) is not None and side(thing) == options[right])
    words = tuple(SIDE_PHRASES[name] for name in options)
    return Choice(ask_where(scene, the(scene, kind)).text, words, right, (scene,), kind)


def number(pool: ScenePool, rng: random.Random, kind: str, rank: int) -> Choice:
    """Asks "How many dogs are there in the image?"."""
    options, right = drawn(NUMBERS, rng, rank, in_words)
    scene = with_number(pool, rng, kind, options[right])
    words = tuple(map(in_words, options))
    return Choice(ask_counting(scene, kind).text, words, right, (scene,), kind)


def in_words(n: int) -> str:
    """A number as an option."""
    return number_word(n) if n else "none"


def presence(pool: ScenePool, rng: random.Random, kind: str, rank: int) -> Choice:
    """Asks "What can you see in the image?"; one of the options is there, the kind or another."""
    options = rng.sample([kind, *rng.sample([name for name in KINDS if name != kind], MOST - 1)], MOST)
    right = by_length([with_article(name) for name in options], rank)
    scene = pool.find(rng, lambda scene: [name for name in options if scene.of_kind(name)] == [options[right]])
    words = tuple(with_article(name) for name in options)
    return Choice("What can you see in the image?", words, right, (scene,), kind)


def beside(pool: ScenePool, rng: random.Random, kind: str, rank: int) -> Choice:
    """Asks "What is to the left of the car?", or right, behind, in front; all options are there, one of them so."""
    options = rng.sample([name for name in GROUNDED if name != kind], MOST)
    right = by_length(options, rank)
    words = rng.choice((*BESIDE, "behind", "in front of"))
    if words in BESIDE:
        column, there, elsewhere = BESIDE[words]
        anchor, target = ((one, rng.choice((FRONT, BACK))) for one in (column, rng.choice(there)))
        others = rng.sample([(one, row) for one in elsewhere for row in (FRONT, BACK)], MOST - 1)
    else:
        near, far = (FRONT, BACK) if words == "behind" else (BACK, FRONT)
        anchor, *others = rng.sample([(column, near) for column in range(len(COLUMNS))], MOST)
        target = (rng.randrange(len(COLUMNS)), far)
    wrong = [name for number, name in enumerate(options) if number != right]
    scene = standing({kind: anchor, options[right]: target, **dict(zip(wrong, others, strict=True))}, rng)
    return Choice(f"What is {words} the {kind}?", tuple(options), right, (scene,), kind)


def holding(pool: ScenePool, rng: random.Random, kind: str, rank: int) -> Choice:
    """Asks "What is the man holding?"; all options are there, one of them in his hand."""
    options, right = drawn(HELD, rng, rank)
    others = [name for number, name in enumerate(options) if number != right]
    scene = holder(kind, options[right], others, rng)
    return Choice(f"What is the {kind} holding?", tuple(options), right, (scene,), kind)


def with_letters(made: Sequence[tuple[dict[str, str], Choice]], rng: random.Random) -> list[Undrawn]:
    """Drafts of choices, each with its `about`; among those of as many options, each letter is right equally often."""
    sizes = Counter(len(choice.options) for _, choice in made)
    letters = {size: evenly(range(size), count, rng) for size, count in sizes.items()}
    drafts = []
    for number, (about, choice) in enumerate(made):
        letter = letters[len(choice.options)].pop()
        prompt, truth, placed = lettered(choice.text, choice.options, choice.right, letter)
        about = about | {"object": choice.about}
        prompt = f"{prompt} {choice.ending}".strip()
        drafts.append(Undrawn(str(number), prompt, truth, choice.scenes, placed, about))
    return drafts

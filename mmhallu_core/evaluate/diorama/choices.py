"""Twins of lettered questions about one picture: MMStar, CRPE, and counting.

The options come first, all by the same draw; then it is settled which of them is right, the longest as often as the
shortest (their *rank*); then a scene is found or built in which that one, and no other, is true. A colour is as often
right as any other colour beside it, and so is a number, a place, a thing. (In the world itself one dog is likelier than
three, and a rule that knows the world would know it.)

* MMStar's questions were picked because models fail them without the picture. Here that holds by construction, in
  coarse perception (which place is this?) and fine-grained perception (colours, poses, sides, numbers).
* CRPE asks each question four times with its options moved round. A rule that sticks to one *option* is right in all
  copies or in none: a quarter of the questions, where guesses get one in 256. The die keeps it at a quarter.
* Counting is scored as a BLINK of one subtask: several benchmarks have a part of this name, and MED reports BLINK's.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from mmhallu_core.evaluate.diorama.making import Undrawn, evenly, lettered
from mmhallu_core.evaluate.diorama.pairs import OPEN
from mmhallu_core.evaluate.diorama.scenes import (
    ACTORS,
    LOOKS,
    ON_THE_GROUND,
    ScenePool,
    free,
    holder,
    pool,
    standing,
    the,
    with_number,
    with_value,
)
from mmhallu_core.world.language.questions import counting as ask_counting
from mmhallu_core.world.language.questions import place as ask_place
from mmhallu_core.world.language.questions import where as ask_where
from mmhallu_core.world.scene import BACK, COLUMNS, FRONT, Scene, side
from mmhallu_core.world.vocabulary import KINDS, PEOPLE, PLACE_PHRASES, PLACES, SIDE_PHRASES, number_word, with_article

MOST = 4  # options
NUMBERS = range(5)
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


def _place(pool: ScenePool, rng: random.Random, rank: int) -> Choice:
    """Asks "Where was this picture taken?"."""
    options, right = drawn(PLACES, rng, rank, lambda name: PLACE_PHRASES[name][1])
    scene = pool.find(rng, lambda scene: scene.place == options[right])
    return Choice(ask_place(scene).text, tuple(PLACE_PHRASES[name][1] for name in options), right, (scene,))


def _look(pool: ScenePool, rng: random.Random, kind: str, rank: int, what: str) -> Choice:
    """Asks "What colour is the dog?", or for its pattern or size, or what an actor is doing (`pose`)."""
    options, right = drawn(ON_THE_GROUND[kind] if what == "pose" else LOOKS[what], rng, rank)
    scene = with_value(pool, rng, kind, what, options[right])
    return Choice(OPEN[what](scene, the(scene, kind)).text, tuple(options), right, (scene,), kind)


def _where(pool: ScenePool, rng: random.Random, kind: str, rank: int) -> Choice:
    """Asks "Where is the dog?"."""
    options, right = drawn(tuple(SIDE_PHRASES), rng, rank, SIDE_PHRASES.__getitem__)
    scene = pool.find(rng, lambda scene: (thing := free(scene, kind)) is not None and side(thing) == options[right])
    words = tuple(SIDE_PHRASES[name] for name in options)
    return Choice(ask_where(scene, the(scene, kind)).text, words, right, (scene,), kind)


def _number(pool: ScenePool, rng: random.Random, kind: str, rank: int) -> Choice:
    """Asks "How many dogs are there in the image?"."""
    options, right = drawn(NUMBERS, rng, rank, _in_words)
    scene = with_number(pool, rng, kind, options[right])
    return Choice(ask_counting(scene, kind).text, tuple(map(_in_words, options)), right, (scene,), kind)


def _in_words(n: int) -> str:
    return number_word(n) if n else "none"


def _presence(pool: ScenePool, rng: random.Random, kind: str, rank: int) -> Choice:
    """Asks "What can you see in the image?"; one of the options is there, the kind or another."""
    options = rng.sample([kind, *rng.sample([name for name in KINDS if name != kind], MOST - 1)], MOST)
    words = tuple(map(with_article, options))
    right = by_length(words, rank)
    scene = pool.find(rng, lambda scene: [name for name in options if scene.of_kind(name)] == [options[right]])
    return Choice("What can you see in the image?", words, right, (scene,), kind)


def _beside(pool: ScenePool, rng: random.Random, kind: str, rank: int) -> Choice:
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


def _holding(pool: ScenePool, rng: random.Random, kind: str, rank: int) -> Choice:
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
        prompt = f"{prompt} {choice.ending}".strip()
        drafts.append(Undrawn(str(number), prompt, truth, choice.scenes, placed, about | {"object": choice.about}))
    return drafts


# ---------------------------------------------------------------- the twins

COARSE, FINE = "coarse perception", "fine-grained perception"
FINER = {COARSE: ("image scene and topic",), FINE: ("attribute", "action", "location", "object counting")}
# CRPE's four categories: what they ask, and about which kinds.
CRPE = {
    "existence": (_presence, tuple(KINDS)),
    "subject": (_beside, GROUNDED),
    # The other actors have three poses.
    "predicate": (partial(_look, what="pose"), tuple(kind for kind in ACTORS if kind in PEOPLE)),
    "object": (_holding, PEOPLE),
}


def counting(n: int, seed: int) -> list[Undrawn]:
    """Counting: n questions with four options, as many about each kind; three dogs are as frequent as one."""
    rng = random.Random(f"twin/counting/{seed}")
    rows = zip(evenly(GROUNDED, n, rng), ranks(n, rng), strict=True)
    return with_letters([({"category": "Counting"}, _number(pool(seed), rng, *row)) for row in rows], rng)


def mmstar(n: int, seed: int) -> list[Undrawn]:
    """MMStar: n questions, half of them coarse; two to four options."""
    rng, made = random.Random(f"twin/mmstar/{seed}"), []
    for category, names in FINER.items():
        count = n // 2 + (n % 2 and category == COARSE)
        for number, finer in enumerate(names):
            about = {"category": category, "subcategory": f"{category}/{finer}"}
            for rank in ranks(len(range(number, count, len(names))), rng):
                made.append((about, _finer(pool(seed), rng, finer, rank)))
    return with_letters(rng.sample(made, n), rng)


def _finer(scenes: ScenePool, rng: random.Random, finer: str, rank: int) -> Choice:
    if finer == "image scene and topic":
        return _place(scenes, rng, rank)
    if finer == "attribute":
        return _look(scenes, rng, rng.choice(tuple(KINDS)), rank, rng.choice(tuple(LOOKS)))
    if finer == "action":
        return _look(scenes, rng, rng.choice(ACTORS), rank, "pose")
    return (_where if finer == "location" else _number)(scenes, rng, rng.choice(GROUNDED), rank)


def crpe(n: int, seed: int) -> list[Undrawn]:
    """CRPE: n questions (a multiple of four), each draw in four circular copies."""
    rng, made = random.Random(f"twin/crpe/{seed}"), []
    for group, (category, kind, rank) in enumerate(_rows(n // MOST, rng)):
        choice = CRPE[category][0](pool(seed), rng, kind, rank)
        for turn in range(MOST):
            options = choice.options[turn:] + choice.options[:turn]
            right = (choice.right - turn) % MOST
            prompt, truth, placed = lettered(choice.text, options, right, right)
            about = {"category": category, "group": str(group), "picture": f"{group}", "copies": MOST}
            about["object"] = choice.about
            made.append(Undrawn(f"{group}/{turn}", prompt, truth, choice.scenes, placed, about))
    return made


def _rows(n: int, rng: random.Random) -> list[tuple[str, str, int]]:
    """Category, kind, and rank of the right option; ranks are even in each category, and for each kind as can be."""
    rows = []
    for number, (category, (_, kinds)) in enumerate(CRPE.items()):
        order = rng.sample(kinds, len(kinds))
        cards = sorted(evenly(kinds, len(range(number, n, len(CRPE))), rng), key=order.index)
        rows += [(category, kind, rank) for rank, kind in enumerate(cards)]
    return rng.sample(rows, n)

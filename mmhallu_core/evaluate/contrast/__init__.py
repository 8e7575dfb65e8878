"""A benchmark of micro-edits in MED's form that no rule can score without comparing the pictures.

`questions("med-tiny/0", 100)` draws eleven hundred: a hundred for each of MED's categories, two pictures and four
sentences each. How a question is made so that its words give nothing away stands in `quartet.py`; what each category
does with it in `makers.py`; and what one picture alone, both orders, or the same picture twice tell, in `controls.py`.

Letters and lengths are dealt, not drawn: in each category every letter is right equally often, and the right sentence
is the shortest as often as the longest. The nine wordings of the question come equally often, too.
"""

import itertools
import random
from dataclasses import dataclass, replace

from mmhallu_core.data.question import LETTERS, Question
from mmhallu_core.evaluate.benchmarks.med import FORMAT
from mmhallu_core.evaluate.contrast import makers
from mmhallu_core.evaluate.contrast.makers import Maker
from mmhallu_core.evaluate.contrast.quartet import BACK, Quartet
from mmhallu_core.evaluate.diorama.making import evenly, png
from mmhallu_core.types import CATEGORIES, CannotRun, slug
from mmhallu_core.world.language.compare import DIFFERENCE_PROMPTS
from mmhallu_core.world.scene import Scene

OPENING = "Here are two pictures."

MAKERS: dict[str, tuple[Maker, ...]] = {
    "Object": (makers.exchange,),
    "Attribute": (
        makers.look("colour", "recolour"),
        makers.look("pattern", "repattern"),
        makers.look("size", "resize"),
    ),
    "Scene": (makers.place,),
    "Spatial Relation": (makers.move,),
    "Action Relation": (makers.pose,),
    "Part Relation": (makers.part,),
    "Counting": (makers.count(1), makers.count(2)),
    "Differentiation": (makers.stand_out("colour", "recolour one"), makers.stand_out("pattern", "repattern one")),
    "Comparison": (makers.outgrow,),
    "Negation": (makers.negation,),
    "Universality": (makers.everyone("colour", "recolour all"), makers.everyone("pattern", "repattern all")),
}


@dataclass(frozen=True)
class Item:
    """A question before its pictures are drawn.

    Attributes:
        quartet: the four sentences and their scenes.
        options: in the order of their letters, as numbers of the quartet's sentences.
        right: the number of the true one.
        scenes: before and after.
        category: of MED.
        text: the question.
        name: of the scene; no other item has it.
    """

    quartet: Quartet
    options: tuple[int, ...]
    right: int
    scenes: tuple[Scene, Scene]
    category: str
    text: str
    name: str

    @property
    def letter(self) -> str:
        """Of the right option."""
        return LETTERS[self.options.index(self.right)]


def items(seed: str, per_category: int = 100) -> list[Item]:
    """Items of all categories in turn; the same seed gives the same.

    Args:
        seed: begins the names of all scenes. No training of this library uses one that begins with "med-tiny/".
        per_category: how many of each category.

    Raises:
        CannotRun: when there would be fewer than four of a category, which cannot be balanced.
    """
    if per_category < 4:
        raise CannotRun(f"a category needs at least 4 items, one for each letter; got {per_category}")
    columns = [_category(seed, category, per_category) for category in CATEGORIES]
    return list(itertools.chain.from_iterable(zip(*columns, strict=True)))


def _category(seed: str, category: str, n: int) -> list[Item]:
    rng = random.Random(f"{seed}/{slug(category)}")
    makers, ranks, letters = (evenly(values, n, rng) for values in (MAKERS[category], range(4), range(4)))
    texts = evenly(DIFFERENCE_PROMPTS, n, rng)
    found = []
    for number, (make, rank, letter, text) in enumerate(zip(makers, ranks, letters, texts, strict=True)):
        for attempt in itertools.count():
            name = f"{seed}/{slug(category)}/{number}/{attempt}"
            quartet = make(name, rng)
            if quartet is not None and len(set(quartet.texts)) == len(quartet.texts):
                break
        right, scenes = quartet.drawn(rank, rng)
        options = rng.sample([one for one in range(4) if one != right], 3)
        options.insert(letter, right)
        found.append(Item(quartet, tuple(options), right, _named(scenes, name), category, text, name))
    return found


def _named(scenes: tuple[Scene, Scene], name: str) -> tuple[Scene, Scene]:
    return replace(scenes[0], id=name), replace(scenes[1], id=f"{name}/edited")


def questions(
    seed: str, per_category: int = 100, style: str = "flat", name: str = "med-tiny", pictures: bool = True
) -> list[Question]:
    """Items as questions that the runner takes, in MED's form.

    Args:
        seed, per_category: see `items`.
        style: of drawing: "flat", "textured" or "sketch".
        name: begins the questions' ids.
        pictures: False leaves them undrawn, which is enough for an audit of the words.

    Returns:
        Questions. `about` holds `category`, `operation`, `question` (the text without options), `back` (the letter
        that is right when the pictures are swapped), `kinds` and `picture` (the scene's name, for intervals).

    Raises:
        CannotRun: see `items`.
    """
    made = enumerate(items(seed, per_category))
    return [as_question(one, f"{name}:{number:04d}", style, pictures) for number, one in made]


def as_question(item: Item, name: str, style: str = "flat", pictures: bool = True) -> Question:
    """One item as a question of an id; see `questions`."""
    options = tuple(item.quartet.texts[one] for one in item.options)
    about = {
        "category": item.category,
        "operation": item.quartet.operation,
        "question": item.text,
        "back": LETTERS[item.options.index(BACK[item.right])],
        "kinds": list(item.quartet.kinds),
        "picture": item.name,
    }
    images = tuple(png(scene, style) for scene in item.scenes) if pictures else ()
    return Question(name, prompt(item.text, options), item.letter, images, options, about)


def prompt(question: str, options: tuple[str, ...]) -> str:
    """A question with its options, and how to answer, as `benchmarks.med` has it."""
    lines = (f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=False))
    return "\n".join([OPENING, question, *lines, FORMAT])

"""Twenty questions against a model: which sentence about two pictures is true, from the words alone or by looking?

    game = twenty_questions(items)
    game                        the game: in the built book, in a notebook, without a kernel
    print(game.text(3))         its third question in words
    print(game.text(3, "B"))    the same, answered, with what the others said
    print(game.play("ABDC"))    the score of four answers

Everybody who plays is there from the start: the model with the pictures and with grey ones, and two rules that read
nothing but the options. The reader's own answers are counted in two rows, those given before the pictures were shown
and those given after. The page carries all of it and asks nobody (`twenty.js`).
"""

import html
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmhallu_core.data.question import LETTERS
from mmhallu_core.evaluate.audit import RULES
from mmhallu_core.evaluate.blind import blank
from mmhallu_core.evaluate.contrast import Item, as_question
from mmhallu_core.evaluate.diorama.making import SIZE
from mmhallu_core.evaluate.likelihood import likelihood
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.viz.frames import Frames
from mmhallu_core.viz.marked import in_words
from mmhallu_core.viz.states import wrapped
from mmhallu_core.viz.twins import part, table
from mmhallu_core.world.scene import Scene

BLIND = {"the option most like the others": "most_similar_jaccard", "the longest option": "longest"}
YOU, LOOKED, LUCK = "you, from the words", "you, having looked", "a guess, on average"
COLUMNS = ("who answers", "this time", "right so far")
PLACES = ("First picture", "Second picture")
CSS, JS = ((Path(__file__).parent / name).read_text(encoding="utf-8") for name in ("twenty.css", "twenty.js"))


@dataclass(frozen=True)
class Round:
    """One question of the game.

    Attributes:
        category: of MED.
        text: the question.
        options: four sentences.
        right: the number of the true one.
        scenes: what the pictures show, before and after.
        said: for each player its option's number.
    """

    category: str
    text: str
    options: tuple[str, ...]
    right: int
    scenes: tuple[Scene, Scene]
    said: tuple[int, ...]


@dataclass(frozen=True)
class Game:
    """A row of questions with everybody's answers.

    Attributes:
        title: what it is.
        rounds: the questions.
        players: who answered them, in the order of `Round.said`.
        note: what somebody must know to read the scores rightly.
        size: pixels of a picture's side.
    """

    title: str
    rounds: tuple[Round, ...]
    players: tuple[str, ...]
    note: str
    size: int = 192

    def text(self, number: int, guess: str | None = None, looked: bool = False) -> str:
        """One question in words.

        Args:
            number: from 1.
            guess: a letter; what is right and what the others said follow.
            looked: whether to say what the pictures show.

        Raises:
            ValueError: when there is no such question or letter.
        """
        if not 1 <= number <= len(self.rounds):
            raise ValueError(f"there are questions 1 to {len(self.rounds)}, and no {number}")
        one = self.rounds[number - 1]
        lines = [f"Question {number} of {len(self.rounds)}: {one.category}", one.text]
        lines += [f"{letter}. {text}" for letter, text in zip(LETTERS, one.options, strict=False)]
        if looked or guess is not None:
            lines += [f"{place}: {in_words(scene)}" for place, scene in zip(PLACES, one.scenes, strict=True)]
        if guess is not None:
            said = [(YOU if not looked else LOOKED, _number(guess, one)), *zip(self.players, one.said, strict=True)]
            lines += [f"{who}: {LETTERS[what]}, {'right' if what == one.right else 'wrong'}" for who, what in said]
            lines.append(f"Right is {LETTERS[one.right]}. {one.options[one.right]}")
        return wrapped("\n".join(lines))

    def play(self, guesses: str) -> str:
        """The score of some answers beside everybody else's on the same questions.

        Args:
            guesses: a letter for each question, from the first, such as "ABDC".

        Raises:
            ValueError: when there are more letters than questions, or one is no option.
        """
        if len(guesses) > len(self.rounds):
            raise ValueError(f"{len(guesses)} answers to {len(self.rounds)} questions")
        asked = self.rounds[: len(guesses)]
        mine = sum(_number(letter, one) == one.right for letter, one in zip(guesses, asked, strict=True))
        rows = [("you", f"{mine} of {len(asked)}"), *self._scores(asked)]
        return table((COLUMNS[0], COLUMNS[2]), rows, self.title).text

    def _scores(self, asked: Sequence[Round]) -> list[tuple[str, str]]:
        """Everybody but the reader, on some of the questions."""
        hits = [sum(one.said[k] == one.right for one in asked) for k in range(len(self.players))]
        rows = [(who, f"{count} of {len(asked)}") for who, count in zip(self.players, hits, strict=True)]
        return [*rows, (LUCK, f"{sum(1 / len(one.options) for one in asked):g} of {len(asked)}")]

    def __str__(self) -> str:
        scores = table((COLUMNS[0], COLUMNS[2]), self._scores(self.rounds), self.title).text
        how = "`text(1)` is the first question in words, `text(1, 'B')` answers it, `play('ABDC')` gives a score."
        return "\n\n".join([scores, wrapped(self.note), wrapped(how)])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """The game as a fragment that works by itself; where no script runs, everybody's scores."""
        frames = Frames(self.size)
        rounds = [
            {
                "category": one.category,
                "text": one.text,
                "options": one.options,
                "right": one.right,
                "frames": [frames.add(one.scenes[0]), frames.add(one.scenes[1], one.scenes[0])],
                "facts": [in_words(scene) for scene in one.scenes],
                "said": one.said,
            }
            for one in self.rounds
        ]
        play = {"sheet": frames.uri(), "size": self.size, "tiles": frames.tiles, "rounds": rounds}
        play |= {"players": self.players, "you": [YOU, LOOKED], "luck": LUCK, "places": PLACES, "columns": COLUMNS}
        carried = json.dumps(play, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
        title = html.escape(self.title)
        scores = table((COLUMNS[0], COLUMNS[2]), self._scores(self.rounds), f"{self.title}: all answered").html
        # data-lm-suppress-shortcuts: JupyterLab keeps some keys for its cells, but not inside an element that says this
        return (
            f'<div class="mm-player mm-twenty" role="group" aria-label="{title}" data-lm-suppress-shortcuts="true">'
            f"<style>{part('player.css')}{CSS}</style>"
            f'<div class="mm-game">{scores}</div><p class="mm-note">{html.escape(self.note)}</p>'
            f'<script type="application/json">{carried}</script><script>{JS}</script></div>'
        )


def _number(letter: str, one: Round) -> int:
    """The number of an option by its letter, large or small."""
    letters = LETTERS[: len(one.options)]
    if len(letter) != 1 or letter.upper() not in letters:
        raise ValueError(f"there is no option {letter!r}; choose one of {', '.join(letters)}")
    return letters.index(letter.upper())


def twenty_questions(items: Sequence[Item], vlm: Vlm | None = None, n: int = 20) -> Game:
    """The first questions of MED-tiny as a game against a model and two rules that do not look.

    Args:
        items: of MED-tiny (`contrast.items`), at least n.
        vlm: the model that plays, by the option that it finds likeliest; tiny-llava when None.
        n: how many questions.

    Raises:
        ValueError: when there are fewer items.
    """
    if not 1 <= n <= len(items):
        raise ValueError(f"cannot play {n} questions with {len(items)} items")
    from scipy.stats import binom

    vlm, items = vlm or Vlm.load(), list(items[:n])
    asked = [as_question(one, f"twenty:{number}") for number, one in enumerate(items)]
    file = io.BytesIO()
    blank((SIZE, SIZE)).save(file, "PNG")
    unseen = [replace(one, images=(file.getvalue(),) * 2) for one in asked]
    said = {
        f"{vlm.name}, both pictures": [LETTERS.index(one.letter("sum")) for one in likelihood(vlm, asked)],
        f"{vlm.name}, two grey pictures": [LETTERS.index(one.letter("sum")) for one in likelihood(vlm, unseen)],
    }
    for name, rule in BLIND.items():
        values = [RULES[rule](one.options) for one in asked]
        said[name] = [row.index(max(row)) for row in values]
    answers = zip(*said.values(), strict=True)
    rounds = tuple(
        Round(item.category, item.text, one.options, item.options.index(item.right), item.scenes, each)
        for item, one, each in zip(items, asked, answers, strict=True)
    )
    low, high = (int(edge) for edge in binom.interval(0.95, n, 0.25))
    note = (
        f"These are the first {n} questions of MED-tiny. The other players answered them before, and did not know the "
        f"right answers. With so few questions luck matters much: in nineteen games of twenty, a guess gets from {low} "
        f"to {high} of them right."
    )
    return Game(f"{n} questions: what is different?", rounds, tuple(said), note)

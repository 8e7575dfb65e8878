"""Where the rules for reading answers disagree: tables made by the rules themselves.

`yes_no_table` and `letter_table` show answer by answer what each rule reads. `differing` says of real answers how often
two rules read them differently: that share of a score is the rule's, not the model's.
"""

from collections.abc import Callable, Mapping, Sequence

from mmhallu_core.evaluate.answers import YES_NO, Reading, Rule, strict
from mmhallu_core.evaluate.letters import LETTER, strict_letter

OURS = "strict, ours"
UNPARSED = "-"
# Answers of the kinds that models give.
YES_NO_ANSWERS = (
    "Yes", "yes.", "No, there is no dog.", "There is a dog.", "", "Absolutely", "NO", "Not sure.", "None.",
    "I cannot determine.", "I know there is a dog", "There isn't one.", "Yes, but not clearly.", "**Yes**", "y",
    "Yes or no?", "<think>no</think> yes", "Answer: yes",
)  # fmt: skip
OPTIONS = {"A": "a red ball", "B": "two balls", "C": "a dog", "D": "nothing"}
LETTER_ANSWERS = (
    "B", "b", "B.", "(B) two balls", "Answer: B", "The answer is B.", "Option C", "A dog is on the left", "two balls",
    "It is A or B", "Answer: the second", "**C**", "Both A and C", "I see no dog", "",
)  # fmt: skip

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]  # the heads of the columns, and the rows


def _table(answers: Sequence[str], read: Mapping[str, Callable[[str], Reading]]) -> Table:
    rows = [(repr(answer), *(rule(answer) or UNPARSED for rule in read.values())) for answer in answers]
    return ("answer", *read), [row for row in rows if len(set(row[1:])) > 1]


def yes_no_readers() -> dict[str, Callable[[str], Reading]]:
    """The yes/no rules by name, ours last."""
    return {**YES_NO, OURS: strict}


def letter_readers(options: Mapping[str, str]) -> dict[str, Callable[[str], Reading]]:
    """The letter rules for some options by name, ours last."""

    def bound(rule: Rule | Callable[..., Reading]) -> Callable[[str], Reading]:
        return lambda answer: rule(answer, options)

    return {**{name: bound(rule) for name, rule in LETTER.items()}, OURS: bound(strict_letter)}


def yes_no_table(answers: Sequence[str] = YES_NO_ANSWERS) -> Table:
    """What each yes/no rule reads, for the answers that not all read alike; "-" is unparsed."""
    return _table(answers, yes_no_readers())


def letter_table(answers: Sequence[str] = LETTER_ANSWERS, options: Mapping[str, str] = OPTIONS) -> Table:
    """What each letter rule reads, for the answers that not all read alike; "-" is unparsed."""
    return _table(answers, letter_readers(options))


def differing(answers: Sequence[str], read: Mapping[str, Callable[[str], Reading]]) -> dict[tuple[str, str], float]:
    """The share of answers that two rules read differently, for each two of them.

    Args:
        answers: of a model, each as often as it was given.
        read: such as `yes_no_readers()`.

    Raises:
        ValueError: when there are no answers.
    """
    if not answers:
        raise ValueError("no answers to read")
    said = {name: [rule(answer) for answer in answers] for name, rule in read.items()}
    names = list(said)
    return {
        (one, other): sum(a != b for a, b in zip(said[one], said[other], strict=True)) / len(answers)
        for place, one in enumerate(names)
        for other in names[place + 1 :]
    }

"""The blind audit: what a benchmark gives away to somebody who sees no picture.

Distractors are usually made by changing the right answer a little. Then the right answer is the one that all the
others resemble, and a rule that only reads the options finds it. The rules here are fixed beforehand, need no training
and look at no picture. A benchmark on which they score far above chance does not measure sight alone.

Words are the lower-cased `\\w+` tokens of an option without its letter. Every rule gives each option a value and takes
the highest; among equals it takes the earliest, and `ties` says what two other ways to break them would give.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from mmhallu_core.data.multiple_choice import MultipleChoice, without_label
from mmhallu_core.statistics import wilson_interval
from mmhallu_core.types import RecordError

Values = list[float]


def words(option: str) -> list[str]:
    """The tokens of an option, its letter left out: "A. A dog's tail." gives ["a", "dog", "s", "tail"]."""
    return re.findall(r"\w+", without_label(option).lower())


def jaccard(one: Sequence[str], other: Sequence[str]) -> float:
    """Shared words over all words, each word once; 1 for two empty texts."""
    both = set(one) | set(other)
    return len(set(one) & set(other)) / len(both) if both else 1.0


def edit_distance(one: Sequence[str], other: Sequence[str]) -> int:
    """The least number of words to insert, remove or replace (Levenshtein)."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        row, above = [i], row
        for j, right in enumerate(other, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (left != right)))
    return row[-1]


def _toward_the_others(options: Sequence[str], alike: Callable[[Sequence[str], Sequence[str]], float]) -> Values:
    tokens = [words(option) for option in options]
    return [
        sum(alike(one, other) for k, other in enumerate(tokens) if k != number) for number, one in enumerate(tokens)
    ]


def most_similar_jaccard(options: Sequence[str]) -> Values:
    """How much each option shares with all the others."""
    return _toward_the_others(options, jaccard)


def most_similar_edit(options: Sequence[str]) -> Values:
    """How few changes lead from each option to all the others."""
    return _toward_the_others(options, lambda one, other: -float(edit_distance(one, other)))


def whitespace_then_jaccard(options: Sequence[str]) -> Values:
    """The one option without a blank at its end, where there is exactly one; else as `most_similar_jaccard`."""
    clean = [option == option.rstrip() for option in options]
    return [float(one) for one in clean] if sum(clean) == 1 else most_similar_jaccard(options)


def longest(options: Sequence[str]) -> Values:
    """The number of characters, the letter and blanks at the ends left out."""
    return [float(len(without_label(option))) for option in options]


RULES: dict[str, Callable[[Sequence[str]], Values]] = {
    "most_similar_jaccard": most_similar_jaccard,
    "most_similar_edit": most_similar_edit,
    "whitespace_then_jaccard": whitespace_then_jaccard,
    "longest": longest,
}


def audit_multiple_choice(items: Sequence[MultipleChoice]) -> dict[str, Any]:
    """The blind baselines of a multiple-choice benchmark.

    Returns:
        `n`, `chance` (a guess among each item's options), `rules` (share of items that each rule gets right, and of the
        `majority_letter`, the letter that is right most often, which peeks at the answers), `ties` (the same rules when
        the last of equals is taken, and on average over the equals), `ci` (95% Wilson intervals of `rules`).

    Raises:
        RecordError: when there are no items.
    """
    if not items:
        raise RecordError("there are no questions to audit")
    n = len(items)
    hits, last, average = Counter(), Counter(), Counter()
    for item in items:
        for name, rule in RULES.items():
            values = rule(item.options)
            best = [number for number, value in enumerate(values) if value >= max(values) - 1e-9]
            hits[name] += best[0] == item.right
            last[name] += best[-1] == item.right
            average[name] += (item.right in best) / len(best)
    letter, hits["majority_letter"] = Counter(item.answer for item in items).most_common(1)[0]
    return {
        "n": n,
        "chance": sum(1 / len(item.options) for item in items) / n,
        "rules": {name: count / n for name, count in hits.items()},
        "majority_letter": letter,
        "ties": {"average": {name: average[name] / n for name in RULES}, "last": {n_: last[n_] / n for n_ in RULES}},
        "ci": {name: wilson_interval(count, n) for name, count in hits.items()},
    }

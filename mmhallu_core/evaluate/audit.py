"""The blind audit: what a benchmark gives away to somebody who sees no picture.

Distractors are usually made by changing the right answer a little. Then the right answer is the one that all the
others resemble, and a rule that only reads the options finds it. The rules here are fixed beforehand, need no training
and look at no picture. A benchmark on which they score far above chance does not measure sight alone. One number
stands apart, in `reads_the_key`: what a rule scores that knows how often each answer is right in this file.

Words are the lower-cased `\\w+` tokens of an option without its letter. Every rule gives each option a value and takes
the highest; among equals it takes the earliest, and `ties` says what two other ways to break them would give.
Yes/no questions have rules of their own (`audit_yes_no.py`). With a model, the same questions are asked about grey
pictures (`blind.py`).
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmhallu_core.data.answers import json_objects
from mmhallu_core.data.pope import read_questions
from mmhallu_core.data.question import LETTERS, MultipleChoice, Question, read_multiple_choice, without_label
from mmhallu_core.evaluate.audit_yes_no import audit_yes_no, interval
from mmhallu_core.evaluate.benchmark import Benchmark
from mmhallu_core.evaluate.benchmarks.pope import as_question
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.types import CannotRun, RecordError, require

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
# The rules that read what the options say. `whitespace_then_jaccard` reads blanks at their ends before that.
WORDING = ("most_similar_jaccard", "most_similar_edit", "longest")


def best_by_wording(audit: Mapping[str, Any]) -> str:
    """The name of the rule that is right most often among those that read the wording of the options and no more.

    Args:
        audit: see `audit_multiple_choice`.
    """
    return max(WORDING, key=audit["rules"].get)


def apart(audit: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """The `rules` of an audit in two parts: those that read the questions alone, and those that read right answers."""
    key = audit["reads_the_key"]
    rules = audit["rules"]
    return {name: rules[name] for name in rules if name not in key}, {name: rules[name] for name in key}


def audit_multiple_choice(questions: Sequence[Question]) -> dict[str, Any]:
    """The blind baselines of multiple-choice questions.

    Returns:
        `n`, `chance` (a guess among each question's options), `rules` (share of questions that each rule gets right),
        `ties` (the same rules when the last of equals is taken, and on average over the equals), `ci` (95% intervals
        of `rules`). One of `rules` reads no option but the answers of the file: it always says the `majority_letter`,
        the one that is right most often. `reads_the_key` names it.

    Raises:
        RecordError: when there are no questions.
    """
    require(len(questions) > 0, "there are no questions to audit")
    n = len(questions)
    hits: dict[str, list[bool]] = {name: [] for name in RULES}
    last, average = Counter(), Counter()
    for question in questions:
        right = LETTERS.index(question.truth)
        for name, rule in RULES.items():
            values = rule(question.options)
            best = [number for number, value in enumerate(values) if value >= max(values) - 1e-9]
            hits[name].append(best[0] == right)
            last[name] += best[-1] == right
            average[name] += (right in best) / len(best)
    truths = [question.truth for question in questions]
    letter = max(sorted(set(truths)), key=truths.count)
    hits["majority_letter"] = [truth == letter for truth in truths]
    return {
        "n": n,
        "chance": sum(1 / len(question.options) for question in questions) / n,
        "rules": {name: sum(one) / n for name, one in hits.items()},
        "majority_letter": letter,
        "reads_the_key": ["majority_letter"],
        "ties": {"average": {name: average[name] / n for name in RULES}, "last": {n_: last[n_] / n for n_ in RULES}},
        "ci": {name: interval(one, questions) for name, one in hits.items()},
    }


def audit(what: str | Benchmark | Sequence[Question], vlm: Any = None) -> dict[str, Any]:
    """The blind baselines of any multiple-choice or yes/no questions.

    Args:
        what: a benchmark or its name (its files are read from the data folder), or questions.
        vlm: a `models.vlm.Vlm`; it is asked, too, with grey pictures of the same sizes.

    Returns:
        See `audit_multiple_choice` and `audit_yes_no`; `no_image` with a model, see `blind.no_image`;
        `left_out`, the number of questions that are neither, where there are some; and `contradictions`, where the
        benchmark's files contradict themselves: what its reader says about it (`about["contradiction"]`), and how
        often.

    Raises:
        CannotRun: when there are no such questions, or both kinds, or an id comes more than once.
    """
    one = benchmark(what) if isinstance(what, str) else what
    questions = list(one.read(None) if isinstance(one, Benchmark) else one)
    twice = [name for name, count in Counter(question.id for question in questions).items() if count > 1]
    if twice:
        raise CannotRun(f"{len(twice)} question ids come more than once: {', '.join(twice[:5])}")
    lettered = [question for question in questions if question.options]
    yes_no = [question for question in questions if not question.options and question.truth in ("yes", "no")]
    if bool(lettered) == bool(yes_no):
        found = "both" if lettered else "neither"
        raise CannotRun(f"an audit takes multiple-choice questions or yes/no questions; here are {found}")
    asked = lettered or yes_no
    result = audit_multiple_choice(asked) if lettered else audit_yes_no(asked)
    if len(asked) < len(questions):
        result["left_out"] = len(questions) - len(asked)
    against = Counter(question.about["contradiction"] for question in questions if "contradiction" in question.about)
    if against:
        result["contradictions"] = dict(against)
    if vlm is not None:
        from mmhallu_core.evaluate.blind import no_image

        result["no_image"] = no_image(asked, vlm)
    return result


def read_any(path: str | Path) -> list[Question]:
    """Reads anybody's questions: `Question` records, multiple choice (`options`, `answer`), or POPE's form (`label`).

    Raises:
        CannotRun: when there is no such file.
        RecordError: when it is of none of these forms; names file and line where a row is wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise CannotRun(f"there is no file {path}")
    found = list(json_objects(path))
    require(len(found) > 0, f"{path}: no questions in it")
    keys = set(found[0][1])
    if {"id", "prompt", "truth"} <= keys:
        return _records(path, found)
    if "options" in keys:
        return [_as_question(item) for item in read_multiple_choice(path)]
    if "label" in keys:
        return [as_question(one) for one in read_questions(path)]
    raise RecordError(
        f"{path}: neither questions with `options` and `answer`, nor with `label` (yes or no), nor with `id`, `prompt` "
        f"and `truth`; there are {', '.join(sorted(keys))}. The file of a published benchmark is named with it: "
        "mmhallu audit NAME --questions FILE"
    )


def _records(path: Path, found: list[tuple[int, dict[str, Any]]]) -> list[Question]:
    questions, first_seen = [], {}
    for line, values in found:
        here = f"{path}, line {line}"
        try:
            questions.append(Question.from_dict(values))
        except RecordError as error:
            raise RecordError(f"{here}: {error}") from error
        name = questions[-1].id
        require(name not in first_seen, f"{here}: id {name!r} was already used in line {first_seen.get(name)}")
        first_seen[name] = line
    return questions


def _as_question(item: MultipleChoice) -> Question:
    lines = [item.question, *(option.strip() for option in item.options)]
    about = {"category": item.category} if item.category else {}
    images = (item.image,) if item.image else ()
    return Question(item.id, "\n".join(lines).strip(), item.answer, images, item.options, about)

"""The blind audit: what a benchmark gives away to somebody who sees no picture.

Distractors are usually the right answer changed a little, so the option that all others resemble is right. The rules
here are fixed beforehand and look at no picture; a benchmark on which they score far above chance does not measure
sight alone. `reads_the_key` names the rule that knows how often each answer is right in this file.

Words are the lower-cased `\\w+` tokens of an option without its letter. Every rule gives each option a value and takes
the highest; among equals it takes the earliest, and `ties` says what two other ways to break them would give.
With a model, the same questions are asked about grey pictures (`blind.py`).

Yes/no questions have rules of their own. `always_yes` and `always_no` need no explanation. The object prior does what a
model does that knows how often things are there: it decides about a question with the answers to the same question (or
about the same `object`) for *other* pictures, y of them yes and n no.

* If y and n differ by more than two standard deviations of y + n fair coins, 2 * sqrt(y + n): the more frequent one.
* Else the answer that is right most often in the whole file, yes where both are equal.

The more frequent one alone would not do: in a file with as many yes as no for each thing, the other answers always lean
to the wrong side, by one.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmhallu_core.data.question import LETTERS, Question, without_label
from mmhallu_core.evaluate.benchmark import Benchmark
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.evaluate.joining import require_once
from mmhallu_core.evaluate.metrics import interval
from mmhallu_core.types import CannotRun, require

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
    """The rule of an audit that is right most often among those that read the wording of the options and no more."""
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


# ---------------------------------------------------------------- yes or no


def asked_about(question: Question) -> str:
    """What a question is about: its `object` where it names one, else its own text."""
    return str(question.about.get("object") or question.prompt).strip().lower()


def object_prior(questions: Sequence[Question]) -> list[str | None]:
    """What the habit of each question's object says; None where there is no clear one."""
    total: dict[str, Counter[str]] = {}
    here: dict[tuple[str, str], Counter[str]] = {}
    for question in questions:
        name = asked_about(question)
        total.setdefault(name, Counter())[question.truth] += 1
        here.setdefault((name, question.picture), Counter())[question.truth] += 1
    said: list[str | None] = []
    for question in questions:
        name = asked_about(question)
        own = here[name, question.picture]
        yes, no = (total[name][label] - own[label] for label in ("yes", "no"))
        clear = (yes - no) ** 2 > 4 * (yes + no)
        said.append(None if not clear else "yes" if yes > no else "no")
    return said


def audit_yes_no(questions: Sequence[Question]) -> dict[str, Any]:
    """The blind baselines of yes/no questions.

    Returns:
        `n`, `chance`, `rules` (share right of `always_yes`, `always_no`, `object_prior`), `objects` (how many things
        are asked about), `clear` (share of questions whose object has a clear habit), `ci` (95% intervals of `rules`),
        `reads_the_key` (the rule that reads answers: `object_prior` knows those about other pictures).
    """
    truths = [question.truth for question in questions]
    usual = "yes" if 2 * truths.count("yes") >= len(truths) else "no"
    prior = object_prior(questions)
    hits = {
        "always_yes": [truth == "yes" for truth in truths],
        "always_no": [truth == "no" for truth in truths],
        "object_prior": [(one or usual) == truth for one, truth in zip(prior, truths, strict=True)],
    }
    return {
        "n": len(questions),
        "chance": 0.5,
        "rules": {name: sum(one) / len(one) for name, one in hits.items()},
        "reads_the_key": ["object_prior"],
        "objects": len({asked_about(question) for question in questions}),
        "clear": sum(one is not None for one in prior) / len(prior),
        "ci": {name: interval(one, questions) for name, one in hits.items()},
    }


# ---------------------------------------------------------------- either


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
    require_once(questions)
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

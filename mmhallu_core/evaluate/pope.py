"""POPE: ask "Is there a dog in the image?" and count the answers.

Half of the questions are about objects that are there, half about objects that are not (Li et al., arXiv 2305.10355).
How the absent ones are chosen is the point of the benchmark:

* random: any object;
* popular: the objects that are most frequent in all pictures;
* adversarial: the objects that most often stand beside what is in this picture. A model that answers from habit fails
  here.

Two readings of an answer (`answers.py`) are reported side by side, because harnesses disagree about them and the
disagreement moves scores:

* official: the published script takes what stands before the first full stop, and says "no" if a word of it is exactly
  `No`, `no` or `not`, else "yes". So an empty answer is a yes, and so is "NO".
* strict: exactly one of the words yes and no must occur. Anything else is unparsed, is counted, and is wrong for its
  label in every score: beside a "yes" like a missed object, beside a "no" like a false yes.

Harnesses differ most in the last point, and a score can say too much:

* lmms-eval (0.7.3, tasks/pope/utils.py) leaves an answer that is not "yes" or "no" as a whole out of precision, recall
  and F1. One right yes, nine answers "Yes." and ten right noes give accuracy 0.55 and F1 1.0.
* VLMEvalKit (dataset/utils/yorn.py, commit e8e78f0) counts an unreadable answer as a "no" there. Five right yeses and
  five unreadable answers to "no" questions give accuracy 0.5, F1 1.0.
* Here both give less: 2 TP / (2 TP + FP + FN), with the unreadable ones among FP and FN.

`yes_ratio` is the share of *answers* that say yes. (lmms-eval reports that of the labels, which is always one half.)
"""

import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mmhallu_core.data.answers import thinking
from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.answers import YES_NO, Reading
from mmhallu_core.evaluate.answers import strict as strict_reading
from mmhallu_core.evaluate.joining import join
from mmhallu_core.evaluate.metrics import Metric, Metrics, intervals, share, values, yes_sides
from mmhallu_core.statistics import DRAWS
from mmhallu_core.types import Answer, CannotRun, YesNoQuestion

SAMPLINGS = ("random", "popular", "adversarial")
METRICS = ("accuracy", "precision", "recall", "f1", "yes_ratio")


def as_question(one: YesNoQuestion, split: str = "") -> Question:
    """POPE's record as a question to ask; COCO's picture numbers become file names."""
    name = f"COCO_val2014_{int(one.image_id):012d}.jpg" if one.image_id.isdigit() else one.image_id
    about = {"split": split} if split else {}
    return Question(f"{split}/{one.id}" if split else one.id, one.question, one.label, (name,), (), about)


def answers_to(questions: Sequence[YesNoQuestion], answers: Sequence[Answer]) -> list[str]:
    """The answer texts in the order of the questions, joined by id; see `joining.join`."""
    return join([as_question(one) for one in questions], answers, None)[1]


def in_order(questions: Sequence[YesNoQuestion], answers: Sequence[Answer]) -> list[Answer]:
    """The answers with the ids of the questions, the k-th of the k-th: for answers without ids, as POPE's README has
    them.

    Raises:
        CannotRun: when there are not as many answers as questions.
    """
    if len(answers) != len(questions):
        raise CannotRun(f"{len(answers)} answers for {len(questions)} questions cannot be joined by position")
    return [replace(answer, id=question.id) for question, answer in zip(questions, answers, strict=True)]


def _scores(questions: Sequence[Question], texts: Sequence[str], read: Callable[[str], Reading]) -> Metrics:
    pictures = [question.picture for question in questions]
    sides = yes_sides(questions, [read(text) for text in texts])
    return {name: Metric(*side, pictures) for name, side in sides.items()}


def official(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """The five metrics by the published reading, under which what is not a no is a yes."""
    return _scores(questions, texts, YES_NO["POPE"])


def strict(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """The five metrics by the strict reading, and the share of answers that it cannot read."""
    unparsed = [strict_reading(text) is None for text in texts]
    return {**_scores(questions, texts, strict_reading), "unparsed": share(unparsed, questions)}


def score_pope(questions: Sequence[YesNoQuestion], answers: Sequence[Answer], draws: int = DRAWS) -> dict[str, Any]:
    """Scores yes/no answers by both readings, with bootstrap intervals over pictures (a picture's questions are drawn
    together).

    Args:
        questions: with their labels.
        answers: one per question, joined by id.
        draws: bootstrap samples.

    Returns:
        `n, images, empty_answers, official: {accuracy, precision, recall, f1, yes_ratio}, strict: {the same,
        unparsed}, ci: {official, strict}`. A score with nothing in its denominator is None. Where a model thought
        aloud, `thinking`: see `data.answers.thinking`.

    Raises:
        CannotRun: when there are no questions, questions and answers do not match by id, or every answer is its own
            question.
    """
    asked, texts = [as_question(one) for one in questions], answers_to(questions, answers)
    found = {"official": official(asked, texts), "strict": strict(asked, texts)}
    return {
        "n": len(questions),
        "images": len({question.image_id for question in questions}),
        "empty_answers": sum(not text.strip() for text in texts),
        "ci": {rule: intervals(metrics, draws) for rule, metrics in found.items()},
        **thinking(answers),
        **{rule: values(metrics) for rule, metrics in found.items()},
    }


def right_by_image(questions: Sequence[YesNoQuestion], answers: Sequence[Answer]) -> dict[str, float]:
    """The share of right answers about each picture, by the strict reading: image id to share.

    Two samplings ask the same pictures, so their difference can be taken picture by picture.

    Raises:
        CannotRun: when questions and answers do not match by id.
    """
    right: dict[str, list[bool]] = {}
    for question, text in zip(questions, answers_to(questions, answers), strict=True):
        right.setdefault(question.image_id, []).append(strict_reading(text) == question.label)
    return {image: float(np.mean(values)) for image, values in right.items()}


def question_about(name: str) -> str:
    """POPE's question about one object: "Is there a dog in the image?"."""
    return f"Is there {'an' if name[0].lower() in 'aeiou' else 'a'} {name} in the image?"


def habits(truth: Mapping[str, Collection[str]]) -> tuple[list[str], dict[str, list[str]]]:
    """What a set of pictures makes one expect: objects by frequency, and for each object what stands beside it most
    often."""
    frequency = Counter(name for objects in truth.values() for name in set(objects))
    beside: dict[str, Counter] = {name: Counter() for name in frequency}
    for objects in truth.values():
        for name in set(objects):
            beside[name].update(set(objects) - {name})
    return _ranked(frequency), {name: _ranked(counts) for name, counts in beside.items()}


def _ranked(counts: Counter) -> list[str]:
    """Names from the most to the least frequent; ties in alphabetical order."""
    return sorted(counts, key=lambda name: (-counts[name], name))


def choose_absent(
    asked: Sequence[str],
    objects: Collection[str],
    sampling: str,
    popular: Sequence[str],
    companions: Mapping[str, Sequence[str]],
    spare: Sequence[str],
) -> list[str]:
    """An absent object for each present one that is asked about, as POPE's own code pairs them; none is taken twice.

    Args:
        asked: present objects, in the order of the questions.
        objects: everything in the picture.
        sampling: "random" takes from `spare`, "popular" the most frequent object, "adversarial" the one that most often
            stands beside the present object it is paired with.
        popular: from `habits`.
        companions: from `habits`.
        spare: absent objects in random order, for "random" and where nothing else is left.
    """
    chosen: list[str] = []
    for name in asked:
        ranking = {"random": [], "popular": popular, "adversarial": companions.get(name, [])}[sampling]
        chosen.append(next(one for one in [*ranking, *spare] if one not in objects and one not in chosen))
    return chosen


def sample_questions(
    truth: Mapping[str, Collection[str]], sampling: str, per_image: int = 6, seed: int = 0
) -> list[YesNoQuestion]:
    """Makes POPE questions from any ground truth: for each picture, as many about absent objects as about present ones.

    A picture with fewer than `per_image / 2` objects, or a world with too few objects, gives fewer questions, still
    half and half.

    Args:
        truth: image id to the names of the objects in it.
        sampling: "random", "popular" or "adversarial".
        per_image: questions a picture, an even number.
        seed: same seed, same questions, whatever the order of the pictures.

    Raises:
        CannotRun: for another sampling, or an odd number of questions.
    """
    if sampling not in SAMPLINGS:
        raise CannotRun(f"no such sampling: {sampling!r}; choose one of {', '.join(SAMPLINGS)}")
    if per_image < 2 or per_image % 2:
        raise CannotRun(f"`per_image` must be even and at least 2 (half present, half absent), got {per_image}")
    popular, companions = habits(truth)
    questions = []
    for image, objects in truth.items():
        dice = random.Random(f"{seed}:{image}")
        present, spare = sorted(set(objects)), sorted(set(popular) - set(objects))
        dice.shuffle(present)
        dice.shuffle(spare)
        asked = present[: min(per_image // 2, len(spare))]
        absent = choose_absent(asked, objects, sampling, popular, companions, spare)
        pairs = [pair for yes, no in zip(asked, absent, strict=True) for pair in ((yes, "yes"), (no, "no"))]
        questions += [
            YesNoQuestion(f"{sampling}/{image}/{number}", image, question_about(name), label)
            for number, (name, label) in enumerate(pairs, start=1)
        ]
    return questions

"""Answers and a judge's verdicts beside the questions that they belong to: by id, or not at all."""

from collections import Counter
from collections.abc import Sequence

from mmhallu_core.data.question import Question
from mmhallu_core.types import Answer, CannotRun

Heard = tuple[list[Question], list[str], list[str | None]]  # questions, answers, and what the official rule read


def join(
    questions: Sequence[Question],
    answers: Sequence[Answer],
    subset: bool | None = False,
    by_position: bool = False,
    what: str = "answer",
) -> tuple[list[Question], list[str]]:
    """Questions with their answers' texts, in the order of the questions.

    Args:
        questions: of the benchmark.
        answers: of a model.
        subset: leave out questions without an answer; else they are an error. None where a caller has no such choice.
        by_position: take the k-th answer for the k-th question whatever the ids say, as several published scripts do.
            It is how shifted labels went unnoticed; use it for answers without ids alone.
        what: how messages call an answer.

    Raises:
        CannotRun: when ids repeat, an answer has no question, a question has no answer (unless `subset`), nothing is
            left, there are not as many answers as questions (with `by_position`), or every answer is its own question.
    """
    if not questions:
        raise CannotRun("no questions to score")
    if by_position:
        if subset:
            raise CannotRun("without ids nobody knows which questions have no answer: leave out --subset")
        if len(answers) != len(questions):
            raise CannotRun(f"{len(answers)} {what}s for {len(questions)} questions cannot be joined by position")
        kept, texts = list(questions), [answer.answer for answer in answers]
    else:
        kept = _with_an_answer(questions, answers, subset, what)
        said = {answer.id: answer.answer for answer in answers}
        texts = [said[question.id] for question in kept]
    refuse_questions([question.prompt for question in kept], texts)
    return kept, texts


def _with_an_answer(
    questions: Sequence[Question], answers: Sequence[Answer], subset: bool | None, what: str
) -> list[Question]:
    require_once(questions, "question")
    require_once(answers, what)
    given, asked = {answer.id for answer in answers}, {question.id for question in questions}
    strange = [answer.id for answer in answers if answer.id not in asked]
    missing = [question.id for question in questions if question.id not in given]
    article = "an" if what[0] in "aeiou" else "a"
    faults = [f"{len(strange)} {what}s to no question: {', '.join(strange[:5])}"] if strange else []
    if missing and not subset:
        first = ", ".join(missing[:5])
        hint = "" if subset is None else " (--subset scores the others)"
        faults += [f"{len(missing)} questions without {article} {what}: {first}{hint}"]
    if faults:
        raise CannotRun(f"questions and {what}s do not match by id. " + "; ".join(faults))
    kept = [question for question in questions if question.id in given]
    if not kept:
        raise CannotRun(f"no question has {article} {what}")
    return kept


def require_once(records: Sequence[Question | Answer], what: str = "question") -> None:
    """Raises CannotRun, with some of them, when ids come more than once."""
    twice = [name for name, count in Counter(record.id for record in records).items() if count > 1]
    if twice:
        raise CannotRun(f"{len(twice)} {what} ids come more than once: {', '.join(twice[:5])}")


def refuse_questions(prompts: Sequence[str], texts: Sequence[str]) -> None:
    """Refuses answers that are nothing but the questions: then a file of questions was taken for one of answers.

    Raises:
        CannotRun: when each text of several words stands in its own question, word for word.
    """
    same = (len(text.split()) > 2 and text.strip() in prompt for prompt, text in zip(prompts, texts, strict=True))
    if all(same):
        raise CannotRun(
            "each answer is its own question, word for word. Is this the file of questions? Or is the answer in "
            "another column? --answer-key NAME says in which"
        )


def with_verdicts(
    questions: Sequence[Question], heard: Heard, verdicts: Sequence[Answer], subset: bool, by_position: bool
) -> Heard:
    """The judge's words in the places that the official rule left open.

    Args:
        questions: of the benchmark.
        heard: those with an answer, the answers, and what the rule read by itself; None where it asks its judge.
        verdicts: of the judge, on answers that wait for one. Those on other answers are not needed.
        subset: leave out answers that wait for a verdict and have none; else they are an error.
        by_position: see `join`; then there is a verdict on each answer.

    Raises:
        CannotRun: see `join`.
    """
    kept, texts, own = heard
    if by_position:
        words = join(kept, verdicts, by_position=True, what="verdict")[1]
        return kept, texts, [word if one is None else one for one, word in zip(own, words, strict=True)]
    left = [question for question, one in zip(kept, own, strict=True) if one is None]
    if not left:
        return heard
    needless = {question.id for question in (questions if subset else kept)} - {question.id for question in left}
    judged, words = join(left, [one for one in verdicts if one.id not in needless], subset, what="verdict")
    said = {question.id: word for question, word in zip(judged, words, strict=True)}
    rows = [(q, text, said.get(q.id) if one is None else one) for q, text, one in zip(*heard, strict=True)]
    kept, texts, own = zip(*(row for row in rows if row[2] is not None), strict=True)
    return list(kept), list(texts), list(own)

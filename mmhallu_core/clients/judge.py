"""Judges for free answers: a word for HallusionBench and MMVP, an option for BLINK, a rating for MMHal-Bench.

The prompts are this project's own; the job and the form of the reply are the benchmarks', so that the official rules
read them. A verdict is read from the judge's reply alone, never from the prompt. A reply that holds no verdict is asked
for again, twice, under ids of their own; then the case is put aside with all that the judge said and counts for
nothing: `value` is None. The benchmarks' own programs put a standard verdict there; the official scorers of
`evaluate/benchmarks` do so, from the judge's first replies (`first_replies`).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmhallu_core.clients.client import CallFailed, Request, fenced
from mmhallu_core.clients.journaled import JournaledClient
from mmhallu_core.data.answers import split_thought
from mmhallu_core.types import Answer, Number, Record

TRIES = 3
UNPARSABLE = "unparsable"


@dataclass(frozen=True)
class Case:
    """An answer to be judged.

    Attributes:
        id: unique among the cases of a run.
        question: what was asked about the picture.
        reference: the right answer, as the benchmark gives it.
        answer: what the model under test said.
        contents: what the picture shows, in words, where the benchmark says so.
    """

    id: str
    question: str
    reference: str
    answer: str
    contents: str | None = None


@dataclass(frozen=True)
class Verdict(Record):
    """What a judge decided about one case.

    Attributes:
        id: the case's.
        texts: everything that the judge said, in order.
        value: the verdict; None when no reply held one.
        reason: why there is no verdict: "unparsable", or the reason of a failed call. None when there is one.
    """

    id: str
    texts: tuple[str, ...]
    value: str | Number | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Judge:
    """A job for a judge.

    Attributes:
        name: goes into the ids of requests.
        instructions: the job.
        ending: the form of the reply.
        read: the verdict in a reply, None when there is none.
        max_tokens: room for the reply.
        temperature: as `Request` has it.
        sees_reference: whether the judge is told the right answer.
    """

    name: str
    instructions: str
    ending: str
    read: Callable[[str], str | int | None]
    max_tokens: int
    temperature: float | None = 0.0
    sees_reference: bool = True

    def prompt(self, case: Case) -> str:
        """The whole prompt about one case; a judge sees no picture, so its contents go along where they are known."""
        reference = case.reference if self.sees_reference else None
        data = {"question": case.question, "picture": case.contents, "reference": reference, "answer": case.answer}
        return fenced(self.instructions, {name: text for name, text in data.items() if text is not None}, self.ending)


def read_correctness(text: str) -> str | None:
    """HallusionBench's verdict in a judge's reply: "incorrect", "correct" or "unclear", looked for in this order.

    The order is the official one, and it matters: "incorrect" holds "correct".

    Returns:
        None when the reply holds none of the words.
    """
    lower = text.lower()
    return next((word for word in ("incorrect", "correct", "unclear") if word in lower), None)


def read_rating(text: str) -> int | None:
    """MMHal-Bench's rating in a judge's reply: the one number after "rating:".

    Returns:
        None when there is no such number, when there are several different ones, or it is not a whole number from 0
        to 6.
    """
    found = {word.rstrip(".,;)").removesuffix("/6") for word in re.findall(r"rating:[\s*_`]*([^\s*_`]+)", text.lower())}
    only = found.pop() if len(found) == 1 else ""
    return int(only) if only in set("0123456") else None


def read_yes_or_no(text: str) -> str | None:
    """MMVP's verdict: a reply that is yes or no in any case, and nothing else; None for any other."""
    return text.lower() if text.lower() in ("yes", "no") else None


def read_choice(text: str) -> str | None:
    """BLINK's verdict: a reply that is one letter in brackets, Z for no option; None for any other."""
    return text if re.fullmatch(r"\([A-EZ]\)", text) else None


def official_correctness(text: str) -> str:
    """HallusionBench's own program on a judge's first reply: whatever holds neither word is "unclear"."""
    return read_correctness(text) or "unclear"


HALLUSION = Judge(
    name="hallusionbench",
    instructions="""\
You grade answers to questions about pictures. You do not see the picture; trust the reference, which tells what is \
true. Compare the answer with the reference and choose one word:
- correct: the answer gives the same decision as the reference, and nothing in its reasons goes against it.
- incorrect: the answer gives another decision, or gives the right one for a reason that goes against the reference.
- unclear: the answer gives no decision, says that it cannot tell, or contradicts itself.""",
    ending="Now grade the `answer`. Reply with one word and nothing else: correct, incorrect or unclear.",
    read=read_correctness,
    max_tokens=16,
)

MMHAL = Judge(
    name="mmhal",
    instructions="""\
You rate answers to questions about pictures. You do not see the picture. You get a list of what it shows, which may \
leave out small things, and a reference answer, which is right. First decide whether the answer hallucinates: it does \
when it states something about the picture that the list and the reference go against, or that nothing in them \
supports. A careful conclusion from them is no hallucination. Then decide how much it tells about what was asked.
- 6: no hallucination; it tells very much, with good reasoning or more than was asked.
- 5: no hallucination; it tells very much.
- 4: no hallucination; it tells some of it.
- 3: no hallucination; it tells nothing useful.
- 2: it hallucinates; else it tells very much.
- 1: it hallucinates; else it tells some of it.
- 0: it hallucinates, and it tells nothing useful.""",
    ending="""\
Now rate the `answer`. Give your reason in at most three sentences, without repeating its words. Then end with one \
line that holds nothing but `Rating: ` and the whole number, and write the word rating nowhere else.""",
    read=read_rating,
    max_tokens=512,
)

MMVP = Judge(
    name="mmvp",
    instructions="""\
You check answers to questions about pictures. You do not see the picture; trust the reference, which is the right \
answer. Say whether the answer gives the same decision as the reference, by its letter or in words.""",
    ending="Does the `answer` answer the question correctly? Reply with one word and nothing else: yes or no.",
    read=read_yes_or_no,
    max_tokens=16,
)

BLINK = Judge(
    name="blink",
    instructions="""\
You find out which option of a question an answer chooses. You do not see the picture, and which option is right does \
not matter here. Choose the option that the answer says or means. Choose Z when it refuses, chooses none of them, or \
does not decide between several.""",
    ending="Reply with the option's letter in brackets and nothing else: (A), (B), (C), (D), (E), or (Z) for none.",
    read=read_choice,
    max_tokens=16,
    sees_reference=False,
)

JUDGES = {job.name: job for job in (HALLUSION, MMHAL, MMVP, BLINK)}

AGAIN = "\nYour last reply could not be read. Keep to the form that the last lines ask for."


def judge(client: JournaledClient, job: Judge, cases: Sequence[Case], progress: str | None = None) -> list[Verdict]:
    """Has every case judged; nothing that the journal knows is asked again.

    Args:
        client: asks the judge.
        job: one of `JUDGES`, or one's own.
        cases: with ids that are all different.
        progress: label of a progress bar, none when None.

    Returns:
        One verdict a case, in their order.

    Raises:
        Stopped: see `JournaledClient.ask_all`.
    """
    texts: dict[str, list[str]] = {case.id: [] for case in cases}
    values: dict[str, str | int] = {}
    reasons: dict[str, str] = {}
    waiting = list(cases)
    for number in range(1, TRIES + 1):
        asked = [_request(job, case, number) for case in waiting]
        for case, outcome in zip(waiting, client.ask_all(asked, progress), strict=True):
            if isinstance(outcome, CallFailed):
                reasons[case.id] = outcome.reason
                texts[case.id] += [] if outcome.text is None else [outcome.text]
                continue
            texts[case.id].append(outcome.text)
            value = job.read(split_thought(outcome.text)[0])
            if value is not None:
                values[case.id] = value
        waiting = [case for case in waiting if case.id not in values and case.id not in reasons]
    return [_verdict(case.id, values.get(case.id), texts[case.id], reasons.get(case.id)) for case in cases]


def first_replies(verdicts: Sequence[Verdict]) -> list[Answer]:
    """The judge's first replies by case, as the official scorers read them; a case with a failed call is left out."""
    read = [verdict for verdict in verdicts if verdict.reason in (None, UNPARSABLE)]
    return [Answer(verdict.id, split_thought(verdict.texts[0])[0]) for verdict in read]


def _request(job: Judge, case: Case, number: int) -> Request:
    """What is asked on the first, second or third try; each has an id of its own, as each is another question."""
    name = f"{job.name}/{case.id}" if number == 1 else f"{job.name}/{case.id}#try{number}"
    return Request(name, job.prompt(case) + AGAIN * (number > 1), (), None, job.max_tokens, job.temperature)


def _verdict(name: str, value: str | int | None, texts: list[str], failed: str | None) -> Verdict:
    reason = None if value is not None else failed or UNPARSABLE
    return Verdict(name, tuple(texts), value, reason)

"""Benchmarks through a client: answers by a model behind a server, and verdicts by a judge.

Both keep a journal in the output folder, so that a stopped run goes on without paying for anything twice, and both
write what came of it only at the end: `answers.jsonl` and `errors.jsonl`, or `verdicts.jsonl` and `judged.jsonl`. What
has no usable reply is in the second file with its reason, and in no score.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmhallu_core.clients.client import CallFailed, Client, Reply, Request
from mmhallu_core.clients.journaled import JournaledClient
from mmhallu_core.clients.judge import JUDGES, Case, Judge, first_replies, judge
from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.answer_journal import ANSWERS, ERRORS, Refused, as_answer
from mmhallu_core.evaluate.benchmark import Benchmark, own_readings
from mmhallu_core.evaluate.joining import join
from mmhallu_core.store import run_lock
from mmhallu_core.types import Answer, CannotRun, write_jsonl

VERDICTS, JUDGED = "verdicts.jsonl", "judged.jsonl"


def ask_questions(
    questions: Sequence[Question],
    client: Client,
    out: Path,
    max_tokens: int = 512,
    workers: int = 4,
    about: dict[str, Any] | None = None,
    progress: str | None = None,
) -> dict[str, Any]:
    """Puts questions to a model behind a client; writes `answers.jsonl` and `errors.jsonl`.

    Args:
        questions: of a benchmark.
        client: the model.
        out: the run's folder.
        max_tokens: where an answer is cut; a cut answer is an error.
        workers: questions in flight at a time.
        about: what else identifies the run.
        progress: label of a progress bar, none when None.

    Returns:
        `answered`, `errors`, and what it cost, see `JournaledClient.spent`.

    Raises:
        Stopped: when the run ended early; call again to go on.
        JournalError: when the folder belongs to another run.
        Locked: when another run is at work in it.
    """
    requests = [Request(one.id, one.prompt, one.images, max_tokens=max_tokens) for one in questions]
    with run_lock(out):
        asking = JournaledClient(client, out / "journal.jsonl", about, workers)
        outcomes = asking.ask_all(requests, progress)
        pairs = list(zip(questions, outcomes, strict=True))
        write_jsonl(out / ANSWERS, [as_answer(one.id, end.text) for one, end in pairs if isinstance(end, Reply)])
        failures = [Refused(one.id, str(end)) for one, end in pairs if isinstance(end, CallFailed)]
        write_jsonl(out / ERRORS, failures)
    return {"answered": len(outcomes) - len(failures), "errors": len(failures), **asking.spent()}


def judge_answers(
    benchmark: Benchmark,
    questions: Sequence[Question],
    answers: Sequence[Answer],
    client: Client,
    out: Path,
    subset: bool = False,
    workers: int = 4,
    progress: str | None = None,
    job: Judge | None = None,
) -> dict[str, Any]:
    """Has a judge grade answers; writes `verdicts.jsonl`, which the official scorer reads, and `judged.jsonl`.

    Answers that the official rule reads without its judge are not sent.

    Args:
        benchmark: one whose official rule needs a judge.
        questions, answers: of the benchmark, and of the model under test.
        client: the judge.
        subset: judge the questions that have an answer.
        out, workers, progress: as in `ask_questions`.
        job: the judge's, as when it needs more room for a reply; the benchmark's own when None.

    Returns:
        `judged`, `reasons` (how many cases have no verdict, by reason), and what it cost, see
        `JournaledClient.spent`.

    Raises:
        CannotRun: when the benchmark needs no judge, or answers do not fit the questions.
        Stopped, JournalError, Locked: see `ask_questions`.
    """
    if benchmark.judge is None:
        raise CannotRun(f"{benchmark.name} needs no judge: use `mmhallu score {benchmark.name}`")
    kept, texts = join(questions, answers, subset)
    pairs = zip(kept, texts, own_readings(benchmark, kept, texts), strict=True)
    cases = [_case(question, text) for question, text, own in pairs if own is None]
    with run_lock(out):
        asking = JournaledClient(client, out / "journal.jsonl", {"benchmark": benchmark.name}, workers)
        found = judge(asking, job or JUDGES[benchmark.judge], cases, progress)
        write_jsonl(out / JUDGED, found)
        write_jsonl(out / VERDICTS, first_replies(found))
    reasons = Counter(verdict.reason for verdict in found if verdict.reason is not None)
    return {"judged": len(found) - sum(reasons.values()), "reasons": dict(reasons), **asking.spent()}


def _case(question: Question, answer: str) -> Case:
    """What a judge gets to see. HallusionBench's references are sentences; MMHal-Bench also lists what is shown."""
    objects = question.about.get("objects")
    contents = ", ".join(map(str, objects)) if objects else None
    return Case(question.id, question.prompt, question.about.get("reference") or question.truth, answer, contents)

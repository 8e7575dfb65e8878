"""Puts a benchmark's questions to a model: each picture read once, smaller batches when memory runs out, and resumable.

Questions about the same pictures go together (`models/shared_prefix.py`), and so do sets of pictures with questions
of like length. When memory runs out, batches get half as large from there on. A picture that cannot be read is an
error of its own questions, written down, and the run goes on. Answers are greedy, and do not depend on the size of a
batch or on how many processes share the work:

    accelerate launch --num_processes 2 -m mmhallu_core.cli eval pope ...        two GPUs
    torchrun --nproc_per_node 2 -m mmhallu_core.cli eval pope ...                two processes on the CPU

Process k of N takes every N-th set of pictures and keeps its own journal in the folder that they all see.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from PIL import Image
from tqdm.auto import tqdm

from mmhallu_core.data.decode import decode
from mmhallu_core.data.question import Question
from mmhallu_core.evaluate import answer_journal
from mmhallu_core.evaluate.answer_journal import AnswerJournal, Known
from mmhallu_core.evaluate.joining import require_once
from mmhallu_core.models.families import plain
from mmhallu_core.models.fit import PROCESSOR, fitted, require_fit
from mmhallu_core.models.shared_prefix import answers
from mmhallu_core.models.vlm import Vlm, pick_device
from mmhallu_core.store import run_lock
from mmhallu_core.types import CannotRun

# How torch says on the CPU of each system, and on Apple's GPU, that there is no more memory.
NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")

# (for each set of pictures these and its questions, questions a forward pass) -> for each set its texts
Reply = Callable[[Sequence[tuple[list[Image.Image], Sequence[Question]]], int], list[list[str]]]


@dataclass(frozen=True)
class Way:
    """A way to answer: by writing (`written`), or by weighing options (`likelihood.weighed`).

    Attributes:
        reply: answers a batch. What it gives goes to the journal.
        write: makes the files of a run out of what its journals say, whole or not at all.
    """

    reply: Reply
    write: Callable[[Path, Sequence[Question], Known], None] = answer_journal.write_answers


def written(vlm: Vlm, max_new_tokens: int) -> Way:
    """A model's own words, cut at so many tokens."""

    def reply(asked: Sequence[tuple[list[Image.Image], Sequence[Question]]], batch_size: int) -> list[list[str]]:
        texts = [[one.prompt for one in questions] for _, questions in asked]
        return answers(vlm, [pictures for pictures, _ in asked], texts, max_new_tokens, batch_size)

    return Way(reply)


def run(
    questions: Sequence[Question],
    vlm: Vlm,
    out: Path,
    batch_size: int = 48,
    max_new_tokens: int | None = 100,
    progress: bool = True,
    about: dict[str, Any] | None = None,
    way: Way | None = None,
    fit: str = PROCESSOR,
) -> dict[str, Any]:
    """Asks a model all questions that it has not answered yet, and writes `answers.jsonl`.

    Args:
        questions: of a benchmark; ids must be unique.
        vlm: the model; see `processes` where there are several.
        out: folder of the journals, of `answers.jsonl`, and of `errors.jsonl` where there are errors.
        batch_size: questions per forward pass, at most.
        max_new_tokens: where to cut an answer that does not end; None for another `way`.
        progress: a bar with the time left, to the standard error stream.
        about: what else makes this run another run, such as the benchmark's name; JSON values.
        way: of answering; by writing when None.
        fit: "pad" sets every picture into a square first, see `models/fit.py`.

    Returns:
        `model, n` (answers), `errors` (questions that could not be asked), `seconds` (of this call), `asked_again`
        (see `Known`), `halvings` (of the batch), `vision_calls` (passes through the vision tower), `fit`, `cut` and
        `picture_notes` (see `Known.about_pictures`). Counts are of all processes and of all calls for this folder.
        Every process gets the same.

    Raises:
        CannotRun: when ids repeat, memory does not suffice for one question, a picture changed after it was asked
            about, or the folder belongs to another run or is in use.
    """
    started = time.monotonic()
    require_once(questions)
    workers = processes()
    way = way or written(vlm, max_new_tokens)
    require_fit(fit)
    about = {**(about or {}), **({} if fit == PROCESSOR else {"fit": fit})}
    config = answer_journal.configuration(vlm, questions, max_new_tokens, about)
    with run_lock(out) if workers.is_main_process else nullcontext():
        if workers.is_main_process:
            answer_journal.check(out, config)
        workers.wait_for_everyone()
        known = answer_journal.read(out, config)
        pictures = answer_journal.picture_hashes(questions)
        answer_journal.require_same_pictures(known, pictures)
        workers.wait_for_everyone()  # nobody writes before all have read
        journal = AnswerJournal(out, config, workers.process_index, workers.num_processes)
        share = grouped(questions, known, pictures)[workers.process_index :: workers.num_processes]
        _ask(share, vlm, journal, way.reply, batch_size, progress and workers.is_main_process, fit)
        workers.wait_for_everyone()
        known = answer_journal.read(out, config)
        if workers.is_main_process:
            way.write(out, questions, known)
        workers.wait_for_everyone()
    return {
        "model": vlm.name,
        "n": len(known.answers),
        "errors": len(known.errors),
        "seconds": time.monotonic() - started,
        "asked_again": known.asked_again,
        **known.counts,
        "fit": fit,
        **known.about_pictures,
    }


def processes() -> PartialState:
    """The processes that share the work. Call it before a model is loaded, so that each takes a GPU of its own."""
    slowest = timedelta(days=7)  # the others wait for it
    return PartialState(cpu=pick_device().type == "cpu", timeout=slowest)


@dataclass(frozen=True)
class Group:
    """Questions about one set of pictures.

    Attributes:
        pictures: the set's hash.
        questions: in the benchmark's order.
    """

    pictures: str
    questions: tuple[Question, ...]

    @property
    def kind(self) -> tuple[int, bool]:
        """Groups go together when they have as many pictures, and something to share or nothing."""
        return len(self.questions[0].images), len(self.questions) == 1

    @property
    def length(self) -> int:
        """Of its longest prompt, in characters."""
        return max(len(one.prompt) for one in self.questions)


def grouped(questions: Sequence[Question], known: Known, pictures: dict[str, str]) -> list[Group]:
    """The questions that have no answer yet, by their pictures; what can go together stands together.

    A question without a picture shares with nobody and is a group of its own.
    """
    found: dict[tuple[str, str], list[Question]] = {}
    for one in questions:
        if one.id not in known.answers:
            found.setdefault((pictures[one.id], "" if one.images else one.id), []).append(one)
    groups = [Group(name, tuple(some)) for (name, _), some in found.items()]
    return sorted(groups, key=lambda one: (one.kind, one.length))


def take(waiting: list[Group], batch_size: int) -> list[Group]:
    """Removes the next batch from the front: groups of one kind, `batch_size` questions; one group even if larger."""
    batch = [waiting.pop(0)]
    while waiting and waiting[0].kind == batch[0].kind:
        if sum(len(one.questions) for one in [*batch, waiting[0]]) > batch_size:
            break
        batch.append(waiting.pop(0))
    return batch


def _ask(
    waiting: list[Group], vlm: Vlm, journal: AnswerJournal, reply: Reply, batch_size: int, progress: bool, fit: str
) -> None:
    """Asks group after group; all that comes of it goes to the journal."""
    calls: list[int] = []
    tower = plain(vlm.model).get_submodule(vlm.family.vision_tower)
    handle = tower.register_forward_hook(lambda module, args, output: calls.append(1))
    total = sum(len(one.questions) for one in waiting)
    try:
        with tqdm(total=total, desc="answers", unit="question", disable=not progress) as bar:
            while waiting:
                batch = take(waiting, batch_size)
                opened = _open(batch, vlm, journal, fit)
                journal.begin(one.id for some, _ in opened for one in some.questions)
                rows = _answers(opened, reply, journal, batch_size)
                if rows is None:  # the failed attempt's tensors are gone here, so there is room for a smaller one
                    batch_size = max(1, min(batch_size, sum(len(one.questions) for one in batch)) // 2)
                    journal.halve(batch_size)
                    waiting[:0] = batch
                    continue
                if rows:
                    journal.answer(rows, len(calls))
                calls.clear()
                bar.update(sum(len(one.questions) for one in batch))
    finally:
        handle.remove()


Opened = list[tuple[Group, list[Image.Image]]]


def _open(batch: list[Group], vlm: Vlm, journal: AnswerJournal, fit: str) -> Opened:
    """The groups with their pictures; those whose pictures cannot be read are refused."""
    opened = []
    for one in batch:
        try:
            found = [decode(given) for given in one.questions[0].images]
        except CannotRun as error:
            journal.refuse((question.id for question in one.questions), error)
            continue
        pictures = [fitted(picture.image, vlm.processor.image_processor, fit) for picture in found]
        notes = sorted({note for picture in found for note in picture.notes})
        cut = max(map(vlm.cut_share, pictures), default=0.0)
        if notes or cut:
            journal.remark((question.id for question in one.questions), notes, cut)
        opened.append((one, pictures))
    return opened


def _answers(
    opened: Opened, reply: Reply, journal: AnswerJournal, batch_size: int
) -> list[tuple[str, str, str]] | None:
    """The answers to a batch as (id, text, hash of the pictures); None when memory ran out.

    A prompt that the model cannot read would fail its whole batch: then each question is asked by itself.
    """
    if not opened:
        return []
    try:
        said = reply([(pictures, some.questions) for some, pictures in opened], batch_size)
    except (RuntimeError, MemoryError) as error:
        if not _is_no_memory(error):
            raise
        if batch_size == 1:
            raise CannotRun(
                f"there is not enough memory for one question at a time ({str(error).splitlines()[0]}); "
                "use a smaller model or dtype, smaller pictures, or another machine"
            ) from error
        return None
    except CannotRun as error:
        if sum(len(some.questions) for some, _ in opened) > 1:
            return _alone(opened, reply, journal, batch_size)
        journal.refuse([opened[0][0].questions[0].id], error)
        return []
    return [
        (one.id, text, some.pictures)
        for (some, _), found in zip(opened, said, strict=True)
        for one, text in zip(some.questions, found, strict=True)
    ]


def _alone(opened: Opened, reply: Reply, journal: AnswerJournal, batch_size: int) -> list[tuple[str, str, str]] | None:
    """As `_answers`, one question at a time."""
    rows = []
    for some, pictures in opened:
        for one in some.questions:
            found = _answers([(Group(some.pictures, (one,)), pictures)], reply, journal, batch_size)
            if found is None:
                return None
            rows += found
    return rows


def _is_no_memory(error: RuntimeError | MemoryError) -> bool:
    """Whether an error says that memory ran out; on the CPU torch raises a plain RuntimeError for it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(sign in str(error).lower() for sign in NO_MEMORY)

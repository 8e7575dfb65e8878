"""What a model has been asked and what it said, kept so that a stopped run goes on where it was.

Every batch leaves two lines in `journal.jsonl` of the output folder: `begun` before the model is asked, and `answered`
when it has spoken, on disk before anybody counts on it. What is answered is never asked again. Several processes write
a journal each, and everyone reads all. At the end all answers go to `answers.jsonl`, in the order of the questions. A
journal belongs to one configuration (weights, processor, questions and limit); another one is refused.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmhallu_core.data.answers import split_thought
from mmhallu_core.data.decode import BadPicture, read_picture
from mmhallu_core.data.question import Question
from mmhallu_core.models.adapter_folders import weights_sha256
from mmhallu_core.models.greedy import NotFinite
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import Journal, json_sha256
from mmhallu_core.types import Answer, CannotRun, Picture, Record, write_jsonl

SILENT = 8  # questions without a finite number and without an answer between them, after which there will be none
ANSWERS, ERRORS = "answers.jsonl", "errors.jsonl"


@dataclass(frozen=True)
class Refused(Record):
    """A question that could not be asked, and why: one line of `errors.jsonl`."""

    id: str
    error: str


@dataclass
class Known:
    """What the journals of a folder say.

    Attributes:
        answers: question id to the model's text, with what it thought aloud.
        pictures: question id to the hash of the pictures that the answer is about.
        errors: question id to why it could not be asked; an answer removes it.
        asked: question id to how often it was begun.
        remarks: question id to what there is to say of its pictures: `notes`, the decoder's, and `cut`, the largest
            share of one that the processor cut off.
        counts: what happened on the way: `halvings`, and `vision_calls`, passes through the vision tower.
    """

    answers: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    remarks: dict[str, dict[str, Any]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: {"halvings": 0, "vision_calls": 0})

    @property
    def asked_again(self) -> int:
        """How often a question was begun that had begun before: in flight when a run stopped, or refused then."""
        return sum(times - 1 for times in self.asked.values())

    @property
    def about_pictures(self) -> dict[str, Any]:
        """For a result: `picture_notes` (each with its number of questions) and `cut` (`questions`, `largest`)."""
        notes = Counter(note for one in self.remarks.values() for note in one["notes"])
        cut = [one["cut"] for one in self.remarks.values() if one["cut"]]
        return {"picture_notes": dict(notes), "cut": {"questions": len(cut), "largest": max(cut, default=0.0)}}


def configuration(
    vlm: Vlm, questions: Sequence[Question], max_new_tokens: int | None, about: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What answers depend on. The size of a batch and the number of processes are not part of it."""
    writes = vlm.generation if max_new_tokens is not None else {}
    processor = [vlm.processor.chat_template, vlm.processor.image_processor.to_json_string()]
    return {
        **(about or {}),
        "weights": weights_sha256(vlm.model),
        "dtype": str(vlm.model.dtype),
        "processor": json_sha256(processor),
        "questions": json_sha256([[one.id, one.prompt, len(one.images)] for one in questions]),
        "max_new_tokens": max_new_tokens,
        **({"generation": writes} if writes.get("settings") or "decode" in writes else {}),
    }


class AnswerJournal:
    """One process's journal of a run.

    Args:
        out: the run's folder.
        about: see `configuration`.
        number, of: which of how many processes this is.

    Raises:
        JournalError: when the journal belongs to another configuration, or was changed.
    """

    def __init__(self, out: Path, about: dict[str, Any], number: int = 0, of: int = 1) -> None:
        name = "journal.jsonl" if of == 1 else f"journal-{number + 1}-of-{of}.jsonl"
        self.journal, self.begun_here = Journal(out / name, about), set()
        self.answered_here = self.silent_here = 0  # questions: those with an answer, those without a finite number

    def begin(self, ids: Iterable[str]) -> None:
        """Writes down which questions are about to be asked; a second try within one run is not a new beginning."""
        ids = [one for one in ids if one not in self.begun_here]
        self.begun_here.update(ids)
        if ids:
            self.journal.append({"begun": ids})

    def answer(self, rows: Sequence[tuple[str, str, str]], vision_calls: int) -> None:
        """Writes down answers as (id, text, hash of the pictures), all of one batch in one line."""
        self.journal.append({"answered": [list(row) for row in rows], "vision_calls": vision_calls})
        self.answered_here += len(rows)

    def refuse(self, ids: Iterable[str], error: CannotRun) -> None:
        """Writes down that questions could not be asked, and why; NotFinite when the first `SILENT` had no numbers."""
        ids = list(ids)
        self.journal.append({"refused": ids, "error": str(error)})
        self.silent_here += len(ids) if isinstance(error, NotFinite) else 0
        if not self.answered_here and self.silent_here >= SILENT:
            raise error

    def remark(self, ids: Iterable[str], notes: Iterable[str], cut: float) -> None:
        """Writes down what there is to say of the pictures of questions, see `Known.remarks`."""
        self.journal.append({"pictures_of": list(ids), "notes": list(notes), "cut": cut})

    def halve(self, batch_size: int) -> None:
        """Writes down that memory ran out, and how many questions a batch has from here on."""
        self.journal.append({"halved": batch_size})


def check(out: Path, about: dict[str, Any]) -> None:
    """Makes the journals of all earlier processes readable: a torn last line goes, another configuration is refused.

    To be called by one process before the others read.

    Raises:
        JournalError: when a journal belongs to another configuration, or was changed.
        CannotRun: when there are answers and no journal that says whose they are.
    """
    journals = sorted(out.glob("journal*.jsonl"))
    if not journals and (out / ANSWERS).exists():
        raise CannotRun(f"{out} holds {ANSWERS} and no journal that says whose they are; use a new --out")
    for path in journals:
        Journal(path, about)


def read(out: Path, about: dict[str, Any]) -> Known:
    """What all journals of a folder say together."""
    known = Known()
    for path in sorted(out.glob("journal*.jsonl")):
        for line in Journal(path, about).records():
            for one in line.get("begun", ()):
                known.asked[one] = known.asked.get(one, 0) + 1
            for one, text, pictures in line.get("answered", ()):
                known.answers[one], known.pictures[one] = text, pictures
            known.errors.update(dict.fromkeys(line.get("refused", ()), line.get("error")))
            remark = {"notes": line.get("notes"), "cut": line.get("cut")}
            known.remarks.update(dict.fromkeys(line.get("pictures_of", ()), remark))
            known.counts["vision_calls"] += line.get("vision_calls", 0)
            known.counts["halvings"] += "halved" in line
    known.errors = {one: error for one, error in known.errors.items() if one not in known.answers}
    return known


def picture_hashes(questions: Sequence[Question]) -> dict[str, str]:
    """For each question id a hash of what its pictures' files hold; a file that cannot be read counts by its name."""
    seen: dict[Picture, str] = {}
    for picture in (picture for one in questions for picture in one.images):
        if picture not in seen:
            try:
                seen[picture] = hashlib.sha256(read_picture(picture)).hexdigest()
            except BadPicture:
                seen[picture] = f"unread: {picture}"  # opening it will say why
    return {one.id: json_sha256([seen[picture] for picture in one.images]) for one in questions}


def require_same_pictures(known: Known, pictures: dict[str, str]) -> None:
    """Raises CannotRun when a picture changed after a question about it was answered; see `Known.pictures`."""
    changed = [one for one, before in known.pictures.items() if pictures.get(one, before) != before]
    if changed:
        some = ", ".join(changed[:5])
        raise CannotRun(f"the pictures of {len(changed)} answered questions changed: {some}; use a new --out")


def write_answers(out: Path, questions: Sequence[Question], known: Known) -> None:
    """Writes `answers.jsonl`, and `errors.jsonl` where there are errors; each whole or not at all."""
    said = [as_answer(one.id, known.answers[one.id]) for one in questions if one.id in known.answers]
    replace_file(out / ANSWERS, said)
    write_errors(out, questions, known)


def write_errors(out: Path, questions: Sequence[Question], known: Known) -> None:
    """Writes `errors.jsonl` where there are errors, and takes an old one away where there are none."""
    refused = [Refused(one.id, known.errors[one.id]) for one in questions if one.id in known.errors]
    if refused:
        replace_file(out / ERRORS, refused)
    else:
        (out / ERRORS).unlink(missing_ok=True)


def as_answer(name: str, text: str) -> Answer:
    """A model's text as a record: its answer, and apart from it what it thought aloud."""
    answer, thought = split_thought(text)
    return Answer(name, answer, thought=thought)


def replace_file(path: Path, records: Sequence[Record]) -> None:
    """Puts a file of records in place in one step: nobody ever sees half of it."""
    new = path.with_name(path.name + ".new")
    write_jsonl(new, records)
    os.replace(new, path)

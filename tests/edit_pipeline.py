"""Pipelines for tests of long runs: small enough that a thousand drafts take a second, and with every kind of end.

Workers are processes of their own, so what makes a pipeline stands here, in a module that they can import.
"""

import os
import random
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path

from PIL import Image

from mmhallu_core.clients.client import CallFailed, Request
from mmhallu_core.clients.openai_client import OpenAiClient, Patience
from mmhallu_core.data.decode import as_png
from mmhallu_core.edit.draft import Draft, Rejected
from mmhallu_core.edit.engine.calls import ChunkClient
from mmhallu_core.edit.engine.work import Pipeline
from mmhallu_core.edit.world import without_truth
from mmhallu_core.types import CATEGORIES, EditSample

CALM = Patience(connect=30.0, read=30.0, total=60.0, attempts=2)


def finish(draft: Draft) -> EditSample:
    """The sample that a Diorama draft has become; its pictures no longer carry their truth."""
    plain = without_truth(draft)
    return EditSample(**{entry.name: getattr(plain, entry.name) for entry in fields(plain) if entry.name != "mask"})


class Plain:
    """Pictures of one colour. Every seventh draft has none."""

    def __init__(self, n: int, seed: int = 0) -> None:
        self.n, self.seed = n, seed
        self.about = {"kind": "plain", "seed": seed}

    def __len__(self) -> int:
        return self.n

    def draft(self, index: int) -> Draft | Rejected:
        if index % 7 == 3:
            return Rejected(f"d{index}", "source", "no_picture", "the seventh has none")
        colour = tuple(random.Random(f"{self.seed}/{index}").randbytes(3))
        return Draft(f"d{index}", as_png(Image.new("RGB", (8, 8), colour)), f"number {index}, and é")


def plan(drafts):
    """A category for each, but for every fifth."""
    return [
        Rejected(one.id, "plan", "no_plan", "nothing to do", "I would rather not.")
        if int(one.id[1:]) % 5 == 4
        else replace(one, category=CATEGORIES[int(one.id[1:]) % 11], edit_instruction="Can you make it grey?")
        for one in drafts
    ]


def edit(drafts):
    grey = as_png(Image.new("RGB", (8, 8), "grey"))
    return [replace(one, edited_image=grey, mask=grey, provenance={"editor": "grey"}) for one in drafts]


def caption(drafts):
    words = {"edited_caption": "something grey", "difference": "It is grey now.", "question": "What is new?"}
    return [replace(one, **words, answer=f"The grey of {one.id}.", similarity=0.5) for one in drafts]


STAGES = [("plan", plan), ("edit", edit), ("caption", caption)]


def plain(n: int, seed: int = 0):
    """The pipeline without calls: 36 of 105 drafts are rejected."""
    return Plain(n, seed), STAGES


@dataclass(frozen=True)
class Slow:
    """Takes its time in one stage."""

    n: int
    seconds: float

    def __call__(self):
        def wait(drafts):
            time.sleep(self.seconds)
            return list(drafts)

        return Plain(self.n), [*STAGES, ("wait", wait)]


@dataclass(frozen=True)
class Fatal:
    """The first `deaths` workers that reach draft d12 end without a word, as when memory runs out."""

    n: int
    deaths: int
    folder: Path

    def __call__(self):
        def die(drafts):
            if any(one.id == "d12" for one in drafts):
                died = len(list(self.folder.glob("death-*")))
                if died < self.deaths:
                    (self.folder / f"death-{died}").touch()
                    os._exit(9)
            return list(drafts)

        return Plain(self.n), [*STAGES, ("die", die)]


@dataclass(frozen=True)
class Broken:
    """A stage fails at draft d12, in the way that `how` says."""

    n: int
    how: str

    def __call__(self):
        def fail(drafts):
            if any(one.id == "d12" for one in drafts):
                if self.how == "bug":
                    raise ZeroDivisionError("in a stage")
                if self.how == "disk":
                    raise OSError(28, "No space left on device", "somewhere")
                return list(drafts)[1:]
            return list(drafts)

        return Plain(self.n), [*STAGES, ("fail", fail)]


@dataclass(frozen=True)
class Paid:
    """Asks a server for each caption; a failure is a rejection that keeps the text."""

    n: int
    url: str
    in_flight: int = 1

    def __call__(self):
        client = ChunkClient(OpenAiClient(self.url, "m", patience=CALM, sleep=lambda seconds: None), self.in_flight)

        def ask(drafts):
            requests = [Request(f"{one.id}/caption", f"Describe {one.id}!") for one in drafts]
            ends = []
            for one, reply in zip(drafts, client.ask_all(requests), strict=True):
                if isinstance(reply, CallFailed):
                    ends.append(Rejected(one.id, "ask", reply.reason, reply.detail, reply.text))
                else:
                    ends.append(replace(one, edited_caption=reply.text))
            return ends

        stages = [("plan", plan), ("edit", edit), ("caption", caption), ("ask", ask)]
        return Pipeline(Plain(self.n), stages, (client,))

"""A journal before a client: every reply is on disk before anybody uses it, and nothing is asked twice.

Each request leaves lines in an append-only file (`store.Journal`), each on disk (fsync) before the next step:

    begun     it is about to be sent
    reply     the whole reply
    failed    no usable reply, with the reason and whatever the model said
    stopped   given up before a reply, because the run ended

A process killed at any moment loses no reply. What was begun and has no end was in flight: it is asked again under the
same idempotency key, and its reply says `possibly_paid_twice`. Failures that may pass are asked again by the next run;
those that would come again (a refusal, a cut reply, a bad request) are not.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from mmhallu_core.clients.client import (
    BAD_PICTURE,
    BAD_REQUEST,
    FINAL,
    MAY_PASS,
    CallFailed,
    Client,
    Reply,
    Request,
    Stopped,
)
from mmhallu_core.store import Journal, JournalError
from mmhallu_core.types import require

FAILURES_IN_A_ROW = 5  # so many without one reply between them: the server is broken, not one request
WITHOUT_TEMPERATURE = "without_temperature"
BROKEN = MAY_PASS | {BAD_REQUEST}  # a model that declines, or runs on until it is cut, is not a broken server


class JournaledClient:
    """Asks through another client and keeps what comes back; itself a client.

    Args:
        client: who answers.
        path: the journal; a new file, or one of the same run.
        about: what identifies the run besides the client, such as hashes of its inputs, as JSON values.
        workers: requests in flight at a time.

    Raises:
        RecordError: when there is not one worker.
        JournalError: when the journal belongs to another client or run, or is damaged.
    """

    def __init__(self, client: Client, path: str | Path, about: dict[str, Any] | None = None, workers: int = 4) -> None:
        require(workers >= 1, f"requests in flight at a time (workers) must be at least 1, got {workers}")
        self.client, self.workers = client, workers
        self.about: dict[str, Any] = {"client": client.about, "run": about or {}}
        self.journal = Journal(Path(path), self.about)
        self._last = {record["id"]: record for record in self.journal.records()}  # the newest line of each request
        self._asking: set[str] = set()
        self._lock = threading.Lock()

    def ask(self, request: Request) -> Reply:
        """The journal's reply, or a new one that is in the journal when this returns.

        Raises:
            JournalError: when the journal knows this id with another prompt, picture or setting.
            CallFailed: when there is no usable reply, now or in the journal.
            Stopped: when no further request should be made.
            ValueError: when this id is being asked by another thread.
        """
        with self._lock:
            if request.id in self._asking:
                raise ValueError(f"request {request.id} is being asked already: ids must be unique")
            self._asking.add(request.id)
        try:
            return self._ask(request)
        finally:
            with self._lock:
                self._asking.discard(request.id)

    def ask_all(self, requests: Sequence[Request], progress: str | None = None) -> list[Reply | CallFailed]:
        """Asks several at once, in threads; those that the journal knows cost nothing.

        Args:
            requests: with ids that are all different.
            progress: label of a progress bar, none when None.

        Returns:
            For each request its reply, or why it has none.

        Raises:
            Stopped: when the run should end, as after several failures in a row. Calls in flight are waited for and
                kept; the message says how much is done.
            JournalError: see `ask`.
            ValueError: when an id comes twice.
        """
        twice = [name for name, count in Counter(request.id for request in requests).items() if count > 1]
        if twice:
            raise ValueError(f"{len(twice)} ids come more than once, the first is {twice[0]!r}")
        over = threading.Event()  # the run ends: what has not begun does not begin
        found: list[Reply | CallFailed | None] = [None] * len(requests)
        in_a_row = 0
        pool = ThreadPoolExecutor(self.workers)
        bar = tqdm(total=len(requests), desc=progress, disable=progress is None, unit="request")
        try:
            futures = {pool.submit(self._outcome, request, over): i for i, request in enumerate(requests)}
            for future in as_completed(futures):
                outcome = found[futures[future]] = future.result()
                bar.update()
                if isinstance(outcome, Reply):
                    in_a_row = 0
                elif outcome is not None and outcome.attempts and outcome.reason in BROKEN:
                    in_a_row += 1
                if in_a_row == FAILURES_IN_A_ROW:
                    raise Stopped(f"{in_a_row} requests in a row have no usable reply; the last: {outcome}.")
        except Stopped as stopped:
            over.set()
            pool.shutdown(cancel_futures=True)
            done = sum(self._last.get(request.id, {}).get("event") == "reply" for request in requests)
            kept = f"{done} of {len(requests)} requests are answered, in {self.journal.path}"
            raise Stopped(f"{stopped} ({kept})") from stopped
        finally:  # also when somebody presses Ctrl-C
            over.set()
            pool.shutdown(cancel_futures=True)
            bar.close()
        return [outcome for outcome in found if outcome is not None]

    def counts(self) -> dict[str, int]:
        """How many requests stand where: `reply`, each reason of failure, `begun`, `stopped`; and
        `possibly_paid_twice`, the calls that may be charged although they brought no reply."""
        ends = Counter(record.get("reason", record["event"]) for record in self._last.values())
        return {**ends, "possibly_paid_twice": sum(map(_possibly_paid, self._last.values()))}

    def spent(self) -> Counter[str]:
        """What all runs of this journal cost: `calls`, `possibly_paid_twice`, and the tokens of the replies by name.

        With `without_temperature` where a server took none: so many replies are drawn, and may differ next time.
        """
        cost = Counter(calls=0, possibly_paid_twice=self.counts()["possibly_paid_twice"])
        for record in self.journal.records():
            reply = record.get("reply", {})
            cost["calls"] += (reply or record).get("attempts", 0)
            cost.update(reply.get("usage", {}))
            if "temperature" in reply.get("refused_fields", ()):
                cost[WITHOUT_TEMPERATURE] += 1
        return cost

    def _ask(self, request: Request) -> Reply:
        last = self._last.get(request.id)
        try:
            asked = request.fingerprint()
        except CallFailed as failure:
            self._write_failure(request.id, None, failure, _possibly_paid(last))
            raise
        if last is not None and last["request"] not in (None, asked):
            raise JournalError(
                f"{self.journal.path}: request {request.id} was asked with another prompt, picture or setting; "
                "use a new --out, or go back to the old input"
            )
        if last is not None and last["event"] == "reply":
            return Reply.from_dict(last["reply"])
        if last is not None and last.get("reason") in FINAL:
            raise CallFailed(last["reason"], last["detail"], last["text"])
        before = _possibly_paid(last)
        self._write({"event": "begun", "id": request.id, "request": asked, "possibly_paid_twice": before})
        try:
            reply = self.client.ask(request)
        except CallFailed as failure:
            self._write_failure(request.id, asked, failure, before + failure.possibly_paid)
            raise
        except Stopped as stopped:
            paid = before + stopped.possibly_paid
            self._write({"event": "stopped", "id": request.id, "request": asked, "possibly_paid_twice": paid})
            raise
        reply = replace(reply, possibly_paid_twice=before + reply.possibly_paid_twice)
        self._write({"event": "reply", "id": request.id, "request": asked, "reply": reply.to_dict()})
        return reply

    def _outcome(self, request: Request, over: threading.Event) -> Reply | CallFailed | None:
        """The end of one request among many; None when the run ended before it began."""
        if over.is_set():
            return None
        try:
            return self.ask(request)
        except CallFailed as failure:
            return failure
        except Stopped:
            over.set()
            raise

    def _write_failure(self, name: str, asked: str | None, failure: CallFailed, paid: int) -> None:
        """A damaged picture binds nobody to the damaged file: its line carries no fingerprint."""
        asked = None if failure.reason == BAD_PICTURE else asked
        record = {"event": "failed", "id": name, "request": asked, "reason": failure.reason, "detail": failure.detail}
        self._write({**record, "text": failure.text, "attempts": failure.attempts, "possibly_paid_twice": paid})

    def _write(self, record: dict[str, Any]) -> None:
        with self._lock:
            self.journal.append(record)
            self._last[record["id"]] = record


def _possibly_paid(last: dict[str, Any] | None) -> int:
    """Calls of a request that may be charged although they brought no reply; one that was begun and has no end is."""
    if last is None:
        return 0
    if last["event"] == "reply":
        return last["reply"]["possibly_paid_twice"]
    return last["possibly_paid_twice"] + (last["event"] == "begun")

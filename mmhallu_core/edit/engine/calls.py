"""Paid calls in a long run: one journal a chunk.

Every chunk of a run has a journal of its own, open while one worker works on it and forgotten after: a run over a
hundred thousand drafts has too many replies for memory. After a kill whoever takes the chunk next finds them there.
Between journal and server stands a gate. It closes when the run ends, so that calls in flight come home and no new one
goes out; and when so many calls in a row bring nothing that the server must be broken.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmhallu_core.clients.client import MAY_PASS, CallFailed, Client, Reply, Request, Stopped
from mmhallu_core.clients.journaled import BROKEN, FAILURES_IN_A_ROW, JournaledClient


class Gate:
    """Lets requests through to a client until it is closed.

    Args:
        client: who answers.
    """

    def __init__(self, client: Client) -> None:
        self.client, self.about = client, client.about
        self._in_a_row = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def close(self) -> None:
        """Lets nothing through from now on. What is in flight is not touched."""
        self._closed.set()

    def ask(self, request: Request) -> Reply:
        """Answers one request.

        Raises:
            CallFailed: when this request has no usable reply.
            Stopped: when the gate is closed, or the server seems broken.
        """
        if self._closed.is_set():
            raise Stopped("the run is ending")
        try:
            reply = self.client.ask(request)
        except CallFailed as failure:
            with self._lock:
                self._in_a_row += failure.attempts > 0 and failure.reason in BROKEN
                in_a_row = self._in_a_row
            if in_a_row < FAILURES_IN_A_ROW:
                raise
            self.close()
            advice = "What was answered is kept: run the same command again when the server is well."
            stopped = Stopped(f"{in_a_row} requests in a row have no usable reply; the last: {failure}. {advice}")
            stopped.possibly_paid = failure.possibly_paid
            raise stopped from failure
        with self._lock:
            self._in_a_row = 0
        return reply


class ChunkClient(JournaledClient):
    """A journaled client whose journal is that of the chunk at hand.

    Args:
        client: who answers.
        workers: requests in flight at a time, for `ask_all`.
    """

    def __init__(self, client: Client, workers: int = 4) -> None:
        self.gate, self.workers = Gate(client), workers
        self._open = False

    @contextmanager
    def at(self, path: Path, chunk: int) -> Iterator[None]:
        """Opens the journal of a chunk, and closes it at the end of `with`.

        Raises:
            JournalError: when the journal is of another client or chunk, or damaged.
        """
        super().__init__(self.gate, path, {"chunk": chunk}, self.workers)
        self._open = True
        try:
            yield
        finally:
            self._open = False

    def ask(self, request: Request) -> Reply:
        """See `JournaledClient.ask`.

        Raises:
            RuntimeError: when no chunk is at hand: sources and factories must not ask.
        """
        if not self._open:
            raise RuntimeError(f"request {request.id} outside of a chunk: no journal is open for it")
        return super().ask(request)

    def halt(self) -> None:
        """Sends nothing more; the chunk at hand ends with `Stopped` at its next new request."""
        self.gate.close()

    def may_pass(self) -> bool:
        """Whether a request of this chunk failed in a way that may pass."""
        return not MAY_PASS.isdisjoint(self.counts())

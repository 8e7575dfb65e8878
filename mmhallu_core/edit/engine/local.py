"""Where the chunks of a run are worked on: in this process, or in several processes of this machine.

An engine knows the run (`about`, see `Work.about`), takes numbers of chunks and gives their journal lines as they are
finished (`results`), and is closed at the end. `ray.py` has one for many machines.

A worker is a fresh process (spawned: no system forks safely once torch has threads) with its own pipeline. It listens
to its pipe in a thread and ends when the other end is gone, so that no old worker goes on asking and paying after a
kill. A worker that dies alone costs only its chunk, which another one takes.
"""

import itertools
import multiprocessing
import os
import queue
import signal
import threading
import traceback
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from mmhallu_core.edit.engine.work import Make, Work
from mmhallu_core.store import Lock
from mmhallu_core.types import CannotRun

DEATHS = 3  # workers that one chunk may take with it
SHUTDOWN = 60.0  # seconds that calls in flight have to be answered when a run ends early


class Inline:
    """An engine that works in this process, one chunk after another.

    Args:
        make: makes the pipeline.
        out: the run's folder.
        size: drafts in a chunk.
    """

    def __init__(self, make: Make, out: Path, size: int) -> None:
        self._work = Work(make, out, size)
        self.about = self._work.about()

    def results(self, numbers: Iterable[int]) -> Iterator[dict[str, Any]]:
        """See `Crew.results`."""
        return map(self._work.do, numbers)

    def close(self) -> None:
        """Nothing is left to end."""


class Crew(ABC):
    """An engine that gives each worker a chunk at a time and replaces those that die; for `Processes` and `ray.Ray`.

    A worker has `ready`, the `chunk` that it works on or None, and `give`, which lets it begin a chunk.

    Args:
        most: workers at a time.

    Raises:
        CannotRun: when the first worker cannot make the pipeline.
    """

    def __init__(self, most: int) -> None:
        self.about: dict[str, Any] = {}
        self._most = most
        self._deaths: Counter[int | None] = Counter()
        self._workers: list[Any] = []
        self._waiting: deque[int] = deque()
        try:
            self._workers.append(self._new_worker())
            while not self.about:
                self._listen()
        except BaseException:
            self.close()
            raise

    def results(self, numbers: Iterable[int]) -> Iterator[dict[str, Any]]:
        """Works on chunks; yields what `Work.do` returns, in the order in which they are finished.

        Raises:
            CannotRun: when a worker says so, or a chunk takes one worker after another with it.
            OSError: when a worker cannot write.
            RuntimeError: when a worker meets a bug; its traceback is in the message.
        """
        self._waiting = deque(numbers)
        while self._waiting or any(one.chunk is not None for one in self._workers):
            busy = sum(one.chunk is not None for one in self._workers)
            while len(self._workers) < min(self._most, busy + len(self._waiting)):
                self._workers.append(self._new_worker())
            for worker in self._workers:
                if worker.ready and worker.chunk is None and self._waiting:
                    worker.give(self._waiting.popleft())
            yield from self._listen()

    @abstractmethod
    def close(self) -> None:
        """Ends the workers; those with calls in flight may wait for them."""

    @abstractmethod
    def _new_worker(self) -> Any:
        """Starts a worker, which says "ready" later."""

    @abstractmethod
    def _heard(self) -> Iterator[tuple[Any, str, Any]]:
        """Waits until some worker says something: it is "ready" (with `Work.about`), "done" (with a journal line), it
        "died" (with how), or what `report` makes of an error."""

    def _listen(self) -> list[dict[str, Any]]:
        """What is to be done about what workers say; gives the lines of finished chunks."""
        lines = []
        for worker, kind, value in self._heard():
            if kind == "died":
                self._replace_worker(worker, value)
            elif kind == "ready":
                self.about = self.about or value
                if value != self.about:  # all workers must see the same input
                    told = f"  before: {self.about}\n  now:    {value}"
                    raise CannotRun(f"the input changed while the run was going on.\n{told}")
                worker.ready = True
                self._deaths.pop(None, None)
            elif kind == "done":
                worker.chunk = None
                lines.append(value)
            else:
                raise error_of(kind, value)
        return lines

    def _replace_worker(self, worker: Any, how: str) -> None:
        """A worker died: its chunk waits again, unless it has taken too many workers with it."""
        self._workers.remove(worker)
        self._deaths[worker.chunk] += 1
        if self._deaths[worker.chunk] == DEATHS:
            doing = "while it started" if worker.chunk is None else f"on chunk {worker.chunk}"
            advice = "Was there enough memory? Try fewer --workers; what is finished is kept."
            raise CannotRun(f"{DEATHS} workers died {doing} (the last {how}). {advice}")
        if worker.chunk is not None:
            self._waiting.appendleft(worker.chunk)
        elif not self.about:
            self._workers.append(self._new_worker())


class Processes(Crew):
    """Works in several processes.

    Args:
        make, out, size: as for `Inline`; `make` must be picklable.
        workers: processes at most.

    Raises:
        CannotRun: when the first worker cannot make the pipeline.
    """

    def __init__(self, make: Make, out: Path, size: int, workers: int) -> None:
        self._args, self._slots = (make, out, size), itertools.count()
        self._context = multiprocessing.get_context("spawn")
        super().__init__(workers)

    def close(self) -> None:
        """Stops the workers. Those with calls in flight have some time to write the replies down."""
        for worker in self._workers:
            worker.tell("halt")
        for worker in self._workers:
            worker.process.join(SHUTDOWN)
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
        self._workers = []

    def _new_worker(self) -> "_Worker":
        return _Worker(self._context, self._args, next(self._slots))

    def _heard(self) -> Iterator[tuple["_Worker", str, Any]]:
        heard = wait([one.pipe for one in self._workers])
        for worker in [one for one in self._workers if one.pipe in heard]:
            try:
                yield worker, *worker.pipe.recv()
            except (EOFError, ConnectionError):
                worker.process.join()
                worker.pipe.close()
                yield worker, "died", f"with status {worker.process.exitcode}"


class _Worker:
    """A process and what it is doing."""

    def __init__(self, context: Any, args: tuple[Make, Path, int], slot: int) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(*args, slot, theirs), daemon=True)
        self.process.start()
        theirs.close()  # so that this end hears it when the process dies
        self.ready = False
        self.chunk: int | None = None

    def give(self, chunk: int) -> None:
        """Lets the worker begin a chunk."""
        self.chunk = chunk
        self.tell(chunk)

    def tell(self, message: Any) -> None:
        """Sends a message; one that a dead worker cannot hear is found out when its pipe is read."""
        try:
            self.pipe.send(message)
        except OSError:
            self.ready = False


def error_of(kind: str, value: Any) -> Exception:
    """What a worker reported, as an exception of this process."""
    if kind == "cannot run":
        return CannotRun(value)
    return OSError(*value) if kind == "os error" else RuntimeError(f"a worker failed:\n{value}")


def report(error: Exception) -> tuple[str, Any]:
    """An exception as plain values, which every process can read."""
    if isinstance(error, CannotRun):
        return "cannot run", str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return "os error", (error.errno, error.strerror, error.filename)
    return "bug", "".join(traceback.format_exception(error))


def _serve(make: Make, out: Path, size: int, slot: int, pipe: Connection) -> None:
    """The life of a worker: makes its pipeline, then works on each chunk whose number it hears."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first decides what to do
    heard: queue.Queue[int | None] = queue.Queue()
    works: list[Work] = []
    threading.Thread(target=_hear, args=(pipe, heard, works), daemon=True).start()
    with Lock(worker_lock(out, slot), f"worker {slot} of {out}"):
        try:
            works.append(Work(make, out, size))
            pipe.send(("ready", works[0].about()))
            while (number := heard.get()) is not None:
                pipe.send(("done", works[0].do(number)))
        except Exception as error:  # every one ends the run, in the first process
            pipe.send(report(error))
            raise SystemExit(1) from error


def _hear(pipe: Connection, heard: "queue.Queue[int | None]", works: list[Work]) -> None:
    """Hears what a worker is told, also while it works: numbers of chunks, and that the run ends."""
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            os._exit(1)  # the run's first process is gone
        if message != "halt":
            heard.put(message)
        elif works and works[0].pipeline.clients:
            works[0].halt()  # what is in flight comes home, then the next request ends the chunk
            heard.put(None)
        else:
            os._exit(0)


def worker_lock(out: Path, slot: int) -> Path:
    """The lock that a worker holds as long as it lives."""
    return out / "locks" / f"worker-{slot}"


def await_old_workers(out: Path) -> None:
    """Waits until the workers of an earlier run, killed a moment ago, have noticed.

    Raises:
        Locked: when one does not end.
    """
    for path in sorted((out / "locks").glob("worker-*")):
        with Lock(path, f"{out} (by a worker of an earlier run)", SHUTDOWN):
            pass

"""Where the chunks of a run are worked on: on the machines of a Ray cluster.

    ray start --head            on one machine, then on each other one: ray start --address=FIRST:6379
    mmhallu med build ... --engine ray

All machines must see the run's folder under the same path, and have the same version of this package. Each worker is a
Ray actor on one core. When a machine goes away, its workers are replaced and their chunks done again; the replacement
waits until the cluster has a free core, so machines may also come back, or join later. The journal is written here, in
the process that started the run, so there is one order of events and one lock.
"""

import secrets
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mmhallu_core.edit.engine.local import DEATHS, error_of, report
from mmhallu_core.edit.engine.work import Make, Work
from mmhallu_core.types import CannotRun


class Told(Exception):
    """What went wrong in an actor, as `local.report` has it: plain values travel, exceptions may not."""


class RayWorker:
    """What lives in an actor.

    Args:
        make: makes the pipeline.
        out: the run's folder, as this machine sees it.
        size: drafts in a chunk.
        token: what the file `locks/token` there must hold.
    """

    def __init__(self, make: Make, out: Path, size: int, token: str) -> None:
        self._args, self._token, self._work = (make, out, size), token, None

    def ready(self) -> dict[str, Any]:
        """Makes the pipeline; gives what the run is about.

        Raises:
            Told: when it cannot be made, or this machine does not see the folder.
        """
        mark = self._args[1] / "locks" / "token"
        if not mark.is_file() or mark.read_text(encoding="ascii") != self._token:
            said = f"a machine of the cluster does not see the folder {self._args[1]}: use a shared one"
            raise Told("cannot run", said)
        try:
            self._work = Work(*self._args)
            return self._work.about()
        except Exception as error:
            raise Told(*report(error)) from error

    def do(self, chunk: int) -> dict[str, Any]:
        """Works on a chunk; gives its journal line.

        Raises:
            Told: when it cannot.
        """
        try:
            return self._work.do(chunk)
        except Exception as error:
            raise Told(*report(error)) from error


class Ray:
    """Works on a Ray cluster: the one at hand (`RAY_ADDRESS`, or begun on this machine), or a new one of this machine.

    Args:
        make: makes the pipeline, in each actor.
        out: the run's folder, which all machines see.
        size: drafts in a chunk.
        workers: actors at most; as many as the cluster has cores when None.

    Raises:
        CannotRun: when ray is not installed, or the first worker cannot make the pipeline.
    """

    def __init__(self, make: Make, out: Path, size: int, workers: int | None) -> None:
        try:
            import ray
        except ImportError:
            raise CannotRun("--engine ray needs ray: pip install 'mmhallu[ray]'") from None
        self._ray, self._own = ray, not ray.is_initialized()
        if self._own:
            ray.init(log_to_driver=False, include_dashboard=False, logging_level="error")
        token = secrets.token_hex(8)
        (out / "locks" / "token").write_text(token, encoding="ascii")
        self._args = (make, out, size, token)
        self._most = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(RayWorker)
        self._deaths: Counter[int | None] = Counter()
        self._working: dict[Any, tuple[Any, int | None]] = {}  # by the promise of an answer: actor, chunk
        self._idle: list[Any] = []
        self._waiting: deque[int] = deque()
        self.about: dict[str, Any] = {}
        try:
            self._start_worker()
            while not self.about:
                self._listen()
        except BaseException:
            self.close()
            raise

    def results(self, numbers: Iterable[int]) -> Iterator[dict[str, Any]]:
        """See `Engine`.

        Raises:
            CannotRun: when a worker says so, or a chunk takes one worker after another with it.
            OSError: when a worker cannot write.
            RuntimeError: when a worker meets a bug; its traceback is in the message.
        """
        self._waiting = deque(numbers)
        while self._waiting or any(chunk is not None for _, chunk in self._working.values()):
            while self._idle and self._waiting:
                actor, chunk = self._idle.pop(), self._waiting.popleft()
                self._working[actor.do.remote(chunk)] = (actor, chunk)
            while self._waiting and len(self._working) < self._most:
                self._start_worker()
            yield from self._listen()

    def close(self) -> None:
        """Ends the actors, and Ray where it was begun here."""
        for actor in [*self._idle, *(actor for actor, _ in self._working.values())]:
            self._ray.kill(actor)
        self._idle, self._working = [], {}
        if self._own:
            self._ray.shutdown()

    def _start_worker(self) -> None:
        actor = self._actor.remote(*self._args)
        self._working[actor.ready.remote()] = (actor, None)

    def _listen(self) -> list[dict[str, Any]]:
        """Waits until some worker says something, or dies; gives the lines of finished chunks."""
        (promise,), _ = self._ray.wait(list(self._working), num_returns=1)
        actor, chunk = self._working.pop(promise)
        try:
            value = self._ray.get(promise)
        except self._ray.exceptions.RayActorError as death:
            self._replace_worker(chunk, death)
            return []
        except self._ray.exceptions.RayTaskError as fault:
            self._ray.kill(actor)
            raise (error_of(*fault.cause.args) if isinstance(fault.cause, Told) else fault) from None
        self._idle.append(actor)
        if chunk is not None:
            return [value]
        self.about = self.about or value
        if value != self.about:
            raise CannotRun(f"machines see different inputs.\n  first: {self.about}\n  then:  {value}")
        self._deaths.pop(None, None)
        return []

    def _replace_worker(self, chunk: int | None, death: Exception) -> None:
        """A worker died: its chunk waits again, unless it has taken too many workers with it."""
        while self._idle:  # those on the same machine are dead, too, and would take a chunk before they are missed
            self._ray.kill(self._idle.pop())
        self._deaths[chunk] += 1
        if self._deaths[chunk] == DEATHS:
            doing = "while they started" if chunk is None else f"on chunk {chunk}"
            raise CannotRun(f"{DEATHS} workers died {doing}; what is finished is kept. The last: {death}") from death
        if chunk is not None:
            self._waiting.appendleft(chunk)
        elif not self.about:
            self._start_worker()

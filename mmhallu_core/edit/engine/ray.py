"""Where the chunks of a run are worked on: on the machines of a Ray cluster.

    ray start --head            on one machine, then on each other one: ray start --address=FIRST:6379
    mmhallu med build ... --engine ray

All machines must see the run's folder under the same path, and have the same version of this package. Each worker is a
Ray actor on one core. When a machine goes away, its workers are replaced and their chunks done again; the replacement
waits until the cluster has a free core, so machines may also come back, or join later. The journal is written here, in
the process that started the run, so there is one order of events and one lock.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmhallu_core.edit.engine.local import Crew, report
from mmhallu_core.edit.engine.work import Make, Work
from mmhallu_core.types import CannotRun


class Told(Exception):
    """What went wrong in an actor, as `local.report` has it: plain values travel, exceptions may not."""


class RayWorker:
    """What lives in an actor.

    Args:
        make, out, size: as for `local.Inline`; the folder as this machine sees it.
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


class Ray(Crew):
    """Works on a Ray cluster: the one at hand (`RAY_ADDRESS`, or begun on this machine), or a new one of this machine.

    Args:
        make, out, size: as for `local.Processes`; all machines see the folder.
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
        self._remote = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(RayWorker)
        super().__init__(workers or max(1, int(ray.cluster_resources().get("CPU", 1))))

    def close(self) -> None:
        """Ends the actors, and Ray where it was begun here."""
        self._end(self._workers)
        if self._own:
            self._ray.shutdown()

    def _end(self, workers: list["_Actor"]) -> None:
        for worker in list(workers):
            self._ray.kill(worker.actor)
            self._workers.remove(worker)

    def _new_worker(self) -> "_Actor":
        return _Actor(self._remote.remote(*self._args))

    def _heard(self) -> Iterator[tuple["_Actor", str, Any]]:
        promised = {one.promise: one for one in self._workers if one.promise is not None}
        (promise,), _ = self._ray.wait(list(promised), num_returns=1)
        worker = promised[promise]
        worker.promise = None
        try:
            yield worker, "done" if worker.ready else "ready", self._ray.get(promise)
        except self._ray.exceptions.RayActorError as death:
            # those on the same machine are dead, too, and would take a chunk before they are missed
            self._end([one for one in self._workers if one.promise is None and one is not worker])
            yield worker, "died", f"by {death}"
        except self._ray.exceptions.RayTaskError as fault:
            if not isinstance(fault.cause, Told):
                raise
            yield worker, *fault.cause.args


class _Actor:
    """An actor, the promise of its next answer, and what it is doing."""

    def __init__(self, actor: Any) -> None:
        self.actor, self.promise = actor, actor.ready.remote()
        self.ready = False
        self.chunk: int | None = None

    def give(self, chunk: int) -> None:
        """Lets the actor begin a chunk."""
        self.chunk, self.promise = chunk, self.actor.do.remote(chunk)

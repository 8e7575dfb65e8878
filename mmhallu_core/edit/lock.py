"""One process at a time in a folder. A lock that outlives its process would be worse than none.

The system holds the lock, not a file's presence: it ends with the process, however that ended. So a run that was
killed never bars the next one, and nobody has to decide whether an old lock file may be deleted.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from mmhallu_core.types import CannotRun

if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30  # the byte that is locked: far behind the number in the file, which stays readable

    def _take(file: Any) -> None:
        file.seek(_FAR)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(file: Any) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


class Locked(CannotRun):
    """Another process that is alive holds the lock."""


class Lock:
    """Holds a lock from `with` to its end.

    Args:
        path: the lock's file; it is made when absent, says which process holds the lock, and stays there.
        what: what is locked, for the message.
        seconds: how long to wait for another process to let go.

    Raises:
        Locked: when it does not, on entering.
    """

    def __init__(self, path: Path, what: str, seconds: float = 0.0) -> None:
        self.path, self.what, self.seconds = path, what, seconds

    def __enter__(self) -> "Lock":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "a+b")
        deadline = time.monotonic() + self.seconds
        while True:
            try:
                _take(self._file)
                break
            except (BlockingIOError, PermissionError):  # PermissionError is how Windows says the same
                if time.monotonic() >= deadline:
                    self._refuse()
                time.sleep(0.02)
        self._file.seek(0)
        self._file.truncate()
        self._file.write(str(os.getpid()).encode("ascii"))
        self._file.flush()
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()  # which gives the lock back

    def _refuse(self) -> None:
        """Raises Locked, with the number of the process that has it."""
        self._file.seek(0)
        holder = self._file.read(20).decode("ascii", errors="replace") or "unknown"
        self._file.close()
        raise Locked(f"{self.what} is in use by process {holder}: wait for it, end it, or use another --out")

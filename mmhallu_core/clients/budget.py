"""How much a run may spend: calls, tokens, seconds. What is spent is counted per process, calls by every attempt.

A run that resumes starts with a full budget: its replies are in the journal, so it pays only for what is missing.
"""

import threading
import time
from collections.abc import Callable

from mmhallu_core.clients.client import Stopped
from mmhallu_core.types import Number

HOW_TO_GO_ON = "What was answered is kept: run the same command again to spend as much again, or give a larger budget."


class Budget:
    """Counts what is spent and stops the run at the limit; safe to share between threads and clients.

    Tokens are known only after a reply, so the calls that are in flight at the limit may go over it; seconds stop new
    calls and waits, not a call that is under way.

    Args:
        requests: calls to make at most, counting each attempt, because each may be charged.
        tokens: tokens to use at most, in prompts and replies together.
        seconds: time to take at most, from now on.
        clock: tells the time in seconds.
    """

    def __init__(
        self,
        requests: int | None = None,
        tokens: int | None = None,
        seconds: Number | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.requests, self.tokens, self.seconds = requests, tokens, seconds
        self.used_requests = 0
        self.used_tokens = 0
        self._uncounted = False  # whether a reply came without its number of tokens
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Takes one call out of the budget.

        Raises:
            Stopped: when it is used up, or tokens are limited and the server does not count them.
        """
        with self._lock:
            self.allow(0.0)
            if self.tokens is not None and self._uncounted:
                raise Stopped("the server does not say how many tokens a reply used; limit the number of calls instead")
            if self.tokens is not None and self.used_tokens >= self.tokens:
                raise Stopped(f"the budget is used up: {self.used_tokens} of {self.tokens} tokens. {HOW_TO_GO_ON}")
            if self.requests is not None and self.used_requests >= self.requests:
                raise Stopped(f"the budget is used up: {self.requests} of {self.requests} calls. {HOW_TO_GO_ON}")
            self.used_requests += 1

    def allow(self, wait: Number) -> None:
        """Asks whether there is time to wait so many seconds.

        Raises:
            Stopped: when there is not.
        """
        if self.seconds is not None and self._clock() - self._began + wait >= self.seconds:
            ahead = f", and the next step is a wait of {wait:.0f} seconds" if wait else ""
            raise Stopped(f"the budget of {self.seconds:.0f} seconds is used up{ahead}. {HOW_TO_GO_ON}")

    def add(self, usage: dict[str, int]) -> None:
        """Counts the tokens of one reply. It raises nothing, because the reply is not yet kept; `take` does."""
        used = usage.get("total_tokens", usage.get("prompt_tokens", 0) + usage.get("completion_tokens", 0))
        with self._lock:
            self.used_tokens += used
            self._uncounted = self._uncounted or not used

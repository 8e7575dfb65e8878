"""Any server that speaks the OpenAI form of HTTP: a commercial one, vLLM, `transformers serve` on the next machine.

The `openai` package carries the bytes, `tenacity` says when to try again. Their own habits are switched off where they
hide something: each attempt is counted here, because each may cost money.

A call has three limits. `connect` and `read` bound one step of the network; a server that sends one byte a second
keeps within them for ever, so `total` bounds the whole call, headers and body. Only an event loop can end a blocked
read for certain, so calls run on one loop in a background thread, and `ask` waits for them.
"""

import asyncio
import email.utils
import functools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mmhallu_core.clients.budget import Budget
from mmhallu_core.clients.client import (
    BAD_REQUEST,
    DROPPED,
    MAY_BE_PAID,
    MAY_PASS,
    TIMEOUT,
    UNAVAILABLE,
    CallFailed,
    Reply,
    Request,
    Stopped,
)
from mmhallu_core.clients.wire import SHOWN, read_reply, request_body
from mmhallu_core.store import json_sha256
from mmhallu_core.types import CannotRun

TRY_AGAIN = (408, 409, 425, 429)  # and every 5xx
NOT_FOR_US = (401, 402, 403, 404)  # the key, the account or the address is wrong: no request will do better
NOT_FOR_US_IN_WORDS = ("insufficient_quota", "API key not valid")  # the same under 429 (OpenAI) and 400 (Gemini)
_LOOP_LOCK = threading.Lock()
NEVER_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout")  # causes, by the names that httpx gives them


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds, and how often to try.

    Attributes:
        connect: to open a connection.
        read: for the next bytes.
        total: for one whole call.
        attempts: calls for one request at most.
        longest_pause: the longest pause between two attempts; a server that asks for more ends the run.
    """

    connect: float = 10.0
    read: float = 120.0
    total: float = 300.0
    attempts: int = 6
    longest_pause: float = 120.0


class OpenAiClient:
    """Asks a server over HTTP; safe to use from several threads.

    Every request carries an `Idempotency-Key` made of its id, its content and the model: the same one for all
    attempts, also after a restart, so that a server that honours it charges once.

    Args:
        base_url: such as "http://127.0.0.1:8000/v1".
        model: the server's name for the model.
        api_key: the key; `MMHALLU_API_KEY` when None. It is never written anywhere.
        patience: time limits and attempts.
        budget: what may be spent; no limit when None.
        limit_field: the field for a reply's length, see `request_body`.
        sleep: waits so many seconds.

    Raises:
        CannotRun: when the address is not one, or `MMHALLU_OFFLINE` is set and it is not on this machine.
    """

    KEY = "MMHALLU_API_KEY"  # the variable that holds the key

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str | None = None,
        patience: Patience | None = None,
        budget: Budget | None = None,
        limit_field: str = "max_tokens",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        import openai  # here: it takes a second, and whoever uses a local model needs none of it

        _require_address(base_url, self.KEY)
        self.patience = patience or Patience()
        self.budget = budget or Budget()
        self.about: dict[str, Any] = {"kind": "openai", "base_url": base_url, "model": model}
        self._model, self._limit_field, self._sleep = model, limit_field, sleep
        self._openai = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or os.environ.get(self.KEY) or "none",  # local servers want none, the package one
            max_retries=0,
            timeout=openai.Timeout(self.patience.read, connect=self.patience.connect),
        )

    def ask(self, request: Request) -> Reply:
        """Answers one request, with as many attempts as patience and budget allow.

        Raises:
            CallFailed: when this request has no usable reply.
            Stopped: when the budget is spent, the server does not accept us, or it asks for a very long pause.
        """
        from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

        body = self._body(request)
        key = json_sha256([self._model, request.fingerprint()])
        attempts = possibly_paid = 0
        back_off = wait_random_exponential(multiplier=1, max=self.patience.longest_pause)

        def attempt() -> tuple[str, dict[str, int]]:
            nonlocal attempts, possibly_paid
            self.budget.take()
            attempts += 1
            try:
                text, usage = self._read(self._post(body, key))
            except CallFailed as failure:
                possibly_paid += failure.reason in MAY_BE_PAID
                raise
            self.budget.add(usage)
            return text, usage

        def pause(state: Any) -> float:
            asked = state.outcome.exception().retry_after
            return back_off(state) if asked is None else asked

        retrying = Retrying(
            stop=stop_after_attempt(self.patience.attempts),
            wait=pause,
            retry=retry_if_exception(lambda error: isinstance(error, CallFailed) and error.reason in MAY_PASS),
            sleep=self._pause,
            reraise=True,
        )
        try:
            text, usage = retrying(attempt)
        except CallFailed as failure:
            failure.attempts, failure.possibly_paid = attempts, possibly_paid
            raise
        except Stopped as stopped:
            stopped.possibly_paid = possibly_paid
            raise
        return Reply(request.id, text, usage, attempts, possibly_paid)

    def _pause(self, seconds: float) -> None:
        """Waits, unless the server wants a pause that nobody sits through, or the budget ends before it."""
        if seconds > self.patience.longest_pause:
            raise Stopped(f"the server asks to wait {seconds:.0f} seconds. Run the same command again after that.")
        self.budget.allow(seconds)
        self._sleep(seconds)

    def _post(self, body: dict[str, Any], key: str) -> bytes:
        """Makes one call and gives the body of its reply."""
        return asyncio.run_coroutine_threadsafe(self._call(body, key), _loop()).result()

    def _body(self, request: Request) -> dict[str, Any]:
        """The JSON body of a request."""
        return request_body(request, self._model, self._limit_field)

    def _read(self, content: bytes) -> tuple[str, dict[str, int]]:
        """Text and tokens of a reply."""
        return read_reply(content)

    async def _send(self, body: dict[str, Any], headers: dict[str, str]) -> bytes:
        """Sends a body, and waits for the whole reply."""
        create = self._openai.chat.completions.with_raw_response.create
        return (await create(**body, extra_headers=headers)).http_response.content

    async def _call(self, body: dict[str, Any], key: str) -> bytes:
        import openai

        try:
            async with asyncio.timeout(self.patience.total):
                return await self._send(body, {"Idempotency-Key": key})
        except TimeoutError as error:
            raise CallFailed(TIMEOUT, f"no whole reply within {self.patience.total:g} seconds") from error
        except openai.APIStatusError as error:
            raise self._refusal(error) from error
        except openai.APIConnectionError as error:  # time-outs, too
            cause = type(error.__cause__).__name__
            timed_out = isinstance(error, openai.APITimeoutError)
            reason = UNAVAILABLE if cause in NEVER_SENT else TIMEOUT if timed_out else DROPPED
            raise CallFailed(reason, f"{self.about['base_url']}: {cause}: {error.__cause__}") from error

    def _refusal(self, error: Any) -> CallFailed | Stopped:
        """What a status other than 200 (an `openai.APIStatusError`) means for this request, or for the run."""
        status, headers, message = error.status_code, error.response.headers, error.message
        said = f"status {status}: {message[:SHOWN]}"
        if status in NOT_FOR_US or any(words in message for words in NOT_FOR_US_IN_WORDS):
            advice = f"Check the address, the model's name, the key in {self.KEY} and the account"
            return Stopped(f"the server will not serve us ({said}). {advice}; then run the same command again.")
        if status in TRY_AGAIN or status >= 500:
            return CallFailed(UNAVAILABLE, said, retry_after=retry_after(headers))
        return CallFailed(BAD_REQUEST, said)


@functools.cache
def _only_loop() -> asyncio.AbstractEventLoop:
    """The event loop that all clients of this process share, in a thread of its own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="mmhallu-clients", daemon=True).start()
    return loop


def _loop() -> asyncio.AbstractEventLoop:
    """The one loop, also when several threads want it first: connections of two loops do not mix."""
    with _LOOP_LOCK:
        return _only_loop()


def retry_after(headers: Any) -> float | None:
    """The seconds that a server asks to wait: a number, or a date from which today's is subtracted.

    Args:
        headers: of the reply, by lower-case name.

    Returns:
        At least 0, or None when the server does not say or says it unreadably.
    """
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        date = email.utils.parsedate_tz(value)
    return None if date is None else max(0.0, email.utils.mktime_tz(date) - time.time())


def _require_address(base_url: str, key: str) -> None:
    """Raises unless it is an address without a password in it, and one that may be reached."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CannotRun(f"{base_url!r} is not the address of a server, such as http://127.0.0.1:8000/v1")
    if parts.password:
        raise CannotRun(f"put the key into {key}, not into the address: addresses are written to journals")
    here = parts.hostname in ("localhost", "::1") or parts.hostname.startswith("127.")
    if os.environ.get("MMHALLU_OFFLINE", "0") not in ("", "0") and not here:
        raise CannotRun(
            f"MMHALLU_OFFLINE is set, so {parts.hostname} is not asked. Unset it and run the command again."
        )

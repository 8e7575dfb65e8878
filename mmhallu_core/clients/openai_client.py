"""Any server that speaks the OpenAI form of HTTP: a commercial one, vLLM, `transformers serve` on the next machine.

The `openai` package carries the bytes, `tenacity` says when to try again. Their own habits are switched off where they
hide something: each attempt is counted here, because each may cost money.

Two things are learned from a server's first refusals, and each once: newer OpenAI models want `max_completion_tokens`
for `max_tokens` and take no temperature but their own (status 400 says so), and some servers answer a wrong model name
with status 500, as if they were out of order for a moment; then the list of their models is asked.

`connect` and `read` bound one step of the network, `total` the whole call: a server may send one byte a second for
ever. Only an event loop can end a blocked read, so calls run on one loop in a background thread, and `ask` waits.
"""

import asyncio
import functools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mmhallu_core.clients.address import Key, require_address
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
from mmhallu_core.clients.wire import SHOWN, read_models, read_reply, refused_field, request_body, retry_after, without
from mmhallu_core.store import is_offline, json_sha256
from mmhallu_core.types import CannotRun

TRY_AGAIN = (408, 409, 425, 429)  # and every 5xx
NOT_FOR_US = (401, 402, 403, 404)  # the key, the account or the address is wrong: no request will do better
# The same under 429 (OpenAI) and 400 (Gemini; `transformers serve MODEL`, when it is asked for another model).
NOT_FOR_US_IN_WORDS = ("insufficient_quota", "API key not valid", "Server is pinned to")
_LOOP_LOCK = threading.Lock()
NO_LIST = 501  # a server that does not know this question; it may be well all the same
SHOWN_MODELS = 8
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
        CannotRun: when the key or the address cannot be used, see `secret.Key` and `address.require_address`.
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

        self._key = Key(api_key or os.environ.get(self.KEY, ""), self.KEY)
        require_address(base_url, self._key, self.KEY)
        if self._key.is_secret and self._key.value in model:
            raise CannotRun(f"the model's name holds the key in {self.KEY}; names are written to journals")
        self.patience = patience or Patience()
        self.budget = budget or Budget()
        self.about: dict[str, Any] = {"kind": "openai", "base_url": base_url, "model": model}
        self._model, self._limit_field, self._sleep = model, limit_field, sleep
        self._refused: frozenset[str] = frozenset()  # fields that the server does not take
        self._served = False  # whether it has given a reply
        self._listing: asyncio.Task | None = None
        timeout = openai.Timeout(self.patience.read, connect=self.patience.connect)
        # A server that sends us on would get pictures, and may be anywhere. A proxy is not this machine.
        carrier = openai.DefaultAsyncHttpxClient(timeout=timeout, follow_redirects=False, trust_env=not is_offline())
        self._openai = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=self._key.value or "none",  # local servers want none, the package one
            max_retries=0,
            timeout=timeout,
            http_client=carrier,
        )

    def ask(self, request: Request) -> Reply:
        """Answers one request, with as many attempts as patience and budget allow.

        Raises:
            CallFailed: when this request has no usable reply.
            Stopped: when the budget is spent, the server does not accept us, or it asks for a very long pause.
        """
        from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

        body, asked = self._body(request), request.fingerprint()
        attempts = possibly_paid = 0
        refused = self._refused & body.keys()
        back_off = wait_random_exponential(multiplier=1, max=self.patience.longest_pause)

        def attempt() -> tuple[str, dict[str, int]]:
            nonlocal attempts, possibly_paid, refused
            self.budget.take()
            attempts += 1
            try:
                # A body with other fields is another request: a server that knows the key would refuse it.
                key = json_sha256([self._model, asked, *sorted(refused)])
                text, usage = self._read(self._post(without(body, refused), key))
            except CallFailed as failure:
                possibly_paid += failure.reason in MAY_BE_PAID
                if failure.refused_field is None:
                    raise
                refused |= {failure.refused_field}  # it is not sent again, so this ends
                return attempt()
            self.budget.add(usage)
            self._served, self._refused = True, self._refused | refused
            return text, usage

        def pause(state: Any) -> float:
            wanted = state.outcome.exception().retry_after
            return back_off(state) if wanted is None else wanted

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
            told: CallFailed | Stopped = CallFailed(failure.reason, self._key.hidden(failure.detail), failure.text)
            told.retry_after = failure.retry_after
            told.attempts, told.possibly_paid = attempts, possibly_paid
        except Stopped as stopped:
            told = Stopped(self._key.hidden(str(stopped)))
            told.possibly_paid = possibly_paid
        else:
            return Reply(request.id, text, usage, attempts, possibly_paid, tuple(sorted(refused)) or None)
        raise told  # not from the cause, whose text is the server's own

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
                return self._key.hidden_in_body(await self._send(body, {"Idempotency-Key": key}))
        except TimeoutError as error:
            raise CallFailed(TIMEOUT, f"no whole reply within {self.patience.total:g} seconds") from error
        except openai.APIStatusError as error:
            if error.status_code == 500 and not self._served:
                await self._require_model()
            outcome = self._refusal(error)
            if isinstance(outcome, CallFailed) and outcome.reason == BAD_REQUEST:
                outcome.refused_field = refused_field(error.response.text, body)
            raise outcome from error
        except openai.APIConnectionError as error:  # time-outs, too
            cause = type(error.__cause__).__name__
            timed_out = isinstance(error, openai.APITimeoutError)
            reason = UNAVAILABLE if cause in NEVER_SENT else TIMEOUT if timed_out else DROPPED
            raise CallFailed(reason, f"{self.about['base_url']}: {cause}: {error.__cause__}") from error

    async def _require_model(self) -> None:
        """Asks for the list of models, once, after a status 500 of a server that has not replied to anything yet.

        Raises:
            Stopped: when the model is not in the list, or the list is not to be had for the same reason.
        """
        if self._listing is None:
            self._listing = asyncio.ensure_future(self._models())
        names = await asyncio.shield(self._listing)
        if isinstance(names, int):
            fault = f"the server answers status 500, and {names} when asked for its models"
        elif names is not None and self._model not in names:
            shown = ", ".join(sorted(names)[:SHOWN_MODELS]) or "none"
            fault = f"the server answers status 500, and {self._model!r} is not among its models ({shown})"
        else:
            return
        raise Stopped(f"{fault}. Check the model's name and the server's log; then run the same command again.")

    async def _models(self) -> list[str] | int | None:
        """The names of the server's models; the status, if it is in the same trouble there; None without a list."""
        import openai

        for _ in range(4):  # after a status 500 connections may be closing when they are used again
            try:
                async with asyncio.timeout(self.patience.read):
                    return read_models((await self._openai.models.with_raw_response.list()).http_response.content)
            except openai.APIStatusError as error:
                return error.status_code if error.status_code >= 500 and error.status_code != NO_LIST else None
            except openai.APIConnectionError:
                continue
            except (TimeoutError, openai.OpenAIError):
                break
        return None

    def _refusal(self, error: Any) -> CallFailed | Stopped:
        """What a status other than 200 (an `openai.APIStatusError`) means for this request, or for the run."""
        status, headers = error.status_code, error.response.headers
        message = self._key.hidden(self._key.hidden_in_body(error.response.content).decode("utf-8", errors="replace"))
        said = f"status {status}: {message[:SHOWN]}"
        if 300 <= status < 400:
            where = self._key.hidden(headers.get("location", "another address"))
            return Stopped(f"the server sends us on to {where[:SHOWN]}. If you trust it, give that address instead.")
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

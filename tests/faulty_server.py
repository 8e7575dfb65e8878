"""A server on this machine that speaks the OpenAI form and misbehaves by script, to test clients against.

    with FaultyServer([status(429, {"Retry-After": "7"}), drop(), good()]) as server:
        OpenAiClient(server.url, "a-model").ask(...)
    assert len(server.calls) == 3

Each step answers one call; after the last step, every call is answered well. Nothing but the standard library.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Call:
    """One call as the server saw it."""

    path: str
    headers: dict[str, str]  # names in lower case
    body: dict

    @property
    def prompt(self) -> str:
        content = self.body["messages"][-1]["content"]
        return content if isinstance(content, str) else content[-1]["text"]


Step = Callable[["Handler", Call], None]


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that was killed is no news; everything else is printed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class FaultyServer:
    """Serves on a free port of 127.0.0.1 until the `with` block ends.

    Attributes:
        url: what a client takes as its base address.
        calls: all calls so far, in order of arrival.
        most_at_once: the largest number of calls that were open at one time.
    """

    def __init__(self, steps=(), answer: Callable[[Call], str] = lambda call: "a red car", seconds: float = 0.0,
                 models: Sequence[str] | bytes | int = 501):  # fmt: skip
        self.steps = list(steps)
        self.models = models  # what GET /v1/models lists, or the status that it answers
        self.listings = 0  # how often it was asked
        self.answer = answer
        self.seconds = seconds  # how long a good reply takes
        self.calls: list[Call] = []
        self.most_at_once = self.open = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.http = Server(("127.0.0.1", 0), Handler)
        self.http.faulty = self
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server = self.server.faulty
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        call = Call(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        with server.lock:
            number = len(server.calls)
            server.calls.append(call)
            server.open += 1
            server.most_at_once = max(server.most_at_once, server.open)
        try:
            (server.steps[number] if number < len(server.steps) else good())(self, call)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client gave up, as it should
        finally:
            with server.lock:
                server.open -= 1

    def do_GET(self):
        server = self.server.faulty
        with server.lock:
            server.listings += 1
        if isinstance(server.models, int):
            self.reply(server.models, b"no such thing")
        elif isinstance(server.models, bytes):
            self.reply(200, server.models)
        else:
            data = [{"id": name, "object": "model", "created": 0, "owned_by": "me"} for name in server.models]
            self.reply(200, json.dumps({"object": "list", "data": data}).encode())

    def reply(self, status: int, content: bytes, headers: dict[str, str] | None = None, length: int | None = None):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, *arguments):
        pass  # tests read `calls`


def completion(text: str | None, finish: str = "stop", **message) -> bytes:
    """The body of a chat completion."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    whole = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    return json.dumps(whole).encode()


def good(text: str | None = None, finish: str = "stop", **message) -> Step:
    """A proper reply: the given text, or what the server's `answer` says."""

    def step(handler, call):
        server = handler.server.faulty
        server.closing.wait(server.seconds)
        handler.reply(200, completion(server.answer(call) if text is None else text, finish, **message))

    return step


def status(code: int, headers: dict[str, str] | None = None, message: str = "not now") -> Step:
    """An error status with an error object."""
    content = json.dumps({"error": {"message": message, "type": "fault", "code": None}}).encode()
    return lambda handler, call: handler.reply(code, content, headers)


def body(content: bytes) -> Step:
    """A 200 that holds exactly these bytes."""
    return lambda handler, call: handler.reply(200, content)


def echo(step: Callable[[str], Step]) -> Step:
    """A server that repeats a header: the step that is made with the text of `Authorization`, of this very call."""
    return lambda handler, call: step(call.headers.get("authorization") or call.headers["x-goog-api-key"])(
        handler, call
    )


def hang() -> Step:
    """No reply at all; the connection stays open."""
    return lambda handler, call: handler.server.faulty.closing.wait(600)


def drop() -> Step:
    """The connection closes before a reply."""

    def step(handler, call):
        handler.close_connection = True

    return step


def drop_in_body() -> Step:
    """The connection closes in the middle of a reply."""

    def step(handler, call):
        content = completion("a red car")
        handler.reply(200, content[: len(content) // 2], length=len(content))
        handler.close_connection = True

    return step


def drip(headers: bool = False, pause: float = 0.02) -> Step:
    """One byte at a time, for ever within the time limit of one read: the body, or already the headers."""

    def step(handler, call):
        content = completion("a red car" * 1000)
        if headers:
            start = b"HTTP/1.1 200 OK\r\nX-Slow: "
            content = start + b"y" * 100_000
        else:
            handler.reply(200, b"", length=len(content))
        for byte in content:
            if handler.server.faulty.closing.is_set():
                return
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(pause)

    return step

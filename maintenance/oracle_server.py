"""Diorama's oracle behind a port of this machine, for runs whose calls must be counted.

It speaks the OpenAI form, gets the prompts and pictures that every server gets, and answers without errors.
"""

import base64
import hashlib
import json
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mmhallu_core.clients.client import Request
from mmhallu_core.edit.engine import jobs
from mmhallu_core.edit.engine.jobs import Job
from mmhallu_core.edit.oracle import Oracle

JOBS = [value for value in vars(jobs).values() if isinstance(value, Job)]


class OracleServer(ThreadingHTTPServer):
    """Answers over HTTP as Diorama's oracle does, and counts.

    Attributes:
        keys: how often each idempotency key came.
        url: what a client takes as its base address.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.oracle, self.keys, self.lock = Oracle(), Counter(), threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news; everything else is printed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def say(self, content: str | list[dict[str, Any]]) -> str:
        """The oracle's reply to one message. Its choice of words goes by the prompt, because ids are not sent."""
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        images = [part["image_url"]["url"].split(",", 1)[1] for part in parts if part["type"] == "image_url"]
        job = next(one for one in JOBS if parts[-1]["text"].startswith(one.instructions + "\n"))
        name = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        pictures = tuple(base64.b64decode(image) for image in images)
        return self.oracle.ask(Request(f"{name}/{job.name}", parts[-1]["text"], pictures)).text


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answers one chat; half a request, of a client that was killed while it asked, is no call."""
        length = int(self.headers["Content-Length"])
        asked = self.rfile.read(length)
        if len(asked) < length:
            self.close_connection = True
            return
        body = json.loads(asked)
        with self.server.lock:
            self.server.keys[self.headers["Idempotency-Key"]] += 1
        message = {"role": "assistant", "content": self.server.say(body["messages"][-1]["content"])}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        whole = {"id": "x", "object": "chat.completion", "created": 0, "model": "oracle", "choices": [choice]}
        content = json.dumps(whole).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Nothing: `keys` has it."""

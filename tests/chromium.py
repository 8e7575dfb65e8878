"""A headless Chromium for tests: it opens a page, presses real keys, and says what a screen reader would find.

It is driven by the browser's own DevTools protocol, over a connection on this machine.
"""

import asyncio
import base64
import json
import shutil
import subprocess
import time
from pathlib import Path
from urllib.request import Request, urlopen

from tornado.websocket import WebSocketClientConnection, websocket_connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
QUIET = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-extensions --hide-scrollbars --remote-debugging-port=0 about:blank"
).split()
KEYS = dict(Tab=9, Enter=13, Space=32, ArrowLeft=37, ArrowUp=38, ArrowRight=39, ArrowDown=40)


def program() -> str | None:
    """The browser's path, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """One page in a browser of its own; use it in a `with` statement.

    Attributes:
        requests: every address that the page asked for.
        errors: exceptions and messages of level "error" in the console.
    """

    def __init__(self, profile: Path, width: int = 1000, height: int = 900) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.loop = asyncio.new_event_loop()
        self.number = 0
        command = [program(), f"--user-data-dir={profile}", f"--window-size={width},{height}", *QUIET]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        told = profile / "DevToolsActivePort"
        wait(lambda: told.is_file() and told.read_text(encoding="utf-8").count("\n"), "Chromium to start")
        port = told.read_text(encoding="utf-8").split("\n")[0]
        page = json.load(urlopen(Request(f"http://127.0.0.1:{port}/json/new?about:blank", method="PUT")))
        self.socket = self.loop.run_until_complete(self._connect(page["webSocketDebuggerUrl"]))
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility", "DOM"):
            self.send(f"{domain}.enable")
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait(60)
        self.loop.close()

    def send(self, method: str, **parameters: object) -> dict:
        """One command of the protocol; what happens meanwhile is noted."""
        return self.loop.run_until_complete(self._send(method, parameters))

    async def _connect(self, address: str) -> WebSocketClientConnection:
        return await websocket_connect(address, max_message_size=1 << 28)

    async def _send(self, method: str, parameters: dict) -> dict:
        self.number += 1
        await self.socket.write_message(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(await self.socket.read_message())
            if message.get("id") == self.number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self._note(message.get("method"), message.get("params", {}))

    def _note(self, event: str | None, about: dict) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.errors.append(str(about["exceptionDetails"].get("exception", about["exceptionDetails"])))
        elif event == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.errors.append(about["entry"]["text"])
        elif event == "Runtime.consoleAPICalled" and about["type"] == "error":
            self.errors.append(str(about["args"]))

    def open(self, address: str) -> None:
        """Opens a page and waits until it is complete; what was noted of an earlier page is forgotten."""
        self.requests, self.errors = [], []
        self.send("Page.navigate", url=address)
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'")

    def run(self, script: str) -> object:
        """The value of a JavaScript expression, in the page."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, f"{script}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def wait(self, script: str, seconds: float = 60) -> object:
        """Waits until a JavaScript expression is true, and returns its value."""
        return wait(lambda: self.run(script), script, seconds)

    def press(self, *keys: str) -> None:
        """Presses and releases keys, as on a keyboard."""
        for key in keys:
            code, text = KEYS[key], {"Enter": "\r", "Space": " "}.get(key, "")
            about = {"key": text if key == "Space" else key, "code": key, "windowsVirtualKeyCode": code}
            self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **about)
            self.send("Input.dispatchKeyEvent", type="keyUp", **about)

    def write(self, text: str) -> None:
        """Types text where the focus is."""
        self.send("Input.insertText", text=text)

    def tree(self) -> list[dict]:
        """What a screen reader finds: role, name, value and properties of everything that is not ignored."""
        found = []
        for node in self.send("Accessibility.getFullAXTree")["nodes"]:
            if not node["ignored"]:
                more = {one["name"]: one["value"].get("value") for one in node.get("properties", [])}
                value = {key: node.get(key, {}).get("value") for key in ("role", "name", "value")}
                found.append({**more, **value})
        return found

    def picture(self) -> bytes:
        """A PNG of what is on the screen."""
        return base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])


def wait(ready, what: str, seconds: float = 60) -> object:
    """Calls `ready` until it gives something true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := ready():
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:.0f} seconds for: {what}")

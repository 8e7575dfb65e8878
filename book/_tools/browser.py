"""Headless Chromium for checks of pages and widgets, driven over two pipes: nothing to install but the browser.

Chromium's DevTools protocol is JSON, one message after another with a zero byte between them. That gives what a
check needs: real keys, every request a page makes, every message it logs, its accessibility tree, and what it looks
like. All addresses but this machine's own are blocked, so that a page which needs one shows it.
"""

import base64
import json
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
# What a person operates or looks at, and so must have a name: roles of Chromium's accessibility tree.
NAMED = {
    "button", "checkbox", "combobox", "image", "img", "link", "listbox", "menuitem", "radio", "searchbox", "slider",
    "spinbutton", "switch", "tab", "textbox", "Canvas", "SvgRoot", "graphics-document", "DisclosureTriangle",
}  # fmt: skip
KEYS = dict(Tab=9, Enter=13, Space=32, ArrowLeft=37, ArrowUp=38, ArrowRight=39, ArrowDown=40)


def find() -> str | None:
    """The path of a Chromium, or None where there is none, or where it cannot be driven like this: on Windows."""
    return next((path for path in map(shutil.which, NAMES) if path), None) if os.name == "posix" else None


def wait(ready: Callable[[], object], what: str, seconds: float = 60) -> object:
    """Calls `ready` until it gives something true, and returns that.

    Raises:
        TimeoutError: when it never does.
    """
    end = time.monotonic() + seconds
    while not (value := ready()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} seconds for: {what}")
        time.sleep(0.05)
    return value


class Browser:
    """A browser process; use it in a `with`, which ends the process and removes its profile."""

    def __init__(self, program: str):
        """Starts `program`, its messages on the two pipes that it calls 3 and 4."""
        import fcntl  # not at the top: Windows has none, and may still ask `find`

        self.profile = tempfile.TemporaryDirectory(prefix="mmhallu-browser-", ignore_cleanup_errors=True)
        pipes = []
        for fd in (*os.pipe(), *os.pipe()):
            pipes.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10))  # away from 3 and 4
            os.close(fd)
        hears, self.send, self.receive, tells = pipes
        quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
        joined = [(os.POSIX_SPAWN_DUP2, hears, 3), (os.POSIX_SPAWN_DUP2, tells, 4)]
        command = [program, *FLAGS, f"--user-data-dir={self.profile.name}"]
        self.process = os.posix_spawn(program, command, os.environ, file_actions=[*quiet, *joined])
        os.close(hears)
        os.close(tells)
        self.number, self.rest, self.events = 0, b"", []

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *problem) -> None:
        os.kill(self.process, signal.SIGTERM)
        os.waitpid(self.process, 0)
        os.close(self.send)
        os.close(self.receive)
        self.profile.cleanup()

    def read(self, until: float) -> dict:
        """The next message.

        Raises:
            TimeoutError: when none comes before the clock reads `until`, or the browser has ended.
        """
        while b"\0" not in self.rest:
            ready = select.select([self.receive], [], [], max(0, until - time.monotonic()))[0]
            more = os.read(self.receive, 1 << 20) if ready else b""
            if not more:
                raise TimeoutError("the browser does not answer")
            self.rest += more
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def call(self, method: str, session: str | None = None, patience: float = 120.0, **parameters) -> dict:
        """Calls a method of the protocol and returns its result; events that come meanwhile are kept.

        Raises:
            RuntimeError: when the browser refuses.
        """
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        message |= {"sessionId": session} if session else {}
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.send, data) :]
        until = time.monotonic() + patience
        while (answer := self.read(until)).get("id") != self.number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(self, address: str, width: int = 1280, height: int = 900, dark: bool = False) -> "Page":
        """Opens a page and waits until it is loaded and has settled."""
        return Page(self, address, width, height, dark)


class Page:
    """One open page; `close` it when done, or use it in a `with`."""

    def __init__(self, browser: Browser, address: str, width: int, height: int, dark: bool):
        self.browser, browser.events = browser, []
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)  # as if its window were in front
        self._size(width, height)
        self.call("Page.navigate", url=address)
        until = time.monotonic() + 120
        while not any(event.get("method") == "Page.loadEventFired" for event in browser.events):
            browser.events.append(browser.read(until))
        for last in (False, False, True):
            try:
                self.run("new Promise(done => setTimeout(done, 600))")  # scripts that start when all is loaded
                break
            except RuntimeError as error:  # the page sent its reader on, as index.html does
                if last or "navigated" not in str(error):
                    raise

    def __enter__(self) -> "Page":
        return self

    def __exit__(self, *problem) -> None:
        self.close()

    def call(self, method: str, **parameters) -> dict:
        """A method of the protocol, for this page."""
        return self.browser.call(method, self.session, **parameters)

    def run(self, script: str):
        """The value of a JavaScript expression, or of the promise that it gives.

        Raises:
            RuntimeError: when the script fails.
        """
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def resize(self, width: int, height: int) -> None:
        """Gives the page's window another size, in pixels, and ends what slides into its place because of that."""
        self._size(width, height)
        self.run("new Promise(done => setTimeout(done, 100))")  # scripts that follow the window's size
        self.run("for (const one of document.getAnimations()) try { one.finish() } catch { /* it has no end */ }; 0")

    def _size(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def wait(self, script: str, seconds: float = 60) -> object:
        """Waits until a JavaScript expression is true, and returns its value."""
        return wait(lambda: self.run(script), script, seconds)

    def press(self, *keys: str) -> None:
        """Presses and releases keys, as on a keyboard; their names are in `KEYS`."""
        for key in keys:
            text = {"Enter": "\r", "Space": " "}.get(key, "")
            about = {"key": text if key == "Space" else key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
            self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **about)
            self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def write(self, text: str) -> None:
        """Types text where the focus is."""
        self.call("Input.insertText", text=text)

    def requests(self) -> list[str]:
        """Every address that the page asked for."""
        asked = [one for one in self.browser.events if one.get("method") == "Network.requestWillBeSent"]
        return [one["params"]["request"]["url"] for one in asked]

    def faults(self) -> list[str]:
        """Requests that failed or left this machine, and errors and warnings in the console."""
        found = []
        for event in self.browser.events:
            name, what = event.get("method"), event.get("params", {})
            if name == "Network.requestWillBeSent":
                address = what["request"]["url"]
                if not address.startswith(("http://127.0.0.1:", "file:", "data:", "blob:")):
                    found.append(f"request to {address[:200]}")
            elif name == "Network.loadingFailed" and not what.get("canceled"):
                found.append(f"failed request: {what['errorText']}")
            elif name == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
                found.append(f"{what['entry']['text']} {what['entry'].get('url', '')}")
            elif name == "Runtime.exceptionThrown":
                found.append(str(what["exceptionDetails"].get("exception", {}).get("description", what)))
            elif name == "Runtime.consoleAPICalled" and what["type"] in ("error", "warning", "assert"):
                found.append(" ".join(str(one.get("value", one.get("description"))) for one in what["args"]))
        return found

    def tree(self) -> list[dict]:
        """The accessibility tree: nodes, each with its id and its children's.

        On a busy machine Chromium is still building it some time after the page has loaded, and gives what it has:
        so it is read until two readings agree.

        Raises:
            TimeoutError: when it never comes to rest.
        """
        last: list[dict] = []

        def rests() -> list[dict] | None:
            nonlocal last
            earlier, last = last, self.call("Accessibility.getFullAXTree")["nodes"]
            return last if last == earlier else None

        return wait(rests, "the accessibility tree comes to rest")

    def found(self) -> list[dict]:
        """What a screen reader finds: role, name, value and properties of all that is not ignored."""
        return [
            {one["name"]: one["value"].get("value") for one in node.get("properties", [])}
            | {key: node.get(key, {}).get("value") for key in ("role", "name", "value")}
            for node in self.tree()
            if not node["ignored"]
        ]

    def value_said(self) -> str | None:
        """The value of the control in focus in words (Chromium 156 leaves it out of its tree for tools)."""
        return self.run("document.activeElement.getAttribute('aria-valuetext')")

    def nameless(self) -> list[str]:
        """Controls and graphics of the accessibility tree that have no name, by role."""
        return [one["role"] for one in self.found() if one["role"] in NAMED and not (one["name"] or "").strip()]

    def picture(self, path: Path, width: int) -> None:
        """Writes a PNG of the whole page, `width` pixels wide."""
        high = int(self.call("Page.getLayoutMetrics")["cssContentSize"]["height"])
        self._size(width, min(high, 16000))
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        """Closes the page."""
        self.browser.call("Target.closeTarget", targetId=self.target)

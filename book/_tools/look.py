"""Looks at every built page as a reader does: light and dark, on a desktop and on a phone. For maintainers, by hand.

    python book/_tools/look.py book/_build/html --axe PATH/axe.min.js --pictures /tmp/pages
    python book/_tools/look.py book/_build/html --only chapters/count-it --read

It prints requests that leave the page, what the console says, controls and graphics without a name, pages that are
wider than the window, text and figures that are cut off or too small (`cut.js`), and with --axe what axe-core finds
(get it outside the repository: npm pack axe-core).
With --read it prints instead what a screen reader finds on each page, in its order, as text.
The exit status is 1 when anything was found. It needs Chromium, on Linux or macOS.
"""

import argparse
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import browser
from read import reading

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
CUT = Path(__file__).with_name("cut.js").read_text(encoding="utf-8")
AXE = """axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.map(one =>
    `${one.impact} ${one.id}: ` + one.nodes.slice(0, 3).map(node => `${node.target} ${node.failureSummary}`)))"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, *message) -> None:
        """Nothing: the findings are what matters."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serves a folder on this machine alone, and gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()  # asked as often whether to stop
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def findings(page: browser.Page, axe: str | None = None) -> list[str]:
    """All that is wrong with an open page.

    Args:
        page: as it is now.
        axe: the source of axe-core; its findings are left out without it.
    """
    found = page.faults() + [f"{role} without a name" for role in page.nameless()]
    wide, window = page.run("[document.documentElement.scrollWidth, innerWidth]")
    found += [f"the page is {wide} pixels wide in a window of {window}"] if wide > window else []
    found += page.run(CUT)
    if axe:
        page.run(f"{axe};0")
        found += page.run(AXE)
    return found


def main() -> int:
    """Looks at the pages and prints what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("html", type=Path, help="the folder of the built book")
    parser.add_argument("--axe", type=Path, help="axe.js or axe.min.js of axe-core")
    parser.add_argument("--pictures", type=Path, help="a folder for screenshots of every page")
    parser.add_argument("--read", action="store_true", help="print each page as a screen reader finds it")
    parser.add_argument("--only", default="", help="only pages whose path has this in it")
    chosen = parser.parse_args()
    program = browser.find()
    if program is None:
        sys.exit(f"There is no Chromium here; looked for {', '.join(browser.NAMES)}.")
    axe = chosen.axe.read_text(encoding="utf-8") if chosen.axe else None
    pages = [path.relative_to(chosen.html).as_posix() for path in sorted(chosen.html.rglob("*.html"))]
    pages = [name for name in pages if "_static/" not in name and name != "index.html" and chosen.only in name]
    wrong = 0
    with served(chosen.html) as address, browser.Browser(program) as chromium:
        if chosen.read:
            for name in pages:
                with chromium.open(f"{address}/{name}") as page:
                    print(f"{'=' * 20} {name}", reading(page.tree()), sep="\n\n", flush=True)
            return 0
        for name in pages:
            for size, (width, height) in SIZES.items():
                for dark in (False, True):
                    page = chromium.open(f"{address}/{name}", width, height, dark)
                    look = f"{name}, {size}, {'dark' if dark else 'light'}"
                    found = findings(page, axe)
                    print("\n    ".join([f"{look}: {len(found) or 'nothing'} found", *found]), flush=True)
                    wrong += len(found)
                    if chosen.pictures:
                        chosen.pictures.mkdir(parents=True, exist_ok=True)
                        page.picture(chosen.pictures / f"{look.replace('/', '-').replace(', ', '-')}.png", width)
                    page.close()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

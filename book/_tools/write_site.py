"""Writes the built book as one zip that opens by double click: unpack it, open index.html, no server and no network.

    python tasks.py site          builds the book without downloaded data, checks it, and writes dist/mmhallu-book-*.zip

Before anything is written, three things are checked. The pages were built without MMHALLU_DATA, so no cell could show
what belongs to other people. No page asks for anything from another address. And where the downloaded data is at hand
(--data), no picture of it and no twelve words in a row of its texts are in the pages.
"""

import argparse
import base64
import gzip
import hashlib
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from bs4 import BeautifulSoup

LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src",
         "embed": "src", "object": "data", "use": "href", "image": "href"}  # fmt: skip
FETCHED_LINKS = {"stylesheet", "icon", "shortcut", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload"}
ELSEWHERE = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
IN_CSS = re.compile(r"""(?:@import\s+["']|url\(\s*["']?)\s*((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)
IN_SCRIPT = re.compile(r"""["'`](https?://(?!www\.w3\.org/)[^"'`]+)""")
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg"}
IN_A_ROW = 12  # words: longer than any question that the book asks itself


def outside(page: str) -> list[str]:
    """The addresses on other machines that a page loads something from, or that its scripts hold.

    A link that the reader may click is not among them: nothing is asked for until somebody clicks.
    """
    soup, found = BeautifulSoup(page, "html.parser"), []
    for tag, attribute in LOADS.items():
        for one in soup.find_all(tag):
            named = [one.get(attribute), one.get("xlink:href"), *str(one.get("srcset", "")).split(",")]
            found += [address for address in named if address and ELSEWHERE.match(address)]
    for link in soup.find_all("link", href=True):
        if FETCHED_LINKS & set(link.get("rel", [])) and ELSEWHERE.match(link["href"]):
            found.append(link["href"])
    for block in [*soup.find_all("style"), *soup.find_all(style=True)]:
        found += IN_CSS.findall(block.get("style") or block.get_text())
    for script in soup.find_all("script", src=False):
        found += IN_SCRIPT.findall(script.get_text())
    return found


def all_outside(html: Path) -> list[str]:
    """`outside` for every page and style sheet below a folder, each finding with its file."""
    found = []
    for path in sorted(html.rglob("*.html")):
        if "_static" not in path.relative_to(html).parts:
            found += [f"{path.relative_to(html)}: {one}" for one in outside(path.read_text(encoding="utf-8"))]
    for path in sorted(html.rglob("*.css")):
        found += [f"{path.relative_to(html)}: {one}" for one in IN_CSS.findall(path.read_text(encoding="utf-8"))]
    return found


def runs(text: str) -> set[str]:
    """Every `IN_A_ROW` words in a row, in small letters without punctuation."""
    words = re.findall(r"[a-z0-9']+", text.lower())
    return {" ".join(words[k : k + IN_A_ROW]) for k in range(len(words) - IN_A_ROW + 1)}


def strings(value) -> Iterator[str]:
    """Every string inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings(one)


def texts_of(path: Path) -> Iterator[str]:
    """The strings of a JSON or JSON Lines file, compressed or not."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    try:
        yield from strings(json.loads(text))
    except json.JSONDecodeError:  # one object a line
        for line in filter(str.strip, text.splitlines()):
            yield from strings(json.loads(line))


def borrowed(html: Path, data: Path) -> list[str]:
    """What of the downloaded data is in the pages: its pictures, byte for byte, and its words."""
    pages = {path: path.read_text(encoding="utf-8") for path in html.rglob("*.html")}
    shown = {hashlib.sha256(path.read_bytes()).digest() for path in html.rglob("*") if path.suffix in PICTURES}
    for page in pages.values():
        carried = re.findall(r"data:image/[a-z+]+;base64,([A-Za-z0-9+/=]+)", page)
        shown |= {hashlib.sha256(base64.b64decode(one)).digest() for one in carried}
    said = set().union(*(runs(BeautifulSoup(page, "html.parser").get_text(" ")) for page in pages.values()))
    found = []
    for path in sorted(data.rglob("*")):
        if path.suffix.lower() in PICTURES and hashlib.sha256(path.read_bytes()).digest() in shown:
            found.append(f"the picture {path.relative_to(data)}")
        elif path.name.endswith((".json", ".jsonl", ".json.gz", ".jsonl.gz")):
            quoted = sorted(set().union(*(runs(text) & said for text in texts_of(path) if len(text) > 40)))
            found += [f"from {path.relative_to(data)}: {words!r}" for words in quoted[:3]]
    return found


def write(html: Path, out: Path) -> Path:
    """Writes the zip; the same pages give the same bytes. The theme's source maps stay out: no reader needs them."""
    version = json.loads((html / "build.json").read_text(encoding="utf-8"))["version"]
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"mmhallu-book-{version}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in html.rglob("*") if path.is_file() and path.suffix != ".map"):
            name = f"mmhallu-book/{path.relative_to(html).as_posix()}"
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    return target


def main(arguments: list[str] | None = None) -> int:
    """Checks the pages and writes the zip; 1 when a check failed, 2 when there are no pages to check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("html", type=Path, help="the folder of the built book")
    parser.add_argument("out", type=Path, help="the folder for the zip")
    parser.add_argument("--data", type=Path, help="downloaded data that must not be in the pages")
    chosen = parser.parse_args(arguments)
    if not (chosen.html / "build.json").is_file():
        print(f"There is no built book in {chosen.html}: run `python tasks.py book` first.", file=sys.stderr)
        return 2
    faults = [f"loaded from elsewhere: {one}" for one in all_outside(chosen.html)]
    if json.loads((chosen.html / "build.json").read_text(encoding="utf-8"))["data"]:
        faults.append("the pages were built with MMHALLU_DATA: unset it and build again")
    if chosen.data:
        faults += [f"belongs to others: {one}" for one in borrowed(chosen.html, chosen.data)]
    if faults:
        print("No zip was written:", *faults, sep="\n    ", file=sys.stderr)
        return 1
    target = write(chosen.html, chosen.out)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB. Unpack it and open index.html.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Sphinx extension: what a screen reader, a keyboard and an offline reader need, on every page.

Three things happen here. While a page is made, each picture on it must have words; one without is a warning, and a
warning stops the build. When all pages are written, the theme's HTML is mended where it names a button badly or leaves
a part of the page outside every landmark. And a solution that is to be folded away becomes a `details` element, which
every browser opens by mouse, keyboard and search, without a script.
"""

from pathlib import Path

from bs4 import BeautifulSoup
from sphinx.util import logging

logger = logging.getLogger(__name__)
FILES = (".png", ".svg", ".jpg", ".jpeg", ".gif", ".webp")


def wordless(page: BeautifulSoup) -> list[str]:
    """What a reader who cannot see would miss: pictures without words, each by the start of its tag.

    A file name is no description (it is what Sphinx writes when the author wrote nothing). A drawing that only
    decorates is marked `aria-hidden`.
    """
    faults = []
    for picture in page.find_all(["img", "svg", "canvas"]):
        if picture.find_parent(attrs={"aria-hidden": "true"}) or picture.get("aria-hidden") == "true":
            continue
        said = picture.get("alt" if picture.name == "img" else "aria-label") or ""
        if not said.strip() or said.endswith(FILES):
            faults.append(str(picture)[:120])
    return faults


def check_pictures(app, pagename, templatename, context, doctree) -> None:
    """Warns of each picture on a page that has no words."""
    for fault in wordless(BeautifulSoup(context.get("body") or "", "html.parser")):
        words = "this picture has no words for those who cannot see it (alt, or aria-label on an svg): %s"
        logger.warning(words, fault, location=pagename if doctree else None)


def fold(page: BeautifulSoup) -> None:
    """Turns each admonition of the class `dropdown` into a closed `details` element, its title into the summary."""
    for box in page.select("div.admonition.dropdown"):
        title = box.find(class_="admonition-title")
        box.name, title.name = "details", "summary"
        box["class"] = [name for name in box["class"] if name != "dropdown"]


def mend(page: BeautifulSoup) -> None:
    """Names what the theme leaves without a name, and un-names what it names twice."""
    for sidebar in page.select("#pst-primary-sidebar"):  # a landmark, so that all of the page is in one
        sidebar["role"], sidebar["aria-label"] = "navigation", "Book"
    for button in page.select("button.search-button-field"):
        button.attrs.pop("aria-label", None)  # it says less than what is written on the button
        button.attrs.pop("title", None)
    for icon in page.select("button i, button span.fa-solid, a i"):
        icon.attrs.pop("title", None)  # the button has a name; a second one would be read as part of it
        icon["aria-hidden"] = "true"
    for summary in page.select("summary[aria-label]"):
        if summary.get_text(strip=True):  # what is written on it says more
            summary.attrs.pop("aria-label")
    for summary in page.select(".bd-sidenav li > details > summary"):  # an icon in the sidebar
        summary["aria-label"] = f"Pages under {summary.find_parent('li').a.get_text(strip=True)}"
    for head in page.select("thead th"):
        if not head.get_text(strip=True):  # the corner of a table heads nothing
            head.name = "td"
    for entry in page.select('[role="doc-biblioentry"]'):  # that role is withdrawn, and the list around it needs items
        entry["role"] = "listitem"
    for kind, name in (("cell_input", "Code"), ("cell_output", "Output")):  # so that one hears where each begins
        for cell in page.select(f"div.{kind}"):
            cell["role"], cell["aria-label"] = "group", name
    for button in page.select("button[title]:not([aria-label])"):
        button["aria-label"] = button["title"]


def plain_signatures(page: BeautifulSoup) -> None:
    """Makes the lines of a long signature plain blocks: Sphinx writes a list of definitions without a term."""
    for lines in page.select("dt.sig > dl"):
        lines.name, lines["class"] = "div", ["sig-lines"]
        for line in lines.find_all("dd", recursive=False):
            line.name = "div"


def care(app, exception) -> None:
    """Mends every page that was written. What is mended already stays as it is."""
    if exception is not None or app.builder.format != "html":
        return
    for path in sorted(Path(app.outdir).rglob("*.html")):
        if "_static" in path.relative_to(app.outdir).parts:  # the theme's building blocks, not pages
            continue
        page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for step in (fold, mend, plain_signatures):
            step(page)
        path.write_text(str(page), encoding="utf-8")


def set_mode(app, pagename, templatename, context, doctree) -> None:
    """Light or dark as the reader's system says, until the reader chooses."""
    context["default_mode"] = "auto"


def setup(app) -> dict:
    """Registers the steps."""
    app.connect("html-page-context", set_mode)
    app.connect("html-page-context", check_pictures, priority=900)  # when the page's body is complete
    app.connect("build-finished", care)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

"""Sphinx extension: `{run-times}` becomes a table of how long each page's cells took, and on which machine.

The seconds are those that jupyter-cache noted when it executed a page: the start of Python and the imports count, a
page that came from the cache shows what it took then. They are known only once every page was read, so the table is
filled in last.
"""

import os
import platform
from collections.abc import Iterator

from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.addnodes import pending_xref
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

from mmhallu_core.config import profile


class RunTimes(nodes.General, nodes.Element):
    """Where the table will stand."""


class RunTimesDirective(SphinxDirective):
    """`{run-times}` on a page: no arguments, no options."""

    def run(self) -> list[nodes.Node]:
        """Leaves a mark."""
        return [RunTimes()]


def in_reading_order(env: BuildEnvironment, page: str) -> Iterator[str]:
    """A page and those below it in the table of contents."""
    yield page
    for below in env.toctree_includes.get(page, []):
        yield from in_reading_order(env, below)


def seconds(env: BuildEnvironment) -> dict[str, float]:
    """For each page with cells, in the order in which they are read: the seconds that its cells took."""
    notes = NbMetadataCollector.get_doc_data(env)
    read = [page for page in in_reading_order(env, env.config.root_doc) if page in notes]
    times = {page: notes[page].get("exec_data") or {} for page in read}
    return {page: data["runtime"] for page, data in times.items() if data.get("runtime") is not None}


def machine() -> str:
    """Where this build ran, in words."""
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores, Python {platform.python_version()}, "
        f"profile {profile().name}"
    )


def row(*entries: nodes.Node) -> nodes.row:
    """A row of the table."""
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", entry)) for entry in entries))


class FillIn(SphinxPostTransform):
    """Puts the table in its place, before links are resolved: the names of pages are links."""

    default_priority = 8

    def run(self, **kwargs: object) -> None:
        """Replaces each mark."""
        for mark in list(self.document.findall(RunTimes)):
            times = seconds(self.env)
            rows = []
            for page, time in times.items():
                name = nodes.inline(text=self.env.titles[page].astext())
                link = pending_xref("", name, refdoc=self.env.docname, reftarget=f"/{page}", reftype="doc")
                link.attributes |= {"refdomain": "std", "refexplicit": True, "refwarn": True}
                rows.append(row(link, nodes.Text(f"{time:.1f}")))
            rows.append(row(nodes.Text("Sum"), nodes.Text(f"{sum(times.values()):.1f}")))
            head = nodes.thead("", row(nodes.Text("Page"), nodes.Text("Seconds")))
            widths = [nodes.colspec(colwidth=width) for width in (70, 30)]
            group = nodes.tgroup("", *widths, head, nodes.tbody("", *rows), cols=2)
            mark.replace_self([nodes.paragraph(text=f"Executed on {machine()}."), nodes.table("", group)])


def setup(app) -> dict:
    """Registers the directive."""
    app.add_node(RunTimes)
    app.add_directive("run-times", RunTimesDirective)
    app.add_post_transform(FillIn)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

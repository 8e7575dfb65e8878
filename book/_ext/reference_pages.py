"""Sphinx extension: a page of reference for one sub-package of `mmhallu_core`, made from its source.

`{subpackage} statistics` on a page lists every public module of that sub-package, so no new file is forgotten. The
docstrings of the library are plain text with code in backticks, not reStructuredText. What Sphinx gets is made
here from them, with every special character escaped: no sentence in a docstring can break the build of the book.
"""

import re
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

LIBRARY = Path(__file__).resolve().parents[2] / "mmhallu_core"
SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Example|Examples|Note):$")
TITLES = {"Args": "Arguments"}
ITEM = re.compile(r"^(\*{0,2}[\w.`, ]+?):\s+(.*)$")
BULLET = re.compile(r"^(?:[*-]|\d+\.) (.*)$")


def modules(package: str) -> list[str]:
    """The dotted names of a sub-package's public modules, the sub-package itself first."""
    folder = LIBRARY / package
    if not folder.is_dir():
        return [package]
    names = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(LIBRARY).with_suffix("").parts
        if not any(part.startswith("_") and part != "__init__" for part in parts):
            names.append(".".join(part for part in parts if part != "__init__"))
    return sorted(name for name in names if not name.endswith("__main__"))


def inline(text: str) -> str:
    """A paragraph as reStructuredText: `code` stays code, *stress* stays stress, everything else is literal."""
    pieces = re.split(r"(?<!\w)(`+)(.+?)\1|(?<![\w*])\*(?=\S)([^*`]+)(?<=\S)\*(?![\w*])", text)
    out = []
    for plain, code, stressed in zip(pieces[::4], [*pieces[2::4], None], [*pieces[3::4], None], strict=True):
        out.append(re.sub(r"([\\*_|`])", r"\\\1", plain))
        if code is not None and code.strip():
            out.append(f"``{code.strip()}``\\ ")  # the escaped blank allows a letter to follow
        if stressed is not None:
            out.append("*" + re.sub(r"([\\_|])", r"\\\1", stressed) + "*\\ ")
    return "".join(out)


def blocks(lines: list[str]) -> list[list[str]]:
    """Runs of lines that are not empty."""
    runs, current = [], []
    for line in [*lines, ""]:
        if line.strip():
            current.append(line.rstrip())
        elif current:
            runs.append(current)
            current = []
    return runs


def literal(block: list[str]) -> list[str]:
    """A block that is shown as it was written."""
    return ["::", "", *("    " + line for line in block), ""]


def items(block: list[str], pattern: re.Pattern) -> list[str]:
    """A list: each line that the pattern fits begins an item, and the others go on with the one before."""
    joined: list[str] = []
    for line in block:
        if pattern.match(line) or not joined:
            joined.append(line)
        else:
            joined[-1] += " " + line.strip()
    out = []
    for item in joined:
        found = pattern.match(item)
        if found is None:
            out.append("* " + inline(item))
        elif pattern is ITEM:
            out.append(f"* ``{found.group(1).strip('`* ')}``: {inline(found.group(2))}")
        else:
            out.append("* " + inline(found.group(1)))
    return [*out, ""]


def prose(lines: list[str]) -> list[str]:
    """Paragraphs, lists, tables and examples."""
    out: list[str] = []
    for block in blocks(lines):
        listed = [line for line in block if BULLET.match(line)]
        if block[0].startswith(("|", ">>>", "  ", "\t")):
            out += literal(block)
        elif listed:
            first = block.index(listed[0])
            out += ["", inline(" ".join(block[:first])), ""] if first else []
            out += items(block[first:], BULLET)
        else:
            out += [inline(" ".join(line.strip() for line in block)), ""]
    return out


def converted(lines: list[str]) -> list[str]:
    """A Google-style docstring as reStructuredText."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for line in lines:
        section = SECTION.match(line)
        if section:
            parts.append((section.group(1), []))
        elif parts[-1][0] and line.strip() and not line.startswith(" "):
            parts.append(("", [line]))  # a section ends where the indentation does
        else:
            parts[-1][1].append(line)
    out: list[str] = []
    for name, body in parts:
        if not name:
            out += prose(body)
            continue
        out += [f"**{TITLES.get(name, name)}**", ""]
        margin = min((len(line) - len(line.lstrip()) for line in body if line.strip()), default=0)
        body = [line[margin:] for line in body]
        if name in ("Args", "Attributes", "Raises"):
            for block in blocks(body):
                out += items(block, ITEM)
        else:
            out += prose(body)
    return out


def process(app, what, name, obj, options, lines) -> None:
    """Sphinx's hook: changes the lines of one docstring in place."""
    lines[:] = converted(list(lines))


class SubPackage(SphinxDirective):
    """`{subpackage} NAME`: every public module of a sub-package, each under a heading of its own."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The sections of the page."""
        package = self.arguments[0]
        text = []
        for name in modules(package):
            fence = [
                "```{eval-rst}",
                f".. automodule:: mmhallu_core.{name}",
                "   :members:",
                "   :ignore-module-all:",
                "```",
                "",
            ]
            text += ([] if name == package else [f"## {name}", ""]) + fence
        holder = nodes.section()
        holder.document = self.state.document
        self.state.nested_parse(StringList(text, source=package), 0, holder, match_titles=True)
        return holder.children


def setup(app):
    """Registers the directive and the hook."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", process)
    app.add_directive("subpackage", SubPackage)
    return {"parallel_read_safe": True}

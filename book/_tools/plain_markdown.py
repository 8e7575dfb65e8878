"""From MyST, which the book's pages are written in, to the plain Markdown that every notebook program shows.

Only what the chapters need is known here. Anything else is an error that names it: a notebook that showed raw markup
to its reader would be worse than one that cannot be made.

    >>> plain("A {term}`mention` of [the model](../welcome.md).", links=lambda target: target.upper())
    'A mention of [the model](../WELCOME.MD).'
"""

import re
from collections.abc import Callable

FENCE = re.compile(r"^(?P<marks>`{3,}|:{3,})\{(?P<name>[\w:-]+)\} *(?P<title>.*)$")
ROLE = re.compile(r"\{(?P<name>[\w:-]+)\}`(?P<text>[^`]+)`")
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$|``.+?``|`[^`\n]+`", re.M | re.S)
ROLE_OR_CODE = re.compile(f"{ROLE.pattern}|(?P<code>{CODE.pattern})", re.M | re.S)
BOXES = ("note", "tip", "warning", "important", "seealso", "admonition", "dropdown")
NAMED = {"seealso": "See also"}


class Unknown(ValueError):
    """Markup that has no form in a notebook."""


def blocks(text: str) -> list[tuple[str, str, str]]:
    """Cuts MyST text into directives and what stands between them.

    Returns:
        Triples of the directive's name ("" for plain text), its title, and its body or the plain text.

    Raises:
        Unknown: for a directive that is not closed.
    """
    found, plain_lines, lines = [], [], iter(text.splitlines())
    for line in lines:
        opening = FENCE.match(line)
        code = re.match(r"^(`{3,}|~{3,})", line)
        if not opening and not code:
            plain_lines.append(line)
            continue
        marks = opening["marks"] if opening else code[1]
        body, closing = [], re.compile(rf"^{marks[0]}{{{len(marks)},}}\s*$")
        for inner in lines:
            if closing.match(inner):
                break
            body.append(inner)
        else:
            raise Unknown(f"{line!r} is not closed")
        if opening:
            found += [("", "", "\n".join(plain_lines)), (opening["name"], opening["title"], "\n".join(body))]
            plain_lines = []
        else:
            plain_lines += [line, *body, marks]
    return [block for block in [*found, ("", "", "\n".join(plain_lines))] if block != ("", "", "")]


def split_options(body: str) -> tuple[dict[str, str], str]:
    """A directive's options (`:label: say-less`) and the rest of its body."""
    head = re.match(r"\A(?::[\w-]+:[^\n]*(?:\n|\Z))*", body)[0]
    return dict(re.findall(r"^:([\w-]+): *(.*?) *$", head, re.M)), body[len(head) :].strip("\n")


def quoted(title: str, text: str) -> str:
    """A box: plain Markdown has none, so it becomes a quotation with a title."""
    return "\n".join(f"> {line}".rstrip() for line in (f"**{title}**", "", *text.splitlines()))


def plain(text: str, links: Callable[[str], str], names: Callable[[str, str], str] | None = None) -> str:
    """Turns MyST text into plain Markdown.

    Args:
        text: prose without exercises, solutions and cells.
        links: from the target of a link to the target in the notebook.
        names: from a role that refers (`ref`, `numref`, `doc`, `cite`) and its text to Markdown.

    Raises:
        Unknown: for a directive or a role that has no form in a notebook.
    """
    parts = []
    for name, title, body in blocks(text):
        options, inside = split_options(body) if name else ({}, body)
        if not name:
            parts.append(_sentences(body, links, names))
        elif name in BOXES:
            shown = _sentences(title, links, names) or NAMED.get(name, name.capitalize())
            parts.append(quoted(shown, plain(inside, links, names)))
        elif name == "math":
            parts.append(f"$$\n{inside}\n$$")
        else:
            raise Unknown(f"the directive {{{name}}} has no form in a notebook")
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(part.strip("\n") for part in parts if part.strip()))


def _sentences(text: str, links: Callable[[str], str], names: Callable[[str, str], str] | None) -> str:
    """The same inside a paragraph. Code is put aside first and laid back at the end, so that nothing in it changes."""
    aside: list[str] = []

    def keep(piece: str) -> str:
        aside.append(piece)
        return f"\0{len(aside) - 1}\0"

    def role_or_code(match: re.Match) -> str:
        if match["code"]:
            return keep(match["code"])
        if match["name"] == "term":
            return re.sub(r"\s*<[^>]*>$", "", match["text"])
        if match["name"] == "math":
            return keep(f"${match['text']}$")
        known = names(match["name"], match["text"]) if names else None
        if known is None:
            raise Unknown(f"the role {match[0]} has no form in a notebook")
        return keep(known)

    text = ROLE_OR_CODE.sub(role_or_code, text)
    text = re.sub(r"^(?:%.*|\([\w-]+\)=)$\n?", "", text, flags=re.M)  # comments, and the targets of links
    if strange := re.search(r"^: .*|\[\^[\w-]+\]|\{\{.*?\}\}|^\+\+\+", text, re.M):
        raise Unknown(f"{strange[0]!r} has no form in a notebook")
    text = LINK.sub(lambda match: f"[{match['text']}]({links(match['target'])})", text)
    return re.sub(r"\0(\d+)\0", lambda match: aside[int(match[1])], text)

"""A page as a screen reader reads it: Chromium's accessibility tree, from top to bottom, as plain text.

Headings begin with as many # as their level, items of a list with their mark, cells of a table are separated by |.
What is not text stands in square brackets with its role and its name: [button: Copy], [image: Drawn scene. ...].
So a person can read what a page is without its pictures, and see what has no name, what is said twice, and whether
the order makes sense.
"""

import re
from collections.abc import Iterator

LEAVES = ("button", "checkbox", "combobox", "image", "link", "searchbox", "slider", "textbox", "DisclosureTriangle")
NAMED_FROM_OUTSIDE = ("navigation", "region", "figure", "table", "group", "article", "status", "list", "complementary")
MARK = "\0"  # stands before the mark of an item, whose text begins in a paragraph of its own
INLINE = ("strong", "emphasis", "code", "mark", "subscript", "superscript", "time", "abbr")


def reading(nodes: list[dict]) -> str:
    """The text of a page.

    Args:
        nodes: the accessibility tree, as `browser.Page.tree` gives it.
    """
    by_id = {node["nodeId"]: node for node in nodes}

    def pieces(node: dict) -> Iterator[str]:
        """The text below a node; "\\n" stands where a line ends."""
        below = [by_id[number] for number in node.get("childIds", []) if number in by_id]
        role, name = (node.get(key, {}).get("value") or "" for key in ("role", "name"))
        if node["ignored"]:
            role = ""
        if role in ("InlineTextBox", "LineBreak"):
            yield "" if role == "InlineTextBox" else "\n"
        elif role == "StaticText":
            yield name
        elif role == "ListMarker":
            yield f"\n{MARK}{name.strip()} "
        elif role in LEAVES:
            told = {one["name"]: one["value"].get("value") for one in node.get("properties", [])}
            value = told.get("valuetext") or node.get("value", {}).get("value")
            open_ = {True: ", open", False: ", folded"}.get(told.get("expanded"), "")
            yield f"[{role}{open_}: {name.strip() or 'NO NAME'}{f' = {value}' if value else ''}]"
        elif role == "heading":
            level = next(one["value"]["value"] for one in node["properties"] if one["name"] == "level")
            yield f"\n\n{'#' * level} {name}\n"
        elif role.lower().startswith("math"):
            yield f"[formula: {name or ''.join(text for one in below for text in pieces(one))}]"
        elif role == "row":
            yield "\n" + " | ".join(" ".join("".join(pieces(cell)).split()) for cell in below)
        elif not role or role in INLINE:
            for one in below:
                yield from pieces(one)
        else:
            yield f"\n[{role}: {name}]\n" if name and role in NAMED_FROM_OUTSIDE else "\n"
            for one in below:
                yield from pieces(one)
            yield "\n"

    lines, blank = [], True
    for line in re.sub(rf"{MARK}([^\n]*)\n\s*", r"\1", "".join(pieces(nodes[0]))).split("\n"):
        if line.strip() or not blank:
            lines.append(line.rstrip())
        blank = not line.strip()
    return "\n".join(lines)

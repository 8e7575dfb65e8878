"""Sphinx extension: formulas become MathML while the book is built.

A browser draws MathML by itself and a screen reader reads it, so a page needs no script and no font from
anywhere. The alternative, MathJax, would be megabytes of JavaScript to ship, and formulas that appear late.
A formula that cannot be converted whole is a warning, and a warning stops the build.
"""

import html
import re

from docutils import nodes
from latex2mathml import exceptions
from latex2mathml.converter import convert
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)
# The converter's own exceptions have no common base; the others come from inside it, for input cut short.
FAULTS = (*(one for one in vars(exceptions).values() if isinstance(one, type)), IndexError, KeyError, ValueError)
# What it does not know, it prints instead of drawing: a command, an & or a line break outside an environment.
LEFTOVER = re.compile(r"<m[a-z]+[^>]*>\s*(\\[A-Za-z]+|&)\s*<|(linebreak)")
# TeX sets a little space after the name of a function, and around these signs, which here come as plain letters.
FUNCTION = re.compile(r"<mi>(arg|cos|det|exp|lim|ln|log|max|min|sin|tan)</mi>(?=<m(?!o))")
SIGN = re.compile("<mi>(&#x000B1;|&#x0007E;)</mi>")
BAR = re.compile("<mo>(&#x02016;|&#x02223;|&#x0007C;|\\|)</mo>")  # grows only after \left, as in TeX


def formula(latex: str, block: bool, where: nodes.Element | None = None) -> str:
    """MathML of one formula; `alttext` holds its LaTeX, for whoever wants to copy it.

    Args:
        latex: without dollar signs.
        block: whether it stands on a line of its own.
        where: the node that a warning points at.
    """
    known = latex.replace("{aligned}", "{split}")  # the same thing, under the name that the converter knows
    try:
        drawn = convert(known, display="block" if block else "inline")
    except FAULTS as error:
        logger.warning("this formula cannot be drawn: %s (%r)", latex, error, location=where)
        return f"<code>{html.escape(latex)}</code>"
    if unknown := LEFTOVER.search(drawn):
        what = unknown[1] or "a line break outside an environment such as split"
        logger.warning("latex2mathml does not know %s, in: %s", what, latex, location=where)
    drawn = BAR.sub(r'<mo stretchy="false">\1</mo>', drawn)
    drawn = SIGN.sub(r"<mo>\1</mo>", FUNCTION.sub(r'<mi>\1</mi><mspace width="0.167em" />', drawn))
    return drawn.replace("<math ", f'<math alttext="{html.escape(latex, quote=True)}" ', 1)


def visit_inline(translator, node: nodes.math) -> None:
    """Writes `$...$`."""
    translator.body.append(formula(node.astext(), False, node))
    raise nodes.SkipNode


def visit_block(translator, node: nodes.math_block) -> None:
    """Writes `$$...$$`, with its number when it has a label."""
    anchor = f' id="{html.escape(node["ids"][0])}"' if node["ids"] else ""
    number = f'<span class="eqno">({get_node_equation_number(translator, node)})</span>' if node["number"] else ""
    # tabindex: a formula wider than a phone scrolls in its box, and a keyboard must be able to scroll it
    box = f'<div class="math-block" tabindex="0" role="group" aria-label="formula"{anchor}>'
    translator.body.append(f"{box}{formula(node.astext(), True, node)}{number}</div>\n")
    raise nodes.SkipNode


def setup(app) -> dict:
    """Registers the renderer; `html_math_renderer: mathml` chooses it."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

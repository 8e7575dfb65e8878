"""Sphinx extension: each chapter links its ready notebook, with open exercises and with the solutions.

A page has a notebook when the folder `notebooks` beside the book holds one of its name. Both files are copied into the
built book, so that the links work from a disk and without a network.
"""

import shutil
from pathlib import Path

FORMS = {"with open exercises": "", "with the solutions": "solved/"}


def files(app, pagename: str) -> dict[str, str]:
    """The notebooks of a page: what each is, and its path below the folder `notebooks`; none for other pages."""
    name = pagename.rpartition("/")[2]
    found = {words: f"{folder}{name}.ipynb" for words, folder in FORMS.items()}
    here = Path(app.srcdir).resolve().parent / "notebooks"
    return found if all((here / path).is_file() for path in found.values()) else {}


def link(app, pagename, templatename, context, doctree) -> None:
    """Puts the links below the title of a page, and the notebooks into the built book."""
    found = files(app, pagename) if doctree and app.builder.format == "html" else {}
    title, end, rest = (context.get("body") or "").partition("</h1>")
    if not found or not end:
        return
    shown = []
    for words, path in found.items():
        target = Path(app.outdir) / "notebooks" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(app.srcdir).resolve().parent / "notebooks" / path, target)
        shown.append(f'<a href="{context["pathto"](f"notebooks/{path}", 1)}" download="">{words}</a>')
    context["body"] = f"{title}{end}\n<p>This chapter as a notebook: {' or '.join(shown)}.</p>{rest}"


def setup(app) -> dict:
    """Registers the step."""
    app.connect("html-page-context", link)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

"""Sphinx extension: every page says what it was built from, and so does `build.json` beside the pages.

A reader who finds a wrong number needs to name the version that printed it. The stamp also records whether
downloaded data was at hand: a site that is given away must be built without (see book/_tools/site.py).
"""

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from mmhallu_core import __version__
from mmhallu_core.config import profile

REPOSITORY = Path(__file__).resolve().parents[2]


def commit() -> str:
    """The commit that is checked out, with "and changes" when files differ from it; "unknown" outside a clone."""
    try:
        name, changed = (
            subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.strip()
            for words in (["rev-parse", "--short=10", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (FileNotFoundError, subprocess.CalledProcessError):  # no git here, or an unpacked archive
        return "unknown"
    return f"{name} and changes" if changed else name


def stamp() -> dict[str, str | bool]:
    """Version, commit, date (in UTC; SOURCE_DATE_EPOCH sets it, for builds that can be repeated), profile, data."""
    moment = os.environ.get("SOURCE_DATE_EPOCH")
    built = datetime.fromtimestamp(int(moment), UTC) if moment else datetime.now(UTC)
    return {
        "version": __version__,
        "commit": commit(),
        "built": built.strftime("%Y-%m-%d"),
        "profile": profile().name,
        "data": bool(os.environ.get("MMHALLU_DATA")),
    }


def remember(app) -> None:
    """Works the stamp out once, before any page is written."""
    app.mmhallu_stamp = stamp()


def add_to_page(app, pagename, templatename, context, doctree) -> None:
    """Puts the stamp into the footer, above the licences."""
    one = app.mmhallu_stamp
    words = f"Version {one['version']}, commit {one['commit']}, built {one['built']}, profile {one['profile']}."
    context["theme_extra_footer"] = f'<p class="stamp">{words}</p>{context.get("theme_extra_footer", "")}'


def write(app, exception) -> None:
    """Writes build.json."""
    if exception is None and app.builder.format == "html":
        text = json.dumps(app.mmhallu_stamp, indent=1) + "\n"
        (Path(app.outdir) / "build.json").write_text(text, encoding="utf-8")


def setup(app) -> dict:
    """Registers the steps."""
    app.connect("builder-inited", remember)
    app.connect("html-page-context", add_to_page)
    app.connect("build-finished", write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

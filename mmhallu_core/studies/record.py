"""What every record of a study says about how it was made, and how it comes to its file."""

import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mmhallu_core.store import PACKAGE


def commit() -> str:
    """The commit of this library's checkout, wherever the command was typed; "unknown" where there is none."""
    try:
        asked = ["git", "rev-parse", "HEAD"]
        done = subprocess.run(asked, cwd=PACKAGE.parent, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git on this machine: a study of hours must not end here
        return "unknown"
    return done.stdout.strip() or "unknown"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of Python and of some packages."""
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def write(record: Mapping[str, Any], path: Path) -> None:
    """Writes a record as JSON, with Unix line ends everywhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8", newline="\n")

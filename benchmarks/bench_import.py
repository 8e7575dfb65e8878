"""Importing the package must cost next to nothing beside starting Python: a command line should answer at once.

Measured as a ratio: the time of `python -c "import mmhallu_core"` over that of `python -c "pass"`, the
smallest of several runs of each, taken in turns so that a busy machine slows both alike.
"""

import subprocess
import sys
import time

BOUND = 2.0


def seconds(code: str) -> float:
    """Returns the wall-clock seconds that a fresh Python takes for `code`."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    runs = [(seconds("pass"), seconds("import mmhallu_core.config")) for _ in range(9)]
    bare, package = (min(column) for column in zip(*runs, strict=True))
    print(f"import mmhallu_core.config: {package / bare:.2f} times a bare start of Python (bound {BOUND})")
    sys.exit(package / bare > BOUND)

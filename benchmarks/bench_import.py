"""Importing the package must cost next to nothing beside starting Python: a command line should answer at once.

Measured as a ratio: the time of `python -c "import mmhallu_core.config"` over that of `python -c "pass"`.
"""

import subprocess
import sys

from paired import judge, ratios, rounds, status

BOUND = 2.0
ROUNDS = 9


def start(code: str) -> None:
    """Runs `code` in a fresh Python."""
    subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    ways = {"bare": lambda number: start("pass"), "package": lambda number: start("import mmhallu_core.config")}
    verdict = judge(ratios(rounds(ways, ROUNDS), "package", "bare"), at_most=BOUND)
    print(f"import mmhallu_core.config, in bare starts of Python (bound {BOUND}): {verdict}")
    sys.exit(status([verdict]))

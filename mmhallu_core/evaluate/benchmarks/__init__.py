"""The benchmarks, a file each. A file in this folder that defines `BENCHMARKS` is all that a new one needs.

`mmhallu new benchmark NAME` writes such a file, and its test.
"""

import importlib
import pkgutil

from mmhallu_core.evaluate.benchmark import Benchmark
from mmhallu_core.types import CannotRun


def benchmarks() -> dict[str, Benchmark]:
    """All benchmarks by name, in alphabetical order."""
    modules = [importlib.import_module(f"{__name__}.{one.name}") for one in pkgutil.iter_modules(__path__)]
    found = {one.name: one for module in modules for one in module.BENCHMARKS}
    return dict(sorted(found.items()))


def published(name: str) -> Benchmark:
    """One benchmark.

    Raises:
        CannotRun: when there is none of this name; the message lists those that there are.
    """
    known = benchmarks()
    if name not in known:
        raise CannotRun(f"no benchmark {name!r}; there are {', '.join(known)}")
    return known[name]

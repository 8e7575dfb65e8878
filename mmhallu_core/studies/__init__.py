"""Studies: one engine, and one plan a paper, or a question that papers raise.

`STUDIES` is the registry behind `mmhallu study NAME`. A plan is a module with a `STUDY` (see `engine/study.py`).
"""

from importlib import import_module

from mmhallu_core.studies.engine.study import Study
from mmhallu_core.types import CannotRun

STUDIES = ("med", "ic-vco", "aleahallu", "baselines", "maps", "looking")


def study_of(name: str) -> Study:
    """The plan of a study.

    Raises:
        CannotRun: names the studies that there are.
    """
    if name not in STUDIES:
        raise CannotRun(f"no such study: {name!r}; there is {', '.join(STUDIES)}")
    return import_module(f"mmhallu_core.studies.{name.replace('-', '_')}").STUDY

"""Makes records again that pages show: `python -m maintenance.measure STUDY --out FOLDER [--only NAME]`.

A study is a folder of `results/`, such as `count-it`. Each of its records is written to a file of its name, with the
command, the commit and the versions. What the records hold, and what would count, stands where they are measured.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from maintenance.count_it import diorama
from maintenance.reproduce_a_table import photos as captions
from mmhallu_core.chapters import (
    blind_audit,
    build_micro_edits_faults,
    count_it,
    heat_maps_on_photos,
    reproduce_a_table,
)
from mmhallu_core.recorded import commit, versions, write

# Study -> record -> what makes it.
STUDIES: dict[str, Mapping[str, Callable[[], Mapping[str, Any]]]] = {
    "audit": {name: partial(blind_audit.record, name) for name in blind_audit.SUBJECTS},
    "count-it": {"photos": count_it.photos, "diorama": diorama},
    "explain": {"photos": heat_maps_on_photos.record},
    "med-pipeline": {"faults": build_micro_edits_faults.measure},
    "reproduce-a-table": {
        "photos": captions,
        "questions": reproduce_a_table.published_questions,
        "prompts": reproduce_a_table.prompts,
    },
}


def main(words: Sequence[str] | None = None) -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--out", type=Path, required=True, help="folder for the records")
    parser.add_argument("--only", metavar="NAME", help="one of the study's records")
    asked = parser.parse_args(words)
    measures = STUDIES[asked.study]
    if asked.only not in (None, *measures):
        parser.error(f"{asked.study} has no record {asked.only!r}; it has {', '.join(measures)}")
    for name, measure in measures.items():
        if asked.only in (None, name):
            command = f"python -m maintenance.measure {asked.study} --out results/{asked.study}"
            made = {"command": command, "commit": commit(), "versions": versions(("numpy", "torch", "transformers"))}
            write(made | measure(), asked.out / f"{name}.json")
            print(f"written: {asked.out / name}.json")


if __name__ == "__main__":
    main()

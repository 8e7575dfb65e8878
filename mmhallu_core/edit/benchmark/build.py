"""Writes a benchmark of picture pairs, and refuses one that can be scored without looking.

A benchmark is finished when its words are tried out on rules that see no picture (`evaluate/audit.py`). Where one of
them beats chance by more than five points nothing is written, and the message names the rule. The answer to a refusal
is another way to make the options. Another seed of the same construction would only hide the leak in noise, until the
next user finds it.

In the folder: `items.jsonl` (one `Question` a line, pictures by relative path), `images/`, `manifest.json` (where it
comes from, counts, hashes, the audit), `README.md`, and `lmms_eval/`, the same as a task for that harness.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmhallu_core.data.decode import decode
from mmhallu_core.data.pictures import require_inside
from mmhallu_core.data.question import Question
from mmhallu_core.edit.benchmark.contamination import Offender, contamination
from mmhallu_core.edit.benchmark.lmms import write_lmms_task
from mmhallu_core.edit.benchmark.readme import readme
from mmhallu_core.evaluate.audit import audit
from mmhallu_core.store import sha256
from mmhallu_core.types import CannotRun, write_jsonl

MARGIN = 0.05  # how far above chance a rule that sees no picture may score
ITEMS, MANIFEST = "items.jsonl", "manifest.json"


class Refused(CannotRun):
    """A benchmark that must not be written.

    Attributes:
        found: what was found, as JSON values.
    """

    def __init__(self, message: str, found: dict[str, Any]) -> None:
        super().__init__(message)
        self.found = found


def checked(questions: Sequence[Question], margin: float = MARGIN) -> dict[str, Any]:
    """The audit of questions that pass it.

    Raises:
        Refused: when a rule that sees no picture beats chance by more than the margin, or when categories or letters
            are not balanced (`found` then holds the counts).
    """
    for what, counts in balance(questions).items():
        if max(counts.values()) - min(counts.values()) > 1:
            raise Refused(f"{what} are not balanced: {counts}. Deal them out evenly before you draw the rest.", counts)
    found = audit(questions)
    leaks = {rule: score for rule, score in found["rules"].items() if score > found["chance"] + margin}
    if leaks:
        named = ", ".join(f"{rule} {100 * score:.1f}%" for rule, score in sorted(leaks.items()))
        few = "" if found["n"] >= 400 else " (With so few questions chance alone can do this: make more of them.)"
        raise Refused(
            f"{found['n']} questions can be scored without their pictures, where guessing gives "
            f"{100 * found['chance']:.1f}%: {named}. Change how the options are made, not the seed.{few}",
            leaks,
        )
    return found


def balance(questions: Sequence[Question]) -> dict[str, dict[str, int]]:
    """How often each category comes, and each right letter; all letters that there are, used or not."""
    letters = {letter for one in questions for letter in one.choices}
    right = Counter(one.truth for one in questions)
    return {
        "categories": dict(sorted(Counter(one.about.get("category", "") for one in questions).items())),
        "letters": {letter: right[letter] for letter in sorted(letters)},
    }


def write_benchmark(
    questions: Sequence[Question],
    out: Path,
    name: str,
    about: dict[str, Any],
    against: Sequence[Path] = (),
    folder: Path = Path("."),
) -> dict[str, Any]:
    """Audits questions and writes them.

    Args:
        questions: with options, two pictures each, and a `category` in `about`.
        out: a new or empty folder.
        name: of the benchmark.
        about: where it comes from, as JSON values, such as source and seed.
        against: training data that must share nothing with it: folders or JSON Lines files.
        folder: where the questions' relative paths of pictures start.

    Returns:
        What `manifest.json` holds: `name, source, questions, categories, letters, audit, against, sha256`.

    Raises:
        Refused: see `checked`; also when training data holds a scene, a picture or a pair of the questions.
        CannotRun: when the folder is not empty, or a picture's path leads out of `folder`.
    """
    if out.is_dir() and any(out.iterdir()):
        raise CannotRun(f"{out} is not empty; give another --out, so that no two benchmarks are mixed")
    for one in questions:
        require_inside(one.images, folder, (), one.id)
    found = checked(questions)
    drawn = []
    for one in questions:
        drawn.append(replace(one, images=tuple(decode(picture, folder).portable[1] for picture in one.images)))
    for training in against:
        offenders = contamination(drawn, training)
        if offenders:
            raise Refused(_named(offenders, training), {"contaminated": len(offenders)})
    (out / "images").mkdir(parents=True)
    written, digest = [], hashlib.sha256()
    for number, one in enumerate(drawn):
        paths = []
        for place, content in enumerate(one.images, start=1):
            paths.append(f"images/{number:05d}-{place}.{decode(content).kind}")
            (out / paths[-1]).write_bytes(content)
            digest.update(hashlib.sha256(content).digest())
        written.append(replace(one, images=tuple(paths)))
    write_jsonl(out / ITEMS, written)
    write_lmms_task(out, name)
    manifest = {
        "name": name,
        "source": about,
        "questions": len(written),
        **balance(written),
        "audit": found,
        "against": [str(training) for training in against],
        "sha256": {ITEMS: sha256(out / ITEMS), "images": digest.hexdigest()},
    }
    (out / "README.md").write_text(readme(manifest), encoding="utf-8", newline="\n")
    (out / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8", newline="\n")
    return manifest


def _named(offenders: Sequence[Offender], training: Path) -> str:
    some = "; ".join(f"{one.test} and {one.train} share a {one.what}" for one in offenders[:3])
    return (
        f"{len(offenders)} questions are in the training data {training} already: {some}. Take other scenes for one "
        "of the two."
    )

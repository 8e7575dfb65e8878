"""Writes a benchmark of picture pairs, and refuses one that can be scored without looking.

Its words are tried out on rules that see no picture (`evaluate/audit.py`). Where one of them beats chance by more than
five points nothing is written, and the message names the rule. Another seed would only hide the leak in noise.

In the folder: `items.jsonl` (one `Question` a line, pictures by relative path), `images/`, `manifest.json` (where it
comes from, counts, hashes, the audit), `README.md`, and `lmms_eval/`, the same as a task for that harness: one YAML
file, and the functions that it names. The harness finds tasks in any folder given with `--include_path`. It reads the
questions with `datasets` from `items.jsonl`, calls the functions of `utils.py` for pictures, prompt and score, and
averages. `utils.py` is `lmms_utils.py`, copied as it stands: it needs nothing of this library.

Checked by hand with lmms-eval 0.7.3, from inside the benchmark's folder:

    python -m lmms_eval --model llava_hf --model_args pretrained=FOLDER,device_map=cpu,dtype=float32
        --tasks med_tiny --include_path lmms_eval --batch_size 1 --device cpu
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
from mmhallu_core.evaluate.audit import apart, audit
from mmhallu_core.store import sha256
from mmhallu_core.types import CannotRun, write_jsonl

MARGIN = 0.05  # how far above chance a rule that sees no picture may score
ITEMS, MANIFEST = "items.jsonl", "manifest.json"
METRICS = ("macro_accuracy", "accuracy", "strict_macro_accuracy", "strict_accuracy", "unparsed")  # of lmms-eval
NEW_TOKENS = 16  # of an answer there


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


def readme(manifest: dict[str, Any]) -> str:
    """The page that lies beside a benchmark, from its manifest: what it is, how it was checked, how to use it."""
    found, name = manifest["audit"], manifest["name"]
    own, key = ("\n".join(f"| {rule} | {100 * score:.1f} |" for rule, score in some.items()) for some in apart(found))
    categories = "\n".join(f"| {category} | {count} |" for category, count in manifest["categories"].items())
    source = ", ".join(f"{key} {value}" for key, value in manifest["source"].items())
    return f"""\
# {name}

{manifest["questions"]} questions about two pictures that differ in one thing. Made from: {source}.

| category | questions |
|---|---|
{categories}

## What can be scored without the pictures

Guessing gives {100 * found["chance"]:.1f}%. The folder is not written when a rule beats that by more
than five points.

| rule that sees no picture | right, % |
|---|---|
{own}

Apart, because it reads right answers of the file:

| rule | right, % |
|---|---|
{key}

## Use

Each line of `items.jsonl` is one question: `prompt` is the whole text that a model gets, `images` are
its pictures in their order, `truth` is the right letter, and `about.back` the letter that is right when
the pictures are swapped, where there is one.

```
mmhallu eval med-tiny --questions items.jsonl --model MODEL --out RUN
mmhallu audit items.jsonl
```

As a task of lmms-eval (not needed for the above, and not installed with it), from inside this folder:

```
python -m lmms_eval --include_path lmms_eval --tasks {task_name(name)} --model NAME --model_args pretrained=MODEL
```

The metrics there are the official rule's (an answer without `Answer:` counts as a guess) and the strict
rule's; `manifest.json` has the hashes of all files.
"""


def task_name(name: str) -> str:
    """What lmms-eval calls a benchmark."""
    return name.replace("-", "_")


def task_yaml(name: str) -> str:
    """The task's configuration; lmms-eval's own `!function` marks stay, which plain YAML readers do not know."""
    metrics = "".join(
        f"""\
  - metric: {metric}
    aggregation: !function utils.{"mean_of_categories" if metric.endswith("macro_accuracy") else "mean"}
    higher_is_better: {str(metric != "unparsed").lower()}
"""
        for metric in METRICS
    )
    return f"""\
# Run lmms-eval from inside the benchmark's folder: the data file is looked for there.
task: {task_name(name)}
dataset_path: json
dataset_kwargs:
  data_files:
    test: items.jsonl
test_split: test
output_type: generate_until
doc_to_visual: !function utils.doc_to_visual
doc_to_text: !function utils.doc_to_text
doc_to_messages: !function utils.doc_to_messages
doc_to_target: truth
generation_kwargs:
  max_new_tokens: {NEW_TOKENS}
  temperature: 0
  do_sample: false
process_results: !function utils.process_results
metric_list:
{metrics}metadata:
  - version: 1.0
"""


def write_lmms_task(out: Path, name: str) -> None:
    """Writes `lmms_eval/NAME.yaml` and `lmms_eval/utils.py` beside a benchmark's `items.jsonl`."""
    folder = out / "lmms_eval"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{task_name(name)}.yaml").write_text(task_yaml(name), encoding="utf-8", newline="\n")
    source = Path(__file__).with_name("lmms_utils.py").read_text(encoding="utf-8")
    (folder / "utils.py").write_text(source, encoding="utf-8", newline="\n")

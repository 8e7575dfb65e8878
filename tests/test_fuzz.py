"""Two thousand files and commands with something wrong in them: none ends in a traceback, each ends in a sentence.

Nothing is expected of what a command does with them, except how it ends: exit code 0, 1 or 2; with 2 one sentence that
is no report of a fault of this program; with `--json` one JSON object on standard output. The seed is fixed.
"""

import copy
import csv
import json
import random
import shutil
from collections import Counter
from pathlib import Path

import fuzz
import pytest
from PIL import Image
from quick_cli import run
from test_bench_types import ROWS

from mmhallu_core.data.check_rules import EXAMPLES, KINDS
from mmhallu_core.evaluate.benchmarks import published
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import PACKAGE
from mmhallu_core.types import CannotRun

pytestmark = pytest.mark.slow
COUNTS = {
    "check": 400, "export": 300, "train": 150, "score": 450, "audit": 150, "eval": 100, "options": 400, "models": 50,
}  # fmt: skip


def test_there_are_two_thousand():
    assert sum(COUNTS.values()) == 2000


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder to work in, where relative paths and all that is cached go."""
    monkeypatch.setenv("MMHALLU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MMHALLU_OFFLINE", "1")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def loaded_once(monkeypatch):
    """Loads tiny-llava once; what is not that is loaded as ever."""
    load, model = Vlm.load.__func__, Vlm.load("tiny-llava", "cpu")

    def quick(cls, name="tiny-llava", *rest, **more):
        return copy.deepcopy(model) if str(name) == "tiny-llava" else load(cls, name, *rest, **more)

    monkeypatch.setattr(Vlm, "load", classmethod(quick))


def pictures(folder: Path) -> None:
    """Whole pictures under the names of the examples, one of another size, one cut off, one that is none."""
    (folder / "pictures").mkdir()
    for number, name in enumerate(("kitchen", "kitchen-edited", "a", "b")):
        Image.new("RGB", (24, 24), (60 * number, 9, 9)).save(folder / "pictures" / f"{name}.png")
    Image.new("RGB", (9, 4)).save(folder / "pictures" / "wide.png")
    for name in ("1.jpg", "a.jpg"):  # of published rows
        Image.new("RGB", (24, 24)).save(folder / "pictures" / name)
    whole = (folder / "pictures" / "a.png").read_bytes()
    (folder / "pictures" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "pictures" / "none.png").write_text("no picture", encoding="utf-8")


def own(dice: random.Random, kind: str) -> list[dict]:
    """Three records of a user's own, with names of pictures that are there, or not quite."""
    rows = [{**copy.deepcopy(EXAMPLES[kind]), "id": f"r{number}"} for number in range(3)]
    if dice.random() < 0.3:
        name = f"pictures/{dice.choice(('wide', 'cut', 'none', 'a', 'gone'))}.png"
        rows[0] |= {"edited_image": name, "provenance": {"mask": name}} if kind == "edit" else {"images": [name]}
    return rows if dice.random() < 0.1 else fuzz.spoil(dice, rows)


def file(dice: random.Random, rows: list, name: str = "f.jsonl") -> str:
    """Writes records to a file here; sometimes it is a folder, or is not there."""
    path = Path(name)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if dice.random() < 0.02:
        path.mkdir()
    elif dice.random() < 0.98:
        path.write_bytes(fuzz.written(dice, rows))
    return name


def check(dice):
    kind = dice.choice(KINDS)
    return ["data", "check", file(dice, own(dice, kind)), "--as", dice.choice((kind, kind, kind, *KINDS))]


def export(dice):
    kind, form = dice.choice(("edit", "conversation")), dice.choice(("llamafactory", "datasets"))
    shutil.rmtree("out", ignore_errors=True)
    return ["data", "export", file(dice, own(dice, kind)), "--as", form, "--out", "out"]


def train(dice):
    name = file(dice, own(dice, dice.choice(("edit", "conversation"))))
    more = dice.choice(([], ["--consistency", "masked"], ["--consistency", "global"], ["--steps", "1"]))
    return ["train", "sft", "--model", "tiny-llava", "--data", name, "--plan", "--batch", "1", *more]


def answers(dice: random.Random, name: str, asked: str) -> list:
    """Answers to the questions of a file, as far as it can be read; half of the time something is wrong with them."""
    try:
        ids = [one.id for one in published(name).read(Path(asked))]
    except (CannotRun, OSError):
        ids = ["1", "2"]
    said = [{"id": one, "answer": dice.choice(("Yes", "no", "A", "(B)", "", "A dog.", "1"))} for one in ids]
    return said if dice.random() < 0.5 else fuzz.spoil(dice, said)


def table(dice: random.Random, rows: list, name: str) -> str:
    """Published rows as a table, where they are rows; its text may be damaged."""
    columns = list(rows[0])
    with open(name, "w", encoding="utf-8", newline="") as out:
        lines = csv.DictWriter(out, columns, delimiter="\t" if name.endswith("tsv") else ",")
        lines.writeheader()
        lines.writerows(rows)
    if dice.random() < 0.7:
        Path(name).write_bytes(fuzz.damaged(dice, Path(name).read_bytes()))
    return name


def score(dice):
    name = dice.choice(list(ROWS))
    rows, form = ROWS[name], dice.random()
    if form < 0.2 and name in ("mmvp", "rbench-dis"):
        asked = table(dice, rows, dice.choice(("q.csv", "q.tsv")))
    elif form < 0.3:  # JSON under the name of something else
        asked = file(dice, rows, dice.choice(("q.parquet", "q.csv", "q.tsv")))
    else:
        asked = file(dice, rows if dice.random() < 0.4 else fuzz.spoil(dice, rows), "q.json")
    words = ["score", name, "--questions", asked, "--answers", file(dice, answers(dice, name, asked), "a.jsonl")]
    verdicts = file(dice, answers(dice, name, asked), "v.jsonl")
    more = dice.choice(([], ["--subset"], ["--by-position"], ["--verdicts", verdicts]))
    return words + ([] if name == "pope" else more)


def audit(dice):
    name = dice.choice(("pope", "med-tiny", "med-bench", "mme", "blink"))
    asked = file(dice, fuzz.spoil(dice, ROWS[name]))
    return dice.choice(
        (["audit", asked], ["audit", name, "--questions", asked], ["audit", asked, "--model", "tiny-llava"])
    )


def evaluate(dice):
    name = dice.choice(("pope", "med-tiny", "mme", "rbench", "blink"))
    rows = ROWS[name] if dice.random() < 0.4 else fuzz.spoil(dice, ROWS[name])
    asked, by = file(dice, rows), "likelihood" if name == "med-tiny" and dice.random() < 0.6 else "letter"
    if dice.random() < 0.7:
        shutil.rmtree("out", ignore_errors=True)
    elif Path("out").is_dir():  # a run of another time, with something wrong in its journal
        for old in Path("out").glob("*.jsonl"):
            old.write_bytes(fuzz.damaged(dice, old.read_bytes()))
    words = ["eval", name, "--questions", asked, "--model", "tiny-llava", "--out", "out", "--by", by]
    return words + ["--images", "pictures"] * (dice.random() < 0.8)


def options(dice):
    asked, own_file = file(dice, ROWS["pope"], "q.jsonl"), file(dice, [EXAMPLES["edit"]])
    given = ["--questions", asked, "--answers", file(dice, [{"id": "1", "answer": "Yes"}], "a.jsonl")]
    picture = "pictures/a.png"
    words = dice.choice((
        ["data", "list"], ["data", "check", own_file, "--as", "edit"], ["data", "verify", "pope"], ["data", "get", "x"],
        ["data", "export", own_file, "--as", "llamafactory", "--out", "out", "--same", "0.5", "--seed", "1"],
        ["score", "pope", *given], ["score", "chair", "--answers", "a.jsonl", "--gt", "q.jsonl", "--rules", "fixed"],
        ["score", "mmvp", *given, "--subset"], ["audit", asked, "--model", "tiny-llava"], ["audit", "pope-diorama"],
        ["eval", "pope", "--questions", asked, "--out", "out", "--limit", "1", "--batch-size", "2", "--by", "letter",
         "--max-new-tokens", "3", "--model", "tiny-llava", "--images", "pictures"],
        ["ask", picture, "What?", "--model", "tiny-llava"], ["ask", picture, picture, "What is different?"],
        ["train", "sft", "--data", own_file, "--model", "tiny-llava", "--plan", "--steps", "1", "--lr", "0.1",
         "--batch", "1", "--accumulation", "1", "--decoder", "lora", "--vision-tower", "frozen", "--dtype", "float32"],
        ["train", "sft", "--preset", "qwen2_vl", "--card", "40", "--plan"],
        ["world", "sample", "--out", "scenes", "--n", "1", "--size", "32", "--style", "flat", "--seed", "1"],
        ["world", "edit", "--category", "Counting", "--out", "pair", "--size", "32", "--style", "sketch"],
        ["med", "bench", "--from", own_file, "--out", "bench", "--per-category", "4", "--seed", "1", "--name", "mine"],
        ["med", "build", "--out", own_file, "--n", "1", "--seed", "1", "--workers", "0", "--error", "0.5"],
        ["new", "benchmark", "mine", "--out", "n"], ["pretrain", "tiny"], ["study", "meds", "--summary"],
        ["judge", "mmhal", *given, "--model", "m", "--server", "ftp://x", "--out", "judged", "--workers", "2"],
    ))  # fmt: skip
    shutil.rmtree("out", ignore_errors=True)
    return fuzz.option(dice, words)


def models(dice):
    """A question to a model, or to an adapter, one of whose small files is damaged."""
    shutil.rmtree("model", ignore_errors=True)
    shutil.copytree(PACKAGE / "checkpoints" / dice.choice(("tiny-llava", "tiny-llava", "tour-adapter")), "model")
    small = sorted(path for path in Path("model").iterdir() if path.is_file())
    hit = dice.choice(small)
    if hit.suffix == ".json" and dice.random() < 0.7:
        spoilt = fuzz.spoil(dice, [json.loads(hit.read_text(encoding="utf-8"))])
        hit.write_text(json.dumps(spoilt[0] if spoilt else []), encoding="utf-8")
    else:
        hit.write_bytes(fuzz.damaged(dice, hit.read_bytes()))
    return ["ask", "pictures/a.png", "Is there a dog in the image?", "--model", "model"]


MAKERS = {
    "check": check, "export": export, "train": train, "score": score, "audit": audit, "eval": evaluate,
    "options": options, "models": models,
}  # fmt: skip


@pytest.mark.parametrize("group", COUNTS)
def test_none_ends_in_a_traceback(group, place, loaded_once):
    pictures(place)
    failures, codes = [], Counter()
    for number in range(COUNTS[group]):
        dice = random.Random(f"{group}/{number}")
        words = MAKERS[group](dice)
        takes_it = words and words[-1].startswith("--")  # an option at the end would take it for its value
        as_json = dice.random() < 0.5 and "--json" not in words and not takes_it
        try:
            code, out, err = run(*words, *(["--json"] if as_json else []))
        except BaseException as error:
            failures.append((number, words, repr(error)))
            continue
        codes[code] += 1
        fault = ending(code, out, err, as_json)
        if fault:
            failures.append((number, words, fault))
    shown = "\n".join(
        f"{group}/{number}: {' '.join(words)[:200]}\n    {fault[:400]}" for number, words, fault in failures[:20]
    )
    assert not failures, f"{len(failures)} of {COUNTS[group]}\n{shown}"
    done, refused = codes[0], codes[1] + codes[2]
    assert min(done, refused) > COUNTS[group] / 50, f"all too good, or all too bad: {codes}"
    print(group, codes)


def ending(code, out, err, as_json) -> str:
    """What is wrong with how a command ended; nothing when all is well."""
    if code not in (0, 1, 2):
        return f"exit code {code}"
    for sign in ("Traceback", "should not have happened"):
        if sign in err + out:
            return (err + out)[-400:]
    if code == 2 and not (err + out).strip():
        return "exit code 2 without a word"
    if as_json:
        try:
            found = json.loads(out)
        except ValueError as error:
            return f"no JSON object ({error}): {out[:200]!r}"
        if (code == 2) != (isinstance(found, dict) and set(found) == {"error"}):
            return f"exit code {code} and {out[:100]}"
    return ""

"""Do the twins' words give their answers away, and what does tiny-llava score on them?

    python -m maintenance.twins --out results/twins

writes one record a twin, for two seeds each: the text-only rules (`words`), the model with grey pictures (`blind`), and
the model with the real ones (`model`), by both rules of the benchmark. What must hold was written down before the first
run: on both seeds each text-only rule and the model without pictures stay within five points of chance. Captions have
no answer to guess: a caption of a grey picture must err (CHAIR_i) within five points of naming things at random.

All words come first, then the pictures, each written as it is done. A record made with the same weights is kept, and a
run that is stopped goes on where it was.
"""

import argparse
import hashlib
import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mmhallu_core.data.answers import read_answers
from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.audit import audit
from mmhallu_core.evaluate.benchmark import read_answer, score
from mmhallu_core.evaluate.blind import blank
from mmhallu_core.evaluate.diorama import drafts, twin, twin_benchmark
from mmhallu_core.evaluate.metrics import interval
from mmhallu_core.evaluate.runner import run
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.recorded import commit, versions
from mmhallu_core.store import checkpoint_folder, sha256
from mmhallu_core.types import Answer
from mmhallu_core.world.vocabulary import KINDS

COMMAND = "python -m maintenance.twins --out results/twins"
NAMES = (
    "pope", "mmvp", "hallusionbench", "amber", "crpe", "blink", "mmstar", "counting", "mme", "spatialsense", "rbench",
    "chair",
)  # fmt: skip
SEEDS = (0, 1)
NEAR = 0.05
MODEL = "tiny-llava"
SHORT, LONG = 16, 120  # tokens of an answer and of a caption


def questions_sha256(questions: Sequence[Question]) -> str:
    """A hash of everything that is asked, pictures included, and of what is right."""
    digest = hashlib.sha256()
    for one in questions:
        digest.update(repr((one.id, one.prompt, one.truth, one.options)).encode())
        for picture in one.images:
            digest.update(picture if isinstance(picture, bytes) else picture.encode())
    return digest.hexdigest()


def ask(questions: Sequence[Question], vlm: Vlm, out: Path) -> list[Answer]:
    """The model's answers; captions get room for many words."""
    tokens = LONG if any(map(described, questions)) else SHORT
    run(questions, vlm, out, batch_size=64, max_new_tokens=tokens, progress=False)
    return read_answers(out / "answers.jsonl")


def described(question: Question) -> bool:
    """Whether a question asks for a caption."""
    return not question.options and question.truth not in ("yes", "no")


def words(name: str, seed: int, n: int) -> dict[str, Any]:
    """What can be had from the words: the text-only rules, or for captions how often naming at random errs."""
    questions = twin(name, n, seed, pictures=False)
    if not all(map(described, questions)):
        return {"n": len(questions), **audit(questions)}
    there = [len(question.about["objects"]) / len(KINDS) for question in questions]
    return {"n": len(questions), "chance": 1 - sum(there) / len(there), "rules": {}}


def blind(name: str, seed: int, n: int, vlm: Vlm, work: Path) -> dict[str, Any]:
    """The model with grey pictures; the same words about as many grey pictures are asked once."""
    shown, grey = twin(name, n, seed, pictures=False), io.BytesIO()
    blank().save(grey, "PNG")
    pictures = {draft.id: len(draft.scenes) for draft in drafts(name, n, seed)}
    unlike = {one.prompt: replace(one, images=(grey.getvalue(),) * pictures[one.id]) for one in shown}
    said = {one.id: one.answer for one in ask(list(unlike.values()), vlm, work / f"{name}-{seed}-grey")}
    answers = [Answer(one.id, said[unlike[one.prompt].id]) for one in shown]
    bench = twin_benchmark(name)
    strict = score(bench, shown, answers)
    found = {"asked": len(unlike), "strict": strict["strict"], "ci": strict["ci"]["strict"]}
    texts = {answer.id: answer.answer for answer in answers}
    asked = [one for one in shown if not described(one)]
    right = [read_answer(one, texts[one.id]) == one.truth for one in asked]
    if right:
        found |= {"accuracy": sum(right) / len(right), "accuracy_ci": interval(right, asked)}
    return found


def looked(name: str, seed: int, n: int, vlm: Vlm, work: Path) -> dict[str, Any]:
    """The model with the pictures: scored as a whole, and by POPE's samplings. A judge's verdicts are not asked for."""
    questions, bench = twin(name, n, seed), twin_benchmark(name)
    answers = ask(questions, vlm, work / f"{name}-{seed}")
    found = {"questions_sha256": questions_sha256(questions), **score(bench, questions, answers)}
    for split in sorted({question.about["split"] for question in questions if "split" in question.about}):
        part = [question for question in questions if question.about["split"] == split]
        ids = {question.id for question in part}
        found.setdefault("splits", {})[split] = score(bench, part, [one for one in answers if one.id in ids])
    return found


def far(seed: dict[str, Any]) -> dict[str, float]:
    """What is further from chance than it may be, as scores minus chance."""
    captions = "accuracy" not in seed["blind"]
    scores = {
        **seed["words"]["rules"],
        "no_image": seed["blind"]["strict"]["chair_i"] if captions else seed["blind"]["accuracy"],
    }
    distance = {rule: value - seed["words"]["chance"] for rule, value in scores.items()}
    return {rule: value for rule, value in distance.items() if abs(value) > NEAR}


def main() -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for one record a twin")
    parser.add_argument("--work", type=Path, default=Path("runs/twins"), help="folder for answers")
    parser.add_argument("--only", choices=NAMES, nargs="+", default=NAMES)
    parser.add_argument("--n", type=int, default=1000)
    arguments = parser.parse_args()
    n, work = arguments.n, arguments.work
    vlm = Vlm.load(MODEL)
    weights = sha256(checkpoint_folder(MODEL) / "model.safetensors")
    for seed in SEEDS:
        for name in arguments.only:
            found = Record(arguments.out / f"{name}.json", name, weights)
            found.add(seed, "words", partial(words, name, seed, n))
            found.add(seed, "blind", partial(blind, name, seed, n, vlm, work))
    for seed in SEEDS:
        for name in arguments.only:
            found = Record(arguments.out / f"{name}.json", name, weights)
            found.add(seed, "model", partial(looked, name, seed, n, vlm, work))


class Record:
    """One twin's record in its file; parts that are there, made with the same weights, are kept."""

    def __init__(self, path: Path, name: str, weights: str) -> None:
        self.path = path
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        kept = before.get("seeds", {}) if before.get("weights_sha256") == weights else {}
        packages = ("numpy", "pillow", "torch", "transformers")
        self.about = {
            "kind": "diorama",
            "twin": f"{name}-diorama",
            "command": COMMAND,
            "commit": commit(),
            "model": MODEL,
            "weights_sha256": weights,
            "versions": versions(packages),
            "near": NEAR,
        }
        self.seeds = kept

    def add(self, seed: int, part: str, make: Callable[[], dict[str, Any]]) -> None:
        """Makes one part of one seed, unless it is there, and writes the file."""
        found = self.seeds.setdefault(str(seed), {})
        if part in found:
            return
        began = time.time()
        found[part] = {**make(), "seconds": round(time.time() - began)}
        complete = [one for one in self.seeds.values() if {"words", "blind"} <= set(one)]
        for one in complete:
            one["far"] = far(one)
        holds = len(complete) == len(SEEDS) and not any(one["far"] for one in complete)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**self.about, "holds": holds, "seeds": self.seeds}, indent=1)
        self.path.write_text(text + "\n", encoding="utf-8")
        print(
            f"{self.path}: seed {seed}, {part}, {found[part]['seconds']} s; far: {found.get('far', 'not yet')}",
            flush=True,
        )


if __name__ == "__main__":
    main()

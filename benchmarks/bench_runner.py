"""POPE asks six questions about every picture; the runner reads the picture once.

Measured as a ratio: the time of batched generation that reads the picture again for every question (`Vlm.answer`), over
that of the whole runner, journal and all, on the same POPE questions about Diorama with tiny-llava and the same batch
size. Their answers must be equal.

The bound is for batches of 48. A small model in small batches spends its time on calls rather than on numbers, so there
is less to gain; the ratio at 16 is printed beside it.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from paired import Verdict, judge, ratios, rounds, status

from mmhallu_core.data.decode import decode
from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.pope import sample_questions
from mmhallu_core.evaluate.runner import run
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import Answer, read_jsonl
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render

BOUND = 2.0
ROUNDS, PICTURES, TOKENS = 7, 24, 8
BATCH, SMALL_BATCH = 48, 16


def pope_questions(folder: Path) -> list[Question]:
    """POPE's adversarial questions about test scenes that show three kinds of objects or more, so six a picture."""
    scenes = {f"{number:03d}": sample_scene(f"test/bench/{number}") for number in range(4 * PICTURES)}
    kinds = {name: scene.kinds() for name, scene in scenes.items() if len(scene.kinds()) >= 3}
    truth = dict(list(kinds.items())[:PICTURES])
    for name in truth:
        render(scenes[name], 96).image.save(folder / f"{name}.png")
    asked = sample_questions(truth, "adversarial")
    return [Question(one.id, one.question, one.label, (str(folder / f"{one.image_id}.png"),)) for one in asked]


def with_reuse(questions: list[Question], vlm: Vlm, batch: int, out: Path) -> dict[str, str]:
    """The runner's answers."""
    run(questions, vlm, out, batch, TOKENS, progress=False)
    return {one.id: one.answer for one in read_jsonl(out / "answers.jsonl", Answer)}


def without_reuse(questions: list[Question], vlm: Vlm, batch: int, out: Path) -> dict[str, str]:
    """The answers of batched generation, a row with a picture for every question."""
    images = [decode(one.images[0]).image for one in questions]
    texts = vlm.answer(images, [one.prompt for one in questions], TOKENS, batch)
    return {one.id: text for one, text in zip(questions, texts, strict=True)}


def measure(questions: list[Question], vlm: Vlm, batch: int, folder: Path) -> dict[str, list[float]]:
    """Seconds of both ways, round by round; stops when their answers differ."""
    answers: dict[tuple[str, int], dict[str, str]] = {}

    def ask(name: str, number: int) -> None:
        way = with_reuse if name == "with" else without_reuse
        answers[name, number] = way(questions, vlm, batch, folder / f"{name}-{batch}-{number}")

    names = ("with", "without")
    seconds = rounds({name: lambda number, name=name: ask(name, number) for name in names}, ROUNDS)
    if any(answers["with", number] != answers["without", number] for _, number in answers):
        sys.exit("the two ways do not give the same answers: the ratio means nothing")
    return seconds


def report(seconds: dict[str, list[float]], batch: int, count: int, bound: float | None) -> Verdict:
    """Prints how many times as fast reuse is, and returns it."""
    verdict = judge(ratios(seconds, "without", "with"), at_least=bound)
    speeds = " and ".join(f"{count / statistics.median(taken):.0f} {name}" for name, taken in seconds.items())
    print(f"  {batch} a batch, times as fast: {verdict}; here {speeds} reuse, questions per second", flush=True)
    return verdict


if __name__ == "__main__":
    vlm = Vlm.load("tiny-llava")
    with tempfile.TemporaryDirectory() as folder:
        questions = pope_questions(Path(folder))
        print(
            f"POPE without reading pictures again, equal answers ({len(questions)} questions; bound {BOUND} at {BATCH})"
        )
        found = {
            batch: report(measure(questions, vlm, batch, Path(folder)), batch, len(questions), bound)
            for batch, bound in ((BATCH, BOUND), (SMALL_BATCH, None))
        }
    sys.exit(status([found[BATCH]]))

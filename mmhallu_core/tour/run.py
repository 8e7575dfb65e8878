"""The tour's work, in three stages: the model as shipped, after a short training here, and with the shipped adapter.

Each stage ends with one record in a journal. A tour that was stopped goes on after its last finished stage; one that
was finished starts anew.
"""

import functools
import json
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import transformers

from mmhallu_core.evaluate.diorama.exam import CAPTION_TOKENS, DESCRIBE
from mmhallu_core.evaluate.paired import EvalAnswers, Exam, compare, run_evaluation, score_answers
from mmhallu_core.models.adapter_folders import WEIGHTS
from mmhallu_core.models.vlm import SHIPPED, Vlm
from mmhallu_core.store import PACKAGE, Journal, checkpoint_folder, json_sha256, sha256
from mmhallu_core.tour.page import RULE, page, pictures, told, wrong_words
from mmhallu_core.tour.tell import HEADLINE, MEANING, NAMES, Voice
from mmhallu_core.tour.tell import RULE as MEASURABLE
from mmhallu_core.train.pretrain.speak import SAME, SHORT, two_image_turns
from mmhallu_core.train.records import Make, TrainingExample, Turn, separate
from mmhallu_core.train.run import train
from mmhallu_core.train.spec import TrainSpec
from mmhallu_core.types import CannotRun
from mmhallu_core.viz.marked import in_words
from mmhallu_core.viz.widgets_scene import titled
from mmhallu_core.world.edits import CATEGORIES, Edit, sample_edit
from mmhallu_core.world.language import describe
from mmhallu_core.world.language.mixture import turned_round
from mmhallu_core.world.prior import PRIOR
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene

ADAPTER = PACKAGE / "checkpoints" / "tour-adapter"
TRAIN_SPLIT = "tour-train"  # begins the names of all training scenes
RECIPE = TrainSpec(steps=40, micro_batch=15, lr=3e-3, warmup=10, packing=True)
VIEWS = 3  # examples made of one edit: before, after, both
MOST = 6  # questions about one picture, at most


@dataclass(frozen=True)
class Plan:
    """What a tour does.

    Attributes:
        base: the model, by name or folder.
        adapter: folder of the adapter to show beside.
        scenes: pictures in the exam.
        split: names the exam's scenes.
        quick: the training that runs while one waits: about 40 seconds on two cores, cut off at `seconds`.
    """

    base: str = "tiny-llava"
    adapter: Path = ADAPTER
    scenes: int = 150
    split: str = "tour"
    quick: TrainSpec = replace(RECIPE, seconds=75.0)


def examples(split: str, prior: float) -> Make:
    """The maker of the examples, one after another and without end.

    Examples 3k, 3k + 1 and 3k + 2 come from edit number k: the picture before, the one after, and both. The eleven
    categories take turns.

    A picture and its twin differ in one small thing. The model sees each alone, with a caption that is true of it and
    questions whose answers the change turned round, and both together, with the question what changed. This is the
    data of MED (arXiv 2506.07227) in its smallest form.

    Args:
        split: names the examples' scenes; none of them is in an exam, whose scenes have other names.
        prior: how strongly things keep company, as in the scenes that the base model saw.
    """

    @functools.lru_cache(maxsize=8)
    def edit_number(k: int) -> Edit:
        return sample_edit(CATEGORIES[k % len(CATEGORIES)], f"{split}/{k}", prior=prior)

    def make(i: int) -> TrainingExample:
        k, view = divmod(i, VIEWS)
        edit, rng = edit_number(k), random.Random(f"{split}/{i}")
        if view < 2:
            scene = (edit.before, edit.after)[view]
            asked = [pair[view] for pair in turned_round(edit)]
            asked = rng.sample(asked, min(MOST, len(asked)))
            turns = [Turn(DESCRIBE, describe(scene).text), *(Turn(q.text, q.answer, SHORT) for q in asked)]
            return separate(f"{split}/{i}", (render(scene).image,), turns)
        same = rng.random() < SAME  # now and then the same picture twice, so that "no difference" stays an answer
        pictures = (render(edit.before).image, render(edit.before if same else edit.after).image)
        return separate(f"{split}/{i}", pictures, two_image_turns(edit, same, rng))

    return make


def run_tour(out: Path, voice: Voice, plan: Plan = Plan()) -> dict[str, Any]:
    """Runs or resumes the tour in `out`, telling it to `voice`.

    Returns:
        What `out/tour.json` holds: the pictures with each model's captions, each model's scores with intervals, the
        paired differences, the trainings' records, the rules, seconds. And `page`, its path.

    Raises:
        CannotRun: when the model or the adapter is missing, or they do not belong together.
    """
    began = time.monotonic()
    transformers.utils.logging.disable_progress_bar()  # of loading weights; the tour has bars of its own
    if not (plan.adapter / WEIGHTS).is_file():
        raise CannotRun(f"no adapter in {plan.adapter}; train it with: python -m maintenance.tour --train-adapter")
    base_file = (checkpoint_folder(plan.base) if plan.base in SHIPPED else Path(plan.base)) / "model.safetensors"
    about = {
        "scenes": plan.scenes, "split": plan.split, "quick": asdict(plan.quick),
        "base": sha256(base_file), "adapter": sha256(plan.adapter / WEIGHTS),
    }  # fmt: skip
    path = out / f"tour-{json_sha256(about)[:8]}.jsonl"
    journal = Journal(path, about)
    done = {record["stage"]: record for record in journal.records()}
    if done:
        voice.say(f"Going on after: {', '.join(done)}.")

    def stage(name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The record of a stage: from the journal, or made now and put there."""
        if name not in done:
            start = time.monotonic()
            done[name] = {"stage": name, **work(), "seconds": round(time.monotonic() - start, 1)}
            journal.append(done[name])
        return done[name]

    shown, exam = pictures(), Exam.draw(plan.scenes, plan.split)
    sheets, models, differences, captions = {}, {}, {}, {}

    def add(name: str, record: dict[str, Any]) -> None:
        """Takes in a stage's answers."""
        captions[name] = record["captions"]
        sheets[name] = EvalAnswers.from_dict(record["sheet"])
        models[name] = score_answers(sheets[name], exam)
        if name != "base":
            differences[name] = compare(sheets["base"], sheets[name], exam)

    first = shown[0]
    voice.say(f"1. A picture: {titled(first)}.\n   {RULE}\n   What it shows, from its facts: {in_words(first)}")
    base = stage("base", lambda: _answers(Vlm.load(plan.base), shown, exam, voice))
    add("base", base)
    voice.say(_quoted("   The model says: ", base["captions"][0], first, voice))
    voice.say(f"\n2. The score on {plan.scenes} other pictures, with 95% intervals.")
    if not voice.plain:
        voice.say("\n".join(f"   {name}: {meaning}." for name, _, meaning in MEANING.values()))
    voice.say(voice.scores(models, differences))

    pairs = plan.quick.steps * plan.quick.micro_batch // 3
    voice.say(
        f"\n3. Training on {pairs} micro-edits: two pictures that differ in one small thing, true captions of both, "
        "and what changed. About 40 seconds on two free cores."
    )
    quick = stage("quick", lambda: _quick(plan, out, shown, exam, voice))
    add("quick", quick)
    run = quick["run"]
    cut = "" if run["steps"] == plan.quick.steps else f" of {plan.quick.steps}: the time was over"
    voice.say(f"   {run['steps']} steps{cut}, {run['seconds']:.0f} seconds.")
    voice.say(_quoted("   Now it says: ", quick["captions"][0], first, voice))

    voice.say("\n4. The same pictures and questions again, and beside them the adapter that was trained longer.")
    shipped = stage("shipped", lambda: _answers(Vlm.load(plan.base, adapters=[plan.adapter]), shown, exam, voice))
    add("shipped", shipped)
    voice.say(voice.scores(models, differences))
    voice.say(f"\n   {MEASURABLE}\n" + "\n".join(f"   {line}" for line in verdicts(differences)))
    voice.say(f"   {CAUTION}")

    result = {
        "evidence": "diorama",
        "n": plan.scenes,
        "questions": len(exam.questions),
        "rules": {"pictures": RULE, "measurable": MEASURABLE},
        "about": about,
        "pictures": [_row(number, one, captions) for number, one in enumerate(shown)],
        "models": {name: {"scores": one["scores"], "ci": one["ci"]} for name, one in models.items()},
        "differences": differences,
        "training": run,
        "shipped_training": json.loads((plan.adapter / "run.json").read_text(encoding="utf-8")),
        "seconds": {name: record["seconds"] for name, record in done.items()},
    }
    (out / "tour.html").write_text(page(result, shown), encoding="utf-8")
    (out / "tour.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    path.unlink()
    minutes = (time.monotonic() - began) / 60
    voice.say(f"\n5. A page to keep, with all of this and five more pictures: {out / 'tour.html'}")
    voice.say(f"   {minutes:.1f} minutes.")
    return {**result, "page": str(out / "tour.html")}


CAUTION = (
    "This does not show that the edits did it: the training captions are true, and those that the model first "
    "learned from were not always. The book's chapter 'What made it work?' compares with true captions alone."
)


def verdicts(differences: dict[str, dict[str, Any]]) -> list[str]:
    """One sentence for each model and metric that matters: wrong words, right answers, and what was lost for it."""
    return [
        f"{NAMES[name]}, {MEANING[metric][0]}: {results[metric]['verdict']}."
        for name, results in differences.items()
        for metric in (*HEADLINE, "recall")
    ]


def _answers(model: Vlm, shown: list[Scene], exam: Exam, voice: Voice) -> dict[str, Any]:
    """A model's captions of the tour's pictures, and its answers to the exam."""
    if voice.plain:
        voice.say(f"   Asking {model.name} about {len(exam.data.scenes)} pictures.")
    images = [render(one, 96).image for one in shown]
    captions = model.answer(images, [DESCRIBE] * len(images), CAPTION_TOKENS)
    return {"captions": captions, "sheet": run_evaluation(model, exam, progress=not voice.plain).to_dict()}


def _quick(plan: Plan, out: Path, shown: list[Scene], exam: Exam, voice: Voice) -> dict[str, Any]:
    """The short training, and what the model answers after it."""
    with voice.steps("   Training" if voice.plain else "training") as progress:
        model = Vlm.load(plan.base)
        shutil.rmtree(out / "adapter", ignore_errors=True)  # a stage that was stopped starts anew
        make = examples(TRAIN_SPLIT, PRIOR)
        done = train(model, make, plan.quick, out / "adapter", "mmhallu tour", progress=progress)
    return {"run": done.record, **_answers(done.vlm(), shown, exam, voice)}


def _quoted(start: str, caption: str, scene: Scene, voice: Voice) -> str:
    """A caption with its wrong words marked, and a sentence that counts them."""
    wrong = wrong_words(caption, scene)
    count = f"Not in the picture: {', '.join(wrong)}." if wrong else "Everything that it names is there, this time."
    return f"{start}{voice.caption(told(caption, scene))}\n   {count}"


def _row(number: int, one: Scene, captions: dict[str, list[str]]) -> dict[str, Any]:
    """One picture's part of the result."""
    said = {name: texts[number] for name, texts in captions.items()}
    return {
        "scene": one.id, "title": titled(one), "text": in_words(one), "captions": said,
        "hallucinated": {name: wrong_words(text, one) for name, text in said.items()},
    }  # fmt: skip

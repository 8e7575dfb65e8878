"""Two benchmarks of the name R-Bench: yes/no questions about relations, and lettered ones about spoilt pictures.

Is somebody really *holding* the umbrella? Wu et al., "Evaluating and Analyzing Relationship Hallucinations in Large
Vision-Language Models", ICML 2024, arXiv 2406.16449; rules read in its eval.py at commit 1fb62e8.
`rbench` asks about whole pictures of nocaps, `rbench-instance` about two objects that stand in a red and a green box.
Most published answers are yes, so the authors drew five balanced subsets of question ids; a score is the mean over the
five. Answers are read as POPE reads them, "yes" is the positive class, and precision, recall and F1 have 0.00001 below
the line.

`read` leaves the pictures of `rbench-instance` as they are; `with_boxes` draws the boxes that its questions speak of.

`rbench-dis` and `rbench-ref` show pictures that a camera or a network spoilt, and the same ones undistorted. Source: Li
et al., "R-Bench: Are your Large Multimodal Model Robust to Real-world Corruptions?", arXiv 2410.05474, in the form in
which VLMEvalKit scores it. IC-VCO's tables hold the mean of these two accuracies as "R-Bench". The official rule is
VLMEvalKit's without a judge: one option letter among the last words, or one option's text; anything else is wrong.
(With a judge it would end in a letter drawn at random.) IC-VCO used that of May 2026: `accuracy`. Since June 2026 it
also takes the letter after "answer is": `accuracy_june_2026`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from mmhallu_core.data.answers import as_id
from mmhallu_core.data.decode import BadPicture, as_png, decode
from mmhallu_core.data.question import LETTERS, Question
from mmhallu_core.data.rows import column, id_in, picture, rows, text_in
from mmhallu_core.data.sources import read_json
from mmhallu_core.evaluate.answers import YES_NO, Reading
from mmhallu_core.evaluate.answers import strict as strict_reading
from mmhallu_core.evaluate.benchmark import Benchmark, accuracy, given, right_by, strictly
from mmhallu_core.evaluate.letters import LETTER
from mmhallu_core.evaluate.metrics import Metrics, Sides, mean_of_ratios, share, yes_sides
from mmhallu_core.types import require

HOME = "https://github.com/mrwu-mac/R-Bench"
DISTORTED = "hub:lcysyzxdxc/R-Bench"
SUBSETS = 5
BELOW = 0.00001
COLOURS = ("red", "green")  # of the subject's and the object's box


def read(path: Path | None, level: str = "image") -> list[Question]:
    """Reads `image-level_filterd.json` or `instance-level_filterd.json` (spelled so), and the five files of ids.

    The ids stand beside it, in `...image-level...ids_1.json` to `..._5.json`; an id that comes twice counts twice.
    Where none of them is there, all questions are one subset. Pictures are looked for in `images/`.

    Args:
        path: the file, or its folder.
        level: "image" or "instance".

    Raises:
        CannotRun: when no path is given.
        RecordError: when a row is not as published, or some of the five files are missing.
    """
    path = given(path, "R-Bench", f"it from {HOME}, and name its folder")
    file = path / f"{level}-level_filterd.json" if path.is_dir() else path
    lists = [sorted(file.parent.glob(f"*{level}-level*ids_{number}.json")) for number in range(1, SUBSETS + 1)]
    there = [len(one) for one in lists]
    require(there in ([0] * SUBSETS, [1] * SUBSETS), f"{file.parent}: expected five files of {level}-level ids")
    drawn = [_ids(one[0]) for one in lists if one]
    questions = []
    for here, row in rows(file):
        name, text, label = id_in(row, here, "question_id"), text_in(row, here, "text"), text_in(row, here, "label")
        image = str(file.parent / "images" / text_in(row, here, "image"))
        about = {"subsets": [ids.count(name) for ids in drawn] or [1]}
        if level == "instance":
            for role, colour in zip(("subject", "object"), COLOURS, strict=True):
                noun = text_in(row, here, role).lower()
                text = text.replace(noun, f"{noun} in {colour} bounding box")
            about["boxes"] = [_box(row, here, key) for key in ("sub_box", "obj_box")]
        questions.append(Question(name, text, "no" if "no" in label.lower() else "yes", (image,), about=about))
    strange = {name for ids in drawn for name in ids} - {question.id for question in questions}
    require(not strange, f"{file}: no questions of these drawn ids: {', '.join(sorted(strange)[:5])}")
    return questions


def _ids(path: Path) -> list[str]:
    ids = read_json(path)
    good = isinstance(ids, list) and len(ids) > 0 and all(as_id(one) is not None for one in ids)
    require(good, f"{path}: expected a list of question ids")
    return [as_id(one) for one in ids]


def _box(row: dict[str, Any], here: str, key: str) -> list[float]:
    """x0 y0 x1 y1, as fractions of the picture's width and height."""
    box = column(row, here, key)
    good = isinstance(box, list) and len(box) == 4 and all(type(one) in (int, float) and isfinite(one) for one in box)
    good = good and box[0] <= box[2] and box[1] <= box[3]
    require(good, f"{here}: `{key}` must be four numbers x0 y0 x1 y1, the second corner after the first")
    return box


def with_boxes(question: Question) -> Question:
    """The same question with the two boxes drawn into its picture, as the authors draw them (4 pixels wide).

    A picture that cannot be read stays a path: the runner then refuses this question and says why.
    """
    from PIL import ImageDraw

    try:
        found = decode(question.images[0])
    except BadPicture:
        return question
    for box, colour in zip(question.about["boxes"], COLOURS, strict=True):
        corners = tuple(share * size for share, size in zip(box, 2 * found.stored, strict=True))
        ImageDraw.Draw(found.image).rectangle(found.turned_box(corners), outline=colour, width=4)
    about = {**question.about, "picture": question.picture}
    return replace(question, images=(as_png(found.image),), about=about)


def _scores(questions: Sequence[Question], said: Sequence[Reading], rounded: bool) -> Metrics:
    sides = yes_sides(questions, said)
    drawn = np.array([question.about["subsets"] for question in questions], dtype=float).T  # [subset, question]
    pictures = [question.picture for question in questions]
    printed = _printed(sides, drawn[drawn.any(axis=1)]) if rounded else {}
    found = {name: mean_of_ratios(one, pictures, drawn, printed=printed.get(name)) for name, one in sides.items()}
    return {**found, "all_accuracy": share(sides["accuracy"][0].tolist(), questions)}


def _printed(sides: dict[str, Sides], drawn: np.ndarray) -> dict[str, float]:
    """What the script prints, divided by 100: the mean over subsets in percent, to two digits."""
    if not len(drawn):
        return {}
    counts = {name: (drawn @ top, drawn @ bottom) for name, (top, bottom) in sides.items()}
    found = {name: counts[name][0] / counts[name][1] for name in ("accuracy", "yes_ratio")}
    found |= {name: counts[name][0] / (counts[name][1] + BELOW) for name in ("precision", "recall")}
    precision, recall = found["precision"], found["recall"]
    found["f1"] = 2 * precision * recall / (precision + recall + BELOW)
    return {name: float(np.round(np.mean(share * 100), 2)) / 100 for name, share in found.items()}


def official(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """The mean over the five subsets by POPE's reading; `all_accuracy` is over all questions, once each."""
    return _scores(questions, [YES_NO["POPE"](text) for text in texts], rounded=True)


def strict(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """The same by the strict reading, without constant and rounding, and the share of answers it cannot read: they
    are wrong for their label."""
    said = [strict_reading(text) for text in texts]
    return {**_scores(questions, said, rounded=False), "unparsed": share([one is None for one in said], questions)}


def _benchmark(name: str, title: str, level: str) -> Benchmark:
    return Benchmark(
        name=name,
        title=title,
        home=HOME,
        licence="none stated by its authors; the photos come from Open Images (CC BY 2.0)",
        form="yes_no",
        headline="accuracy",
        read=partial(read, level=level),
        official=official,
        strict=strict,
        draw=with_boxes if level == "instance" else None,
    )


# ---------------------------------------------------------------- distorted pictures


def read_distorted(path: Path | None) -> list[Question]:
    """Reads `R-bench-dis.tsv` or `R-bench-ref.tsv`: `index, question, A, B, ..., answer, image` (base64), maybe `hint`.

    Raises:
        CannotRun: when no path is given.
        RecordError: when a row is not of this form.
    """
    path = given(path, "R-Bench", f"its two .tsv files from {DISTORTED}")
    questions = []
    for here, row in rows(path):
        named = [letter for letter in LETTERS if row.get(letter) not in (None, "")]
        options = tuple(text for letter in named if (text := text_in(row, here, letter).strip()))
        truth = text_in(row, here, "answer").strip().upper()
        require(len(options) > 1 and truth in LETTERS[: len(options)], f"{here}: `answer` {truth!r} is no option")
        shown = picture(row.get("image"), here, path.parent)
        lines = [f"Question: {text_in(row, here, 'question')}", "Options:"]
        lines += [f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=False)]
        lines = [f"Hint: {row['hint']}", *lines] if row.get("hint") else lines
        prompt = "\n".join([*lines, "Please select the correct answer from the options above."])
        images = () if shown is None else (shown,)
        questions.append(Question(id_in(row, here, "index"), prompt, truth, images, options))
    return questions


def official_distorted(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """Accuracy by VLMEvalKit's reading, the older and the newer."""
    rules = {"accuracy": LETTER["VLMEvalKit"], "accuracy_june_2026": LETTER["VLMEvalKit June 2026"]}
    return {name: share(right_by(rule, questions, texts), questions) for name, rule in rules.items()}


def _distorted(name: str, title: str) -> Benchmark:
    return Benchmark(
        name=name,
        title=title,
        home=DISTORTED,
        licence="none stated",
        form="letter",
        headline="accuracy",
        read=read_distorted,
        official=official_distorted,
        strict=strictly(accuracy),
    )


BENCHMARKS = (
    _benchmark("rbench", "R-Bench: yes/no questions about relations in a picture", "image"),
    _benchmark("rbench-instance", "R-Bench: yes/no questions about the relation of two boxed objects", "instance"),
    _distorted("rbench-dis", "R-Bench-Dis: lettered questions about distorted pictures"),
    _distorted("rbench-ref", "R-Bench-Ref: lettered questions about the same pictures undistorted"),
)

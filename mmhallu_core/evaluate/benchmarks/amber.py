"""AMBER: 1,004 photos to describe, and 14,216 yes/no questions about them.

Source: Wang et al., "AMBER: An LLM-free Multi-dimensional Benchmark for MLLMs Hallucination Evaluation", arXiv
2311.07397; rules read in its inference.py at commit 534babf. `amber` has everything, `amber-discriminative` the
questions, `amber-generative` the captions (`amber_captions.py` explains their four scores). The questions ask about
existence, attributes (state, number, action) and relations.

What to know about the official rule for questions:

* "No" is the positive class of precision, recall and F1, for saying no to what is not there is the skill. Two thirds
  of the answers are no, so always saying no has an F1 near 0.8: read the blind baselines.
* An answer counts when it is exactly "Yes" or "No"; "Yes." is wrong, and "No." is not even a no.
* Denominators start at 0.001 (attributes add up three of them), F1 is made of precision and recall *rounded* to a
  tenth of a percent, with a small constant below the line, and existence has another constant.

And about its labels (counted in the files of commit 534babf; `mmhallu audit amber` counts them again). They are scored
as published, here as elsewhere:

* 61 of the 1,004 photos have a word in both lists, that of what is there and that of what a model would make up
  (AMBER_18: tree). A caption that names it covers the truth and is a hallucination for Cog.
* Each of the 4,924 existence questions is to be answered no, and 63 of them ask for an object that the list of what is
  there has for the same photo (question 8720: the tree of AMBER_18).

Scores are fractions here: what the script prints, divided by 100. `vlmevalkit_avg_acc` is VLMEvalKit's number: the mean
of three accuracies, with whole words read. `amber_score` is (1 - CHAIR + F1) / 2, the summary of the paper.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mmhallu_core.data.question import Question
from mmhallu_core.data.rows import id_in, rows, text_in, texts_in
from mmhallu_core.evaluate.amber_captions import official_words, read_tables, score_generative, strict_generative
from mmhallu_core.evaluate.answers import YES_NO, Reading
from mmhallu_core.evaluate.answers import strict as strict_reading
from mmhallu_core.evaluate.benchmark import Benchmark, right_by
from mmhallu_core.evaluate.metrics import (
    NOTHING,
    Metric,
    Metrics,
    Sides,
    class_sides,
    mean_of_ratios,
    share,
    unread_as_wrong,
)
from mmhallu_core.store import data_file
from mmhallu_core.types import CannotRun, require

ATTRIBUTES = tuple(f"discriminative-attribute-{kind}" for kind in ("state", "number", "action"))
CLASSES = {
    "attribute": ATTRIBUTES,
    "existence": ("discriminative-hallucination",),
    "relation": ("discriminative-relation", "relation"),
}
KINDS = tuple(kind for kinds in CLASSES.values() for kind in kinds)
# Score's prefix: the kinds of question; how often 0.001 stands below the line; the constant in F1.
SCOPES = {
    "": (KINDS, 1, 0.0001),
    "existence_": (CLASSES["existence"], 1, 0.001),
    "attribute_": (ATTRIBUTES, 3, 0.0001),
    **{f"{kind.rpartition('-')[2]}_": ((kind,), 1, 0.0001) for kind in ATTRIBUTES},
    "relation_": (CLASSES["relation"], 1, 0.0001),
}
START = 0.001
ASKED = re.compile(r"Is there an? (.+) in this image\?")  # an existence question
BOTH_LISTS = "photos to describe have a word both in the list of what is there and in that of hallucinations"
AGAINST_TRUTH = "questions are to be answered no and ask for what the photo's list of what is there has"


def read(path: Path | None, part: str = "all") -> list[Question]:
    """Reads AMBER's data folder (`annotations.json`, `query/`, and its photos in `image/`), or one of its query files.

    The questions end with "Please answer yes or no.", as VLMEvalKit asks them; AMBER's files have the bare question.

    Args:
        path: the folder, a file of `query/`, or None for the data folder of this machine.
        part: "all", "generative" or "discriminative".

    Raises:
        MissingFile: without a path, when the data folder does not have it.
        CannotRun: when there are no annotations at that place.
        RecordError: when a row is not as published.
    """
    path = Path(path) if path else data_file("amber/annotations.json").parent
    file = path / "query" / "query_all.json" if path.is_dir() else path
    folder = next((one for one in (path, *file.parents[:2]) if (one / "annotations.json").is_file()), None)
    if folder is None:
        raise CannotRun(f"{file}: annotations.json is neither beside it nor one folder up (`mmhallu data get amber`)")
    truths = {id_in(row, here, "id"): (here, row) for here, row in rows(folder / "annotations.json")}
    there = {  # what is there, by photo; a photo has the number of its caption
        f"AMBER_{name}.jpg": texts_in(row, here, "truth")
        for name, (here, row) in truths.items()
        if row.get("type") == "generative"
    }
    questions = []
    for here, row in rows(file):
        name, asked, image = id_in(row, here, "id"), text_in(row, here, "query"), text_in(row, here, "image")
        require(name in truths, f"{here}: no annotation of question {name}")
        where, truth = truths[name]
        kind = text_in(truth, where, "type")
        require(kind in (*KINDS, "generative"), f"{where}: no kind of question {kind!r}")
        if part not in ("all", "generative" if kind == "generative" else "discriminative"):
            continue
        about: dict[str, Any] = {"kind": kind}
        if kind == "generative":
            lists = {key: texts_in(truth, where, key) for key in ("truth", "hallu")}
            about |= {"tables": str(folder), **lists}
            known = read_tables(folder).associations
            strange = [word for one in lists.values() for word in one if word not in known]
            require(not strange, f"{where}: not in the table of words: {', '.join(strange[:5])}")
            right, against = ", ".join(lists["truth"]), bool({*lists["truth"]} & {*lists["hallu"]}) and BOTH_LISTS
        else:
            right, thing = text_in(truth, where, "truth"), ASKED.fullmatch(asked)
            require(right in ("yes", "no"), f"{where}: `truth` must be yes or no, got {right!r}")
            denied = kind in CLASSES["existence"] and right == "no" and thing is not None
            against = denied and thing.group(1) in there.get(image, ()) and AGAINST_TRUTH
            asked += "\nPlease answer yes or no."
        about |= {"contradiction": against} if against else {}
        questions.append(Question(name, asked, right, (str(folder / "image" / image),), about=about))
    require(len(questions) > 0, f"{file}: no {part} questions in it")
    return questions


def _split(questions: Sequence[Question], texts: Sequence[str]) -> list[tuple[list[Question], list[str]]]:
    """The captions to write, and the questions to answer, each with their texts."""
    parts: list[tuple[list[Question], list[str]]] = [([], []), ([], [])]
    for question, text in zip(questions, texts, strict=True):
        part = parts[question.about["kind"] != "generative"]
        part[0].append(question)
        part[1].append(text)
    return parts


def _by_scope(questions: Sequence[Question], said: Sequence[Reading], rounded: bool) -> Metrics:
    """Accuracy, precision, recall and F1 of "no", over everything and over each kind that was asked."""
    sides = class_sides([question.truth for question in questions], said, "no")
    kinds, pictures = np.array([question.about["kind"] for question in questions]), _pictures(questions)
    found: Metrics = {}
    for prefix, (wanted, starts, constant) in SCOPES.items():
        at = np.flatnonzero(np.isin(kinds, wanted))
        if not len(at):
            continue
        part = {name: (top[at], bottom[at]) for name, (top, bottom) in sides.items()}
        printed = _printed(part, starts * START, constant) if rounded else {}
        groups = pictures[at].tolist()
        found |= {prefix + name: Metric(*one, groups, printed.get(name)) for name, one in part.items()}
    return found


def _printed(part: dict[str, Sides], start: float, constant: float) -> dict[str, float]:
    percent = {
        name: round(float(part[name][0].sum()) / (start + float(part[name][1].sum())) * 100, 1)
        for name in ("accuracy", "precision", "recall")
    }
    precision, recall = percent["precision"] / 100, percent["recall"] / 100
    percent["f1"] = round(2 * precision * recall / (precision + recall + constant) * 100, 1)
    return {name: value / 100 for name, value in percent.items()}


def _pictures(questions: Sequence[Question]) -> np.ndarray:
    return np.array([question.picture for question in questions])


def _vlmevalkit(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """VLMEvalKit's accuracies, by whole words, and their mean."""
    hits = np.array(right_by(YES_NO["VLMEvalKit"], questions, texts), dtype=float)
    sides = (hits, np.ones(len(hits)))
    kinds, pictures = np.array([question.about["kind"] for question in questions]), _pictures(questions).tolist()
    parts = np.array([np.isin(kinds, wanted) for wanted in CLASSES.values()], dtype=float)
    found = {f"vlmevalkit_{name}": mean_of_ratios(sides, pictures, parts[[row]]) for row, name in enumerate(CLASSES)}
    return {**found, "vlmevalkit_avg_acc": mean_of_ratios(sides, pictures, parts)}


def _with_score(found: Metrics) -> Metrics:
    """Adds the AMBER score, where captions and questions were scored. It is no ratio, so it has no interval."""
    chair, f1 = (found[name].value if name in found else None for name in ("chair", "f1"))
    score = NOTHING if chair is None or f1 is None else replace(NOTHING, printed=(1 - chair + f1) / 2)
    return {**found, "amber_score": score}


def official(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """The published scores. Those of captions are None where nltk or spaCy is missing, and a warning says so."""
    (captions, responses), (asked, answers) = _split(questions, texts)
    found: Metrics = {}
    if captions:
        found = dict.fromkeys(("chair", "cover", "hal", "cog"), NOTHING)
        try:
            nouns, similar = official_words()
        except CannotRun as error:
            warnings.warn(str(error), stacklevel=2)
        else:
            tables, groups = read_tables(Path(captions[0].about["tables"])), _pictures(captions).tolist()
            annotations = [question.about for question in captions]
            found = score_generative(responses, annotations, tables, nouns, similar, groups)
    if asked:
        found |= _by_scope(asked, [YES_NO["AMBER"](text) for text in answers], rounded=True)
        found |= _vlmevalkit(asked, answers)
    return _with_score(found)


def strict(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """The same by the strict readings, without rounding. `unparsed` is the share of yes/no answers that they cannot
    read; these are wrong for their label."""
    (captions, responses), (asked, answers) = _split(questions, texts)
    found: Metrics = {}
    if captions:
        tables, groups = read_tables(Path(captions[0].about["tables"])), _pictures(captions).tolist()
        found = strict_generative(responses, [question.about for question in captions], tables, groups)
    if asked:
        said = [strict_reading(text) for text in answers]
        found |= _by_scope(asked, unread_as_wrong([one.truth for one in asked], said), rounded=False)
        found["unparsed"] = share([one is None for one in said], asked)
    return _with_score(found)


def chance(questions: Sequence[Question]) -> float:
    """The F1 of "no" when each answer is guessed: half of the noes are found, and half of all answers are no."""
    truths = [question.truth for question in questions if question.about["kind"] != "generative"]
    noes = truths.count("no")
    return noes / (noes + len(truths) / 2) if noes else 0.0


def _benchmark(name: str, title: str, part: str, form: str, headline: str) -> Benchmark:
    return Benchmark(
        name=name,
        title=title,
        home="https://github.com/junyangwang0410/AMBER",
        licence="Apache-2.0",
        form=form,
        headline=headline,
        read=partial(read, part=part),
        official=official,
        strict=strict,
        chance=chance,
        sha256={
            "annotations.json": "db22a436c4836fbb295e60b4e80d519573077579fb7032f01b193c1bd022b797",
            "query/query_all.json": "127680ae61f7d4a92d2f7f07a8deaec07f0689b194d2c7c0f41ead7bd2c5bcf5",
            "relation.json": "c4c1491e9bbc3209abc1888c12a1bf8413bdbab8a0d8be04b990a2e7680cf23e",
            "safe_words.txt": "f92cf1123f4578a2630832fac3e6ac4de36212ea55859d3bed4fd233723f4043",
        },
    )


BENCHMARKS = (
    _benchmark("amber", "AMBER: 1,004 photos to describe, 14,216 yes/no questions", "all", "yes_no", "f1"),
    _benchmark("amber-discriminative", "AMBER's 14,216 yes/no questions", "discriminative", "yes_no", "f1"),
    _benchmark("amber-generative", "AMBER's 1,004 photos to describe", "generative", "free", "chair"),
)

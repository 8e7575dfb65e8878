"""MME: fourteen subjects, two yes/no questions a picture, one to be answered yes and one no.

Source: Fu et al., "MME: A Comprehensive Evaluation Benchmark for Multimodal Large Language Models", arXiv 2306.13394.
1,187 pictures, 2,374 questions. A subject scores accuracy (of questions) plus accuracy+ (of pictures with both answers
right), each times 100, so up to 200. Ten subjects of perception add up to 2,000, four of cognition to 800. These sums
keep their published scale here; `SUBJECT_accuracy` and `SUBJECT_accuracy_plus` are fractions.

Guessing scores 50 + 25 a subject, so 750 of 2,000 in perception; always yes scores 50 a subject. A score of "1,500"
reads differently beside those.

The published rule reads the first four characters of an answer. It is the same in lmms-eval, from which it was read.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mmhallu_core.data.question import Question
from mmhallu_core.data.rows import column, rows
from mmhallu_core.evaluate.answers import YES_NO, Reading
from mmhallu_core.evaluate.answers import strict as strict_reading
from mmhallu_core.evaluate.benchmark import Benchmark, Metric, Metrics, rate
from mmhallu_core.evaluate.ratios import mean_of_ratios
from mmhallu_core.types import CannotRun, Picture, require

HOME = "hub:lmms-lab/MME"
PERCEPTION = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR",
)  # fmt: skip
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
SUBJECTS = PERCEPTION + COGNITION

Row = tuple[str, str, str, str, str, Picture]  # where it stands, subject, picture's name, question, answer, picture


def read(path: Path | None) -> list[Question]:
    """Reads MME in either of its published forms.

    * The authors' folder: a folder a subject; in it a text file a picture, with two lines "question TAB Yes or No",
      and the picture of the same name beside it. Some subjects keep them apart, in `images` and `questions_answers_YN`.
    * The hub's Parquet files (one, or a folder of them) with `question_id, image, question, answer, category`. Both
      questions of a picture have the same `question_id` there.

    So a question's id is made here: subject, picture's name without its ending, and 1 or 2 in the order of the file,
    as in "OCR/0001/2". Both forms give the same ids.

    Raises:
        CannotRun: when no path is given.
        RecordError: when a row is not as published, or a picture has not exactly two questions.
    """
    if path is None:
        raise CannotRun(f"MME does not come with `mmhallu data get`; get it from {HOME}, and name the file or folder")
    path = Path(path)
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    found = [row for file in files for row in _from_table(file)] if files else list(_from_folder(path))
    require(len(found) > 0, f"{path}: neither Parquet files nor folders of subjects such as {PERCEPTION[0]}")
    questions, asked, pictures = [], {}, {}
    for here, subject, name, text, answer, picture in found:
        require(subject in SUBJECTS, f"{here}: no subject {subject!r} in MME; there are {', '.join(SUBJECTS)}")
        truth = answer.lower().strip().replace(".", "")
        require(truth in ("yes", "no"), f"{here}: the answer must be Yes or No, got {answer!r}")
        which = f"{subject}/{name}"
        asked[which] = asked.get(which, 0) + 1
        shown = (pictures.setdefault(which, picture),)  # a picture's bytes are kept once
        about = {"subject": subject, "picture": which}
        questions.append(Question(f"{which}/{asked[which]}", text.strip(), truth, shown, about=about))
    odd = [which for which, count in asked.items() if count != 2]
    require(not odd, f"{path}: not two questions a picture: {', '.join(odd[:5])}")
    return questions


def _from_table(file: Path) -> Iterator[Row]:
    for here, row in rows(file):
        subject, name = column(row, here, "category"), column(row, here, "question_id")
        picture = column(row, here, "image")
        picture = (picture.get("bytes") or picture.get("path")) if isinstance(picture, dict) else picture
        name = Path(name.removeprefix(f"{subject}/")).stem
        yield here, subject, name, column(row, here, "question"), column(row, here, "answer"), picture


def _from_folder(folder: Path) -> Iterator[Row]:
    for subject in SUBJECTS:
        apart = folder / subject / "questions_answers_YN"
        texts, pictures = (apart, folder / subject / "images") if apart.is_dir() else 2 * (folder / subject,)
        beside = {file.stem: file for file in pictures.glob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png")}
        for file in sorted(texts.glob("*.txt")):
            require(file.stem in beside, f"{file}: no picture of this name in {pictures}")
            for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), start=1):
                here, parts = f"{file}, line {number}", line.split("\t")
                require(len(parts) == 2, f"{here}: expected a question, a tab, and Yes or No")
                yield here, subject, file.stem, *parts, str(beside[file.stem])


def _scores(questions: Sequence[Question], said: Sequence[Reading]) -> Metrics:
    pictures: dict[str, list[bool]] = {}
    subject_of = {question.about["picture"]: question.about["subject"] for question in questions}
    for question, word in zip(questions, said, strict=True):
        pictures.setdefault(question.about["picture"], []).append(word == question.truth)
    crowded = [name for name, hits in pictures.items() if len(hits) > 2]
    if crowded:
        raise CannotRun(f"MME asks two questions a picture; there are more about {', '.join(crowded[:5])}")
    # A subset may leave one question of a picture; like the published script, this counts whole pictures alone.
    whole = {name: hits for name, hits in pictures.items() if len(hits) == 2}
    names, subjects = list(whole), np.array([subject_of[name] for name in whole])
    accuracy = np.array([sum(hits) / 2 for hits in whole.values()])
    plus = np.array([float(all(hits)) for hits in whole.values()])
    ones = np.ones(len(names))

    def total(kinds: Sequence[str]) -> Metric:
        present = [kind for kind in dict.fromkeys(subjects.tolist()) if kind in kinds]
        parts = np.array([subjects == kind for kind in present], dtype=float).reshape(len(present), len(names))
        return mean_of_ratios((100 * (accuracy + plus), ones), names, parts, add=True)

    found = {"perception": total(PERCEPTION), "cognition": total(COGNITION)}
    found["accuracy"], found["accuracy_plus"] = Metric(accuracy, ones, names), Metric(plus, ones, names)
    for subject in SUBJECTS:
        of = np.flatnonzero(subjects == subject)
        key, groups = subject.lower(), [names[place] for place in of]
        found[key] = Metric(100 * (accuracy + plus)[of], ones[of], groups)
        found[f"{key}_accuracy"] = Metric(accuracy[of], ones[of], groups)
        found[f"{key}_accuracy_plus"] = Metric(plus[of], ones[of], groups)
    return found


def official(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """The published sums, and accuracy and accuracy+ of each subject; None for a subject without a whole picture."""
    return _scores(questions, [YES_NO["MME"](text) for text in texts])


def strict(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """The same by the strict reading, and the share of answers that it cannot read."""
    said = [strict_reading(text) for text in texts]
    return {**_scores(questions, said), "unparsed": rate([word is None for word in said], questions)}


def chance(questions: Sequence[Question]) -> float:
    """What guessing scores in perception: 50 for the questions and 25 for the pictures, in each subject asked."""
    return 75.0 * len({question.about["subject"] for question in questions} & set(PERCEPTION))


BENCHMARKS = (
    Benchmark(
        name="mme",
        title="MME: perception (of 2,000) and cognition (of 800), two yes/no questions a picture",
        home=HOME,
        licence="academic research only, as its authors state",
        form="yes_no",
        headline="perception",
        read=read,
        official=official,
        strict=strict,
        chance=chance,
    ),
)

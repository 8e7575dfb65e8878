"""MME: fourteen subjects, two yes/no questions a picture, one to be answered yes and one no.

Source: Fu et al., "MME: A Comprehensive Evaluation Benchmark for Multimodal Large Language Models", arXiv 2306.13394.
1,187 pictures, 2,374 questions. A subject scores accuracy (of questions) plus accuracy+ (of pictures with both answers
right), each times 100, so up to 200. Ten subjects of perception add up to 2,000, four of cognition to 800. These sums
keep their published scale here; `SUBJECT_accuracy` and `SUBJECT_accuracy_plus` are fractions.

Guessing scores 50 + 25 a subject, so 750 of 2,000 in perception; always yes scores 50 a subject.

The published rule looks for yes, then for no, in the first four characters of an answer, in any case. It removes
nothing before, so two blanks before a "Yes" push it out, and "n" is no answer. lmms-eval removes blanks and full stops
first, and takes y and n for answers. Its sums stand in `strict` under its name. Since version 0.7.3 it loads the table
from another home, hub:lmms-lab-encoder/MME.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmhallu_core.data.answers import split_thought
from mmhallu_core.data.question import Question
from mmhallu_core.data.rows import column, id_in, picture, rows, text_in
from mmhallu_core.evaluate.answers import YES_NO
from mmhallu_core.evaluate.benchmark import Benchmark, Results, by_rule, given, right_by, strictly
from mmhallu_core.evaluate.metrics import Metric, Metrics, mean_of_ratios
from mmhallu_core.types import Answer, CannotRun, Picture, RecordError, require

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
    path = given(path, "MME", f"it from {HOME}, and name the file or folder")
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    found = [row for file in files for row in _from_table(file)] if files else list(_from_folder(path))
    require(len(found) > 0, f"{path}: neither Parquet files nor folders of subjects such as {PERCEPTION[0]}")
    questions, asked, pictures = [], {}, {}
    for here, subject, name, text, answer, image in found:
        require(subject in SUBJECTS, f"{here}: no subject {subject!r} in MME; there are {', '.join(SUBJECTS)}")
        truth = answer.lower().strip().replace(".", "")
        require(truth in ("yes", "no"), f"{here}: the answer must be Yes or No, got {answer!r}")
        which = f"{subject}/{name}"
        asked[which] = asked.get(which, 0) + 1
        shown = (pictures.setdefault(which, image),)  # a picture's bytes are kept once
        about = {"subject": subject, "picture": which}
        questions.append(Question(f"{which}/{asked[which]}", text.strip(), truth, shown, about=about))
    odd = [which for which, count in asked.items() if count != 2]
    require(not odd, f"{path}: not two questions a picture: {', '.join(odd[:5])}")
    return questions


def _from_table(file: Path) -> Iterator[Row]:
    for here, row in rows(file):
        subject, name = text_in(row, here, "category"), id_in(row, here, "question_id")
        shown = picture(column(row, here, "image"), here, file.parent)
        require(shown is not None, f"{here}: `image` is empty")
        name = Path(name.removeprefix(f"{subject}/")).stem
        yield here, subject, name, text_in(row, here, "question"), text_in(row, here, "answer"), shown


def _from_folder(folder: Path) -> Iterator[Row]:
    for subject in SUBJECTS:
        apart = folder / subject / "questions_answers_YN"
        texts, pictures = (apart, folder / subject / "images") if apart.is_dir() else 2 * (folder / subject,)
        beside = {file.stem: file for file in pictures.glob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png")}
        for file in sorted(texts.glob("*.txt")):
            require(file.stem in beside, f"{file}: no picture of this name in {pictures}")
            for number, line in enumerate(_lines(file), start=1):
                here, parts = f"{file}, line {number}", line.split("\t")
                require(len(parts) == 2, f"{here}: expected a question, a tab, and Yes or No")
                yield here, subject, file.stem, *parts, str(beside[file.stem])


def read_results(path: Path, questions: Sequence[Question], key: str | None = None) -> Results | None:
    """Reads the text files that the authors' script scores: SUBJECT.txt, with lines "picture TAB question TAB right
    answer TAB answer". The answer is taken as it stands.

    Args:
        path: the folder of these files, or one of them.
        questions: of MME; each line must be one of them.
        key: must be None, because the files have no columns with names.

    Returns:
        The answers, and no verdicts. None for a file of another form.

    Raises:
        CannotRun: when a folder has no such file.
        RecordError: when a line is not of this form, or is no question of MME.
    """
    files = [path / f"{subject}.txt" for subject in SUBJECTS] if path.is_dir() else [path]
    if not path.is_dir() and path.suffix != ".txt":
        return None
    if key is not None:
        raise CannotRun("MME's own result files have four columns without names: leave out --answer-key")
    if not any(file.is_file() for file in files):
        raise CannotRun(f"{path}: no file of answers such as {SUBJECTS[0]}.txt")
    open_ids: dict[tuple[str, str, str], list[str]] = {}  # what a line says, to the questions it can answer
    for question in questions:
        said = (question.about["picture"], " ".join(question.prompt.split()), question.truth)
        open_ids.setdefault(said, []).append(question.id)
    answers = []
    for file in files:
        for number, line in enumerate(_lines(file) if file.is_file() else (), start=1):
            here, parts = f"{file}, line {number}", line.split("\t")
            require(len(parts) == 4, f"{here}: expected a picture, a question, the right answer and an answer, by tabs")
            said = (f"{file.stem}/{Path(parts[0]).stem}", " ".join(parts[1].split()), parts[2].strip().lower())
            require(bool(open_ids.get(said)), f"{here}: no such question in MME, or it stands here twice")
            answer, thought = split_thought(parts[3])
            answers.append(Answer(open_ids[said].pop(0), answer, thought=thought))
    return answers, []


def _lines(file: Path) -> list[str]:
    """The lines of a text file, cut at line ends alone, without empty ones; RecordError when it is not UTF-8."""
    try:
        return [line for line in file.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
    except UnicodeDecodeError as error:
        raise RecordError(f"{file}: not a UTF-8 text file ({error.reason} at byte {error.start})") from error


def _scores(questions: Sequence[Question], right: Sequence[bool]) -> Metrics:
    """The sums, and accuracy and accuracy+ of each subject; None for a subject without a whole picture."""
    pictures: dict[str, list[bool]] = {}
    subject_of = {question.about["picture"]: question.about["subject"] for question in questions}
    for question, hit in zip(questions, right, strict=True):
        pictures.setdefault(question.about["picture"], []).append(hit)
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
        return replace(mean_of_ratios((100 * (accuracy + plus), ones), names, parts, add=True), share=False)

    found = {"perception": total(PERCEPTION), "cognition": total(COGNITION)}
    found["accuracy"], found["accuracy_plus"] = Metric(accuracy, ones, names), Metric(plus, ones, names)
    for subject in SUBJECTS:
        of = np.flatnonzero(subjects == subject)
        key, groups = subject.lower(), [names[place] for place in of]
        found[key] = Metric(100 * (accuracy + plus)[of], ones[of], groups, share=False)
        found[f"{key}_accuracy"] = Metric(accuracy[of], ones[of], groups)
        found[f"{key}_accuracy_plus"] = Metric(plus[of], ones[of], groups)
    return found


def _others(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """lmms-eval's two sums."""
    theirs = _scores(questions, right_by(YES_NO["lmms-eval MME"], questions, texts))
    return {f"lmms_eval_{part}": theirs[part] for part in ("perception", "cognition")}


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
        official=by_rule(_scores, YES_NO["MME"]),
        strict=strictly(_scores, _others),
        chance=chance,
        results=read_results,
    ),
)
